"""The engine of an SFTP client: requests out, answers in, each to whoever asked.

`SFTPClient` and the transfer engine stand on it; under it is a channel of SSH or any other transport.
An answer's id must be pending and its kind must fit, else the channel ends (R37).  One timer serves the
deadlines of all requests: it ticks while anything is pending, and costs a request nothing.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import WireError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader

from sshkit.deferred import Deferred, Failure
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.dialect_v3 import V3, Dialect
from sshkit.sftp.errors import SFTPConnectionLost, SFTPProtocolError, error_for
from sshkit.sftp.packets import MAX_ANSWER, PacketReader, PieceHandler
from sshkit.ssh.connection.protocol import ChannelProtocol

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall
    from sshkit.sftp.attributes import Attributes

TIMEOUT = 60.0  #: seconds that the server may be silent while a request waits
TICKS = 8  #: the timer goes this often in that time
STUBBORN = 10 * TICKS  #: ticks after which a request has failed, however much else the server says
SAFE_SIZE = 32 * 1024  #: bytes of data that every server takes and gives (draft section 3)
MAX_DATA = 255 * 1024  #: bytes of data in one packet at most: what OpenSSH takes
MAX_STDERR = 1024  #: bytes of the server's last words that are kept


class Limits(NamedTuple):
    """What the server takes, in bytes; 0: it does not say (`limits@openssh.com`)."""

    packet: int = 0
    read: int = 0
    write: int = 0
    handles: int = 0


class Answer:
    """Whoever waits for the answer to one request."""

    __slots__ = ("tick",)
    tick: int

    def answered(self, kind: int, payload: memoryview) -> None:
        """Take the answer; a kind that does not fit is a SFTPProtocolError.  Called once."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """There will be no answer; may also be called after an `answered` that raised."""

    def begin(self, size: int) -> "PieceHandler | None":
        """Take DATA of `size` bytes in pieces; `answered` is not called then."""
        return None


class Nobody(Answer):
    """Stands for a request that was given up: its answer may still come, and means nothing."""

    __slots__ = ()

    def answered(self, kind: int, payload: memoryview) -> None:
        """Drop it."""


class Closing(Nobody):
    """Waits for the answer to a CLOSE that nobody waits for."""

    __slots__ = ()


class Call(Answer):
    """A request whose answer fires a Deferred with what `read` makes of the payload."""

    __slots__ = ("deferred", "kind", "path", "read")

    def __init__(
        self,
        deferred: "Deferred[Any]",
        kind: int,
        read: Callable[[memoryview], Any] | None,
        path: bytes | None,
    ) -> None:
        self.deferred = deferred
        self.kind = kind
        self.read = read
        self.path = path

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if code != status.OK:
                self.deferred.errback(error_for(code, words, self.path))
                return
            if self.kind == m.STATUS:
                self.deferred.callback(None)
                return
        elif kind == self.kind and self.read is not None:
            self.deferred.callback(self.read(payload))
            return
        raise SFTPProtocolError(f"an answer of kind {kind} where {self.kind} was expected")

    def failed(self, error: BaseException) -> None:
        if not self.deferred.called:
            self.deferred.errback(error)


class OpenCall(Call):
    """OPEN or OPENDIR; a handle that comes after the caller gave up is closed."""

    __slots__ = ("session",)

    def __init__(self, session: "Session", path: bytes) -> None:
        super().__init__(Deferred(), m.HANDLE, _read_handle, path)
        self.session = session

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind == m.HANDLE and self.deferred.called:
            self.session.close_handle(_read_handle(payload))
        else:
            super().answered(kind, payload)


class Session(ChannelProtocol):
    """One SFTP channel of a client."""

    __slots__ = (
        "_corked",
        "_heard",
        "_last_words",
        "_next_id",
        "_out",
        "_reader",
        "_scheduled",
        "_streaming",
        "_tick",
        "_ticker",
        "_timeout",
        "_transport",
        "clock",
        "closed",
        "defer_to_thread",
        "dialect",
        "extensions",
        "limits",
        "lost",
        "pending",
        "random_bytes",
        "ready",
        "transfers",
        "version",
        "versions",
        "writable",
        "writers",
    )

    def __init__(
        self,
        clock: "Clock",
        *,
        defer_to_thread: Callable[..., "Deferred[Any]"],
        random_bytes: Callable[[int], bytes],
        timeout: float = TIMEOUT,
        versions: Iterable[int] = (3,),
    ) -> None:
        """`versions` are those of the protocol that may be spoken; ValueError for others than 3 to 6."""
        self.clock = clock
        self.defer_to_thread = defer_to_thread
        self.random_bytes = random_bytes
        self._timeout = timeout
        self._transport: Any = None
        self._reader = PacketReader(self._first_packet, MAX_ANSWER, begin=self._begin)
        self._out: list[bytes] = []
        self._corked = False
        self._streaming: Answer | None = None  # takes the pieces of a packet that is not whole yet
        self._scheduled = False
        self._next_id = 0
        self._tick = 0
        self._heard = 0
        self._ticker: DelayedCall | None = clock.call_later(timeout / TICKS, self._ticked)
        self._last_words = b""
        self.pending: dict[int, Answer] = {}
        self.lost: BaseException | None = None  #: why the session has ended
        self.ready: Deferred[None] = Deferred(lambda _: self.end(SFTPConnectionLost("opening was given up")))
        self.closed: list[Deferred[None]] = []
        self.extensions: dict[str, bytes] = {}
        self.version = 0
        self.versions = (3,) if versions == (3,) else _checked(versions)
        self.dialect: Dialect = V3
        self.limits = Limits()
        self.writable = True
        self.writers: list[Any] = []  #: uploads that go on at `resume_writing`
        self.transfers = 0  #: how many share the bytes in flight

    # What the transport calls: a channel's words, and a plain transport's.

    def channel_opened(self, channel: Any, body: bytes) -> None:
        self._transport = channel

    def connection_made(self, transport: Any) -> None:
        """A plain transport is there: begin."""
        self._transport = transport
        self.start()

    def start(self) -> None:
        """Send INIT; `ready` fires when VERSION and the limits have come."""
        self._transport.write(m.frame(m.Init(self.versions[-1], b"").encode()))

    def data_received(self, data: memoryview | bytes) -> None:
        self._heard = self._tick
        self._corked = True
        try:
            self._reader.feed(memoryview(data))
        except (WireError, SFTPProtocolError) as error:
            self.end(SFTPProtocolError(f"the SFTP server broke the protocol: {error}"))
        except Exception as error:
            self.end(error)
        self._corked = False
        if self._out:
            self._flush()

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._last_words = (self._last_words + bytes(data[-MAX_STDERR:]))[-MAX_STDERR:]

    def eof_received(self) -> None:
        self.end(SFTPConnectionLost(self._why("the server ended the SFTP session")))

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._heard = self._tick
        writers = self.writers
        if len(writers) > 1:
            writers.append(writers.pop(0))  # another one is the first to write each time
        for writer in tuple(writers):
            writer.pump()

    def channel_closed(self, error: BaseException | None) -> None:
        self.connection_lost(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The transport has ended."""
        why = "the SFTP session has ended" if exc is None else f"the SFTP session was lost: {exc}"
        lost = SFTPConnectionLost(self._why(why))
        lost.__cause__ = exc
        self.end(lost)
        closed, self.closed = self.closed, []
        self._transport = None
        for waiter in closed:
            waiter.callback(None)

    # Requests.

    def next_id(self) -> int:
        """Return an id that is not pending."""
        number = self._next_id
        self._next_id = (number + 1) & 0xFFFFFFFF
        if number in self.pending:
            return self.next_id()
        return number

    def send(self, number: int, packet: bytes, answer: Answer) -> None:
        """Send one request and give its answer to `answer`, or `failed` at once where the session is over."""
        if self.lost is not None:
            answer.failed(self.lost)
            return
        answer.tick = self._tick
        self.pending[number] = answer
        if self._ticker is None:
            self._heard = self._tick
            self._ticker = self.clock.call_later(self._timeout / TICKS, self._ticked)
        if self._corked or self._scheduled:
            self._out.append(packet)
        else:
            self._scheduled = True
            self.clock.call_soon(self._flush)  # first: so that ours is there when the channel flushes
            self._transport.write(packet)

    def write_through(self, number: int, data: memoryview, answer: Answer) -> None:
        """Send one long request from a buffer that is free again when this returns."""
        if self._out:
            self._flush()
        answer.tick = self._tick
        self.pending[number] = answer
        if self._ticker is None:
            self._heard = self._tick
            self._ticker = self.clock.call_later(self._timeout / TICKS, self._ticked)
        self._transport.write(data)

    def call(
        self,
        kind: int,
        body: bytes,
        expected: int = m.STATUS,
        read: Callable[[memoryview], Any] | None = None,
        path: bytes | None = None,
    ) -> "Deferred[Any]":
        """Send a request of `kind`, whose fields behind the id are `body`; fire with what `read` returns."""
        deferred: Deferred[Any] = Deferred()
        number = self.next_id()
        packet = b"".join((_pack_head(5 + len(body), kind, number), body))
        self.send(number, packet, Call(deferred, expected, read, path))
        return deferred

    def pack_open(self, number: int, path: bytes, flags: int, attributes: "Attributes") -> bytes:
        """Return an OPEN packet, for those who send it themselves."""
        body = self.dialect.open(path, flags, attributes)
        return b"".join((_pack_head(5 + len(body), m.OPEN, number), body))

    def open_handle(self, kind: int, body: bytes, path: bytes) -> "Deferred[bytes]":
        """Send OPEN or OPENDIR; fires with the handle."""
        call = OpenCall(self, path)
        number = self.next_id()
        self.send(number, b"".join((_pack_head(5 + len(body), kind, number), body)), call)
        return call.deferred

    def close_handle(self, handle: bytes) -> None:
        """Close a handle; nobody waits for the answer."""
        if self.lost is None:
            number = self.next_id()
            self.send(number, m.pack_string(m.CLOSE, number, handle), Closing())

    def close(self) -> "Deferred[None]":
        """Close the channel; fires when that is done."""
        waiter: Deferred[None] = Deferred()
        if self._transport is None:
            waiter.callback(None)
            return waiter
        self.closed.append(waiter)
        if self._out:
            self._flush()
        self.end(SFTPConnectionLost("the SFTP session was closed on this side"))
        return waiter

    def end(self, error: BaseException) -> None:
        """End the session: everybody who waits hears why."""
        if self.lost is not None:
            return
        self.lost = error
        self._reader.stopped = True
        self._out.clear()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        pending, self.pending = self.pending, {}
        if self._reader.streaming and self._streaming is not None:
            self._streaming.failed(error)
        for answer in pending.values():
            answer.failed(error)
        if not self.ready.called:
            self.ready.errback(error)
        self.resume_writing()  # those who wait to write find out
        if self._transport is not None:
            self._transport.close()

    # Inside.

    def _flush(self) -> None:
        self._scheduled = False
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self._transport.write(data)

    def _first_packet(self, kind: int, payload: memoryview) -> None:
        """Take VERSION, which nothing may come before."""
        if kind != m.VERSION:
            raise SFTPProtocolError(f"the first packet is of kind {kind}, not VERSION")
        answer = m.Version.decode(payload)
        self.extensions = m.unpack_extensions(answer.extensions)
        self._reader.handle_with(self._packet)
        if self.versions == (3,) and answer.version >= 3:
            self._speak(3)
        else:
            self._settle(answer.version)

    def _settle(self, told: int) -> None:
        """Agree on a version, or pick one of the server's list."""
        from sshkit.sftp.versions import SELECT, agreed, to_select

        version = agreed(self.versions, told)
        if version:
            self._speak(version)
            return
        version = to_select(self.versions, self.extensions)
        if not version:
            raise SFTPProtocolError(f"the server speaks version {told} only")
        body = wire_string(SELECT.encode()) + wire_string(b"%d" % version)
        asked = self.call(m.EXTENDED, body)
        asked.add_callbacks(lambda _: self._speak(version), lambda failure: self.end(failure.exception))

    def _speak(self, version: int) -> None:
        """Begin to speak a version."""
        self.version = version
        if version > 3:
            from sshkit.sftp.dialect_v4 import DIALECTS

            self.dialect = DIALECTS[version]
            self.limits = Limits(read=self.dialect.max_read(self.extensions))
            if version == 6:
                self._reader.handle_with(self._packet_with_more)
        if "limits@openssh.com" in self.extensions:
            body = wire_string(b"limits@openssh.com")
            asked = self.call(m.EXTENDED, body, m.EXTENDED_REPLY, _read_limits)
            asked.add_callbacks(self._limits_came, self._no_limits)
        else:
            self.ready.callback(None)

    def _limits_came(self, limits: Limits) -> None:
        self.limits = limits
        self.ready.callback(None)

    def _no_limits(self, failure: Failure) -> None:
        if self.lost is None and not self.ready.called:
            self.ready.callback(None)

    def _packet_with_more(self, kind: int, payload: memoryview) -> None:
        """Take a packet of version 6, which may go on behind what is known of it."""
        self._packet(kind, self.dialect.known_part(kind, payload))

    def _packet(self, kind: int, payload: memoryview) -> None:
        if len(payload) < 5:
            raise SFTPProtocolError(f"an answer of {len(payload)} bytes")
        (number,) = unpack_id(payload, 1)
        answer = self.pending.pop(number, None)
        if answer is None:
            raise SFTPProtocolError(f"an answer to request {number}, which is not pending")
        try:
            answer.answered(kind, payload)
        except Exception:
            self.pending[number] = answer  # hears of it with the others, when the session has ended
            raise

    def _begin(self, kind: int, length: int, head: memoryview) -> "tuple[int, PieceHandler] | None":
        """Let DATA that is long go straight to whoever asked for it."""
        if kind != m.DATA or length < 10:
            return None
        number, size = unpack_two(head, 1)
        answer = self.pending.get(number)
        if answer is None or size != length - 9:
            return None  # the whole packet will be refused, or (in version 6) has more behind the data
        piece = answer.begin(size)
        if piece is None:
            return None
        del self.pending[number]
        self._streaming = answer
        return 9, piece

    def _ticked(self) -> None:
        """See who has waited too long."""
        self._tick = tick = self._tick + 1
        heard = self._heard
        if not self.ready.called and tick > TICKS:
            self._ticker = None
            self.end(SFTPConnectionLost(self._why(f"no answer to INIT within {self._timeout:g} seconds")))
            return
        streaming = self._reader.streaming
        if streaming and tick - heard > TICKS:
            self._ticker = None
            self.end(TimeoutError(f"the SFTP server fell silent for {self._timeout:g} seconds"))
            return
        late = [
            number
            for number, answer in self.pending.items()
            if tick - answer.tick > TICKS and (tick - heard > TICKS or tick - answer.tick > STUBBORN)
        ]
        for number in late:
            answer = self.pending.get(number)
            if answer is not None and answer.__class__ is not Nobody:
                nobody = self.pending[number] = Nobody()
                nobody.tick = tick
                answer.failed(
                    TimeoutError(f"the SFTP server gave no answer within {self._timeout:g} seconds")
                )
        if self.lost is None and (self.pending or streaming or not self.ready.called):
            self._ticker = self.clock.call_later(self._timeout / TICKS, self._ticked)
        else:
            self._ticker = None

    def _why(self, text: str) -> str:
        words = printable(self._last_words).strip() if self._last_words else ""
        return f"{text}: {words}" if words else text


def _checked(versions: Iterable[int]) -> tuple[int, ...]:
    from sshkit.sftp.versions import checked

    return checked(versions)


def _read_handle(payload: memoryview) -> bytes:
    handle = m.unpack_string(payload)
    if len(handle) > m.MAX_HANDLE:
        raise SFTPProtocolError(f"a handle of {len(handle)} bytes")
    return bytes(handle)


def _read_limits(payload: memoryview) -> Limits:
    reader = WireReader(payload)
    reader.position = 5
    return Limits(*(reader.uint64("limit") for _ in range(4)))


def wire_string(value: bytes) -> bytes:
    """Encode bytes with their length in front."""
    return len(value).to_bytes(4, "big") + value


_pack_head = m.pack_head
unpack_id = m.unpack_id
unpack_two = m.unpack_two

__all__ = ["Answer", "Call", "Limits", "Session"]
