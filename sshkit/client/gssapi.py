"""GSSAPI for a client's login, by the optional package `gssapi` (the extra sshkit[gssapi]).

Called by `configured` and `connect` where GSSAPIAuthentication is on.  Each step may ask a ticket server over
the network, so it runs in a thread.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sshkit.ssh.authentication.gssapi_package import KERBEROS, load, told

if TYPE_CHECKING:
    from sshkit.deferred import Deferred


class GSSAPI:
    """What a login by GSSAPI takes.

    `server`: the name that the server has in its realm (None: the host's); `client`: the principal to log in
    with (None: the default credentials'); `delegate`: hand the credentials on; `trust_dns`: let the name be
    the one that the server's address has.
    """

    __slots__ = ("client", "delegate", "server", "trust_dns")

    def __init__(
        self,
        *,
        server: str | None = None,
        client: str | None = None,
        delegate: bool = False,
        trust_dns: bool = False,
    ) -> None:
        self.server = server
        self.client = client
        self.delegate = delegate
        self.trust_dns = trust_dns


class Initiator:
    """Makes the dialogues of one login."""

    __slots__ = ("_credentials", "_flags", "_in_thread", "_name", "mechanisms")

    def __init__(
        self,
        package: Any,
        name: Any,
        credentials: Any,
        delegate: bool,
        in_thread: "Callable[..., Deferred[Any]]",
    ) -> None:
        self._name = name
        self._credentials = credentials
        self._in_thread = in_thread
        flags = package.RequirementFlag
        self._flags = flags.mutual_authentication | flags.integrity
        if delegate:
            self._flags |= flags.delegate_to_peer
        self.mechanisms: Sequence[bytes] = (KERBEROS,)

    def start(self, mechanism: bytes) -> "Context":
        """Begin a dialogue."""
        package = load()
        context = package.SecurityContext(
            name=self._name,
            creds=self._credentials,
            mech=package.MechType.kerberos,
            flags=self._flags,
            usage="initiate",
        )
        return Context(context, self._in_thread)


class Context:
    """One dialogue."""

    __slots__ = ("_context", "_in_thread")

    def __init__(self, context: Any, in_thread: "Callable[..., Deferred[Any]]") -> None:
        self._context = context
        self._in_thread = in_thread

    @property
    def complete(self) -> bool:
        """No token is awaited any more."""
        return bool(self._context.complete)

    def step(self, token: bytes | None) -> "Deferred[bytes | None]":
        """Fires with the next token."""
        return self._in_thread(told, self._context.step, token)

    def sign(self, data: bytes) -> bytes:
        """Return the integrity code."""
        return bytes(told(self._context.get_signature, data))


def find_initiator(
    wishes: GSSAPI, host: str, address: str | None, in_thread: "Callable[..., Deferred[Any]]"
) -> "Deferred[Initiator]":
    """Fires with what begins dialogues with `host`, whose numeric address is `address`."""
    return in_thread(_find, wishes, host, address, in_thread)


def _find(
    wishes: GSSAPI, host: str, address: str | None, in_thread: "Callable[..., Deferred[Any]]"
) -> Initiator:
    package = load()
    server = wishes.server
    if server is None:
        server = _canonical(host, address) if wishes.trust_dns else host
    name = package.Name(f"host@{server}", package.NameType.hostbased_service)
    client = None
    if wishes.client is not None:
        client = package.Name(wishes.client, package.NameType.user)
    mechanisms = [package.MechType.kerberos]
    credentials = told(lambda: package.Credentials(usage="initiate", name=client, mechs=mechanisms))
    told(
        lambda: credentials.lifetime
    )  # fails here, and not with the server waiting, where there is no ticket
    return Initiator(package, name, credentials, wishes.delegate, in_thread)


def _canonical(host: str, address: str | None) -> str:
    """Return the name of the server's address, as GSSAPITrustDNS has it."""
    import socket

    try:
        return socket.getnameinfo((address or host, 0), socket.NI_NAMEREQD)[0]
    except OSError:
        return host
