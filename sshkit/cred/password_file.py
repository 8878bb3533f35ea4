"""A checker for a file of passwords: ``name:hash`` a line, the hash of bcrypt, scrypt, PBKDF2 or crypt(3).

The form that ``htpasswd -B`` writes, and `hash_password`.  The file is read anew when it changed, so that a
password can be taken away while the program runs; a damaged file lets nobody in and says where (file:line).
"""

import os

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

from sshkit.cred.checkers import settle
from sshkit.cred.credentials import IUsernamePassword, NamedPassword
from sshkit.cred.errors import HashError
from sshkit.cred.password_check import NOBODY, matches, model_of
from sshkit.cred.password_hashes import Crypt, check_form
from sshkit.cred.portal import ICredentialsChecker
from sshkit.deferred import Deferred
from sshkit.interfaces import implementer

MAX_SIZE = 16 * 1024 * 1024  #: bytes of a file that is read; a larger one is none of passwords


class PasswordFileError(SSHKitError):
    """A file of passwords cannot be read, or a line of it has no sense."""


@implementer(ICredentialsChecker)
class PasswordFile:
    """Passwords in a file; the avatar id is the name.  `crypt` is needed for hashes of crypt(3)."""

    __slots__ = ("_crypt", "_model", "_passwords", "_path", "_stamp")

    credential_interfaces = (IUsernamePassword,)

    def __init__(self, path: str | os.PathLike[str], *, crypt: Crypt | None = None) -> None:
        """Read the file; raises PasswordFileError."""
        self._crypt = crypt
        self._model = NOBODY
        self._path = os.fspath(path)
        self._stamp: tuple[int, int, int] | None = None
        self._passwords: dict[str, str] = {}
        self._load()

    def request_avatar_id(self, credentials: NamedPassword) -> Deferred[str]:
        """Return the name, if the password is its."""
        self._load()
        stored = self._passwords.get(credentials.username)
        return settle(matches(credentials.password, stored, self._model, self._crypt), credentials.username)

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
        self._passwords = parse_passwords(data, self._path, self._crypt)
        self._model = model_of(self._passwords.values()) or NOBODY
        self._stamp = stamp


def parse_passwords(data: bytes, source: str, crypt: Crypt | None = None) -> dict[str, str]:
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
        try:
            check_form(stored, crypt)
        except HashError as error:
            raise PasswordFileError(f"{source}:{number}: the password of {quoted(name)} is {error}") from None
        if name in found:
            raise PasswordFileError(f"{source}:{number}: {quoted(name)} stands here twice")
        found[name] = stored
    return found
