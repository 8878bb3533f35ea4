"""The server's side of the agent protocol, over any byte transport (RFC 9987, ssh-agent(1)).

`Agent` is what all connections share; `AgentServer` is one connection: requests are answered one after the
other, and while an answer waits for a person the rest waits, up to one message.  What a request does stands
in `actions`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError, WireError

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.actions import ACTIONS, Refused
from sshkit.ssh.agent.bindings import Bindings
from sshkit.ssh.agent.framing import Frames
from sshkit.ssh.agent.keyring import Keyring, Signer
from sshkit.ssh.agent.policy import (
    Action,
    AgentRequest,
    Audit,
    AuditEvent,
    Client,
    Confirm,
    Policy,
    Restrictions,
)
from sshkit.ssh.agent.upstreams import Connect, Upstreams

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall, Transport
    from sshkit.ssh.agent.constraints import Constraints

#: Gives the keys of a token: called with the library's path, the PIN and the constraints.
AddToken = Callable[[str, str, "Constraints"], "Sequence[Signer] | Deferred[Sequence[Signer]]"]
#: Tells who is at the other end; None refuses the connection.
Identify = Callable[["Transport"], Client | None]

_FAILURE = messages.Failure().encode()
#: Requests of one connection that are carried out before the others have their turn.
REQUESTS_A_TURN = 64


class Agent:
    """What the connections of one agent share."""

    __slots__ = (
        "add_token",
        "audit",
        "clock",
        "confirm",
        "connections",
        "identify",
        "in_thread",
        "keyring",
        "now",
        "policy",
        "restrictions",
        "upstreams",
    )

    def __init__(
        self,
        keyring: Keyring,
        clock: "Clock",
        now: Callable[[], float],
        *,
        policy: Policy | None = None,
        confirm: Confirm | None = None,
        audit: Audit | None = None,
        upstreams: Sequence[Connect] = (),
        restrictions: Restrictions = Restrictions(),  # noqa: B008 - immutable
        add_token: AddToken | None = None,
        identify: Identify | None = None,
        in_thread: "Callable[..., Deferred[bytes]] | None" = None,
    ) -> None:
        """`now` is the time of day, for certificates.

        `policy` is asked before everything, `confirm` before each use of a key that was added so; without it
        such a key is never used.  `audit` is told what became of each request.  `upstreams` connect to the
        agents behind this one.  `add_token` gives the keys of a token; without it there are none.
        `in_thread` runs what waits for a security key.
        """
        self.keyring = keyring
        self.clock = clock
        self.now = now
        self.policy = policy
        self.confirm = confirm
        self.audit = audit
        self.upstreams = tuple(upstreams)
        self.restrictions = restrictions
        self.add_token = add_token
        self.identify = identify
        self.in_thread = in_thread
        self.connections: set[AgentServer] = set()

    def make_protocol(self) -> "AgentServer":
        """Return the protocol for one accepted connection."""
        return AgentServer(self)

    def close(self) -> None:
        """End all connections."""
        for connection in tuple(self.connections):
            connection.abort()

    def tell(self, request: AgentRequest, outcome: str, reason: str = "") -> None:
        """Tell the audit what became of a request; its own faults harm nobody."""
        if self.audit is not None:
            try:
                self.audit(AuditEvent(request, outcome, reason))  # type: ignore[arg-type]
            except Exception as error:
                _report("the audit of an agent failed", error)


class AgentServer:
    """One connection to an agent."""

    __slots__ = (
        "_busy",
        "_frames",
        "_full",
        "_pending",
        "_request",
        "_transport",
        "_turn",
        "_working",
        "agent",
        "bindings",
        "client",
        "upstreams",
    )

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.client = Client()
        self.bindings = Bindings()
        self.upstreams = Upstreams(agent.clock, agent.upstreams)
        self._frames = Frames()
        self._transport: Transport | None = None
        self._pending: Deferred[bytes] | None = None
        self._request: AgentRequest | None = None
        self._busy = False  # a request is being carried out
        self._working = False  # `_work` runs, further up the stack
        self._turn: DelayedCall | None = None  # the next turn of a client that asked for much at once
        self._full = False  # the client does not read its answers

    def connection_made(self, transport: "Transport") -> None:
        self._transport = transport
        identify = self.agent.identify
        if identify is not None:
            client = identify(transport)
            if client is None:
                self.abort()
                return
            self.client = client
        self.agent.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        self._work()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._transport = None
        self._frames.clear()
        self.agent.connections.discard(self)
        self.upstreams.close()
        if self._turn is not None:
            self._turn.cancel()
        if self._pending is not None:
            self._pending.cancel()

    def pause_writing(self) -> None:
        """Answer nothing more until the client has read."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._work()

    def abort(self) -> None:
        """End the connection now."""
        transport = self._transport
        if transport is not None:
            transport.abort()

    # What the actions call.

    def request(self, action: Action) -> AgentRequest:
        """Return the record of the request that is being carried out."""
        bindings = self.bindings
        request = AgentRequest(action, self.client, bindings.entries, bindings.forwarded)
        self._request = request
        return request

    # Inside.

    def _work(self) -> None:
        """Carry out what has arrived, as far as answers come at once."""
        if self._working or self._turn is not None:
            return
        self._working = True
        left = REQUESTS_A_TURN
        try:
            while not (self._busy or self._full) and self._transport is not None:
                payload = self._frames.next() if left else None
                if payload is None:
                    break
                left -= 1
                self._carry_out(payload)
        except WireError as error:
            self.agent.tell(self.request("other"), "failed", str(error))
            self.abort()
        finally:
            self._working = False
        transport = self._transport
        if transport is not None:
            if not left:
                self._turn = self.agent.clock.call_later(0.0, self._next_turn)
            # Reading goes on while an answer waits, so that a client that leaves is noticed.
            if len(self._frames) > messages.MAX_MESSAGE:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def _next_turn(self) -> None:
        self._turn = None
        self._work()

    def _carry_out(self, payload: bytes) -> None:
        self._busy = True
        self._request = None
        action = ACTIONS.get(payload[0])
        if action is None:
            self.agent.tell(self.request("other"), "failed", f"message {payload[0]} is unknown")
            self._answer(_FAILURE)
            return
        pending = self._pending = ensure_deferred(action(self, payload))
        pending.add_callbacks(self._done, self._failed).add_callback(self._answer)

    def _done(self, answer: bytes) -> bytes:
        if self._request is not None:
            self.agent.tell(self._request, "done")
        return answer

    def _failed(self, failure: Failure) -> bytes:
        error = failure.exception
        request = self._request or self.request("other")
        answer = _FAILURE
        if isinstance(error, Refused):
            answer = error.answer
            self.agent.tell(request, "refused", str(error))
        elif isinstance(error, CancelledError):
            self.agent.tell(request, "failed", "the client has gone")
        elif isinstance(error, SSHKitError):
            self.agent.tell(request, "failed", str(error))
        else:
            self.agent.tell(request, "failed", f"internal error: {type(error).__name__}")
            _report("a request to the agent failed", error)
        return answer

    def _answer(self, payload: bytes) -> None:
        self._pending = None
        self._busy = False
        self._request = None
        if self._transport is not None:
            self._transport.write(messages.frame(payload))
        self._work()


def _report(what: str, error: BaseException) -> None:
    import logging

    logging.getLogger("sshkit.agent").error("%s: %s", what, type(error).__name__, exc_info=error)
