"""How many places of a terminal a character takes: 0, 1 or 2.

Called by `line_editor` and `screen`.  The tables are those of wcwidth, which is loaded at the first character
that is not of the first 300: a plain program never pays for it.
"""

import re
from collections.abc import Callable
from functools import lru_cache

#: All of these take one place, so a run of them needs no look-up.
SIMPLE = re.compile("[ -~\xa0-\xac\xae-\u02ff]*")
_wcwidth: Callable[[str], int] | None = None


@lru_cache(4096)
def width(character: str) -> int:
    """Return the places that a character takes; 0 for what combines with the one before it.

    A control character takes none; whoever shows one as text asks for the text's width.
    """
    if SIMPLE.fullmatch(character):
        return 1
    global _wcwidth
    if _wcwidth is None:
        from wcwidth import wcwidth

        _wcwidth = wcwidth
    return max(0, _wcwidth(character))


def text_width(text: str) -> int:
    """Return the places that a text takes."""
    if SIMPLE.fullmatch(text):
        return len(text)
    return sum(map(width, text))


def combines(character: str) -> bool:
    """Tell whether a character is shown in the place of the one before it."""
    return width(character) == 0 and character >= " " and not "\x7f" <= character <= "\x9f"
