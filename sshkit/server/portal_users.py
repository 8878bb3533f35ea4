"""`PortalUsers`: a portal of `sshkit.cred` behind `sshkit.serve(users=...)`.

The avatar is `session.avatar`; its logout is called once, when the connection has ended.  ServerConnection
calls `check_signed_key` for a key whose signature it has verified, and `connection_ended` at the end.
"""

from time import time
from typing import TYPE_CHECKING, Any

from sshkit_keys.certificates import Certificate
from sshkit_keys.errors import CertificateError

from sshkit.cred.credentials import (
    Anonymous,
    IAnonymous,
    ISSHPublicKey,
    IUsernamePassword,
    SSHPublicKey,
    UsernamePassword,
)
from sshkit.cred.errors import CredError
from sshkit.cred.portal import Login, Portal
from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.server.users import Refusal, Users

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.server.connection import ServerConnection


#: The extensions of certificates without which something is not permitted.
PERMITTED_BY = {
    "permit_terminal": "permit-pty",
    "permit_port_forwarding": "permit-port-forwarding",
    "permit_agent_forwarding": "permit-agent-forwarding",
    "permit_x11_forwarding": "permit-X11-forwarding",
}


class Avatar:
    """The options of a grant that a portal gave: what the avatar is, and its logout."""

    __slots__ = ("avatar", "interface", "logout", "withheld")

    def __init__(self, login: Login[Any], withheld: frozenset[str] = frozenset()) -> None:
        self.interface, self.avatar, self.logout = login
        self.withheld = withheld  #: what the certificate of the login does not permit

    def __getattr__(self, name: str) -> Any:
        """What limits a session (`permit_terminal` ...) may be the avatar's own."""
        if name in self.withheld:
            return False
        if name.startswith("permit_"):
            return getattr(self.avatar, name)
        raise AttributeError(name)


class PortalUsers(Users):
    """Logins by a portal.  `interfaces` are what the realm's avatar shall provide, best first."""

    def __init__(self, portal: Portal[Any], *interfaces: Any, chain: tuple[str, ...] = ()) -> None:
        super().__init__(chain=chain)
        self.portal = portal
        self.interfaces = interfaces

    def methods(self) -> tuple[str, ...]:
        """Return the methods that the portal has checkers for."""
        methods: list[str] = []
        if self.portal.takes(ISSHPublicKey):
            methods.append("publickey")
        if self.portal.takes(IUsernamePassword):
            methods += ["password", "keyboard-interactive"]
        return tuple(methods)

    def for_connection(self, connection: "ServerConnection") -> "PortalLogins":
        """Return the logins of one connection, which keep its avatar."""
        return PortalLogins(self, connection)


class PortalLogins(Users):
    """The answers for one connection."""

    takes_certificates = True

    def __init__(self, users: PortalUsers, connection: "ServerConnection") -> None:
        super().__init__(chain=users.chain)
        self._users = users
        self._connection: ServerConnection | None = connection
        self._avatars: list[Avatar] = []

    def methods(self) -> tuple[str, ...]:
        return self._users.methods()

    def check_key(self, user: str, key: "PublicKey") -> Any:
        """Answer the mere question whether the key would do: no avatar comes of it (R4)."""
        try:
            withheld_by(key, user)
        except CertificateError as error:
            return Refusal(str(error))
        asked: Deferred[Any] = self._users.portal.check(SSHPublicKey(user, key, signed=False))
        return asked.add_callbacks(lambda _: True, _refusal)

    def check_signed_key(self, user: str, key: "PublicKey") -> Any:
        """Log in by a key whose signature was verified."""
        try:
            withheld = withheld_by(key, user)
        except CertificateError as error:
            return Refusal(str(error))
        return self._login(SSHPublicKey(user, key), withheld)

    def check_password(self, user: str, password: str) -> Any:
        return self._login(UsernamePassword(user, password))

    def allows_none(self, user: str) -> Any:
        return self._login(Anonymous()) if self._users.portal.takes(IAnonymous) else False

    def connection_ended(self) -> None:
        """Log every avatar of this connection out, once."""
        self._connection = None
        avatars, self._avatars = self._avatars, []
        for avatar in avatars:
            _log_out(avatar)

    def _login(self, credentials: Any, withheld: frozenset[str] = frozenset()) -> Any:
        connection = self._connection
        users = self._users

        def made(login: Login[Any]) -> Any:
            avatar = Avatar(login, withheld)
            if self._connection is None:  # the client has gone meanwhile
                _log_out(avatar)
                return Refusal("the client has gone")
            self._avatars.append(avatar)
            return avatar

        answer: Deferred[Any] = users.portal.login(credentials, connection, *users.interfaces)
        return answer.add_callbacks(made, _refusal)


def withheld_by(key: "PublicKey", user: str) -> frozenset[str]:
    """Return what a certificate does not permit, nothing for a plain key; raises CertificateError.

    No critical option is obeyed behind a portal, so a certificate with one does not hold (R7).  Whether its
    authority is to be trusted is for the checker to say.
    """
    if not isinstance(key, Certificate):
        return frozenset()
    key.check("user", user, int(time()), enforced_options=frozenset())
    return frozenset(name for name, extension in PERMITTED_BY.items() if extension not in key.extensions)


def avatar_of(connection: "ServerConnection") -> Any:
    """Return the avatar behind a connection, or None where no portal let the client in."""
    grant = connection.grant
    options = grant.options if grant is not None else None
    return options.avatar if isinstance(options, Avatar) else None


def _refusal(failure: Failure) -> Any:
    """What a portal refuses is a no with its reason for the log; other errors refuse by themselves."""
    return Refusal(str(failure.exception)) if isinstance(failure.exception, CredError) else failure


def _log_out(avatar: Avatar) -> None:
    """A logout that fails harms nobody else; whoever wants to hear of it sees the unhandled failure."""
    maybe_deferred(avatar.logout)
