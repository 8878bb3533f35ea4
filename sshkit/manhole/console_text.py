"""What a program's output may do to the terminal of whoever looks at it.

Called by Screen for everything that code prints.  Colours and other renditions (SGR, ECMA-48 section 8.3.117)
pass, as do newlines, tabs and carriage returns (progress bars).  All other control characters and sequences,
bells, DEL, C1, controls of the writing direction and lone surrogates are shown as escapes: what was printed
cannot move the cursor, rename the window, fill the clipboard or make the terminal answer with keys.
"""

import re

_SUSPECT = re.compile(
    "(\x1b\\[[0-9;:]{0,64}m)"  # a longer one is shown, not obeyed
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNFINISHED = re.compile("\x1b(?:\\[[0-9;:]{0,64})?\\Z")
_RESETS = re.compile("\x1b\\[0*m")
#: What moves no character at the end of a text.
TRAILING = re.compile("(?:\x1b\\[[0-9;:]*m|\r)+\\Z")

RESET = "\x1b[0m"


class OutputFilter:
    """Makes text harmless, piece by piece; a sequence may lie across two pieces."""

    __slots__ = ("_colours", "_held", "styled")

    def __init__(self, colours: bool = True) -> None:
        self._colours = colours
        self._held = ""
        #: Whether a rendition is in force that what follows would be shown in.
        self.styled = False

    def feed(self, text: str) -> str:
        """Return what of `text` may be shown now."""
        if self._held:
            text, self._held = self._held + text, ""
        if "\x1b" in text:
            unfinished = _UNFINISHED.search(text)
            if unfinished is not None:
                self._held = unfinished.group()
                text = text[: unfinished.start()]
        return _SUSPECT.sub(self._harmless, text)

    def finish(self) -> str:
        """Return what is left of a sequence that never ended, and the end of its renditions."""
        held, self._held = self._held, ""
        text = _SUSPECT.sub(self._harmless, held)
        if self.styled:
            self.styled = False
            text += RESET
        return text

    def _harmless(self, found: "re.Match[str]") -> str:
        text = found.group()
        if found.group(1) is None:
            return text.encode("unicode_escape").decode("ascii")
        if not self._colours:
            return ""
        self.styled = _RESETS.fullmatch(text) is None
        return text
