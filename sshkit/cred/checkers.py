"""Checkers that need nothing but memory or a function: passwords, keys, nobody, several tried in turn.

Given to a `Portal` by programs.  A file of passwords is in `password_file`, a database's in `query_checker`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sshkit.cred.asking import CHECK_TIMEOUT, NOBODYS, ask_in_turn
from sshkit.cred.credentials import IAnonymous, IChallengeAnswer, ISSHPublicKey, IUsernamePassword
from sshkit.cred.errors import LoginFailed
from sshkit.cred.password_check import MAX_PASSWORD, matches, model_of
from sshkit.cred.password_hashes import Crypt, is_hash
from sshkit.cred.portal import CredentialsChecker, ICredentialsChecker
from sshkit.deferred import Deferred, maybe_deferred
from sshkit.interfaces import implementer

if TYPE_CHECKING:
    from sshkit_keys import PublicKey
    from sshkit_keys.certificates import Certificate

    from sshkit.cred.credentials import NamedAnswer, NamedKey, NamedPassword
    from sshkit.interfaces import Clock


def settle(right: Any, username: str) -> Deferred[str]:
    """Return `username` where `right` is, or becomes, true; else LoginFailed, the same for every reason."""

    def decide(is_right: Any) -> str:
        if not is_right:
            raise LoginFailed(NOBODYS)
        return username

    answer: Deferred[Any] = maybe_deferred(lambda: right)
    return answer.add_callback(decide)


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Passwords by name, plain text or hashes (see `hash_password`); the avatar id is the name.

    Where all are plain text, answers to challenges can be checked as well.
    """

    __slots__ = ("_crypt", "_model", "_passwords", "credential_interfaces")

    def __init__(self, passwords: Mapping[str, str], *, crypt: Crypt | None = None) -> None:
        """`crypt` is needed for hashes of crypt(3)."""
        self._passwords = dict(passwords)
        self._model = model_of(self._passwords.values())
        self._crypt = crypt
        self.credential_interfaces: tuple[Any, ...] = (IUsernamePassword,)
        if self._model is None:
            self.credential_interfaces += (IChallengeAnswer,)

    def request_avatar_id(self, credentials: "NamedPassword | NamedAnswer") -> Deferred[str]:
        """Return the name, if the password is its."""
        username = credentials.username
        stored = self._passwords.get(username)
        shown: Any = credentials
        if hasattr(credentials, "is_answered_by"):
            same = shown.is_answered_by(stored or "")  # the same work for an unknown name
            return settle(same and bool(stored) and not is_hash(stored or ""), username)
        return settle(matches(shown.password, stored, self._model, self._crypt), username)


@implementer(ICredentialsChecker)
class FunctionChecker:
    """Passwords that a function knows: the system's, for instance, or those of another service.

    ``check(username, password)`` answers True, or a name that is the avatar id; anything else, late or at
    once, lets nobody in.  A `reason` that a false answer has goes to the log.
    """

    __slots__ = ("_check",)

    credential_interfaces = (IUsernamePassword,)

    def __init__(self, check: Callable[[str, str], Any]) -> None:
        self._check = check

    def request_avatar_id(self, credentials: "NamedPassword") -> Deferred[str]:
        """Return the name, or the one that the function gave."""
        username, password = credentials.username, credentials.password

        def decide(answer: Any) -> str:
            if answer is True:
                return username
            if isinstance(answer, str) and answer:
                return answer
            raise LoginFailed(str(getattr(answer, "reason", NOBODYS)))

        if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
            return settle(False, username)
        asked: Deferred[Any] = maybe_deferred(self._check, username, password)
        return asked.add_callback(decide)


@implementer(ICredentialsChecker)
class KeyChecker:
    """Public keys by name: keys, lines of authorized_keys, or paths of such files (read at each login).

    A line with options lets nobody in: what is not enforced must not be half obeyed.  A certificate lets in
    whom it names, where one of `authorities` has signed it and it has no critical option.
    """

    __slots__ = ("_authorities", "_keys")

    credential_interfaces = (ISSHPublicKey,)

    def __init__(
        self,
        keys: "Mapping[str, Sequence[PublicKey | str | os.PathLike[str]]] | None" = None,
        *,
        authorities: "Sequence[PublicKey]" = (),
    ) -> None:
        self._keys = {user: tuple(sources) for user, sources in (keys or {}).items()}
        self._authorities = tuple(authorities)

    def request_avatar_id(self, credentials: "NamedKey") -> Deferred[str]:
        """Return the name, if the key is one of its."""
        from sshkit_keys.certificates import Certificate

        username, key = credentials.username, credentials.key
        if isinstance(key, Certificate):
            self._check_certificate(key, username)
            return settle(True, username)
        sources = self._keys.get(username, ())
        return settle(any(_holds(source, key) for source in sources), username)

    def _check_certificate(self, certificate: "Certificate", username: str) -> None:
        from time import time

        from sshkit_keys.errors import CertificateError

        if certificate.authority not in self._authorities:
            raise LoginFailed("the certificate is of no authority that is trusted here")
        try:
            certificate.check("user", username, int(time()), enforced_options=frozenset())
        except CertificateError as error:
            raise LoginFailed(str(error)) from None


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
    """Alternatives as one checker: the first that does not refuse decides, each under a deadline.

    One that raises or hangs is logged and does not keep the next from being asked.  A portal that is given
    several checkers does the same.
    """

    __slots__ = ("_checkers", "_clock", "_timeout", "credential_interfaces")

    def __init__(
        self,
        *checkers: CredentialsChecker,
        timeout: float = CHECK_TIMEOUT / 2,
        clock: "Clock | None" = None,
    ) -> None:
        self._checkers = checkers
        self._timeout = timeout
        self._clock = clock
        kinds = dict.fromkeys(kind for checker in checkers for kind in checker.credential_interfaces)
        self.credential_interfaces = tuple(kinds)

    def request_avatar_id(self, credentials: Any) -> Deferred[str]:
        """Return the first id that one of them finds."""
        able = [
            checker
            for checker in self._checkers
            if any(kind.providedBy(credentials) for kind in checker.credential_interfaces)
        ]
        return ask_in_turn(able, credentials, self._timeout, self._clock)


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
