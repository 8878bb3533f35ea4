"""Moves one file of a sync: sent, fetched, or copied between two sides of a kind.

`worker.py` calls these.  Small files go through the tree engine's pipelines, large ones by blocks that
changed or by the transfer engine; what is copied here, or between two servers through us, gets its name when
all of it is there.
"""

import os
from typing import TYPE_CHECKING

from sshkit.deferred import CancelledError
from sshkit.sftp import messages as m
from sshkit.sftp import tree_put
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPError
from sshkit.sftp.progress import TransferError
from sshkit.sftp.transfer import Options as TransferOptions
from sshkit.sftp.transfer import Transfer, get_file, put_file
from sshkit.sftp.transfer_local import create_below, open_source, part_name, write_all
from sshkit.syncing import delta
from sshkit.syncing.places import PERMISSIONS, LocalPlace, RemotePlace

if TYPE_CHECKING:
    from sshkit.sftp.tree import Folder, Work
    from sshkit.syncing.places import Defer

PIECE = 1 << 20


class SmallUpload(tree_put.SmallFile):
    """A small file on its way there, known by its path in the tree."""

    __slots__ = ("relative",)

    def __init__(
        self, work: "Work", place: RemotePlace, folder: "Folder", name: bytes, path: bytes, relative: bytes
    ) -> None:
        super().__init__(work, place.client, folder, name, path)
        self.relative = relative

    def start(self) -> None:
        """Begin, under the name that an earlier transfer that was cut has left, if any."""
        if not self.work.options.resume:
            super().start()
            return
        session = self.client.session
        head, slash, name = self.path.rpartition(b"/")
        self.part = head + slash + part_name(name, None)
        try:
            self.found = os.stat(self.local, dir_fd=self.folder.descriptor, follow_symlinks=False)
        except OSError as error:
            self._end(error)
            return
        self._mode = self.found.st_mode & PERMISSIONS
        number = session.next_id()
        attributes = Attributes(permissions=self._mode | 0o200)
        flags = m.WRITE_FLAG | m.CREATE | m.TRUNCATE
        session.send(number, session.pack_open(number, self.part, flags, attributes), self)

    def _end(self, error: BaseException | None) -> None:
        if self._state >= 0:
            self._state = -1
            self.folder.release()
            self.work.ended(self.relative, error)


def may_delta(wanted: bool, mine: Attributes, theirs: Attributes | None) -> bool:
    """Tell whether blocks are worth a thought."""
    return (
        wanted
        and theirs is not None
        and theirs.is_file
        and (mine.size or 0) >= delta.MIN_SIZE
        and (theirs.size or 0) >= delta.MIN_SIZE
    )


async def send(
    source: LocalPlace,
    name: bytes,
    target: RemotePlace,
    other: bytes,
    theirs: Attributes | None,
    options: TransferOptions,
    transfer: Transfer,
    by_blocks: bool,
) -> None:
    """Send a large file."""
    client, path = target.client, target.at(other)
    descriptor, found = open_source(name, source.folder.descriptor, follow=False)
    try:
        old = theirs if by_blocks and delta.can_send(client) else None
        if old is not None and await delta.send(client, descriptor, found, path, old, options, transfer):
            return
        there = theirs if theirs is not None and theirs.is_file else None
        await put_file(client, descriptor, found, path, there, options, transfer)
    finally:
        os.close(descriptor)


async def fetch(
    source: RemotePlace,
    name: bytes,
    mine: Attributes,
    target: LocalPlace,
    other: bytes,
    options: TransferOptions,
    transfer: Transfer,
    by_blocks: bool,
) -> None:
    """Fetch a large file."""
    client, path, parent = source.client, source.at(name), target.folder.descriptor
    blocks = by_blocks and client.can_hash
    if blocks and await delta.fetch(client, path, mine, parent, other, options, transfer):
        return
    await get_file(client, path, mine, parent, other, options, transfer)


async def copy_here(
    source: LocalPlace,
    name: bytes,
    target: LocalPlace,
    other: bytes,
    theirs: Attributes | None,
    options: TransferOptions,
    transfer: Transfer,
    defer: "Defer",
) -> None:
    """Copy a file from one local directory to another."""
    descriptor, found = open_source(name, source.folder.descriptor, follow=False)
    try:
        transfer.progress.total = (transfer.progress.total or 0) + found.st_size
        mode = found.st_mode & PERMISSIONS
        if not options.preserve and theirs is not None and theirs.is_file and theirs.mode is not None:
            mode = theirs.mode & PERMISSIONS
        await defer(_copy_here, descriptor, found, target.folder.descriptor, other, mode, options.preserve)
    finally:
        os.close(descriptor)
    transfer.progress.files += 1
    transfer.moved(found.st_size)


def _copy_here(
    source: int, found: os.stat_result, parent: int, name: bytes, mode: int, preserve: bool
) -> None:
    """Copy all of an open file; for a thread."""
    part = part_name(name, os.urandom)
    descriptor = create_below(parent, part, mode | 0o200, keep=False)
    try:
        offset = 0
        while data := os.pread(source, PIECE, offset):
            write_all(descriptor, data, offset)
            offset += len(data)
        if preserve or not mode & 0o200:
            os.fchmod(descriptor, mode)
        if preserve:
            os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        os.unlink(part, dir_fd=parent)
        raise
    finally:
        os.close(descriptor)


async def copy_there(
    source: RemotePlace,
    name: bytes,
    mine: Attributes,
    target: RemotePlace,
    other: bytes,
    theirs: Attributes | None,
    options: TransferOptions,
    transfer: Transfer,
) -> None:
    """Copy a file from one server to another, or within one, by the server itself where it can."""
    client, path = target.client, target.at(other)
    transfer.progress.total = (transfer.progress.total or 0) + (mine.size or 0)
    mode = PERMISSIONS & (mine.permissions if mine.permissions is not None else 0o666)
    if not options.preserve and theirs is not None and theirs.is_file and theirs.mode is not None:
        mode = theirs.mode & PERMISSIONS
    part = target.at(part_name(other, client.session.random_bytes))
    size = 0
    try:
        if source.client is client and "copy-data" in client.extensions:
            await client.copy(source.at(name), part)
            size = (await client.stat(part)).size or 0
            transfer.moved(size)
        else:
            async with (
                source.client.open(source.at(name)) as reader,
                client.open(part, "xb", permissions=mode | 0o200) as writer,
            ):
                while data := await reader.read(PIECE):
                    await writer.write(data)
                    size += len(data)
                    transfer.moved(len(data))
        if mine.size is not None and size < mine.size:
            raise TransferError(f"cut short: {size} of {mine.size} bytes", source.at(name))
        changes = Attributes(permissions=mode)
        if options.preserve and mine.mtime is not None:
            changes.atime, changes.mtime = mine.atime, mine.mtime
        await client.setstat(part, changes)
        await client.replace(part, path)
    except (SFTPError, OSError, CancelledError):
        if not client.is_closed:
            client.remove(part).add_errback(lambda _: None)
        raise
    transfer.progress.files += 1
