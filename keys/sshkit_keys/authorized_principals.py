"""Which principals of a certificate may log in: authorized_principals files (sshd_config(5),
AuthorizedPrincipalsFile).

Called by the server after the certificate itself was found good.  A line is one principal, with options
before it as in authorized_keys; the options limit whoever comes in by that line.
"""

import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import BinaryIO

from .authorized_keys import open_users_file, parse_options
from .authorized_options import check_options
from .errors import KeyFileError, TrustFileError
from .text import printable
from .trust_files import numbered_lines, warn

#: More principals than one account has; a file of another kind altogether must not fill the memory.
MAX_ENTRIES = 16384
_NO_OPTIONS: Mapping[str, tuple[str, ...]] = {}


class PrincipalEntry:
    """One line of the file."""

    __slots__ = ("line", "options", "path", "principal")

    #: Option name in lower case -> its values in order; a flag such as no-pty has none.
    options: Mapping[str, tuple[str, ...]]

    def __init__(self, path: str, line: int, text: str) -> None:
        self.path = path
        self.line = line
        self.options = _NO_OPTIONS
        if any(blank in text for blank in " \t"):
            self.options, text = parse_options(text, self.place)
            check_options(self.options, self.place)
        if not text or any(blank in text for blank in " \t"):
            raise TrustFileError("a line holds options and one principal, nothing else", self.place)
        self.principal = text

    @property
    def place(self) -> str:
        """The file and the line, "path:line"."""
        return f"{self.path}:{self.line}"

    def unenforced(self, enforced: frozenset[str]) -> tuple[str, ...]:
        """Return the options that are not among those the caller enforces; the line is refused for any."""
        return tuple(name for name in self.options if name not in enforced)

    def __repr__(self) -> str:
        return f"<PrincipalEntry {printable(self.place)} {printable(self.principal)}>"


class AuthorizedPrincipals:
    """The lines of a file, and the warnings about damaged ones."""

    __slots__ = ("entries", "warnings")

    def __init__(self) -> None:
        self.entries: list[PrincipalEntry] = []
        self.warnings: list[str] = []

    def find(self, principals: Iterable[str]) -> PrincipalEntry | None:
        """Return the first line with one of a certificate's principals, compared whole (rule R7)."""
        wanted = frozenset(principals)
        return next((entry for entry in self.entries if entry.principal in wanted), None)


def parse_authorized_principals(data: bytes, path: str) -> AuthorizedPrincipals:
    """Read a file's contents."""
    return _read(BytesIO(data), path)


def load_authorized_principals(
    path: str | os.PathLike[str], uid: int | None = None, home: str | None = None
) -> AuthorizedPrincipals:
    """Read a file, checked as load_authorized_keys does."""
    place = os.fspath(path)
    with open_users_file(place, uid, home) as stream:
        return _read(stream, place)


def _read(stream: BinaryIO, path: str) -> AuthorizedPrincipals:
    principals = AuthorizedPrincipals()
    damaged = 0
    for number, text in numbered_lines(stream, path, principals.warnings):
        if max(len(principals.entries), damaged) == MAX_ENTRIES:
            raise TrustFileError(f"more than {MAX_ENTRIES} lines", path)
        try:
            principals.entries.append(PrincipalEntry(path, number, text))
        except KeyFileError as error:
            warn(principals.warnings, error)
            damaged += 1
    return principals
