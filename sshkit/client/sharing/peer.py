"""One program at our control socket: its requests, one after the other, and what they lead to.

Made by `master` for every connection to the socket.  Requests that need time (a channel, the server's answer
about a forward, a person's word) stop the reading until they are answered, as OpenSSH does it; so nothing
queues up.  A program that breaks the protocol is cut off, and nobody else is.
"""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys import wire
from sshkit_keys.errors import SSHKitError, WireError
from sshkit_keys.text import printable

from sshkit.client.sharing import messages
from sshkit.client.sharing.errors import MuxProtocolError
from sshkit.client.sharing.messages import Packet, SessionRequest
from sshkit.client.sharing.passenger import Passenger
from sshkit.client.sharing.stream import ControlStream
from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.ssh.errors import ChannelOpenFailed

if TYPE_CHECKING:
    from sshkit.client.sharing.master import SharedConnection
    from sshkit.config.forwards import Endpoint
    from sshkit.interfaces import DelayedCall

HELLO_TIMEOUT: Final = 30.0  #: seconds for a program to say hello, so that silent ones do not take all places
REFUSED: Final = "Permission denied"


class Peer:
    """One program.  The session's number that it is told is its own."""

    __slots__ = ("_master", "_request", "_stream", "_timer", "_welcome", "number", "passenger", "proxied")

    def __init__(self, master: "SharedConnection", sock: socket.socket, number: int) -> None:
        self._master = master
        self.number = number
        self.passenger: Passenger | None = None
        self.proxied = False  #: it speaks SSH packets by now
        self._welcome = False
        self._request = 0
        self._timer: DelayedCall | None = master.reactor.call_later(HELLO_TIMEOUT, self.end)
        self._stream = ControlStream(master.reactor, sock, self)
        self._stream.send(messages.hello(messages.ANSWERS, messages.KNOWS_INFO))

    def end(self) -> None:
        """Cut it off, with whatever it has begun."""
        self._stream.close()
        self._gone()

    # What the stream tells.

    def packet_received(self, payload: bytes) -> None:
        if not self._welcome:
            messages.read_hello(payload)
            self._welcome = True
            self._stop_timer()
            return
        packet = Packet(payload)
        self._request = packet.request
        handler = HANDLERS.get(packet.number)
        if handler is None:
            if packet.number == messages.HELLO:
                raise MuxProtocolError("HELLO twice")
            self._fail("unsupported request")
            return
        try:
            handler(self, packet)
        except WireError as error:
            raise MuxProtocolError(f"a damaged message: {error}") from None

    def stream_lost(self, error: BaseException | None) -> None:
        if error is not None:
            self._master.debug(f"a program at the control socket was cut off: {error}")
        self._gone()

    # Requests that are answered at once.

    def alive_check(self, packet: Packet) -> None:
        packet.body.finish("ALIVE_CHECK")
        self._answer(messages.ALIVE, wire.uint32(os.getpid()))

    def information(self, packet: Packet) -> None:
        kind = packet.body.text("kind")
        text = self._master.owner.information(kind)
        if text is None:
            self._fail("unknown kind of information")
        else:
            self._answer(messages.INFORMATION, wire.string(text))

    def proxy(self, packet: Packet) -> None:
        packet.body.finish("PROXY")
        if self.passenger is not None:
            self._fail("a session is open already")
            return
        self._answer(messages.PROXYING)
        self.proxied = True
        self._master.proxy(self, *self._stream.release())

    # Requests that a person may be asked about.

    def terminate(self, packet: Packet) -> None:
        packet.body.finish("TERMINATE")

        def allowed() -> None:
            self._answer(messages.OK)
            self._master.owner.terminate()

        self._ask(f"Terminate shared connection to {self._master.name}? ", allowed)

    def stop_listening(self, packet: Packet) -> None:
        packet.body.finish("STOP_LISTENING")

        def allowed() -> None:
            self._master.stop_listening()  # first: who has the answer finds no socket any more
            self._answer(messages.OK)

        self._ask(f"Disable further multiplexing on shared connection to {self._master.name}? ", allowed)

    def open_forward(self, packet: Packet) -> None:
        try:
            forward = messages.decode_forward(packet.body)
        except WireError as error:
            self._fail(f"Invalid forwarding request: {error}")
            return

        def opened(port: int | None) -> None:
            if port is None:
                self._answer(messages.OK)
            else:
                self._answer(messages.REMOTE_PORT, wire.uint32(port))

        def allowed() -> Deferred[Any]:
            begun = maybe_deferred(self._master.open_forward, forward)
            return begun.add_callbacks(opened, self._failed)

        self._ask(f"Open {forward.kind} forward {printable(str(forward))} on {self._master.name}? ", allowed)

    def close_forward(self, packet: Packet) -> None:
        try:
            forward = messages.decode_forward(packet.body)
        except WireError as error:
            self._fail(f"Invalid forwarding request: {error}")
            return
        self._stream.pause()
        ending = maybe_deferred(self._master.close_forward, forward)
        ending.add_callbacks(lambda _: self._answer(messages.OK), self._failed).add_both(self._done)

    # Sessions.

    def new_session(self, packet: Packet) -> None:
        request = SessionRequest.decode(packet.body)

        def taken(descriptors: list[int]) -> None:
            self._begin(descriptors, request, None, f"Allow shared connection to {self._master.name}? ")

        self._stream.expect(3, taken)

    def new_stdio_forward(self, packet: Packet) -> None:
        packet.body.view("reserved")
        endpoint = messages.decode_endpoint(packet.body)

        def taken(descriptors: list[int]) -> None:
            self._begin(descriptors, None, endpoint, f"Allow forward to {printable(str(endpoint))}? ")

        self._stream.expect(2, taken)

    def _begin(
        self,
        descriptors: list[int],
        request: SessionRequest | None,
        endpoint: "Endpoint | None",
        question: str,
    ) -> None:
        """Open the channel for descriptors that are ours by now."""
        master = self._master
        if self.passenger is not None or not master.has_room():
            for fd in descriptors:
                os.close(fd)
            self._fail("Multiple sessions not supported" if self.passenger else "too many sessions")
            return
        try:
            passenger = self.passenger = Passenger(master.reactor, descriptors, self, request)
        except OSError as error:
            self._fail(f"the descriptors cannot be used: {error.strerror}")
            return
        if request is not None and request.terminal and request.escape is not None:
            passenger.use_escapes(master.owner.escapes(self, request.escape))

        def opened(_: object) -> None:
            self._answer(messages.SESSION_OPENED, wire.uint32(self.number))

        def failed(failure: Failure) -> None:
            self._drop_passenger()
            self._failed(failure)

        def prepared(extras: Any) -> Deferred[Any]:
            passenger.extras = extras
            return master.connection.open_session(passenger)

        def allowed() -> Deferred[Any]:
            if request is not None:
                opening = maybe_deferred(master.owner.extras, request).add_callback(prepared)
            else:
                assert endpoint is not None
                opening = maybe_deferred(master.connection.open_direct, place_of(endpoint), passenger)
            return opening.add_callbacks(opened, failed)

        self._ask(question, allowed, self._drop_passenger)

    def resized(self) -> None:
        """Look whether the program's terminal has another size by now."""
        if self.passenger is not None:
            self.passenger.resized()

    # What the passenger tells.

    def passenger_exited(self, status: int) -> None:
        self._stream.send(messages.packet(messages.EXIT_MESSAGE, self.number, wire.uint32(status & 0xFF)))

    def passenger_has_no_terminal(self) -> None:
        self._stream.send(messages.packet(messages.TERMINAL_REFUSED, self.number))

    def passenger_left(self) -> None:
        """Let the program go: it waits for the end of its connection."""
        self.passenger = None
        self._stream.close_when_sent()

    # Inside.

    def _ask(
        self,
        question: str,
        allowed: Callable[[], Any],
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        """Do it, unless a person has to be asked and says no; read on when it is done."""
        self._stream.pause()

        def decided(yes: object) -> Any:
            if self._stream.closed:
                refused()
                return None
            if yes:
                return allowed()
            refused()
            self._answer(messages.PERMISSION_DENIED, wire.string(REFUSED))
            return None

        asking = maybe_deferred(self._master.owner.allow, question)
        asking.add_callback(decided).add_errback(self._failed).add_both(self._done)

    def _done(self, _: object) -> None:
        if not self._stream.closed:
            self._stream.resume()

    def _answer(self, number: int, body: bytes = b"") -> None:
        self._stream.send(messages.packet(number, self._request, body))

    def _fail(self, reason: str) -> None:
        self._answer(messages.FAILURE, wire.string(reason))

    def _failed(self, failure: Failure) -> None:
        """Tell why a request failed."""
        error = failure.exception
        if isinstance(error, ChannelOpenFailed):
            self._fail(f"Session open refused by peer: {error.description}")
        elif isinstance(error, (SSHKitError, OSError)):
            self._fail(printable(str(error), 1000))
        else:
            self._fail("internal error")
            self._master.report(error)

    def _drop_passenger(self) -> None:
        passenger, self.passenger = self.passenger, None
        if passenger is not None:
            passenger.close()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _gone(self) -> None:
        self._stop_timer()
        self._drop_passenger()
        self._master.peer_gone(self)


def place_of(endpoint: "Endpoint") -> tuple[str, int] | str:
    """Return an endpoint as the library's calls have it."""
    if endpoint.path is not None:
        return f"unix:{endpoint.path}"
    return endpoint.host or "", endpoint.port


HANDLERS: Final[dict[int, Callable[[Peer, Packet], None]]] = {
    messages.NEW_SESSION: Peer.new_session,
    messages.ALIVE_CHECK: Peer.alive_check,
    messages.TERMINATE: Peer.terminate,
    messages.OPEN_FORWARD: Peer.open_forward,
    messages.CLOSE_FORWARD: Peer.close_forward,
    messages.NEW_STDIO_FORWARD: Peer.new_stdio_forward,
    messages.STOP_LISTENING: Peer.stop_listening,
    messages.PROXY: Peer.proxy,
    messages.INFO: Peer.information,
}
