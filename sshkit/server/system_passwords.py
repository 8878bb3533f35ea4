"""The system's own passwords, without PAM: /etc/shadow and crypt(3).

Called by `system_users` when the configuration wants passwords.  Only root may read /etc/shadow, and Python
has crypt(3) up to version 3.12 only; where either is missing the server says so and does not start.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

if TYPE_CHECKING:
    from sshkit.deferred import Deferred

SHADOW = "/etc/shadow"
MAX_PASSWORD = 1024  #: bytes; a longer one is refused before anything is hashed (R10)
#: Hashed against where the account has no usable hash: the same work for the same answer (R9).
FAKE_SETTING = "$6$rounds=5000$sshkitsshkitsshk"


class PasswordsUnavailable(SSHKitError):
    """Passwords cannot be checked on this system or by this user."""


def load_crypt() -> "Callable[[str, str], str | None]":
    """Return crypt(3); raises PasswordsUnavailable."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from crypt import crypt
        except ImportError:
            raise PasswordsUnavailable(
                "passwords cannot be checked: this Python has no crypt module (removed in 3.13)"
            ) from None
    return crypt


def shadow_fields(name: str) -> list[str]:
    """Return the fields of a user's line; none if there is no line.  Read each time: it may change."""
    try:
        with open(SHADOW, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields = line.rstrip("\n").split(":")
                if fields[0] == name and len(fields) > 1:
                    return fields
    except OSError as error:
        raise PasswordsUnavailable(
            f"passwords cannot be checked: {printable(SHADOW)}: {error.strerror} (only root may read it)"
        ) from None
    return []


def stored_hash(name: str) -> str:
    """Return the hash of a user's password; empty if there is none."""
    return next(iter(shadow_fields(name)[1:]), "")


class PasswordCheck:
    """Checks passwords of one user."""

    __slots__ = ("_crypt", "_name")

    def __init__(self, name: str) -> None:
        """Raises PasswordsUnavailable."""
        self._name = name
        self._crypt = load_crypt()
        stored_hash(name)

    def check(self, password: str) -> "Deferred[bool]":
        """Compare in a thread: hashing is slow on purpose."""
        from sshkit.reactor.current import current

        return current().defer_to_thread(self.matches, password)

    def matches(self, password: str) -> bool:
        """Hash and compare in constant time; an empty or locked entry never matches (R10)."""
        stored = stored_hash(self._name)
        usable = len(stored) > 1 and stored[0] not in "!*"
        if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD or "\0" in password:
            return False
        hashed = self._crypt(password, stored if usable else FAKE_SETTING)
        if hashed is None and usable:
            self._crypt(password, FAKE_SETTING)
        same = compare_digest((hashed or "").encode(), stored.encode("utf-8", "surrogateescape"))
        # crypt(3) answers "*0" and the like for a setting that it does not know.
        return same and usable and hashed is not None and not hashed.startswith("*")
