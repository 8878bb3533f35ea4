"""What known_hosts and authorized_keys have in common: lines, places and keys that are read on use.

Called by those two.  A damaged line is a warning that names file and line; it is never fatal and never
trusted.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from .errors import KeyFileError, TrustFileError
from .key import PublicKey
from .key_types import decode_blob, parse_public_key
from .text import printable

#: The longest line that is looked at: a large key has 22 KiB, a list of names may be long.
MAX_LINE_BYTES = 65536
#: A hundred thousand hosts fit; a device that never ends does not.
MAX_FILE_BYTES = 64 << 20
#: A file of another kind altogether must not fill the log.
MAX_WARNINGS = 100
#: The shortest line with a key has 80 characters.  Shorter ones are damaged, and after the warnings that are
#: given at all not worth the work of finding out how.
SHORT_LINE = 32

_BLANK = re.compile("[ \\t]+")


class TrustEntry:
    """One line that names a key; `blob` is decoded, `key` is read and checked on first use."""

    __slots__ = ("_key", "blob", "comment", "key_type", "line", "path")

    def __init__(self, path: str, line: int, text: str) -> None:
        """Read "type base64 comment"; raises KeyFormatError."""
        self.path = path
        self.line = line
        self.key_type, text = cut_word(text)
        encoded, comment = cut_word(text)
        if not encoded:
            raise TrustFileError("no key in this line", self.place)
        self.blob = decode_blob(self.key_type, encoded, self.place)
        self.comment = comment.rstrip(" \t")
        self._key: PublicKey | None = None

    @property
    def place(self) -> str:
        """The file and the line, "path:line"."""
        return f"{self.path}:{self.line}"

    @property
    def key(self) -> PublicKey:
        """The key; raises KeyFormatError or UnsupportedKey, which name the place."""
        if self._key is None:
            self._key = parse_public_key(self.blob, self.comment, self.place)
        return self._key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {printable(self.place)} {printable(self.key_type, 64)}>"


def cut_word(text: str) -> tuple[str, str]:
    """Return the first word and what follows; only spaces and tabs are between words."""
    text = text.lstrip(" \t")
    end = _BLANK.search(text)
    return (text, "") if end is None else (text[: end.start()], text[end.end() :])


def warn(warnings: list[str], warning: KeyFileError | str) -> None:
    """Add a warning, unless there are too many already."""
    if len(warnings) < MAX_WARNINGS:
        warnings.append(str(warning))
    elif len(warnings) == MAX_WARNINGS:
        warnings.append("further warnings are left out")


def numbered_lines(stream: BinaryIO, path: str, warnings: list[str]) -> Iterator[tuple[int, str]]:
    """Yield line number and text of the lines that hold something; comments are left out.

    Raises TrustFileError if the file does not end in reasonable time.
    """
    number = size = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        size += len(line)
        if size > MAX_FILE_BYTES:
            raise _too_large(path)
        if line == b"\n":
            continue
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            warn(warnings, f"{path}:{number}: the line is longer than {MAX_LINE_BYTES} bytes; ignored")
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
                size += len(line)
                if size > MAX_FILE_BYTES:
                    raise _too_large(path)
            continue
        text = readable_line(line, number, path, warnings)
        if text:
            yield number, text


def worth_reading(text: str, warnings: list[str]) -> bool:
    """Say whether a line may hold a key, or there is room to warn that it does not."""
    return len(text) >= SHORT_LINE or len(warnings) <= MAX_WARNINGS


def readable_line(line: bytes, number: int, path: str, warnings: list[str]) -> str:
    """Return the text of a line, or "" for one that holds nothing; a NUL is worth a warning."""
    if b"\0" in line:
        warn(warnings, f"{path}:{number}: the line holds a NUL character; ignored")
        return ""
    text = line.decode("utf-8", "replace").strip(" \t\r\n")
    return "" if text.startswith("#") else text


def _too_large(path: str) -> TrustFileError:
    return TrustFileError(f"the file is larger than {MAX_FILE_BYTES} bytes", path)
