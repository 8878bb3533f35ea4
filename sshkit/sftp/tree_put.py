"""Sends a directory tree: directories first, many small files in flight, large ones by the engine.

`SFTPClient.put(recursive=True)` calls it.  A small file is OPEN, then WRITE and CLOSE together as soon as
the handle arrives, then its name; many are in flight, so none waits for a round trip of its own.
"""

import os
import stat
from typing import TYPE_CHECKING

from sshkit_keys.wire import string

from sshkit.deferred import Failure
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import Lister, join
from sshkit.sftp.client_requests import POSIX_RENAME
from sshkit.sftp.client_session import Answer
from sshkit.sftp.errors import SFTPError, SFTPNoSuchFile, SFTPProtocolError, error_for
from sshkit.sftp.file import write_size
from sshkit.sftp.progress import TransferError, TransferResult
from sshkit.sftp.transfer import PERMISSIONS, Options, Transfer, put_file
from sshkit.sftp.transfer_local import CLOEXEC, DIRECTORY, NOFOLLOW, open_source, part_name
from sshkit.sftp.tree import SMALL, Folder, LongJob, Work

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

OPENING, WRITING, CLOSING, RENAMING = range(4)


class SmallFile(Answer):
    """One small file on its way there: a state for each request that it waits for."""

    __slots__ = (
        "_error",
        "_keep",
        "_mode",
        "_state",
        "_waits",
        "client",
        "folder",
        "found",
        "local",
        "part",
        "path",
        "size",
        "work",
    )

    def __init__(
        self,
        work: Work,
        client: "SFTPClient",
        folder: Folder,
        local: bytes,
        path: bytes,
        keep: int | None = None,
    ) -> None:
        """`keep` is the mode of the file that this one replaces, where it is not the same."""
        self._keep = keep
        self.work = work
        self.client = client
        self.folder = folder.hold()
        self.local = local
        self.path = path
        self.part = path
        self.size = 0
        self._state = OPENING
        self._waits = 0
        self._error: BaseException | None = None

    def start(self) -> None:
        session = self.client.session
        if self.work.options.atomic:
            head, slash, name = self.path.rpartition(b"/")
            self.part = head + slash + part_name(name, session.random_bytes)
        flags = m.WRITE_FLAG | m.CREATE | (m.EXCLUSIVE if self.part != self.path else m.TRUNCATE)
        try:
            self.found = os.stat(self.local, dir_fd=self.folder.descriptor)
        except OSError as error:
            self._end(error)
            return
        self._mode = stat.S_IMODE(self.found.st_mode) & PERMISSIONS if self._keep is None else self._keep
        number = session.next_id()
        attributes = Attributes(permissions=self._mode | 0o200)
        session.send(number, session.pack_open(number, self.part, flags, attributes), self)

    def dropped(self) -> None:
        """It will not be begun."""
        self.folder.release()

    def answered(self, kind: int, payload: memoryview) -> None:
        if kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if self._state == OPENING:
                if code == status.OK:
                    raise SFTPProtocolError("OK in answer to OPEN")
                self._end(error_for(code, words, self.part))
                return
            self._waits -= 1
            if code != status.OK and self._error is None:
                self._error = error_for(code, words, self.path)
            if not self._waits:
                self._go_on()
        elif kind == m.HANDLE and self._state == OPENING:
            self._write(bytes(m.unpack_string(payload)))
        else:
            raise SFTPProtocolError(f"an answer of kind {kind}")

    def _write(self, handle: bytes) -> None:
        session = self.client.session
        self._state = WRITING
        data = b""
        try:
            data = self._read()
        except OSError as error:
            self._error = error
        if data:
            number = session.next_id()
            layout = m.write_header(handle)
            packet = bytearray(layout.size + len(data))
            m.pack_write_header(layout, packet, 0, number, handle, 0, len(data))
            packet[layout.size :] = data
            self._send(number, packet)
        self.size = len(data)
        changes = self._changes()
        if changes is not None:
            number = session.next_id()
            body = string(handle) + session.dialect.attributes(changes)
            self._send(number, m.pack_head(5 + len(body), m.FSETSTAT, number) + body)
        number = session.next_id()
        self._send(number, m.pack_string(m.CLOSE, number, handle))

    def _changes(self) -> Attributes | None:
        if self.work.options.preserve:
            found = self.found
            dialect = self.client.session.dialect
            return dialect.times(found.st_atime_ns, found.st_mtime_ns, permissions=self._mode)
        if self._keep is None and self._mode & 0o200:
            return None
        return Attributes(permissions=self._mode)

    def _read(self) -> bytes:
        """Read the file, whose size may not be what it was."""
        flags = os.O_RDONLY | CLOEXEC | os.O_NONBLOCK
        if not self.work.options.follow_symlinks:
            flags |= NOFOLLOW
        descriptor = os.open(self.local, flags, dir_fd=self.folder.descriptor)
        try:
            data = os.read(descriptor, SMALL + 1)
        finally:
            os.close(descriptor)
        if len(data) > SMALL or len(data) < self.found.st_size:
            raise TransferError("the file changed while it was read", self.local)
        return data

    def _send(self, number: int, packet: "bytes | bytearray") -> None:
        self._waits += 1
        self.client.session.send(number, packet, self)  # type: ignore[arg-type]  # joined or written at once

    def _go_on(self) -> None:
        session = self.client.session
        if self._error is not None:
            if self.part != self.path:
                number = session.next_id()
                self._state = CLOSING
                error, self._error = self._error, None
                self.client.remove(self.part).add_errback(lambda _: None)
                self._end(error)
            else:
                self._end(self._error)
        elif self.part != self.path and self._state == WRITING:
            self._state = RENAMING
            if POSIX_RENAME not in session.extensions:
                self.client.replace(self.part, self.path).add_callbacks(
                    lambda _: self._whole(), self._not_renamed
                )
                return
            number = session.next_id()
            body = string(self.part) + string(self.path)
            self._send(number, m.frame(m.Extended(number, POSIX_RENAME.encode(), body).encode()))
        else:
            self._whole()

    def _not_renamed(self, failure: Failure) -> None:
        self._end(failure.exception)

    def _whole(self) -> None:
        transfer = self.work.transfer
        transfer.progress.files += 1
        transfer.progress.total = (transfer.progress.total or 0) + self.size
        transfer.moved(self.size)
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if self._state >= 0:
            self._state = -1
            self.folder.release()
            self.work.ended(self.local, error)

    def failed(self, error: BaseException) -> None:
        self._end(error)


async def put_tree(
    client: "SFTPClient", source: bytes, target: bytes, options: Options, transfer: Transfer
) -> TransferResult:
    """Send the directory `source` so that `target` becomes it, or comes to hold the same names."""
    work = Work(options, transfer)
    top = Folder(os.open(source, os.O_RDONLY | DIRECTORY | CLOEXEC))
    try:
        job = LongJob(work, top, source, lambda: _send_folder(work, client, top, source, target, ()), True)
        work.add_folder(job)
    finally:
        top.release()
    return await work.finish()


def below_job(
    work: Work,
    client: "SFTPClient",
    parent: Folder,
    name: bytes,
    local: bytes,
    path: bytes,
    above: tuple[tuple[int, int], ...],
) -> LongJob:
    """Return the job that sends a directory of `parent`."""

    async def send() -> None:
        flags = os.O_RDONLY | DIRECTORY | CLOEXEC | (0 if work.options.follow_symlinks else NOFOLLOW)
        below = Folder(os.open(name, flags, dir_fd=parent.descriptor))
        try:
            await _send_folder(work, client, below, local, path, above)
            work.transfer.progress.files += 1
        finally:
            below.release()

    return LongJob(work, parent, local, send, True)


async def _send_folder(
    work: Work,
    client: "SFTPClient",
    folder: Folder,
    local: bytes,
    path: bytes,
    above: tuple[tuple[int, int], ...],
) -> None:
    """Make one directory there, queue its files and its directories; `above` are those it lies in."""
    options, transfer = work.options, work.transfer
    small = min(SMALL, write_size(client.session))
    plain = not (options.resume or options.verify)
    if len(above) > options.max_depth:
        raise TransferError(f"more than {options.max_depth} directories below each other", path)
    here = os.fstat(folder.descriptor)
    place = (here.st_dev, here.st_ino)
    if place in above:
        raise TransferError("the link leads to a directory above itself", local)
    mode = stat.S_IMODE(here.st_mode) & PERMISSIONS
    transfer.progress.path = os.fsdecode(local)
    modes: dict[bytes, int] = {}
    try:
        await client.mkdir(path, mode | 0o300)
    except SFTPError:
        if not await client.is_dir(path):
            raise
        if options.atomic and not options.preserve:
            modes = await _modes_to_keep(client, path, folder)
    with os.scandir(folder.descriptor) as entries:
        for entry in entries:
            if work.over:
                return
            work.count()
            name = os.fsencode(entry.name)
            there = join(path, name)
            try:
                if entry.is_symlink() and not options.follow_symlinks:
                    await _send_link(client, os.readlink(name, dir_fd=folder.descriptor), there)
                    transfer.progress.files += 1
                elif entry.is_dir(follow_symlinks=options.follow_symlinks):
                    inside = join(local, name)
                    work.add_folder(below_job(work, client, folder, name, inside, there, (*above, place)))
                elif not entry.is_file(follow_symlinks=options.follow_symlinks):
                    raise TransferError("not a regular file", join(local, name))
                elif plain and entry.stat().st_size <= small:
                    work.add(SmallFile(work, client, folder, name, there, modes.get(name)))
                else:
                    work.add(large_job(work, client, folder, name, there))
            except (SFTPError, OSError) as error:
                work.note(join(local, name), error)
            await work.room()
    if options.preserve:
        facts = client.session.dialect.times(here.st_atime_ns, here.st_mtime_ns, permissions=mode)
        # When nothing in it changes any more: files that come and go would change the time.
        folder.last = lambda: work.add_folder(
            LongJob(work, None, local, lambda: _set_facts(client, path, facts), True)
        )


async def _modes_to_keep(client: "SFTPClient", path: bytes, folder: Folder) -> dict[bytes, int]:
    """Return the modes of the files that will be replaced and have others than those that come."""
    modes: dict[bytes, int] = {}
    lister = Lister(client.session, path)
    try:
        await lister.open()
        while (batch := await lister.next()) is not None:
            for name, _, there in batch:
                if there.mode is None or not there.is_file:
                    continue
                try:
                    here = os.stat(name, dir_fd=folder.descriptor).st_mode
                except OSError:
                    continue
                if (here ^ there.mode) & PERMISSIONS:
                    modes[name] = there.mode & PERMISSIONS
    except SFTPError:
        pass  # a directory that only takes files
    finally:
        lister.close()
    return modes


async def _send_link(client: "SFTPClient", target: bytes, path: bytes) -> None:
    """Make the same link there; one that is there gives way."""
    try:
        await client.symlink(target, path)
    except SFTPError:
        if not (await client.lstat(path)).is_link:
            raise
        head, slash, name = path.rpartition(b"/")
        part = head + slash + part_name(name, client.session.random_bytes)
        await client.symlink(target, part)
        try:
            await client.replace(part, path)
        except SFTPError:
            client.remove(part).add_errback(lambda _: None)
            raise


async def _set_facts(client: "SFTPClient", path: bytes, facts: Attributes) -> None:
    await client.setstat(path, facts)


def large_job(work: Work, client: "SFTPClient", folder: Folder, name: bytes, path: bytes) -> LongJob:
    """Return the job that sends one file with the engine."""

    async def send() -> None:
        descriptor, found = open_source(name, folder.descriptor, follow=work.options.follow_symlinks)
        try:
            there = None
            if work.options.atomic:
                try:
                    there = await client.lstat(path)
                except SFTPNoSuchFile:
                    pass
            await put_file(client, descriptor, found, path, there, work.options, work.transfer)
        finally:
            os.close(descriptor)

    return LongJob(work, folder, name, send)
