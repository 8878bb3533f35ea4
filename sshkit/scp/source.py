"""The side of the legacy SCP protocol that sends files.

The client's for an upload, and the far side's of a download (``scp -f``).  What is to be said is a
generator: it yields a line, or a file's contents, and is resumed with the other side's answer.
"""

import os
import stat
from collections.abc import Generator, Sequence
from mmap import mmap
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable, quoted

from sshkit.scp import messages as m
from sshkit.scp.messages import SCPProtocolError
from sshkit.scp.peer import MAX_DEPTH, Observer, Peer

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

CHUNK = 256 * 1024  #: bytes of one read
#: Bytes that one turn of the reactor sends at most, so that others have their turns.
TURN = 4 * 1024 * 1024
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Contents(NamedTuple):
    """A file whose bytes are to be sent."""

    fd: int
    size: int
    path: bytes


Steps = Generator["bytes | Contents", bool, None]


class Source(Peer):
    """Sends files and folders to a sink."""

    __slots__ = (
        "_asked",
        "_buffer",
        "_contents",
        "_error",
        "_name",
        "_paths",
        "_preserve",
        "_recursive",
        "_sent",
        "_steps",
        "_waits",
        "_writable",
    )

    def __init__(
        self,
        paths: Sequence[bytes],
        clock: "Clock",
        *,
        recursive: bool = False,
        preserve: bool = False,
        name: bytes | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`name` is what the one path is called there, where that is not its own last part."""
        super().__init__(clock, observer)
        self._paths = paths
        self._recursive = recursive
        self._preserve = preserve
        self._name = name
        self._steps = self._all()
        self._asked = False  # an answer is to come
        self._waits = False  # for a moment that the observer asked for
        self._writable = True
        self._contents: Contents | None = None
        self._sent = 0
        self._error: OSError | None = None
        self._buffer: memoryview | None = None

    # What the stream calls.

    def begin(self) -> None:
        """Wait for the sink to say that it is there."""
        next(self._steps)
        self._asked = True

    def take(self, view: memoryview) -> memoryview:
        """Take one answer, or a part of one."""
        if not self._line:
            if not self._asked:
                raise SCPProtocolError("an answer that nothing was asked for")
            if view[0] == 0:
                self._answered(True)
                return view[1:]
            if view[0] not in (m.WARNING, m.FATAL):
                # What a login script prints, for example.
                raise SCPProtocolError(f"the other side said {quoted(bytes(view[:200]))}")
        line, rest = self.take_line(view)
        if line is not None:
            self.note(printable(line[1:], m.MAX_TEXT), True)
            if line[0] == m.FATAL:
                self.finish()
            else:
                self._answered(False)
        return rest

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    def stop(self) -> None:
        super().stop()
        self._contents = None
        try:
            self._steps.close()
        except ValueError:  # it is what stops us
            pass

    # What is said.

    def _all(self) -> Steps:
        yield b""
        for path in self._paths:
            plain = path.rstrip(b"/") or b"/"
            yield from self._one(path, self._name or plain.rpartition(b"/")[2], ())

    def _one(self, path: bytes, name: bytes, above: tuple[tuple[int, int], ...]) -> Steps:
        try:
            fd = os.open(path, _FLAGS)
        except OSError as error:
            self._complain(path, error.strerror)
            return
        try:
            found = os.fstat(fd)
            if stat.S_ISDIR(found.st_mode) and self._recursive:
                yield from self._folder(fd, path, name, found, above)
            elif stat.S_ISREG(found.st_mode):
                yield from self._file(fd, path, name, found)
            else:
                self._complain(path, "not a regular file")
        finally:
            os.close(fd)

    def _file(self, fd: int, path: bytes, name: bytes, found: os.stat_result) -> Steps:
        if self._preserve and not (yield m.format_times(found.st_mtime_ns, found.st_atime_ns)):
            return
        if (yield m.format_entry(False, found.st_mode, found.st_size, name)):
            self.observer.file_started(path, found.st_size)
            yield Contents(fd, found.st_size, path)
            self.observer.file_ended()

    def _folder(
        self, fd: int, path: bytes, name: bytes, found: os.stat_result, above: tuple[tuple[int, int], ...]
    ) -> Steps:
        identity = (found.st_dev, found.st_ino)
        if identity in above or len(above) >= MAX_DEPTH:
            self._complain(path, "a directory that holds itself" if identity in above else "nested too deep")
            return
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            self._complain(path, error.strerror)
            return
        if self._preserve and not (yield m.format_times(found.st_mtime_ns, found.st_atime_ns)):
            return
        if not (yield m.format_entry(True, found.st_mode, 0, name)):
            return
        for inner in names:
            yield from self._one(path.rstrip(b"/") + b"/" + inner, inner, (*above, identity))
        yield m.END_FOLDER

    # How it is said.

    def _answered(self, granted: bool) -> None:
        self._asked = False
        try:
            item = self._steps.send(granted)
        except StopIteration:
            self.finish()
            return
        if isinstance(item, Contents):
            self._contents = item
            self._sent = 0
            self._error = None
            self._pump()
        else:
            self._asked = True
            self._transport.write(item)

    def _pump(self) -> None:
        """Send contents for as long as the stream takes them."""
        contents = self._contents
        if contents is None or self._waits:
            return
        if self._buffer is None:
            self._buffer = memoryview(mmap(-1, CHUNK))  # on a page: copies from the cache like that
        most = self._sent + TURN
        while self._sent < contents.size:
            if not self._writable:
                return
            if self._sent >= most:
                self._wait(0.0)
                return
            size = self._read(contents)
            self._transport.write(self._buffer[:size])
            if self.over:
                return
            self._sent += size
            pause = self.observer.moved(size)
            if pause > 0:
                self._wait(pause)
                return
        self._contents = None
        self._asked = True
        if self._error is None:
            self._transport.write(m.OK)
        else:
            self._complain(contents.path, self._error.strerror)

    def _read(self, contents: Contents) -> int:
        """Fill the buffer; where the file has failed or shrunk, with zeros, since the bytes are promised."""
        assert self._buffer is not None
        wanted = min(CHUNK, contents.size - self._sent)
        size = 0
        if self._error is None:
            try:
                size = os.preadv(contents.fd, [self._buffer[:wanted]], self._sent)
                if not size:
                    self._error = OSError(5, "the file became shorter while it was sent")
            except OSError as error:
                self._error = error
        if not size:
            self._buffer[:wanted] = bytes(wanted)
            size = wanted
        return size

    def _wait(self, seconds: float) -> None:
        self._waits = True
        self.clock.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        self._pump()

    def _complain(self, path: bytes, text: str | None) -> None:
        """Tell both sides."""
        text = f"{printable(path, 4096)}: {text}"
        self.note(text, False)
        self._transport.write(m.format_complaint(f"scp: {text}"))
