"""Which user keys may log in: authorized_keys files (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

Called by the server.  Options limit what a key may do; a caller that does not enforce every option of a
line must refuse the line, never obey it by half: `entry.unenforced(...)` names what it would miss.
"""

import os
import re
import stat
from collections.abc import Mapping
from io import BytesIO
from typing import BinaryIO

from .authorized_options import check_options
from .errors import KeyFileError, KeyFormatError, TrustFileError, UnsupportedKey
from .key import PublicKey
from .key_types import KEY_TYPES, decode_blob
from .strict_modes import check_strict_modes
from .text import quoted
from .trust_files import TrustEntry, cut_word, numbered_lines, warn, worth_reading

#: More options than anybody writes on a line; permitopen may stand often.
MAX_OPTIONS = 1024

_NAME = re.compile("[A-Za-z0-9-]+")
#: A value between quotes; \" in it is a quote, any other backslash is itself.
_VALUE = re.compile(r'"((?:[^"\\]|\\"|\\(?!"))*)"')


class AuthorizedEntry(TrustEntry):
    """One line of an authorized_keys file."""

    __slots__ = ("options",)

    #: Option name in lower case -> its values in order; a flag such as no-pty has none.
    options: Mapping[str, tuple[str, ...]]

    def __init__(self, path: str, line: int, text: str) -> None:
        self.options = {}
        if not starts_with_key(text):
            self.options, text = parse_options(text, f"{path}:{line}")
            check_options(self.options, f"{path}:{line}")
        super().__init__(path, line, text)
        if self.key_type not in KEY_TYPES or not KEY_TYPES[self.key_type].signature_algorithms:
            raise UnsupportedKey(f"key type {quoted(self.key_type, 64)} is not supported", self.place)

    def unenforced(self, enforced: frozenset[str]) -> tuple[str, ...]:
        """Return the options that are not among those the caller enforces; the line is refused for any."""
        return tuple(name for name in self.options if name not in enforced)


def starts_with_key(text: str) -> bool:
    """Say whether a line starts with a key, also with one of a type that is not supported."""
    key_type, rest = cut_word(text)
    if key_type in KEY_TYPES:
        return True
    try:
        decode_blob(key_type, cut_word(rest)[0])
    except KeyFormatError:
        return False
    return True


class AuthorizedKeys:
    """The lines of a file, and the warnings about damaged ones."""

    __slots__ = ("entries", "warnings")

    def __init__(self) -> None:
        self.entries: list[AuthorizedEntry] = []
        self.warnings: list[str] = []

    def find(self, key: PublicKey) -> tuple[AuthorizedEntry, ...]:
        """Return the lines with this key, in their order."""
        return tuple(entry for entry in self.entries if entry.blob == key.blob)


def parse_authorized_keys(data: bytes, path: str, key: PublicKey | None = None) -> AuthorizedKeys:
    """Read a file's contents; with `key`, only the lines that hold it are kept."""
    return _read(BytesIO(data), path, key)


def load_authorized_keys(
    path: str | os.PathLike[str],
    key: PublicKey | None = None,
    uid: int | None = None,
    home: str | None = None,
) -> AuthorizedKeys:
    """Read a file; with `key`, only the lines that hold it are kept, so that memory stays small.

    With `uid` and `home`, the owners and modes are checked on the open file (StrictModes) and raise
    KeyPermissionsError.  A missing file raises FileNotFoundError; what is no plain file, TrustFileError.
    """
    place = os.fspath(path)
    with open_users_file(place, uid, home) as stream:
        return _read(stream, place, key)


def open_users_file(path: str, uid: int | None, home: str | None) -> BinaryIO:
    """Open a file that a user may have put there; with `uid` and `home`, check who else could write it."""
    # Without O_NONBLOCK a pipe that a user put there would hold the server up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TrustFileError("not a plain file", path)
        if uid is not None and home is not None:
            check_strict_modes(path, uid, home, descriptor)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _read(stream: BinaryIO, path: str, key: PublicKey | None) -> AuthorizedKeys:
    keys = AuthorizedKeys()
    for number, text in numbered_lines(stream, path, keys.warnings):
        if not worth_reading(text, keys.warnings):
            continue
        try:
            entry = AuthorizedEntry(path, number, text)
        except KeyFileError as error:
            warn(keys.warnings, error)
            continue
        if key is None or entry.blob == key.blob:
            keys.entries.append(entry)
    return keys


def parse_options(text: str, place: str = "") -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the options at the start of a line, and what follows them.

    name, name="value", with commas and no spaces between; \\" in a value is a quote, any other backslash
    is itself.  Raises TrustFileError for anything else.
    """
    options: dict[str, tuple[str, ...]] = {}
    position = 0
    for _ in range(MAX_OPTIONS):
        found = _NAME.match(text, position)
        if found is None:
            raise TrustFileError(f"neither a key nor an option at column {position + 1}", place)
        name, position = found[0].lower(), found.end()
        values = options.get(name, ())
        if text[position : position + 1] == "=":
            value = _VALUE.match(text, position + 1)
            if value is None:
                quoted_at_all = text[position + 1 : position + 2] == '"'
                what = "has no closing quote" if quoted_at_all else "is not in quotes"
                raise TrustFileError(f"the value of option {name} {what}", place)
            values = (*values, value[1].replace('\\"', '"'))
            position = value.end()
        options[name] = values
        follower = text[position : position + 1]
        if follower in (" ", "\t"):
            return options, text[position:].lstrip(" \t")
        if follower != ",":
            what = "no key after the options" if not follower else f"column {position + 1} is no option"
            raise TrustFileError(what, place)
        position += 1
    raise TrustFileError(f"more than {MAX_OPTIONS} options", place)
