"""A checker for a file of passwords: ``name:hash`` a line, the hash bcrypt's (``$2b$...``).

The form that ``htpasswd -B`` writes.  The file is read anew when it changed, so that a password can be taken
away while the program runs; a damaged file lets nobody in and says where (file:line).
"""

import os
import re

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

from sshkit.cred.checkers import settle
from sshkit.cred.credentials import IUsernamePassword, NamedPassword
from sshkit.cred.password_check import matches
from sshkit.cred.portal import ICredentialsChecker
from sshkit.deferred import Deferred
from sshkit.interfaces import implementer

MAX_SIZE = 16 * 1024 * 1024  #: bytes of a file that is read; a larger one is none of passwords
_HASH = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}")


class PasswordFileError(SSHKitError):
    """A file of passwords cannot be read, or a line of it has no sense."""


@implementer(ICredentialsChecker)
class PasswordFile:
    """Passwords in a file; the avatar id is the name."""

    __slots__ = ("_passwords", "_path", "_stamp")

    credential_interfaces = (IUsernamePassword,)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read the file; raises PasswordFileError."""
        self._path = os.fspath(path)
        self._stamp: tuple[int, int, int] | None = None
        self._passwords: dict[str, str] = {}
        self._load()

    def request_avatar_id(self, credentials: NamedPassword) -> Deferred[str]:
        """Return the name, if the password is its."""
        self._load()
        stored = self._passwords.get(credentials.username)
        return settle(matches(credentials.password, stored, True), credentials.username)

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
                if stamp == self._stamp:
                    return
                data = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise PasswordFileError(f"{self._path}: {error.strerror}") from error
        if len(data) > MAX_SIZE:
            raise PasswordFileError(f"{self._path}: over {MAX_SIZE} bytes")
        self._passwords = parse_passwords(data, self._path)
        self._stamp = stamp


def parse_passwords(data: bytes, source: str) -> dict[str, str]:
    """Return hashes by name; raises PasswordFileError naming `source` and the line, never the hash."""
    found: dict[str, str] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            text = line.decode().rstrip("\r")
        except UnicodeDecodeError:
            raise PasswordFileError(f"{source}:{number}: not UTF-8") from None
        if not text.strip() or text.startswith("#"):
            continue
        name, colon, stored = text.partition(":")
        if not colon or not name or not name.isprintable():
            raise PasswordFileError(f"{source}:{number}: not name:hash")
        if _HASH.fullmatch(stored) is None:
            raise PasswordFileError(f"{source}:{number}: the password of {quoted(name)} is no bcrypt hash")
        if name in found:
            raise PasswordFileError(f"{source}:{number}: {quoted(name)} stands here twice")
        found[name] = stored
    return found
