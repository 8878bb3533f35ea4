"""The sending half of a TLS layer, its end, and its facts: what is a transport to the protocol above.

The base of `layer.TLSLayer`, which receives and does the handshake.  What is written is encrypted at once and
handed to the transport below, so all waiting is done there.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from sshkit.interfaces.transport import Writable

from ...text import shown
from .errors import TLSBroken
from .options import TLSClientOptions, TLSOptions
from .records import CHUNK, SCRATCH, records_of

if TYPE_CHECKING:
    from sshkit.interfaces.clock import Clock, DelayedCall

#: Seconds that the peer has for its close_notify, and for taking more of what is still on its way to it.
CLOSE_TIMEOUT = 5.0

#: Buffers up to this size in all are joined to one record by `writelines`.
JOINED = 16 * 1024


class State(IntEnum):
    """Where a layer is."""

    NEW = 0
    HANDSHAKE = 1
    OPEN = 2
    ENDED = 3  # the handshake failed, or the connection was lost


class SendingLayer:
    """One connection, as far as it sends."""

    __slots__ = (
        "_begun",
        "_below",
        "_below_copies",
        "_below_ended",
        "_buffered",
        "_clean",
        "_clock",
        "_closing",
        "_connection",
        "_end_sent",
        "_error",
        "_factory",
        "_failed",
        "_hostname",
        "_introduced",
        "_made",
        "_options",
        "_paused",
        "_peer_ended",
        "_protocol",
        "_reading",
        "_records",
        "_resuming",
        "_state",
        "_timeout",
        "_timer",
        "_waiting",
        "_where",
    )

    #: What `write` was given has been encrypted when it returns.
    copies_on_write = True

    def __init__(
        self,
        factory: Callable[[], Any],
        options: TLSOptions,
        hostname: str | None,
        timeout: float,
        clock: "Clock | None",
        made: Callable[[Any], object],
        failed: Callable[[BaseException], object],
    ) -> None:
        """`made` is called with the protocol after its `connection_made`, or `failed` with the error."""
        self._factory = factory
        self._options = options
        self._hostname = hostname
        self._timeout = timeout
        self._clock: Any = clock
        self._made = made
        self._failed = failed
        self._state = State.NEW
        self._below: Any = None
        self._below_copies = False
        self._below_ended = False
        self._begun = False  # the peer's first byte has come
        self._connection: SSL.Connection | None = None
        self._records: Any = None
        self._protocol: Any = None
        self._buffered = False
        self._introduced = False  # the protocol knows this connection, so it is told of its end
        self._timer: DelayedCall | None = None
        self._error: BaseException | None = None
        self._reading = True
        self._resuming = False
        self._paused = False  # from below: the protocol is to be told, or was
        self._peer_ended = False
        self._end_sent = False
        self._closing = False
        self._clean = False  # both sides have ended and everything was handed to the kernel
        self._waiting = 0  # bytes below when the closing timer was set
        self._where = ""

    # -- sending ------------------------------------------------------------------------------------

    def write(self, data: Writable) -> None:
        """Encrypt and send `data`."""
        size = len(data)
        if self._end_sent or self._state != State.OPEN or not size:
            return
        try:
            if size <= CHUNK:
                self._records.write(data)
                self._flush()
                return
            view = memoryview(data)
            for start in range(0, size, CHUNK):
                self._records.write(view[start : start + CHUNK])
                self._flush()
                if self._state != State.OPEN:
                    return
        except SSL.Error as error:
            self._break(TLSBroken(f"{self._where}: OpenSSL does not encrypt any more: {error!r}"))

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Send several buffers; small ones as one record."""
        small: list[Writable] = []
        size = 0
        for data in list_of_data:
            if size + len(data) > JOINED:
                self.write(b"".join(small))
                small.clear()
                size = 0
            if len(data) > JOINED:
                self.write(data)
            else:
                small.append(data)
                size += len(data)
        self.write(b"".join(small))

    def _flush(self) -> None:
        """Send what OpenSSL has for the peer."""
        records = self._records
        if records is None:
            return
        view = SCRATCH.take()
        try:
            while size := records.take_into(view):
                self._below.write(view[:size] if self._below_copies else bytes(view[:size]))
                if size < len(view):
                    break
        finally:
            SCRATCH.free.append(view)

    def write_eof(self) -> None:
        """Send our close_notify; reading goes on."""
        if self._state == State.OPEN and not self._end_sent:
            self._send_end()
            if self._peer_ended:
                self.close()

    def _send_end(self) -> None:
        self._end_sent = True
        assert self._connection is not None
        try:
            self._connection.shutdown()
        except SSL.Error:  # broken before: reading has told, or will
            pass
        self._flush()

    def can_write_eof(self) -> bool:
        """TLS ends each direction by itself."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in encrypted bytes."""
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait, encrypted."""
        return int(self._below.get_write_buffer_size())

    # -- the end ------------------------------------------------------------------------------------

    def _break(self, error: BaseException) -> None:
        """End for a fault of the peer's."""
        if not self._closing:
            self._closing = self._end_sent = True
            self._error = error
            self._end_below()

    def _go_on(self) -> None:
        """Deliver what has come, or let it go when closing."""
        raise NotImplementedError

    def close(self) -> None:
        """End both directions: send what waits and our close_notify, and wait a while for the peer's."""
        if self._closing or self._state != State.OPEN:
            return
        self._closing = True
        if not self._end_sent:
            self._send_end()
        if self._state != State.OPEN:
            return
        if self._peer_ended or self._below_ended:
            self._end_below()
            return
        self._waiting = -1
        self._set_close_timer()
        if not self._reading:
            self._clock.call_soon(self._go_on)
            self._below.resume_reading()

    def _end_below(self) -> None:
        """Close the transport below, within the time that progress takes."""
        self._clean = self._peer_ended and self._end_sent and not self._below.get_write_buffer_size()
        self._below.close()
        if self._timer is None or not self._timer.active:
            self._waiting = -1
            self._set_close_timer()

    def _set_close_timer(self) -> None:
        self._timer = self._clock.call_later(CLOSE_TIMEOUT, self._close_slowly)

    def _close_slowly(self) -> None:
        """The peer's time is over, unless it takes what waits."""
        waiting = self._below.get_write_buffer_size()
        if waiting and (self._waiting < 0 or waiting < self._waiting):
            self._waiting = waiting
            self._set_close_timer()
        elif waiting or self._below.is_closing():
            self._below.abort()
        else:
            self._below.close()
            self._set_close_timer()

    def abort(self) -> None:
        """Close now, without a close_notify."""
        if self._state != State.ENDED:
            self._closing = self._end_sent = True
            self._below.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closing or closed."""
        return self._closing or self._below is None or bool(self._below.is_closing())

    def _keep_session(self) -> None:
        if isinstance(self._options, TLSClientOptions) and self._connection is not None:
            self._options.keep_session(self._hostname, self._connection)

    # -- the rest -----------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact of this connection, else of the transport below.

        "peercert" (a certificate of cryptography's), "peercert_chain", "alpn" (text), "cipher",
        "tls_version", "server_name" (that the client asked for), "session", "session_reused".
        """
        fact = _FACTS.get(name)
        if fact is None:
            return default if self._below is None else self._below.get_extra_info(name, default)
        if self._connection is None:
            return default
        value = fact(self._connection)
        return default if value is None else value

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        self._protocol = protocol
        self._buffered = hasattr(protocol, "get_buffer")

    def get_protocol(self) -> Any:
        """Return the present protocol, None before the handshake and after the end."""
        return self._protocol

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state.name.lower()} on {self._below!r}>"


def _alpn(connection: SSL.Connection) -> str | None:
    return connection.get_alpn_proto_negotiated().decode("ascii", "backslashreplace") or None


def _server_name(connection: SSL.Connection) -> str | None:
    name = connection.get_servername()
    return None if name is None else shown(name)


_FACTS: dict[str, Callable[[SSL.Connection], Any]] = {
    "peercert": lambda connection: connection.get_peer_certificate(as_cryptography=True),
    "peercert_chain": lambda connection: connection.get_peer_cert_chain(as_cryptography=True),
    "alpn": _alpn,
    "cipher": SSL.Connection.get_cipher_name,
    "tls_version": SSL.Connection.get_protocol_version_name,
    "server_name": _server_name,
    "session": SSL.Connection.get_session,
    "session_reused": lambda connection: records_of(connection).resumed(),
}
