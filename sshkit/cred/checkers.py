"""Checkers that need nothing but memory: passwords, public keys, nobody, and several tried in turn.

Given to a `Portal` by programs.  A file of passwords is in `password_file`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit.cred.credentials import IAnonymous, ISSHPublicKey, IUsernamePassword
from sshkit.cred.errors import LoginFailed
from sshkit.cred.password_check import matches
from sshkit.cred.portal import CredentialsChecker, ICredentialsChecker
from sshkit.deferred import Deferred, Failure, fail, maybe_deferred
from sshkit.interfaces import implementer

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.cred.credentials import NamedKey, NamedPassword


def settle(right: Any, username: str) -> Deferred[str]:
    """Return `username` where `right` is, or becomes, true; else LoginFailed, the same for every reason."""

    def decide(is_right: Any) -> str:
        if not is_right:
            raise LoginFailed("the credentials are nobody's")
        return username

    answer: Deferred[Any] = maybe_deferred(lambda: right)
    return answer.add_callback(decide)


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Passwords by name, plain text or bcrypt hashes (``$2b$...``); the avatar id is the name."""

    __slots__ = ("_hashed", "_passwords")

    credential_interfaces = (IUsernamePassword,)

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = dict(passwords)
        self._hashed = any(stored.startswith("$2") for stored in self._passwords.values())

    def request_avatar_id(self, credentials: "NamedPassword") -> Deferred[str]:
        """Return the name, if the password is its."""
        stored = self._passwords.get(credentials.username)
        return settle(matches(credentials.password, stored, self._hashed), credentials.username)


@implementer(ICredentialsChecker)
class KeyChecker:
    """Public keys by name: keys, lines of authorized_keys, or paths of such files (read at each login).

    A line with options lets nobody in: what is not enforced must not be half obeyed.
    """

    __slots__ = ("_keys",)

    credential_interfaces = (ISSHPublicKey,)

    def __init__(self, keys: "Mapping[str, Sequence[PublicKey | str | os.PathLike[str]]]") -> None:
        self._keys = {user: tuple(sources) for user, sources in keys.items()}

    def request_avatar_id(self, credentials: "NamedKey") -> Deferred[str]:
        """Return the name, if the key is one of its."""
        sources = self._keys.get(credentials.username, ())
        return settle(any(_holds(source, credentials.key) for source in sources), credentials.username)


@implementer(ICredentialsChecker)
class Anybody:
    """Lets in whoever shows nothing, under one id."""

    __slots__ = ("_avatar_id",)

    credential_interfaces = (IAnonymous,)

    def __init__(self, avatar_id: str = "anonymous") -> None:
        self._avatar_id = avatar_id

    def request_avatar_id(self, credentials: Any) -> str:
        """Return the id."""
        return self._avatar_id


@implementer(ICredentialsChecker)
class Checkers:
    """Alternatives: the first that does not refuse decides.

    An error that is no LoginFailed (a directory that does not answer) does not keep the next from being
    asked; if none lets in, it is the outcome, so that it gets logged.
    """

    __slots__ = ("_checkers", "credential_interfaces")

    def __init__(self, *checkers: CredentialsChecker) -> None:
        self._checkers = checkers
        kinds = dict.fromkeys(kind for checker in checkers for kind in checker.credential_interfaces)
        self.credential_interfaces = tuple(kinds)

    def request_avatar_id(self, credentials: Any) -> Deferred[str]:
        """Return the first id that one of them finds."""
        able = [
            checker
            for checker in self._checkers
            if any(kind.providedBy(credentials) for kind in checker.credential_interfaces)
        ]
        return self._ask(able, 0, credentials, LoginFailed("the credentials are nobody's"))

    def _ask(
        self, able: list[CredentialsChecker], index: int, credentials: Any, worst: BaseException
    ) -> Deferred[str]:
        if index == len(able):
            return cast("Deferred[str]", fail(worst))

        def refused(failure: Failure) -> Deferred[str]:
            error = failure.exception
            if not isinstance(error, Exception):  # cancelled: nobody wants to know any more
                return cast("Deferred[str]", fail(failure))
            kept = worst if isinstance(error, LoginFailed) else error
            return self._ask(able, index + 1, credentials, kept)

        def answered(avatar_id: Any) -> "str | Deferred[str]":
            if not avatar_id:
                return self._ask(able, index + 1, credentials, worst)
            return cast("str", avatar_id)

        asked: Deferred[Any] = maybe_deferred(able[index].request_avatar_id, credentials)
        return asked.add_callbacks(answered, refused)


def _holds(source: "PublicKey | str | os.PathLike[str]", key: "PublicKey") -> bool:
    from sshkit_keys import PublicKey, parse_authorized_keys
    from sshkit_keys.authorized_keys import load_authorized_keys

    if isinstance(source, PublicKey):
        return source == key
    if isinstance(source, str) and " " in source.strip():
        entries = parse_authorized_keys(source.encode(), "keys").find(key)
    else:
        entries = load_authorized_keys(source, key).find(key)
    return any(not entry.unenforced(frozenset()) for entry in entries)
