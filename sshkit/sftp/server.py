"""An SFTP server on any byte stream (draft-ietf-secsh-filexfer-02, version 3; on request up to 6).

`sshkit.server.sftp` puts one on a channel, `server_pipes` on two pipes; a test on a pair in memory.  The
stream under it is a transport of asyncio's kind that tells `pause_writing`; what may wait goes to threads
through `defer_to_thread`, where there is one.  Randomness and the time of day are handed in.

Requests are handled as they come, in order, as long as the client takes the answers; then they wait, and
the stream is not read.  Payloads are views, READ answers lie in one buffer that is used again.  Requests by
path are in `server_paths`, those by extension in `extensions/`.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import WireError

from sshkit.sftp import messages as m
from sshkit.sftp import status as codes
from sshkit.sftp.errors import SFTPError, SFTPPermissionDenied, SFTPProtocolError, status_for
from sshkit.sftp.packets import PacketReader
from sshkit.sftp.server_dialect import ServerDialect
from sshkit.sftp.server_events import SFTPEvent
from sshkit.sftp.server_handles import HANDLE_SIZE, MAX_HANDLES, Handles, OpenDirectory, OpenFile
from sshkit.sftp.server_io import after_init, before_init, before_requests
from sshkit.sftp.server_requests import CHANGES, HANDLE, REQUESTS, Asked, Permit, SFTPRequest, refused
from sshkit.sftp.server_work import Work

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import Backend, Entry, Found

MAX_WAITING = 64 * 1024  #: bytes of small answers that are put together before they are written

_STATUS = Struct(">IBII")  # of DATA too, up to the data
_OK_WORDS = Struct(">I7sI").pack(7, b"Success", 0)
_OK_SIZE = 9 + len(_OK_WORDS)
_EOF_WORDS = Struct(">I11sI").pack(11, b"End of file", 0)
_EOF_SIZE = 9 + len(_EOF_WORDS)
_pack_status = _STATUS.pack

#: Not in the log: they are many, and change nothing.
_QUIET = frozenset(
    {"read", "write", "readdir", "stat", "lstat", "fstat", "realpath", "readlink", "statvfs", "fstatvfs",
     "limits", "expand-path", "home-directory", "users-groups-by-id"}
)  # fmt: skip

#: What backends raise where a request fails; everything else is a mistake of ours or theirs.
_EXPECTED = (OSError, SFTPError, EOFError, NotImplementedError, OverflowError)

Respond = Callable[["Asked", Any], object]
DeferToThread = Callable[..., Any]


class SFTPServer:
    """One session.  `failed` says what the client did wrong, where that ended it."""

    __slots__ = (
        "_closed",
        "_eof",
        "_free",
        "_going_on",
        "_handlers",
        "_lost",
        "_on_end",
        "_on_error",
        "_on_event",
        "_out",
        "_out_size",
        "_paused",
        "_permit",
        "_queue",
        "_reader",
        "_reading_paused",
        "_refused",
        "_started",
        "_work",
        "as_drafted",
        "backend",
        "buffer",
        "dialect",
        "failed",
        "handles",
        "max_version",
        "now",
        "read_only",
        "simple",
        "threads",
        "transport",
        "waits",
    )

    def __init__(
        self,
        backend: "Backend",
        *,
        random_bytes: Callable[[int], bytes],
        now: Callable[[], float],
        defer_to_thread: DeferToThread | None = None,
        read_only: bool = False,
        denied: Iterable[str] = (),
        allowed: Iterable[str] | None = None,
        permit: Permit | None = None,
        on_event: Callable[[SFTPEvent], object] | None = None,
        on_error: Callable[[BaseException], object] | None = None,
        on_end: Callable[[], object] | None = None,
        max_handles: int = MAX_HANDLES,
        max_version: int = 3,
        as_drafted: bool = False,
    ) -> None:
        """`denied` and `allowed` are names of requests; raises UnknownRequest for one that is none.

        `on_error` hears of exceptions that no backend should raise; `on_end` of the end of the session, when
        everything is closed.  `max_version` is the highest of the protocol that is spoken, 3 to 6.
        `as_drafted`: the client has the paths of SYMLINK in the order of the draft (see `symlinks`).
        """
        if not 3 <= max_version <= 6:
            raise ValueError(f"version {max_version} of SFTP; there are 3 to 6")
        self.max_version = max_version
        self.as_drafted = as_drafted
        self.dialect = ServerDialect(self)
        self.backend = backend
        self.read_only = read_only or backend.read_only
        self._refused = refused(denied, allowed, self.read_only)
        self.now = now
        self.threads = defer_to_thread
        self.waits = defer_to_thread is None  # reads may wait for the disk
        self.simple = not backend.asynchronous and (self.waits or not backend.blocking)
        self._permit = permit
        self._on_event = on_event
        self._on_error = on_error
        self._on_end = on_end
        self.handles = Handles(random_bytes, max_handles)
        self.failed: SFTPProtocolError | None = None
        self._handlers = before_init()
        self._reader: PacketReader | None = None
        self.transport: Any = None
        self.buffer: memoryview | None = None
        self._out: list[bytes] = []  # small answers that leave together
        self._out_size = 0
        self._queue: deque[memoryview] = deque()  # requests that wait
        self._work = Work()
        self._free = True  # nothing waits and nothing runs: a request is handled at once
        self._going_on = False
        self._paused = False  # the client does not take answers
        self._reading_paused = False
        self._started = False
        self._eof = False
        self._closed = False  # nothing is handled any more
        self._lost = False  # the stream has ended

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes | bytearray | memoryview) -> None:
        reader = self._reader
        if reader is None:
            reader = self._reader = PacketReader(self._packet)
        if not reader.stopped:
            try:
                reader.feed(memoryview(data))
            except SFTPProtocolError as error:
                self.end(error)
        self.flush()

    def eof_received(self) -> bool:
        """Answer what is in work, then end."""
        self._eof = True
        if self._reader is not None and self._reader.pending and self.failed is None:
            self.failed = SFTPProtocolError("the stream ended within a packet")
        if not self._queue and not self._work.running:
            self._close_transport()
        return True

    def connection_lost(self, error: BaseException | None) -> None:
        """Let everything go, once nothing runs on it."""
        if not self._lost:
            self._lost = True
            self._stop()
            self.transport = None
            if not self._work.running:
                self._close_all()

    def pause_writing(self) -> None:
        self._paused = True
        self._free = False

    def resume_writing(self) -> None:
        self._paused = False
        self._go_on()

    # Requests.

    def start(self, version: int = 3) -> None:
        """Serve requests from now on: INIT has come."""
        self._started = True
        self.speak(version)
        if self.max_version > 3:
            from sshkit.sftp.server_versions import first_request

            self._handlers = before_requests(first_request)

    def speak(self, version: int) -> None:
        """Take requests of this version from now on."""
        if version != self.dialect.version:
            from sshkit.sftp.server_dialect_v4 import DIALECTS

            self.dialect = DIALECTS[version](self)
        self._handlers = after_init(self._refused, self.dialect.handlers())

    def handle(self, payload: memoryview) -> None:
        """Handle one request, whose turn it is."""
        self._handlers[payload[0]](self, payload)

    def packet(self, kind: int, payload: memoryview) -> None:
        """Take one packet; `flush` must follow.  Raises SFTPProtocolError where it ends the session.

        For whoever cuts the stream himself; the payload begins with the byte of the kind.
        """
        try:
            if self._free:
                self._handlers[kind](self, payload)
            elif not self._closed:
                self._take(payload)
        except (WireError, StructError) as error:
            self._malformed(payload, error)

    _packet = packet

    def flush(self) -> None:
        """Write what was put together."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._out_size = 0
            if self.transport is not None:
                self.transport.write(data)

    def end(self, error: SFTPProtocolError) -> None:
        """End the session for what the client did."""
        if self.failed is None:
            self.failed = error
        self.flush()
        self._stop()
        self._close_transport()

    def _take(self, payload: memoryview) -> None:
        """Handle a request now if it may run beside what does; else keep it, and stop reading."""
        if not self._queue and not self._paused and self._work.may_start(*self._kind_of(payload)):
            self._handlers[payload[0]](self, payload)
            return
        self._queue.append(memoryview(bytes(payload)))
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def _kind_of(self, payload: memoryview) -> tuple[int, bytes]:
        """Return what the request may run beside, and its handle; anything for one that is malformed."""
        known = REQUESTS.get(payload[0])
        if known is not None:
            return known[1], bytes(payload[9 : 9 + HANDLE_SIZE])
        if payload[0] == m.LINK:
            return CHANGES, b""
        if payload[0] == m.EXTENDED:
            from sshkit.sftp.extensions import kind_of

            return kind_of(payload)
        return HANDLE, b""

    def _go_on(self) -> None:
        """Handle what waited, as far as it may run."""
        if self._going_on or self._closed:
            return
        self._going_on = True
        queue = self._queue
        try:
            while queue and not self._paused and self._work.may_start(*self._kind_of(queue[0])):
                payload = queue.popleft()
                try:
                    self._handlers[payload[0]](self, payload)
                except (WireError, StructError) as error:
                    self._malformed(payload, error)
            self.flush()
        except SFTPProtocolError as error:
            self.end(error)
        finally:
            self._going_on = False
        if self._closed:
            return
        if queue or self._paused:
            return
        self._free = not self._work.running
        if self._eof:
            if self._free:
                self._close_transport()
        elif self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def _malformed(self, payload: memoryview, error: Exception) -> None:
        """Answer a request that cannot be read; without a number there is nothing to answer."""
        if len(payload) < 5 or not self._started:
            raise SFTPProtocolError(f"a packet that cannot be read: {error}") from None
        self.send_status(m.unpack_id(payload, 1)[0], codes.BAD_MESSAGE, codes.WORDS[codes.BAD_MESSAGE])

    # Doing what was asked; handlers and extensions call these.

    def do(self, asked: Asked, respond: Respond, function: Callable[..., Any], *args: Any) -> None:
        """Call the backend and answer with `respond(asked, result)`, now or when the result is there."""
        if not self._may(asked):
            return
        threads = self.threads
        try:
            result = (
                function(*args) if threads is None or not self.backend.blocking else threads(function, *args)
            )
        except Exception as error:
            self.fail(asked, error)
            return
        if hasattr(result, "__await__"):
            self.wait_for(asked, respond, result)
        else:
            respond(asked, result)

    def do_apart(self, asked: Asked, respond: Respond, function: Callable[..., Any], *args: Any) -> None:
        """The same for what takes long: in a thread, where there are any."""
        if self.threads is None or self.backend.asynchronous:
            self.do(asked, respond, function, *args)
        elif self._may(asked):
            self.wait_for(asked, respond, self.threads(function, *args))

    def do_steps(
        self, asked: Asked, respond: Respond, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any
    ) -> None:
        """The same for a coroutine that calls the backend again and again."""
        if self.backend.asynchronous:
            from sshkit.deferred import ensure_deferred

            self.do(asked, respond, lambda: ensure_deferred(function(*args)))
        else:
            self.do_apart(asked, respond, _run_to_end, function, *args)

    def is_over(self) -> bool:
        """Tell whether the session has ended; asked by what takes long, also in threads."""
        return self._closed

    def _may(self, asked: Asked) -> bool:
        if self._permit is None or asked.name in ("read", "write", "readdir", "fstat", "close"):
            return True
        if self._permit(SFTPRequest(asked.name, asked.path, asked.target, asked.flags)):
            return True
        self.deny(asked)
        return False

    def wait_for(self, asked: Asked, respond: Respond, awaitable: Any) -> None:
        from sshkit.deferred import Deferred, Failure, maybe_deferred

        later: Deferred[Any] = (
            awaitable if isinstance(awaitable, Deferred) else maybe_deferred(lambda: awaitable)
        )
        self._work.start(asked.kind, asked.handle)
        self._free = False

        def done(result: Any) -> None:
            if not self._closed:
                respond(asked, result)
            elif asked.name in ("open", "opendir"):
                self.close_one(result)

        def failed(failure: Failure) -> None:
            if not self._closed:
                self.fail(asked, failure.exception)

        def finished(result: Any) -> None:
            self._work.end(asked.kind, asked.handle)
            if not self._closed:
                self.flush()
                self._go_on()
            elif self._lost and not self._work.running:
                self._close_all()
            if isinstance(result, Failure) and self._on_error is not None:
                self._on_error(result.exception)

        later.add_callbacks(done, failed).add_both(finished)

    # Answers.

    def send(self, packet: bytes) -> None:
        """Send one small packet, with the others of this moment."""
        self._out.append(packet)
        self._out_size += len(packet)
        if self._out_size > MAX_WAITING:
            self.flush()

    def send_view(self, data: memoryview) -> None:
        """Send one large packet that lies in a buffer which is used again."""
        if self._out:
            self.flush()
        self.transport.write(data)

    def send_status(self, number: int, code: int, words: str) -> None:
        """Send a STATUS."""
        self.send(m.pack_status(number, code, words.encode("utf-8", "replace")))

    def succeed(self, asked: Asked, result: object = None) -> None:
        """Answer that it was done."""
        self.send(_pack_status(_OK_SIZE, m.STATUS, asked.number, codes.OK) + _OK_WORDS)
        if self._on_event is not None:
            self.tell(asked)

    def fail(self, asked: Asked, error: BaseException) -> None:
        """Answer why it was not done."""
        code, words = status_for(error, self.dialect.version)
        if isinstance(error, ValueError) and not isinstance(error, (OSError, SFTPError)):
            code, words = codes.BAD_MESSAGE, codes.WORDS[codes.BAD_MESSAGE]
        elif self._on_error is not None and not isinstance(error, _EXPECTED):
            self._on_error(error)
        self.send_status(asked.number, code, words)
        if self._on_event is not None:
            self.tell(asked, error=words)

    def deny(self, asked: Asked) -> None:
        """Answer that it is not permitted."""
        self.fail(asked, SFTPPermissionDenied())

    def deny_number(self, number: int, name: str) -> None:
        """Answer a request that is not served here, without reading it."""
        self.send_status(number, codes.PERMISSION_DENIED, codes.WORDS[codes.PERMISSION_DENIED])
        if self._on_event is not None:
            self._on_event(SFTPEvent("denied", name.encode()))

    def is_refused(self, name: str) -> bool:
        """Tell whether requests of this name are not served here."""
        return name in self._refused

    def send_end(self, number: int) -> None:
        """Answer that there is no more."""
        self.send(_pack_status(_EOF_SIZE, m.STATUS, number, codes.EOF) + _EOF_WORDS)

    def send_ok(self, number: int) -> None:
        """Answer that it was done; the log hears of it elsewhere."""
        self.send(_pack_status(_OK_SIZE, m.STATUS, number, codes.OK) + _OK_WORDS)

    def send_data(self, asked: Asked, data: "bytes | memoryview") -> None:
        """Answer READ with what took the long way."""
        size = len(data)
        if not size:
            self.send_end(asked.number)
            return
        file = self.handles.files.get(asked.handle)
        if file is not None:
            file.read += size
        self.send(_STATUS.pack(9 + size, m.DATA, asked.number, size))
        self.send(bytes(data))

    def send_names(self, asked: Asked, entries: "list[Entry]") -> None:
        """Answer READDIR."""
        if not entries:
            self.send_end(asked.number)
            return
        self.send(self.dialect.pack_names(asked.number, entries))

    def send_found(self, asked: Asked, found: "Found") -> None:
        """Answer with attributes."""
        self.send(self.dialect.pack_found(asked.number, found))

    def send_path(self, asked: Asked, path: bytes) -> None:
        """Answer with one name."""
        self.send(self.dialect.pack_name(asked.number, path))

    def send_reply(self, asked: Asked, body: bytes) -> None:
        """Answer an extension's request."""
        self.send(m.frame(m.ExtendedReply(asked.number, body).encode()))

    def tell(self, asked: Asked, *, error: str | None = None, read: int = 0, written: int = 0) -> None:
        """Tell the log, unless nobody wants to know of such."""
        on_event = self._on_event
        if on_event is not None and (asked.name not in _QUIET):
            on_event(
                SFTPEvent(
                    asked.name,
                    asked.path,
                    target=asked.target,
                    flags=asked.flags,
                    attributes=asked.attributes,
                    read=read,
                    written=written,
                    error=error,
                )
            )

    # Open files.

    def opened(self, asked: Asked, file: Any) -> None:
        """Answer OPEN."""
        flags = asked.flags
        writable = bool(flags & m.WRITE_FLAG)
        self._add(
            asked, OpenFile(file, asked.path, bool(flags & m.READ_FLAG) or not writable, writable), file
        )

    def opened_directory(self, asked: Asked, directory: Any) -> None:
        """Answer OPENDIR."""
        self._add(asked, OpenDirectory(directory, asked.path), directory)

    def _add(self, asked: Asked, entry: OpenFile | OpenDirectory, what: Any) -> None:
        try:
            self.handles.check_room()  # several may have been opened beside each other
        except OSError as error:
            self.close_one(what)
            self.fail(asked, error)
            return
        self.send(m.pack_string(m.HANDLE, asked.number, self.handles.add(entry)))
        if self._on_event is not None:
            self.tell(asked)

    def file_of(self, asked: Asked) -> OpenFile | None:
        """Return the open file of `asked.handle`, and note its path; answers where there is none."""
        found = self.handles.files.get(asked.handle)
        if found is None:
            self.bad_handle(asked.number)
        else:
            asked.path = found.path
        return found

    def bad_handle(self, number: int) -> None:
        """Answer that nothing is open by such a handle."""
        self.send_status(number, self.dialect.bad_handle, "Invalid handle")

    # The end.

    def _stop(self) -> None:
        self._closed = True
        self._free = False
        self._queue.clear()
        self._out.clear()
        self._out_size = 0
        if self._reader is not None:
            self._reader.stopped = True

    def _close_transport(self) -> None:
        if self.transport is not None:
            self.flush()
            self.transport.close()

    def _close_all(self) -> None:
        """Close what the client left open, in threads where that may take long."""
        for entry in self.handles.take_all():
            if isinstance(entry, OpenFile):
                asked = Asked("forced-close", HANDLE, 0, entry.path)
                self.tell(asked, read=entry.read, written=entry.written)
                self.close_one(entry.file)
            else:
                self.close_one(entry.directory)
        self.buffer = None
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def close_one(self, what: Any) -> None:
        """Close without anybody to tell how it went."""
        try:
            if self.threads is not None and self.backend.blocking:
                result = self.threads(what.close)
            else:
                result = what.close()
            if hasattr(result, "__await__"):
                from sshkit.deferred import maybe_deferred

                maybe_deferred(lambda: result).add_errback(self._not_closed)
        except Exception as error:
            if self._on_error is not None:
                self._on_error(error)

    def _not_closed(self, failure: Any) -> None:
        if self._on_error is not None:
            self._on_error(failure.exception)


def _run_to_end(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run a coroutine that never waits, because nothing that it calls does."""
    coroutine = function(*args)
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value
    finally:
        coroutine.close()
    raise RuntimeError("a backend that is not asynchronous gave an awaitable")
