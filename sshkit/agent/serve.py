"""`sshkit.serve_agent`: an agent at a UNIX socket, for the user who serves it and nobody else."""

import os
import socket
import struct
from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING, Any, cast

from sshkit.agent.connect import connect_agent
from sshkit.deferred import Deferred
from sshkit.opening import Opening
from sshkit.ssh.agent.keyring import Keyring
from sshkit.ssh.agent.policy import Audit, Client, Confirm, Policy, Restrictions
from sshkit.ssh.agent.server import AddToken, Agent
from sshkit.ssh.agent.upstreams import Connect

if TYPE_CHECKING:
    from sshkit.interfaces import Listener, Reactor, Transport

_CREDENTIALS = struct.Struct("iII")  # struct ucred of Linux: pid, uid, gid
SOCKET_MODE = 0o600
FOLDER_MODE = 0o700


class AgentListener:
    """A served agent.  `address` is the socket's path; `close` ends it and drops the keys that it made."""

    __slots__ = ("_listener", "_owns_keys", "address", "agent", "keyring")

    def __init__(self, agent: Agent, listener: "Listener", address: str, owns_keys: bool) -> None:
        self.agent = agent
        self.keyring = agent.keyring
        self.address = address
        self._listener = listener
        self._owns_keys = owns_keys

    def close(self) -> Deferred[None]:
        """Stop listening, end all connections, remove the socket."""
        self._listener.close()
        self.agent.close()
        if self._owns_keys:
            self.keyring.clear()
        closed: Deferred[None] = Deferred()
        closed.callback(None)
        return closed

    async def __aenter__(self) -> "AgentListener":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def serve_agent(
    path: str | os.PathLike[str],
    keyring: Keyring | None = None,
    *,
    policy: Policy | None = None,
    confirm: Confirm | None = None,
    audit: Audit | None = None,
    upstreams: "Sequence[str | os.PathLike[str] | Connect]" = (),
    restrictions: Restrictions = Restrictions(),  # noqa: B008 - immutable
    add_token: AddToken | None = None,
    reactor: "Reactor | None" = None,
) -> Opening[AgentListener]:
    """Serve an agent at the socket `path`, whose folder is made (0700) if there is none.

    `policy(request)` allows or refuses each request, `confirm(request)` each use of a key that was added
    with the wish to be asked; both answer with a bool, now or by a Deferred.  `audit(event)` is told what
    became of each request.  `upstreams` are agents behind this one: paths of sockets.  Only processes of
    this user and of root are let in.

    Fires with the AgentListener; fails with ListenError.
    """
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    engine = reactor
    place = os.fspath(path)
    owns_keys = keyring is None
    agent = Agent(
        Keyring(engine, random_bytes=os.urandom) if keyring is None else keyring,
        engine,
        time,
        policy=policy,
        confirm=confirm,
        audit=audit,
        upstreams=[_connector(upstream, engine) for upstream in upstreams],
        restrictions=restrictions,
        add_token=add_token,
        identify=identify,
        in_thread=engine.defer_to_thread,
    )
    folder = os.path.dirname(place)
    opening: Opening[AgentListener] = Opening(lambda _: binding.cancel())
    if folder:
        try:
            os.makedirs(folder, FOLDER_MODE, exist_ok=True)
        except OSError as error:
            opening.errback(error)
            return opening
    binding = engine.listen_unix(place, agent.make_protocol, mode=SOCKET_MODE)

    binding.add_callbacks(
        lambda listener: opening.callback(AgentListener(agent, listener, place, owns_keys)), opening.errback
    )
    return opening


def _connector(upstream: "str | os.PathLike[str] | Connect", reactor: "Reactor") -> Connect:
    if callable(upstream):
        return upstream
    place = os.fspath(upstream)
    return lambda: connect_agent(place, reactor=reactor)


def identify(transport: "Transport") -> Client | None:
    """Return who is at the other end of a UNIX socket; None if it is neither this user nor root."""
    client = credentials(transport.get_extra_info("socket"))
    if client.uid is not None and client.uid not in (0, os.geteuid()):
        return None
    return client


def credentials(sock: Any) -> Client:
    """Return uid and pid of a UNIX socket's other end, as far as the system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # not Linux: there the socket's mode keeps others out
        return Client()
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return Client(uid, pid)
