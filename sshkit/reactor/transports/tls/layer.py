"""One TLS connection: a protocol to the transport below, a transport to the protocol above.

Made by `sshkit.reactor.tls`; below may be any transport: a socket's, a pipe's, an SSH channel's, one in
memory, or another layer.  OpenSSL works on memory only, so the layer moves bytes: what comes from below goes
in, what falls out is delivered; what is written goes in, what falls out is written below at once, so all
waiting is done by the transport below and its marks hold for the whole.

The protocol above hears of the connection after the handshake, with the peer verified, and never of one whose
handshake failed.  Both sides say when they have ended (close_notify, RFC 8446 section 6.1): an end
without it is an error, for somebody may have cut the connection.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.transport import ITransport, Writable

from ...text import shown, shown_address
from .diagnose import Verdict, handshake_error, other_protocol, read_error
from .errors import (
    NotTLS,
    TLSBroken,
    TLSError,
    TLSHandshakeCut,
    TLSHandshakeError,
    TLSHandshakeTimeout,
    TLSTruncated,
)
from .options import TLSClientOptions, TLSOptions
from .records import CHUNK, ENDED, SCRATCH, Records, records_of

if TYPE_CHECKING:
    from sshkit.interfaces.clock import Clock, DelayedCall

#: Seconds that the peer has for its close_notify, and for taking more of what is still on its way to it.
CLOSE_TIMEOUT = 5.0

#: Buffers up to this size in all are joined to one record by `writelines`.
JOINED = 16 * 1024

#: The types of the first record of a peer that speaks TLS: alert and handshake (RFC 8446 section 5.1).
_FIRST_BYTES = (0x15, 0x16)


class State(IntEnum):
    """Where a layer is."""

    NEW = 0
    HANDSHAKE = 1
    OPEN = 2
    ENDED = 3  # the handshake failed, or the connection was lost


@implementer(ITransport)
class TLSLayer:
    """One connection."""

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

    # -- called by the transport below --------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake."""
        self._below = transport
        self._below_copies = getattr(transport, "copies_on_write", False)
        peer = transport.get_extra_info("peername")
        names = [] if self._hostname is None else [shown(self._hostname)]
        if peer:
            names.append(shown_address(peer))
        self._where = f"TLS with {' at '.join(names) or 'the peer'}"
        if self._clock is None:
            from ...current import current

            self._clock = current()
        try:
            self._connection = self._options.connection(self._hostname)
        except Exception as error:
            self._fail(error)
            return
        self._records = records_of(self._connection)
        self._state = State.HANDSHAKE
        self._timer = self._clock.call_later(self._timeout, self._too_slow)
        if isinstance(self._options, TLSClientOptions):
            self._shake()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer of this thread."""
        return SCRATCH.incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come into it."""
        if nbytes:
            self.data_received(SCRATCH.incoming[:nbytes])

    def data_received(self, data: Writable) -> None:
        """Take encrypted bytes."""
        if self._state == State.OPEN:
            self._records.put(data)
            self._drain()
        elif self._state == State.HANDSHAKE:
            if not self._begun:
                self._begun = True
                if data[0] not in _FIRST_BYTES:
                    self._fail(NotTLS(f"{self._where}: {other_protocol(bytes(data[:32]))}"))
                    return
            self._records.put(data)
            self._shake()

    def eof_received(self) -> bool | None:
        """The bytes have ended; TLS should have ended before."""
        if self._state == State.HANDSHAKE:
            self._fail(TLSHandshakeCut(f"{self._where}: the peer closed the connection during the handshake"))
            return False
        if self._state != State.OPEN or self._closing:
            return False
        self._below_ended = True
        if self._peer_ended or not self._reading or self._resuming:
            return True  # our direction is still open, or the protocol has not seen all yet
        self._truncated()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end, for whatever reason."""
        state = self._state
        if state in (State.NEW, State.HANDSHAKE):
            error = exc if exc is not None else self._error
            if error is None:
                error = TLSHandshakeCut(f"{self._where}: the peer closed the connection during the handshake")
            self._fail(error)
        if state == State.OPEN:
            if self._error is not None:
                exc = self._error
            elif self._clean and isinstance(exc, ConnectionError):
                exc = None  # the peer did not wait for our last word
            elif exc is None and not self._closing and not self._peer_ended:
                exc = TLSTruncated(f"{self._where}: the connection ended without the peer's close_notify")
            if exc is None and self._end_sent:
                self._keep_session()
        else:
            exc = self._error
        self._state = State.ENDED
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        protocol, self._protocol = self._protocol, None
        self._records = None
        if self._introduced:
            self._introduced = False
            protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """What is encrypted waits below: more than the high mark."""
        self._paused = True
        if self._state == State.OPEN:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has left."""
        if self._paused:
            self._paused = False
            if self._state == State.OPEN:
                self._protocol.resume_writing()

    # -- the handshake ------------------------------------------------------------------------------

    def introduce(self, protocol: Any) -> None:
        """Take a protocol that lived on the transport below till now: it hears of the end in any case."""
        self._protocol = protocol
        self._introduced = True

    def refuse(self, transport: Any, error: BaseException) -> None:
        """Fail before the first byte, and break the connection."""
        self._below = transport
        self._state = State.ENDED
        self._closing = True
        self._error = error
        transport.abort()
        self._failed(error)

    def _shake(self) -> None:
        connection = self._connection
        assert connection is not None
        verdict: Verdict = connection.get_app_data()
        is_client = isinstance(self._options, TLSClientOptions)
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            if verdict.fault is None:
                self._flush()
                return
            error: BaseException = SSL.Error([])
        except Exception as problem:
            error = problem
        else:
            if verdict.fault is None:
                self._flush()
                if self._verified(verdict, connection):
                    self._established()
                return
            error = SSL.Error([])
        if verdict.fault is not None:
            fault = TLSHandshakeError(
                f"{self._where}: a check of the handshake failed: {shown(str(verdict.fault))}"
            )
            fault.__cause__ = verdict.fault
            self._fail(fault)
            return
        self._flush()  # the alert
        self._fail(handshake_error(self._where, error, verdict, client=is_client))

    def _verified(self, verdict: Verdict, connection: SSL.Connection) -> bool:
        """Check the name of a resumed session: OpenSSL asks about the chain in a full handshake only."""
        if verdict.hostname is None or verdict.name_checked:
            return True
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is not None and verdict.judge(certificate, 0, 0):
            return True
        self._fail(
            verdict.error(self._where) or TLSHandshakeError(f"{self._where}: the server has no certificate")
        )
        return False

    def _established(self) -> None:
        assert self._timer is not None
        self._timer.cancel()
        self._timer = None
        self._state = State.OPEN
        try:
            protocol = self._factory()
            self.set_protocol(protocol)
            self._introduced = True
            protocol.connection_made(self)
        except Exception as error:
            self._error = error
            self._made = _ignore
            self._failed(error)
            self.abort()
            return
        made, self._made = self._made, _ignore
        made(protocol)
        if self._paused and self._state == State.OPEN:
            protocol.pause_writing()
        self._drain()

    def _too_slow(self) -> None:
        self._timer = None
        error = TLSHandshakeTimeout(f"{self._where}: no handshake within {self._timeout:g} seconds")
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End before it began."""
        if self._state not in (State.NEW, State.HANDSHAKE):
            return
        self._state = State.ENDED
        self._closing = True
        self._error = error
        if self._timer is not None:
            self._timer.cancel()
        self._waiting = -1
        self._end_below()
        self._failed(error)

    def cancel(self) -> None:
        """Give the handshake up."""
        if self._state in (State.NEW, State.HANDSHAKE):
            self._state = State.ENDED
            self._closing = True
            if self._timer is not None:
                self._timer.cancel()
            if self._below is not None:
                self._below.abort()

    # -- receiving ----------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Deliver what OpenSSL has, while the protocol reads."""
        records: Records = self._records
        size = 1
        data = b""
        while size > 0 and self._state == State.OPEN and (self._reading or self._closing):
            try:
                if self._closing or not self._buffered:
                    view = SCRATCH.take()
                    try:
                        size = records.read_into(view[:CHUNK])
                        data = bytes(view[: max(size, 0)])
                    finally:
                        SCRATCH.free.append(view)
                else:
                    view = self._protocol.get_buffer(-1)
                    size = records.read_into(view)
            except SSL.Error as error:
                is_client = isinstance(self._options, TLSClientOptions)
                self._flush()  # the alert
                self._break(read_error(self._where, error, client=is_client))
                return
            if self._closing:
                continue
            if self._buffered:
                if size >= 0:
                    self._protocol.buffer_updated(size)
            elif size > 0:
                self._protocol.data_received(data)
        if self._state == State.OPEN:
            self._flush()  # what OpenSSL itself had to answer
        if size == ENDED and not self._peer_ended:
            self._peer_has_ended()
        elif self._below_ended and not size and not self._closing:
            self._truncated()

    def _peer_has_ended(self) -> None:
        self._peer_ended = True
        if self._closing:
            self._end_below()
        elif not self._protocol.eof_received() or self._end_sent:
            self.close()

    def _truncated(self) -> None:
        self._break(TLSTruncated(f"{self._where}: the connection ended without the peer's close_notify"))

    def _break(self, error: BaseException) -> None:
        """End for a fault of the peer's."""
        if not self._closing:
            self._closing = self._end_sent = True
            self._error = error
            self._end_below()

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`; the transport below reads no more either."""
        if self._reading and not self._closing:
            self._reading = False
            self._below.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, first what was decrypted or has come already."""
        if not self._reading and not self._closing:
            self._reading = True
            if not self._resuming:
                self._resuming = True
                self._clock.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resuming = False
        if self._state != State.OPEN:
            return
        try:
            if self._reading or self._closing:
                self._drain()
        except Exception as error:
            self._error = error
            self.abort()
            raise
        if self._reading and self._state == State.OPEN:
            self._below.resume_reading()

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
        return f"<TLSLayer {self._state.name.lower()} on {self._below!r}>"


def _ignore(result: Any) -> None:
    """The handshake has had its outcome."""


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

__all__ = ["CLOSE_TIMEOUT", "State", "TLSError", "TLSLayer"]
