"""The side of the legacy SCP protocol that takes files.

The client's for a download, and the far side's of an upload (``scp -t``).  Folders are held by descriptor and
each name is opened below one without following a link (R35); only the target that the own user named may
be a link.  Files are written in place, as scp always has: one that does not arrive whole is cut to what came,
and told.
"""

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable, quoted

from sshkit.scp import messages as m
from sshkit.scp.messages import Complaint, EndFolder, Entry, SCPConnectionLost, SCPProtocolError, Times
from sshkit.scp.peer import MAX_DEPTH, Observer, Peer

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

#: What a new file may be made with: set-uid, set-gid and sticky bits are dropped (R35).
MODE_BITS = 0o777
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK


class Folder(NamedTuple):
    """A folder that things are put into."""

    fd: int
    path: bytes  #: to name it to a person
    mode: int | None  #: set when it is complete
    times: Times | None


class Sink(Peer):
    """Takes what a source sends and puts it at `target`."""

    __slots__ = (
        "_error",
        "_fd",
        "_folders",
        "_left",
        "_must_be_folder",
        "_path",
        "_preserve",
        "_recursive",
        "_size",
        "_state",
        "_target",
        "_times",
        "_wanted",
        "heard",
        "mode",
    )

    def __init__(
        self,
        target: bytes,
        clock: "Clock",
        *,
        recursive: bool = False,
        preserve: bool = False,
        must_be_folder: bool = False,
        wanted: Callable[[bytes], bool] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`wanted` tells which names may come at the top (R35): those that were asked for."""
        super().__init__(clock, observer)
        self._target = target
        self._recursive = recursive
        self._preserve = preserve
        self._must_be_folder = must_be_folder
        self._wanted = wanted
        self._folders: list[Folder] = []
        self._times: Times | None = None
        self._state: Callable[[memoryview], memoryview] = self._take_record
        # The file in work.
        self._fd = -1
        self._path = b""
        self.mode = 0
        self._size = 0
        self._left = 0
        self._error: OSError | None = None
        self.heard = False  #: the other side has said anything at all

    def begin(self) -> None:
        """Look at the target, and ask for the first record."""
        try:
            fd = os.open(self._target, _FOLDER_FLAGS)
        except OSError as error:
            if self._must_be_folder:
                self._complain(f"{printable(self._target, 4096)}: {error.strerror}", fatal=True)
                self.finish()
                return
        else:
            self._folders.append(Folder(fd, self._target, None, None))
        self._transport.write(m.OK)

    def take(self, view: memoryview) -> memoryview:
        self.heard = True
        return self._state(view)

    def stream_ended(self, error: BaseException | None) -> None:
        """End well if nothing is missing."""
        if error is None and self._state == self._take_record and self._is_at_top and not self._line:
            self.finish()
            return
        if self._state != self._take_record:
            came = self._size - self._left
            lost = SCPConnectionLost(
                f"{printable(self._path, 4096)}: lost connection after {came} of {self._size} bytes"
            )
            lost.__cause__ = error
            self.fail(lost)
            return
        super().stream_ended(error)

    def broken(self, error: SCPProtocolError) -> None:
        """Tell the other side before the end."""
        self._transport.write(m.format_complaint(f"scp: protocol error: {error}", fatal=True))
        self.fail(error)

    def stop(self) -> None:
        super().stop()
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, self._size - self._left)  # never to be taken for whole (R37)
            except OSError:
                pass
            self._close_file()
        for folder in self._folders:
            os.close(folder.fd)
        self._folders.clear()

    # Records.

    @property
    def _is_at_top(self) -> bool:
        return not self._folders or (len(self._folders) == 1 and self._folders[0].times is None)

    def _take_record(self, view: memoryview) -> memoryview:
        line, rest = self.take_line(view)
        if line is not None:
            self._obey(m.parse(line))
        return rest

    def _obey(self, record: m.Record) -> None:
        if isinstance(record, Entry):
            if record.is_folder:
                self._enter(record)
            else:
                self._start_file(record)
        elif isinstance(record, Times):
            self._times = record
            self._transport.write(m.OK)
        elif isinstance(record, EndFolder):
            self._leave()
        else:
            self._told(record)

    def _told(self, complaint: Complaint) -> None:
        self.note(complaint.text, True)
        if complaint.fatal:
            self.finish()

    def _place(self, name: bytes) -> tuple[int | None, bytes, bytes, int]:
        """Return where `name` goes: descriptor of the folder, name in it, name for a person, more flags."""
        if not self._folders:
            return None, self._target, self._target, 0
        folder = self._folders[-1]
        path = folder.path + (b"" if folder.path.endswith(b"/") else b"/") + name
        return folder.fd, name, path, os.O_NOFOLLOW

    def _check_wanted(self, name: bytes) -> None:
        if self._is_at_top and self._wanted is not None and not self._wanted(name):
            raise SCPProtocolError(f"the other side sent {quoted(name)}, which was not asked for")

    def _enter(self, record: Entry) -> None:
        """Make a folder and go into it."""
        if not self._recursive:
            raise SCPProtocolError("received a directory without -r")
        if len(self._folders) > MAX_DEPTH:
            raise SCPProtocolError(f"more than {MAX_DEPTH} directories below each other")
        self._check_wanted(record.name)
        times, self._times = self._times, None
        folder, name, path, flags = self._place(record.name)
        mode = record.mode & MODE_BITS
        try:
            try:
                os.mkdir(name, mode | stat.S_IRWXU, dir_fd=folder)
                final: int | None = mode if self._preserve else mode & ~_umask()
            except FileExistsError:
                final = mode if self._preserve else None
            fd = os.open(name, _FOLDER_FLAGS | flags, dir_fd=folder)
        except OSError as error:
            self._complain(f"{printable(path, 4096)}: {error.strerror}")
            return
        # An empty place of times still marks that this is not the top.
        self._folders.append(Folder(fd, path, final, times or Times(-1, -1)))
        self._transport.write(m.OK)

    def _leave(self) -> None:
        """The folder is complete."""
        if self._is_at_top:
            raise SCPProtocolError("the end of a directory that was not begun")
        folder = self._folders.pop()
        try:
            if folder.times is not None and folder.times.mtime >= 0:
                os.utime(folder.fd, ns=(folder.times.atime, folder.times.mtime))
            if folder.mode is not None:
                os.fchmod(folder.fd, folder.mode)
            self._transport.write(m.OK)
        except OSError as error:
            self._complain(f"{printable(folder.path, 4096)}: {error.strerror}")
        finally:
            os.close(folder.fd)

    # Files.

    def _start_file(self, record: Entry) -> None:
        self._check_wanted(record.name)
        folder, name, path, flags = self._place(record.name)
        mode = record.mode & MODE_BITS
        try:
            fd = os.open(name, _FILE_FLAGS | flags, mode | stat.S_IWUSR, dir_fd=folder)
        except OSError as error:
            self._times = None
            self._complain(f"{printable(path, 4096)}: {error.strerror}")
            return
        os.set_blocking(fd, True)
        self._fd = fd
        self._path = path
        self.mode = mode
        self._size = self._left = record.size
        self._error = None
        self._state = self._take_data if record.size else self._take_verdict
        self.observer.file_started(record.name, record.size)
        self._transport.write(m.OK)

    def _take_data(self, view: memoryview) -> memoryview:
        piece = view[: self._left]
        size = len(piece)
        if self._error is None:
            try:
                done = os.write(self._fd, piece)
                while done < size:
                    done += os.write(self._fd, piece[done:])
            except OSError as error:
                self._error = error  # what still comes is dropped; the source is told at the end
        self._left -= size
        if not self._left:
            self._state = self._take_verdict
        pause = self.observer.moved(size)
        if pause > 0:
            self._transport.pause_reading()
            self.clock.call_later(pause, self._go_on)
        return view[size:]

    def _go_on(self) -> None:
        if not self.over:
            self._transport.resume_reading()

    def _take_verdict(self, view: memoryview) -> memoryview:
        """Take what the source says of a file that it has sent."""
        if not self._line and view[0] == 0:
            self._end_file()
            return view[1:]
        line, rest = self.take_line(view)
        if line is not None:
            record = m.parse(line)
            if not isinstance(record, Complaint):
                raise SCPProtocolError(f"expected a verdict, got {quoted(line)}")
            self.note(record.text, True)
            self._times = None
            self._end_file()
            if record.fatal:
                self.finish()
        return rest

    def _end_file(self) -> None:
        """Give the file its size, mode and times, and answer."""
        error = self._error
        try:
            if stat.S_ISREG(os.fstat(self._fd).st_mode) and error is None:
                os.ftruncate(self._fd, self._size)
            if self._preserve:
                os.fchmod(self._fd, self.mode)
            if self._times is not None and error is None:
                os.utime(self._fd, ns=(self._times.atime, self._times.mtime))
        except OSError as late:
            error = error or late
        self._times = None
        self._close_file()
        error = error or self._error
        self._state = self._take_record
        self.observer.file_ended()
        if error is None:
            self._transport.write(m.OK)
        else:
            self._complain(f"{printable(self._path, 4096)}: {error.strerror}")

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        try:
            os.close(fd)
        except OSError as error:  # a quota or a server that is only heard of now
            self._error = self._error or error

    def _complain(self, text: str, *, fatal: bool = False) -> None:
        """Tell both sides."""
        self.note(text, False)
        self._transport.write(m.format_complaint(f"scp: {text}", fatal=fatal))


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
