"""A line of sshkit-sftp as words, quoted and escaped as in sftp(1).

Words may be quoted with ' or ", and any character escaped with a backslash; # begins a comment.  A wildcard
that is quoted or escaped keeps a backslash before it, which the globbing takes away; `plain` does so for what
is not globbed.
"""

from typing import NamedTuple

from sshkit_keys.errors import SSHKitError

WILD = "*?["
MAX_WORDS = 128
MAX_LINE = 8192


class LineError(SSHKitError):
    """A line that cannot be read."""


class Words(NamedTuple):
    """The words of a line."""

    words: list[str]
    quote: str = ""  #: the quote that the last word is in
    open: bool = False  #: that quote was not closed


def split(line: str, *, unfinished: bool = False) -> Words:
    """Return the words of a line; with `unfinished` a quote may still be open, as while one types."""
    if len(line) > MAX_LINE:
        raise LineError("string too long")
    words: list[str] = []
    word: list[str] | None = None
    quote = last_quote = ""
    position = 0
    while position < len(line):
        char = line[position]
        after = line[position + 1 : position + 2]
        position += 1
        if quote:
            assert word is not None
            if char == quote:
                quote = ""
            elif char == "\\" and after == quote:
                word.append(after)
                position += 1
            elif char == "\\" and after and after in WILD:
                word.append("\\\\\\" + after)
                position += 1
            elif char == "\\":
                word.append(char + after)
                position += 1
            else:
                word.append(f"\\{char}" if char in WILD else char)
            continue
        if char.isspace():
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        if char == "#":
            break
        if word is None:
            word = []
            last_quote = ""
        if char in "'\"":
            quote = last_quote = char
        elif char == "\\":
            word.append(char + after if after and after in WILD + "\\" else after)
            position += 1
        else:
            word.append(char)
    if quote and not unfinished:
        raise LineError("Unterminated quoted argument")
    if word is not None:
        words.append("".join(word))
    if len(words) > MAX_WORDS:
        raise LineError("Too many arguments.")
    return Words(words, last_quote, bool(quote))


def plain(word: str) -> str:
    """Return a word that is not globbed: without the backslashes that kept its wildcards plain."""
    out: list[str] = []
    position = 0
    while position < len(word):
        char = word[position]
        after = word[position + 1 : position + 2]
        if char == "\\" and after and after in WILD + "\\":
            char = after
            position += 1
        out.append(char)
        position += 1
    return "".join(out)


def escape(name: str, quote: str = "") -> str:
    """Return a name as it has to be typed, outside of quotes or within `quote`."""
    special = quote + ("\\" if quote else "'\"\\ \t#*?[")
    return "".join(f"\\{char}" if char in special else char for char in name)
