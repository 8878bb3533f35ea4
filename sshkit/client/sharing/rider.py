"""Riding another program's connection: the client of the multiplexing protocol (OpenSSH's PROTOCOL.mux).

Called by the commands, which have nothing else to do meanwhile: it blocks, and needs no reactor and none of
the SSH protocol, so that a command over a shared connection starts fast.  Programs ride with `proxied`.
"""

import os
import socket
from collections.abc import Callable, Sequence

from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.text import printable

from sshkit.client.sharing import messages
from sshkit.client.sharing.errors import MasterLost, MasterRefused, MuxProtocolError
from sshkit.client.sharing.messages import Packet, SessionRequest
from sshkit.client.sharing.place import connect_control
from sshkit.config.forwards import Endpoint, Forward

#: Seconds for a master to answer what it decides alone; where it may ask a person there is no limit.
PATIENCE = 10.0


class Rider:
    """One connection to a master."""

    __slots__ = ("_buffer", "_next", "extensions", "sock")

    def __init__(self, path: str) -> None:
        """Connect and say hello; raises SharingError."""
        self._buffer = bytearray()
        self._next = 0
        self.sock = connect_control(path)
        try:
            self.sock.settimeout(PATIENCE)
            self._write(messages.hello())
            self.extensions = messages.read_hello(self.read())
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> "Rider":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    # What a master can be asked.

    def alive(self) -> int:
        """Return the master's process id."""
        reply = self._ask(messages.ALIVE_CHECK, messages.ALIVE)
        return _number(reply, "process id")

    def terminate(self) -> None:
        """Have the master end, and all that it shares with it."""
        try:
            self._ask(messages.TERMINATE, messages.OK, patience=None)
        except MasterLost:  # it was faster than its answer
            pass

    def stop_listening(self) -> None:
        """Have the master take nobody else, and end with those that it has."""
        self._ask(messages.STOP_LISTENING, messages.OK, patience=None)

    def forward(self, forward: Forward) -> int | None:
        """Begin a forward; returns the port that the server has chosen, where port 0 was asked for."""
        body = messages.encode_forward(forward)
        reply = self._ask(messages.OPEN_FORWARD, messages.OK, messages.REMOTE_PORT, body=body, patience=None)
        return _number(reply, "port") if reply.number == messages.REMOTE_PORT else None

    def cancel(self, forward: Forward) -> None:
        """End a forward."""
        self._ask(messages.CLOSE_FORWARD, messages.OK, body=messages.encode_forward(forward), patience=None)

    def information(self, kind: str) -> str:
        """Return what the master tells of its "connection" or its "channels"."""
        if messages.KNOWS_INFO not in self.extensions:
            raise MasterRefused("the master does not know this request")
        reply = self._ask(messages.INFO, messages.INFORMATION, body=wire.string(kind))
        try:
            return reply.body.text("information")
        except WireError as error:
            raise MuxProtocolError(f"a damaged answer: {error}") from None

    def proxy(self) -> socket.socket:
        """Turn to proxy mode; the socket is the caller's from now on, and speaks SSH packets."""
        self._ask(messages.PROXY, messages.PROXYING)
        if self._buffer:
            raise MuxProtocolError("the master speaks before it is asked")
        self.sock.settimeout(None)
        return self.sock

    def open_session(self, request: SessionRequest, descriptors: Sequence[int]) -> int:
        """Open a session on three descriptors; returns its number."""
        return self._open(messages.NEW_SESSION, request.encode(), descriptors)

    def open_stdio(self, endpoint: Endpoint, descriptors: Sequence[int]) -> int:
        """Let the server connect to `endpoint`, joined to two descriptors; returns the session's number."""
        body = wire.string(b"") + messages.encode_endpoint(endpoint)
        return self._open(messages.NEW_STDIO_FORWARD, body, descriptors)

    def wait(self, session: int, terminal_refused: Callable[[], object]) -> int | None:
        """Wait for a session's end, and return its exit status; None where there was none."""
        status: int | None = None
        self.sock.settimeout(None)
        while True:
            try:
                payload = self.read()
            except MasterLost:
                return status
            packet = Packet(payload)
            if packet.request != session or packet.number not in (
                messages.TERMINAL_REFUSED,
                messages.EXIT_MESSAGE,
            ):
                raise MuxProtocolError(f"message {packet.number:#x} during a session")
            if packet.number == messages.TERMINAL_REFUSED:
                terminal_refused()
            elif status is not None:
                raise MuxProtocolError("a session that ends twice")
            else:
                status = _number(packet, "exit status")

    # Inside.

    def read(self) -> bytes:
        """Return the next packet without its length."""
        size = int.from_bytes(self._take(4), "big")
        if not 4 <= size <= messages.MAX_PACKET:
            raise MuxProtocolError(f"a packet of {size} bytes")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < size:
            try:
                data = self.sock.recv(size - len(buffer))
            except TimeoutError:
                raise MasterLost(f"the master has not answered within {PATIENCE:g} seconds") from None
            except OSError as error:
                raise MasterLost(f"the master has gone: {error.strerror}") from None
            if not data:
                raise MasterLost("the master has gone")
            buffer += data
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken

    def _ask(
        self, number: int, *expected: int, body: bytes = b"", patience: float | None = PATIENCE
    ) -> Packet:
        """Send a request and return its answer, which must be one of `expected`."""
        request = self._send(number, body)
        return self._answer(request, expected, patience)

    def _send(self, number: int, body: bytes) -> int:
        request = self._next
        self._next += 1
        self._write(messages.packet(number, request, body))
        return request

    def _write(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise MasterLost(f"the master has gone: {error.strerror or error}") from None

    def _answer(self, request: int, expected: Sequence[int], patience: float | None) -> Packet:
        self.sock.settimeout(patience)
        reply = Packet(self.read())
        if reply.request != request:
            raise MuxProtocolError(f"an answer to request {reply.request}; {request} was made")
        if reply.number in (messages.FAILURE, messages.PERMISSION_DENIED):
            try:
                reason = printable(reply.body.string("reason"), 1000)
            except WireError:
                reason = "no reason given"
            raise MasterRefused(reason)
        if reply.number not in expected:
            raise MuxProtocolError(f"message {reply.number:#x} as an answer")
        return reply

    def _open(self, number: int, body: bytes, descriptors: Sequence[int]) -> int:
        request = self._send(number, body)
        try:
            for fd in descriptors:  # one byte with each, as OpenSSH has it
                socket.send_fds(self.sock, [b"\0"], [fd])
        except OSError as error:
            raise MasterLost(f"the master takes no descriptors: {error.strerror}") from None
        reply = self._answer(request, (messages.SESSION_OPENED,), None)
        return _number(reply, "session")


def _number(packet: Packet, what: str) -> int:
    try:
        return packet.body.uint32(what)
    except WireError as error:
        raise MuxProtocolError(f"a damaged answer: {error}") from None


def variables(pairs: "dict[str, str]") -> tuple[tuple[bytes, bytes], ...]:
    """Return an environment as a session request has it."""
    return tuple((os.fsencode(name), os.fsencode(value)) for name, value in pairs.items())
