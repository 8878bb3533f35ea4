"""A portal: credentials in, an avatar and its logout out.

`Portal.login` is called by the servers of every protocol; realms and checkers are the program's own.  Each
method of theirs may return its value, a Deferred of it, or be a coroutine.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

import zope.interface

from sshkit.cred.errors import LoginFailed, NoCheckerError, RealmRefused
from sshkit.deferred import Deferred, Failure, fail, maybe_deferred
from sshkit.interfaces import interface


class Realm(Protocol):
    """Makes avatars."""

    def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
        """Return (interface, avatar, logout) for `avatar_id`, whose credentials were right.

        `mind` is the other side's own: for SSH the ServerConnection.  `interfaces` are what the caller can
        use, best first; none given takes anything.  `logout()` is called once, when the avatar's time is
        over; it may return a Deferred.  NotImplementedError or RealmRefused where there is no such avatar.
        """
        ...


class CredentialsChecker(Protocol):
    """Turns credentials into an avatar id."""

    @property
    def credential_interfaces(self) -> Sequence[Any]:
        """What kinds of credentials it takes."""
        ...

    def request_avatar_id(self, credentials: Any) -> Any:
        """Return the id of whoever `credentials` are of; LoginFailed for anybody else."""
        ...


IRealm = interface(Realm)
ICredentialsChecker = interface(CredentialsChecker)


class Login(NamedTuple):
    """What a login gives."""

    interface: Any  #: which of those asked for the avatar provides; None where none was asked for
    avatar: Any
    logout: Callable[[], Any]


class Portal:
    """One realm and the checkers in front of it; the first checker that knows the kind is asked."""

    __slots__ = ("_checkers", "realm")

    def __init__(self, realm: Realm, checkers: Sequence[CredentialsChecker] = ()) -> None:
        self.realm = realm
        self._checkers: dict[Any, CredentialsChecker] = {}
        for checker in checkers:
            self.register_checker(checker)

    def register_checker(self, checker: CredentialsChecker, *interfaces: Any) -> None:
        """Ask `checker` about credentials of its kinds, or of `interfaces` only; the last one counts."""
        for kind in interfaces or checker.credential_interfaces:
            self._checkers[kind] = checker

    def list_credentials_interfaces(self) -> list[Any]:
        """Return the kinds of credentials that can be used."""
        return list(self._checkers)

    def takes(self, kind: Any) -> bool:
        """Tell whether credentials of this interface can be used."""
        return kind in self._checkers

    def check(self, credentials: Any) -> Deferred[str]:
        """Return whose credentials these are, without an avatar; fails with LoginFailed or NoCheckerError."""
        kinds: Any = zope.interface.providedBy(credentials)
        for kind in kinds:
            checker = self._checkers.get(kind)
            if checker is not None:
                answer: Deferred[Any] = maybe_deferred(checker.request_avatar_id, credentials)
                return answer.add_callback(_named)
        return fail(NoCheckerError(f"no checker takes {type(credentials).__name__}"))

    def login(self, credentials: Any, mind: Any = None, *interfaces: Any) -> Deferred[Login]:
        """Check `credentials` and return the avatar with its logout.

        Fails with LoginFailed, NoCheckerError, RealmRefused, or whatever a checker or the realm raised.
        """

        def known(avatar_id: str) -> Deferred[Any]:
            making: Deferred[Any] = maybe_deferred(self.realm.request_avatar, avatar_id, mind, *interfaces)
            return making.add_callbacks(lambda made: _login(made, interfaces), _refused)

        return self.check(credentials).add_callback(known)


def _named(avatar_id: Any) -> str:
    """An empty or false answer of a checker is nobody (R10): only an id lets in."""
    if not isinstance(avatar_id, str) or not avatar_id:
        raise LoginFailed("the credentials are nobody's")
    return avatar_id


def _login(made: Any, wanted: Sequence[Any]) -> Login:
    try:
        found, avatar, logout = made
    except (TypeError, ValueError):
        raise RealmRefused("the realm must return (interface, avatar, logout)") from None
    if not callable(logout):
        raise RealmRefused("the realm's logout cannot be called")
    if wanted and found not in wanted:
        raise RealmRefused("the realm's avatar has none of the interfaces that were asked for")
    return Login(found, avatar, cast("Callable[[], Any]", logout))


def _refused(failure: Failure) -> Failure:
    if isinstance(failure.exception, NotImplementedError):
        raise RealmRefused("the realm has no avatar for this login") from failure.exception
    return failure
