"""A portal: credentials in, an avatar and its logout out.

`Portal.login` is called by the servers of every protocol; realms and checkers are the program's own.  Each
method of theirs may return its value, a Deferred of it, or be a coroutine.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, cast

import zope.interface
from sshkit_keys.text import printable

from sshkit.cred.asking import CHECK_TIMEOUT, ask_in_turn, in_time, log, who
from sshkit.cred.errors import CredError, LoginFailed, NoCheckerError, RealmRefused
from sshkit.deferred import Deferred, Failure, fail, maybe_deferred
from sshkit.interfaces import interface

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

Avatar = TypeVar("Avatar")
_Made = TypeVar("_Made", covariant=True)

#: What a realm makes: the interface that the avatar provides, the avatar, its logout.
MadeAvatar = tuple[Any, Avatar, Callable[[], Any]]


class Realm(Protocol[_Made]):
    """Makes avatars."""

    def request_avatar(
        self, avatar_id: str, mind: Any, *interfaces: Any
    ) -> "MadeAvatar[_Made] | Awaitable[MadeAvatar[_Made]]":
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


class Login(NamedTuple, Generic[Avatar]):
    """What a login gives."""

    interface: Any  #: which of those asked for the avatar provides; None where none was asked for
    avatar: Avatar
    logout: Callable[[], Any]


def _nothing() -> None:
    """Log nobody out."""


class AvatarMaker(Generic[Avatar]):
    """A realm that is one function of the avatar id; `logout`, if given, is called with the avatar."""

    __slots__ = ("_logout", "_make")

    def __init__(
        self,
        make: "Callable[[str], Avatar | Awaitable[Avatar]]",
        logout: Callable[[Avatar], Any] | None = None,
    ) -> None:
        self._make = make
        self._logout = logout

    def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> "Deferred[MadeAvatar[Avatar]]":
        """Return what the function makes; it counts as what was wanted most."""
        logout = self._logout

        def made(avatar: Avatar) -> "MadeAvatar[Avatar]":
            end = _nothing if logout is None else partial(logout, avatar)
            return (interfaces[0] if interfaces else None), avatar, end

        making: Deferred[Any] = maybe_deferred(cast("Callable[[str], Any]", self._make), avatar_id)
        return making.add_callback(made)


zope.interface.classImplements(AvatarMaker, IRealm)


class Portal(Generic[Avatar]):
    """One realm and the checkers in front of it; those that know the kind are asked in order.

    Each checker, and the realm, has `timeout` seconds on `clock` (default: the reactor that runs).
    """

    __slots__ = ("_checkers", "_clock", "realm", "timeout")

    def __init__(
        self,
        realm: Realm[Avatar],
        checkers: Sequence[CredentialsChecker] = (),
        *,
        timeout: float = CHECK_TIMEOUT,
        clock: "Clock | None" = None,
    ) -> None:
        if not timeout > 0:
            raise CredError(f"a portal's timeout of {timeout} s: it must be above 0")
        self.realm = realm
        self.timeout = timeout
        self._clock = clock
        self._checkers: dict[Any, list[CredentialsChecker]] = {}
        for checker in checkers:
            self.register_checker(checker)

    def register_checker(self, checker: CredentialsChecker, *interfaces: Any) -> None:
        """Ask `checker` about credentials of its kinds, or of `interfaces` only, after those before it."""
        for kind in interfaces or checker.credential_interfaces:
            self._checkers.setdefault(kind, []).append(checker)

    def list_credentials_interfaces(self) -> list[Any]:
        """Return the kinds of credentials that can be used."""
        return list(self._checkers)

    def takes(self, kind: Any) -> bool:
        """Tell whether credentials of this interface can be used."""
        return kind in self._checkers

    def check(self, credentials: Any) -> Deferred[str]:
        """Return whose credentials these are, without an avatar; fails with LoginFailed only."""
        kinds: Any = zope.interface.providedBy(credentials)
        able = [checker for kind in kinds for checker in self._checkers.get(kind, ())]
        if not able:
            return fail(NoCheckerError(f"no checker takes {type(credentials).__name__}"))
        return ask_in_turn(able, credentials, self.timeout, self._clock)

    def login(self, credentials: Any, mind: Any = None, *interfaces: Any) -> Deferred[Login[Avatar]]:
        """Check `credentials` and return the avatar with its logout.

        Whatever goes wrong fails with LoginFailed, whose text is for the log, where it is written: the other
        side is told its `told` and no more.  Cancelling gives up.
        """

        def known(avatar_id: str) -> Deferred[Login[Avatar]]:
            asking = cast("Callable[..., Any]", self.realm.request_avatar)
            making: Deferred[Any] = maybe_deferred(asking, avatar_id, mind, *interfaces)
            made = making.add_callbacks(lambda made: _login(made, interfaces), _no_avatar)
            return in_time(
                made, f"the realm {type(self.realm).__name__}", credentials, self.timeout, self._clock
            )

        def refused(failure: Failure) -> Failure:
            error = failure.exception
            if isinstance(error, LoginFailed):
                log("info", f"login of {who(credentials)} refused: {printable(str(error))}")
            return failure

        return self.check(credentials).add_callback(known).add_errback(refused)


def _login(made: Any, wanted: Sequence[Any]) -> Login[Any]:
    try:
        found, avatar, logout = made
    except (TypeError, ValueError):
        raise RealmRefused("the realm must return (interface, avatar, logout)") from None
    if not callable(logout):
        raise RealmRefused("the realm's logout cannot be called")
    if wanted and found not in wanted:
        raise RealmRefused("the realm's avatar has none of the interfaces that were asked for")
    return Login(found, avatar, cast("Callable[[], Any]", logout))


def _no_avatar(failure: Failure) -> Failure:
    if isinstance(failure.exception, NotImplementedError):
        raise RealmRefused("the realm has no avatar for this login") from failure.exception
    return failure
