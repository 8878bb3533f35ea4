"""One TLS connection: a protocol to the transport below, a transport to the protocol above.

Made by `sshkit.reactor.tls`; below may be any transport: a socket's, a pipe's, an SSH channel's, one in
memory, or another layer.  OpenSSL works on memory only, so the layer moves bytes: what comes from below goes
in, what falls out is delivered; what is written goes in, what falls out is written below at once, so all
waiting is done by the transport below and its marks hold for the whole.

The protocol above hears of the connection after the handshake, with the peer verified, and never of one whose
handshake failed.  Both sides say when they have ended (close_notify, RFC 8446 section 6.1): an end
without it is an error, for somebody may have cut the connection.
"""

from typing import Any

from OpenSSL import SSL

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.transport import ITransport, Writable

from ...errors import FAULTS
from ...text import shown, shown_address
from .diagnose import Verdict, handshake_error, other_protocol, read_error
from .errors import NotTLS, TLSHandshakeCut, TLSHandshakeError, TLSHandshakeTimeout, TLSTruncated
from .options import TLSClientOptions
from .records import CHUNK, ENDED, SCRATCH, Records, records_of
from .sending import SendingLayer, State

#: The types of the first record of a peer that speaks TLS: alert and handshake (RFC 8446 section 5.1).
_FIRST_BYTES = (0x15, 0x16)


@implementer(ITransport)
class TLSLayer(SendingLayer):
    """One connection."""

    __slots__ = ()

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
        paused = self._paused  # by the handshake; what `connection_made` writes pauses the protocol itself
        try:
            protocol = self._factory()
            self.set_protocol(protocol)
            self._introduced = True
            protocol.connection_made(self)
        except FAULTS as error:
            self._error = error
            self._made = _ignore
            self._failed(error)
            self.abort()
            return
        made, self._made = self._made, _ignore
        made(protocol)
        if paused and self._paused and self._state == State.OPEN:
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
        except FAULTS as error:
            self._error = error
            self.abort()
            raise
        if self._reading and self._state == State.OPEN:
            self._below.resume_reading()


def _ignore(result: Any) -> None:
    """The handshake has had its outcome."""
