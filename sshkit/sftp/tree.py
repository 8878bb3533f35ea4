"""Fetches a directory tree: many small files in flight, large ones by the engine, errors collected.

`SFTPClient.get(recursive=True)` calls it; `tree_put.py` is the other direction.  Small files cost no round
trip each: OPENs of many are in flight, and READ and CLOSE leave together as soon as a handle arrives.
Names are checked (R35); directories are held by descriptor, so nothing is written through a link that
somebody puts there meanwhile.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import Lister, join
from sshkit.sftp.client_session import Answer, Closing
from sshkit.sftp.errors import SFTPError, SFTPProtocolError, error_for
from sshkit.sftp.file import read_size
from sshkit.sftp.progress import FileError, TransferError, TransferResult, TreeError
from sshkit.sftp.transfer import PERMISSIONS, Options, Transfer, get_file, keep_mode, result_of
from sshkit.sftp.transfer_local import (
    CLOEXEC,
    NOFOLLOW,
    make_below,
    open_directory,
    part_name,
    write_all,
)

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

MAX_ERRORS = 10_000  #: errors that are kept; with more the tree is given up
SMALL = 64 * 1024  #: bytes of a file that is fetched with one READ
FOLDERS = 8  #: directories that are listed at the same time


class Folder:
    """A local directory, held open for as long as something in it is in work; then `last` is called."""

    __slots__ = ("descriptor", "last", "users")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.last: Callable[[], object] | None = None  #: sets what files that come and go would change
        self.users = 1

    def hold(self) -> "Folder":
        """Count one more user."""
        self.users += 1
        return self

    def release(self) -> None:
        """Count one less; the last one closes it."""
        self.users -= 1
        if not self.users:
            if self.last is not None:
                self.last()
            os.close(self.descriptor)


class Job(Protocol):
    """Something to begin, or to drop where the tree is given up first."""

    __slots__ = ()

    def start(self) -> None:
        """Begin; `Work.ended` is told once, later or at once."""
        ...

    def dropped(self) -> None:
        """It will not be begun."""
        ...


class LongJob:
    """A coroutine to run, made when its turn comes."""

    __slots__ = ("folder", "is_folder", "make", "path", "work")

    def __init__(
        self,
        work: "Work",
        folder: Folder | None,
        path: bytes,
        make: Callable[[], Coroutine[Any, Any, None]],
        is_folder: bool = False,
    ) -> None:
        self.work = work
        self.folder = None if folder is None else folder.hold()
        self.path = path
        self.make = make
        self.is_folder = is_folder

    def start(self) -> None:
        work = self.work
        job = ensure_deferred(self._run())
        work.jobs.add(job)

        def ended(outcome: Any) -> None:
            work.jobs.discard(job)
            error = outcome.exception if isinstance(outcome, Failure) else None
            work.ended(self.path, error, self.is_folder)

        job.add_both(ended)

    async def _run(self) -> None:
        try:
            await self.make()
        finally:
            self.dropped()

    def dropped(self) -> None:
        folder, self.folder = self.folder, None
        if folder is not None:
            folder.release()


class Work:
    """The jobs of a tree, so many at a time; collects what goes wrong.

    Directories have a queue of their own, the last found first: so a tree is gone through in depth, and
    few directories are open at a time.
    """

    __slots__ = (
        "_fatal",
        "_files",
        "_folders",
        "_folders_running",
        "_running",
        "_waiting",
        "errors",
        "found",
        "jobs",
        "limit",
        "options",
        "transfer",
    )

    def __init__(self, options: Options, transfer: Transfer) -> None:
        self.options = options
        self.transfer = transfer
        self.limit = max(options.parallel, 1)
        self.errors: list[FileError] = []
        self.found = 0  #: files and directories
        self.jobs: set[Deferred[Any]] = set()
        self._files: deque[Job] = deque()
        self._folders: list[Job] = []
        self._running = 0
        self._folders_running = 0
        self._fatal: BaseException | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def over(self) -> bool:
        """It was given up."""
        return self._fatal is not None

    def add(self, job: Job) -> None:
        """Queue a file."""
        if self._fatal is not None:
            job.dropped()
            return
        self._files.append(job)
        self._next()

    def add_folder(self, job: Job) -> None:
        """Queue a directory."""
        if self._fatal is not None:
            job.dropped()
            return
        self._folders.append(job)
        self._next()

    def count(self) -> None:
        """One more file or directory was found."""
        self.found += 1
        self.transfer.progress.files_total += 1
        if self.found > self.options.max_files:
            self.stop(TransferError(f"more than {self.options.max_files} files"))

    def ended(self, path: bytes, error: BaseException | None, is_folder: bool = False) -> None:
        """A job has ended."""
        if is_folder:
            self._folders_running -= 1
        else:
            self._running -= 1
        if error is not None:
            self.note(path, error)
        self._next()

    def note(self, path: bytes, error: BaseException) -> None:
        """Remember what went wrong with one file; stop where it is no matter of one file."""
        if self._fatal is not None:
            return
        self.errors.append(FileError(m.from_wire(path), error))
        of_one_file = isinstance(error, (SFTPError, OSError)) and not isinstance(
            error, (ConnectionError, TimeoutError)
        )
        if not of_one_file or self.options.errors == "raise" or len(self.errors) > MAX_ERRORS:
            self.stop(error)

    def stop(self, error: BaseException) -> None:
        """Give up: begin nothing more, and cancel what can be."""
        if self._fatal is None:
            self._fatal = error
            dropped = [*self._files, *self._folders]
            self._files.clear()
            self._folders.clear()
            for job in dropped:
                job.dropped()
            for running in tuple(self.jobs):
                running.cancel()
            self._wake()

    def _next(self) -> None:
        files, folders = self._files, self._folders
        while files and self._running < self.limit and self._fatal is None:
            self._running += 1
            files.popleft().start()
        while (
            folders
            and self._folders_running < FOLDERS
            and len(files) < 2 * self.limit
            and self._fatal is None
        ):
            self._folders_running += 1
            folders.pop().start()
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(None)

    async def room(self) -> None:
        """Wait until not too many files are queued."""
        while len(self._files) >= 4 * self.limit and self._fatal is None:
            await self._wait()

    def _wait(self) -> Deferred[None]:
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        return waiter

    async def finish(self) -> TransferResult:
        """Wait for all jobs; return the result, or raise."""
        try:
            while self._running or self._folders_running or self._files or self._folders:
                await self._wait()
        except CancelledError as error:
            self.stop(error)
            raise
        result = result_of(self.transfer)._replace(errors=tuple(self.errors))
        if self._fatal is not None and len(self.errors) <= MAX_ERRORS:
            raise self._fatal
        if self.errors:
            raise TreeError(f"{len(self.errors)} of {self.found} failed; {self.errors[0].error}", result)
        return result


class SmallFile(Answer):
    """One small file: OPEN, then READ and CLOSE together, then the local file in one write."""

    __slots__ = ("_handle", "client", "folder", "found", "name", "path", "work")

    def __init__(
        self, work: Work, client: "SFTPClient", folder: Folder, path: bytes, name: bytes, found: Attributes
    ) -> None:
        self.work = work
        self.client = client
        self.folder = folder.hold()
        self.path = path
        self.name = name
        self.found = found
        self._handle = False

    def start(self) -> None:
        session = self.client.session
        number = session.next_id()
        session.send(number, session.pack_open(number, self.path, m.READ_FLAG, Attributes()), self)

    def dropped(self) -> None:
        """It will not be begun."""
        self.folder.release()

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if code == status.OK or (code == status.EOF and not self._handle):
                raise SFTPProtocolError(f"status {code} in answer to {'READ' if self._handle else 'OPEN'}")
            if code == status.EOF:
                self._store(b"")
            else:
                self._end(error_for(code, words, self.path))
        elif not self._handle and kind == m.HANDLE:
            self._handle = True
            handle = bytes(m.unpack_string(payload))
            session = self.client.session
            number, last = session.next_id(), 0
            packet = m.pack_read(m.read_packer(handle), number, handle, 0, (self.found.size or 0) + 1)
            session.send(number, packet, self)
            last = session.next_id()
            session.send(last, m.pack_string(m.CLOSE, last, handle), Closing())
        elif self._handle and kind == m.DATA:
            data = m.unpack_string(payload)
            if not 0 < len(data) <= (self.found.size or 0) + 1:
                raise SFTPProtocolError(f"{len(data)} bytes of data, {self.found.size} and 1 were asked for")
            self._store(data)
        else:
            raise SFTPProtocolError(f"an answer of kind {kind}")

    def _store(self, data: "bytes | memoryview") -> None:
        if len(data) != (self.found.size or 0):
            # It is not what the listing said, or the server gives less at a time: the long way.
            self.work.add(large_job(self.work, self.client, self.folder, self.path, self.name, None))
            self._end(None)
            return
        try:
            self._write(data)
        except Exception as error:
            self._end(error)
            return
        transfer = self.work.transfer
        progress = transfer.progress
        progress.files += 1
        progress.total = (progress.total or 0) + len(data)
        transfer.moved(len(data))
        self._end(None)

    def _write(self, data: "bytes | memoryview") -> None:
        parent, name, found = self.folder.descriptor, self.name, self.found
        mode = PERMISSIONS & (found.permissions if found.permissions is not None else 0o666)
        part = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW | CLOEXEC
        try:
            descriptor = os.open(name, flags, mode | 0o200, dir_fd=parent)
        except FileExistsError:
            part = part_name(name, self.client.session.random_bytes)
            descriptor = os.open(part, flags, mode | 0o200, dir_fd=parent)
        whole = False
        try:
            write_all(descriptor, data)
            if self.work.options.preserve:
                os.fchmod(descriptor, mode)
                times = found.times_ns
                if times is not None:
                    os.utime(descriptor, ns=times)
            elif part is not None:
                keep_mode(parent, name, descriptor)
            if part is not None:
                os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
            whole = True
        finally:
            os.close(descriptor)
            if not whole:
                os.unlink(part or name, dir_fd=parent)

    def _end(self, error: BaseException | None) -> None:
        self.folder.release()
        self.work.ended(self.path, error)

    def failed(self, error: BaseException) -> None:
        self._end(error)


def large_job(
    work: Work, client: "SFTPClient", folder: Folder, path: bytes, name: bytes, found: Attributes | None
) -> LongJob:
    """Return the job that fetches one file with the engine."""

    async def fetch() -> None:
        attributes = await client.stat(path) if found is None else found
        await get_file(client, path, attributes, folder.descriptor, name, work.options, work.transfer)

    return LongJob(work, folder, path, fetch)


async def get_tree(
    client: "SFTPClient", source: bytes, target: bytes, options: Options, transfer: Transfer
) -> TransferResult:
    """Fetch the directory `source` so that `target` becomes it, or comes to hold the same names."""
    work = Work(options, transfer)
    found = await client.stat(source)
    if not found.is_dir:
        raise TransferError("not a directory", source)
    if not os.path.isdir(target):
        os.makedirs(target, exist_ok=True)
    real = m.to_wire(await client.realpath(source))
    top = Folder(open_directory(target))
    try:
        work.add_folder(folder_job(work, client, top, source, real, found, 0))
    finally:
        top.release()
    return await work.finish()


def folder_job(
    work: Work, client: "SFTPClient", folder: Folder, path: bytes, real: bytes, found: Attributes, depth: int
) -> LongJob:
    """Return the job that goes through one directory; `real` is its name without links."""
    return LongJob(
        work, folder, path, lambda: _fetch_folder(work, client, folder, path, real, found, depth), True
    )


def below_job(
    work: Work,
    client: "SFTPClient",
    parent: Folder,
    name: bytes,
    path: bytes,
    real: bytes,
    found: Attributes,
    depth: int,
) -> LongJob:
    """Return the job that makes a directory in `parent` and goes through it."""

    async def fetch() -> None:
        below = Folder(make_below(parent.descriptor, name))
        try:
            work.transfer.progress.files += 1
            await _fetch_folder(work, client, below, path, real, found, depth)
        finally:
            below.release()

    return LongJob(work, parent, path, fetch, True)


async def _fetch_folder(
    work: Work, client: "SFTPClient", folder: Folder, path: bytes, real: bytes, found: Attributes, depth: int
) -> None:
    """Go through one directory: queue its files and its directories."""
    options, transfer = work.options, work.transfer
    small = min(SMALL, read_size(client.session)) - 1
    plain = not (options.resume or options.verify or not options.atomic)
    if depth > options.max_depth:
        raise TransferError(f"more than {options.max_depth} directories below each other", path)
    lister = await Lister(client.session, path).open()
    transfer.progress.path = m.from_wire(path)
    try:
        while (batch := await lister.next()) is not None and not work.over:
            for name, _, attributes in batch:
                work.count()
                there = join(path, name)
                try:
                    what = attributes
                    behind = join(real, name)
                    if attributes.is_link and not options.follow_symlinks:
                        await _fetch_link(client, there, name, folder)
                        transfer.progress.files += 1
                        continue
                    if attributes.is_link or attributes.permissions is None:
                        what = await client.stat(there)
                        if what.is_dir:
                            behind = await _behind_link(client, there, real)
                    if what.is_dir:
                        job = below_job(work, client, folder, name, there, behind, what, depth + 1)
                        work.add_folder(job)
                    elif not what.is_file:
                        raise TransferError("not a regular file", there)
                    elif plain and what.size is not None and 0 < what.size <= small:
                        work.add(SmallFile(work, client, folder, there, name, what))
                    else:
                        work.add(large_job(work, client, folder, there, name, what))
                except (SFTPError, OSError) as error:
                    work.note(there, error)
            await work.room()
    finally:
        lister.close()
    if options.preserve:
        folder.last = lambda: _keep_facts(work, folder.descriptor, path, found)


def _keep_facts(work: Work, descriptor: int, path: bytes, found: Attributes) -> None:
    """Give a directory its mode and times, when nothing in it changes any more."""
    try:
        if found.permissions is not None:
            os.fchmod(descriptor, stat.S_IMODE(found.permissions) & PERMISSIONS)
        times = found.times_ns
        if times is not None:
            os.utime(descriptor, ns=times)
    except OSError as error:
        work.note(path, error)


async def _fetch_link(client: "SFTPClient", path: bytes, name: bytes, folder: Folder) -> None:
    """Make the same link here; one that is there gives way."""
    target = m.to_wire(await client.readlink(path))
    part = part_name(name, client.session.random_bytes)
    os.symlink(target, part, dir_fd=folder.descriptor)
    os.replace(part, name, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)


async def _behind_link(client: "SFTPClient", path: bytes, real: bytes) -> bytes:
    """Return the directory that a link leads to; one above itself would be gone through for ever."""
    behind = m.to_wire(await client.realpath(path))
    if (real + b"/").startswith(behind.rstrip(b"/") + b"/"):
        raise TransferError("the link leads to a directory above itself", path)
    return behind
