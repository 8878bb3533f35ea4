"""`get` and `put`: one file there or here, whole or not at all, resumed, verified.

`SFTPClient.get` and `put` call it; the bytes move in `transfer_get.py` and `transfer_put.py`, trees in
`tree.py`.  A file arrives under another name and is renamed when all of it is there (R37).
"""

import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal

from sshkit_keys.wire import string

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred, gather
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import join
from sshkit.sftp.errors import SFTPError, SFTPNoSuchFile
from sshkit.sftp.progress import Progress, TransferError, TransferResult
from sshkit.sftp.transfer_get import Download
from sshkit.sftp.transfer_local import create_below, open_directory, open_source, part_name
from sshkit.sftp.transfer_put import Upload
from sshkit.sftp.transfer_verify import same_file, same_prefix

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.dialect_v3 import Dialect

PERMISSIONS = 0o777  #: bits that are taken over: never set-uid, set-gid, sticky (R35)
Errors = Literal["raise", "collect"]


class Options:
    """How a transfer is done; `get` and `put` take these by keyword.

    `preserve`: times and mode.  `atomic`: under another name until all is there; without it the file is
    written in place.  `resume`: go on where an earlier one was cut, after comparing what is there.
    `verify`: compare afterwards (True: hash where the server offers it, else size; "full": else by reading
    again).  `sparse`: leave holes (None: when sending a file that has some).  `offset`, `length`: fetch only
    these bytes of a file, or those of them that there are.  For trees: `follow_symlinks`, `parallel` (files
    and directories in work), `errors` ("raise" ends at the first; "collect" goes on and tells all at the
    end), `max_depth`, `max_files`.
    """

    __slots__ = (
        "atomic",
        "errors",
        "follow_symlinks",
        "length",
        "max_depth",
        "max_files",
        "offset",
        "parallel",
        "preserve",
        "resume",
        "sparse",
        "verify",
    )

    def __init__(
        self,
        *,
        preserve: bool = False,
        atomic: bool = True,
        resume: bool = False,
        verify: bool | Literal["full"] = False,
        sparse: bool | None = None,
        offset: int = 0,
        length: int | None = None,
        follow_symlinks: bool = True,
        parallel: int = 64,
        errors: Errors = "collect",
        max_depth: int = 100,
        max_files: int = 10_000_000,
    ) -> None:
        self.preserve = preserve
        self.atomic = atomic
        self.resume = resume
        self.verify = verify
        self.sparse = sparse
        self.offset = offset
        self.length = length
        self.follow_symlinks = follow_symlinks
        self.parallel = parallel
        self.errors = errors
        self.max_depth = max_depth
        self.max_files = max_files

    @property
    def stop_at(self) -> int | None:
        """Where the bytes to fetch end, None for the end of the file."""
        return None if self.length is None else self.offset + self.length

    @property
    def is_part(self) -> bool:
        """Not all of a file is meant."""
        return self.length is not None or self.offset != 0

    def check_part(self, allowed: bool) -> None:
        """Refuse a range where none makes sense; raises ValueError."""
        if not self.is_part:
            return
        if self.offset < 0 or (self.length is not None and self.length < 0):
            raise ValueError(f"offset {self.offset}, length {self.length}: neither can be negative")
        if not allowed or self.resume or self.verify:
            raise ValueError("offset and length are for get of one file, without resume and verify")


class Transfer(Deferred[TransferResult]):
    """A transfer under way: await it, or go through its `events`.  Cancelling stops it."""

    __slots__ = ("_callback", "_changed", "_clock", "_work", "progress")

    def __init__(self, path: str, clock: Any, callback: Callable[[Progress], object] | None) -> None:
        super().__init__(self._give_up)
        self._clock = clock
        self._callback = callback
        self._changed: Deferred[None] | None = None
        self._work: Deferred[Any] | None = None
        self.progress = Progress(path, clock.seconds())

    def start(self, work: Coroutine[Any, Any, TransferResult]) -> "Transfer":
        """Begin the work."""
        self._work = ensure_deferred(work)
        self._work.add_both(self._done)
        return self

    def moved(self, size: int) -> None:
        """Count bytes that are where they belong."""
        progress = self.progress
        progress.done += size
        if self._callback is not None or self._changed is not None:
            self.tell()

    def tell(self) -> None:
        """Tell whoever listens."""
        progress = self.progress
        progress.seconds = self._clock.seconds() - progress.started
        if self._callback is not None:
            self._callback(progress)
        changed, self._changed = self._changed, None
        if changed is not None and not changed.called:
            changed.callback(None)

    async def events(self) -> AsyncIterator[Progress]:
        """Go through copies of the progress, a new one whenever something has moved, until the end.

        Await the transfer itself for its result or error.
        """
        while not self.called:
            self._changed = Deferred()
            await self._changed
            yield self.progress.copy()

    def _done(self, outcome: Any) -> None:
        progress = self.progress
        progress.seconds = self._clock.seconds() - progress.started
        if isinstance(outcome, Failure):
            self.errback(outcome)
        else:
            self.callback(outcome)
        changed, self._changed = self._changed, None
        if changed is not None and not changed.called:
            changed.callback(None)

    def _give_up(self, _: object) -> None:
        assert self._work is not None  # nobody has the transfer before it has begun
        self._work.cancel()


def start_get(
    client: "SFTPClient",
    source: m.Path,
    target: m.Path | None,
    recursive: bool,
    progress: Callable[[Progress], object] | None,
    options: Mapping[str, Any],
) -> Transfer:
    """Begin to fetch."""
    raw = client.path(source)
    transfer = Transfer(m.from_wire(raw), client.session.clock, progress)
    chosen = Options(**options)
    chosen.check_part(not recursive)
    local = os.fsencode(last_component(raw) if target is None else os.fspath(target))
    if recursive:
        from sshkit.sftp.tree import get_tree

        return transfer.start(get_tree(client, raw, local, chosen, transfer))
    return transfer.start(_get_one(client, raw, local, chosen, transfer))


def start_put(
    client: "SFTPClient",
    source: m.Path,
    target: m.Path | None,
    recursive: bool,
    progress: Callable[[Progress], object] | None,
    options: Mapping[str, Any],
) -> Transfer:
    """Begin to send."""
    local = os.fsencode(os.fspath(source))
    raw = client.path(last_component(local) if target is None else target)
    transfer = Transfer(os.fsdecode(local), client.session.clock, progress)
    chosen = Options(**options)
    chosen.check_part(False)
    if recursive:
        from sshkit.sftp.tree_put import put_tree

        return transfer.start(put_tree(client, local, raw, chosen, transfer))
    return transfer.start(_put_one(client, local, raw, chosen, transfer))


def last_component(path: bytes) -> bytes:
    """Return the name of a file without its directories."""
    name = path.rstrip(b"/").rpartition(b"/")[2]
    if name in (b"", b".", b".."):
        raise ValueError("name the target: the source has no name of its own")
    return name


def result_of(transfer: Transfer, verified: str = "") -> TransferResult:
    """Return what was done so far."""
    progress = transfer.progress
    seconds = transfer._clock.seconds() - progress.started
    return TransferResult(progress.done, progress.files, progress.resumed, seconds, verified)


# Fetching.


async def _get_one(
    client: "SFTPClient", source: bytes, target: bytes, options: Options, transfer: Transfer
) -> TransferResult:
    if os.path.isdir(target):
        target = join(target, last_component(source))
    try:
        kind = os.stat(target).st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISREG(kind):
        target = os.path.realpath(target)  # the user's own link: its file is meant
    found = await client.stat(source)
    transfer.progress.files_total = 1
    if found.permissions is not None and not found.is_file:
        raise TransferError("not a regular file; directories are fetched with recursive=True", source)
    if not stat.S_ISREG(kind):
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        try:
            await _receive(client, source, found, descriptor, options.offset, options, transfer)
        finally:
            os.close(descriptor)
        transfer.progress.files = 1
        return result_of(transfer)
    directory, _, name = target.rpartition(b"/")
    parent = open_directory(directory or b"/")
    try:
        verified = await get_file(client, source, found, parent, name, options, transfer)
    finally:
        os.close(parent)
    return result_of(transfer, verified)


async def get_file(
    client: "SFTPClient",
    source: bytes,
    found: Attributes,
    parent: int,
    name: bytes,
    options: Options,
    transfer: Transfer,
) -> str:
    """Fetch one regular file to `name` in the directory `parent`; return how it was verified."""
    session = client.session
    wanted = (found.size or 0) if options.stop_at is None else min(found.size or 0, options.stop_at)
    transfer.progress.total = (transfer.progress.total or 0) + max(wanted - options.offset, 0)
    keep = options.resume or not options.atomic
    part = name
    if options.atomic:
        part = part_name(name, None if options.resume else session.random_bytes)
    mode = PERMISSIONS & (found.permissions if found.permissions is not None else 0o666)
    descriptor = create_below(parent, part, mode | 0o200, keep=keep)
    whole = False
    verified = ""
    try:
        begin = 0
        if options.resume:
            begin = await _resume_at(client, source, found, descriptor, options)
            transfer.progress.resumed += begin
            transfer.progress.done += begin
        os.ftruncate(descriptor, begin)
        begin += options.offset
        size = await _receive(client, source, found, descriptor, begin, options, transfer) - options.offset
        os.ftruncate(descriptor, size)
        if options.verify:
            same, verified = await same_file(client, source, descriptor, size, full=options.verify == "full")
            if not same:
                raise TransferError(f"what arrived is not the same ({verified})", source)
        if options.preserve:
            os.fchmod(descriptor, mode)
            times = found.times_ns
            if times is not None:
                os.utime(descriptor, ns=times)
        elif options.atomic:
            keep_mode(parent, name, descriptor)
        if options.atomic:
            os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        whole = True
        transfer.progress.files += 1
    finally:
        os.close(descriptor)
        if not whole and options.atomic and not options.resume:
            os.unlink(part, dir_fd=parent)
    return verified


def keep_mode(parent: int, name: bytes, descriptor: int) -> None:
    """Let a file that replaces another keep its mode."""
    try:
        old = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(old.st_mode):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & PERMISSIONS)


async def _resume_at(
    client: "SFTPClient", source: bytes, found: Attributes, descriptor: int, options: Options
) -> int:
    """Return how much of the part that is here can stay."""
    have = os.fstat(descriptor).st_size
    if not have or (found.size is not None and have > found.size):
        return 0
    full = options.verify == "full"
    return have if await same_prefix(client, source, descriptor, have, full=full) else 0


async def _receive(
    client: "SFTPClient",
    source: bytes,
    found: Attributes,
    descriptor: int,
    begin: int,
    options: Options,
    transfer: Transfer,
) -> int:
    """Fetch the bytes from `begin` on; return the size of the whole."""
    session = client.session
    body = session.dialect.open(source, m.READ_FLAG, Attributes())
    handle = await session.open_handle(m.OPEN, body, source)
    download = Download(
        session,
        handle,
        source,
        descriptor,
        found.size,
        offset=begin,
        base=options.offset,
        stop_at=options.stop_at,
        sparse=bool(options.sparse),
        told=transfer.moved,
    )
    try:
        size = await download.run()
        if options.is_part:
            return size
        if found.size and size < found.size:
            dialect = session.dialect
            asked = string(handle) + dialect.stat_tail
            now = await session.call(m.FSTAT, asked, m.ATTRS, dialect.unpack_attrs, source)
            if now.size != size:
                raise TransferError(f"cut short: {size} of {found.size} bytes", source)
    except BaseException:
        try:
            os.ftruncate(descriptor, download.low - options.offset)  # what lies behind has holes
        except OSError:
            pass  # a device; or the disk is broken, which is told already
        raise
    finally:
        session.close_handle(handle)
    return size


# Sending.


async def _put_one(
    client: "SFTPClient", source: bytes, target: bytes, options: Options, transfer: Transfer
) -> TransferResult:
    descriptor, found = open_source(source)
    try:
        transfer.progress.files_total = 1
        there, is_link = await _what_is_there(client, target)
        if there is not None and there.is_dir:
            target = join(target, last_component(source))
            there, is_link = await _what_is_there(client, target)
        if there is not None and options.atomic:
            if not there.is_file and there.permissions is not None:
                raise TransferError("the target is not a regular file", target)
            if is_link:
                target = m.to_wire(await client.realpath(target))
        verified = await put_file(client, descriptor, found, target, there, options, transfer)
    finally:
        os.close(descriptor)
    return result_of(transfer, verified)


async def _what_is_there(client: "SFTPClient", path: bytes) -> tuple[Attributes | None, bool]:
    """Return the attributes of what a path leads to, if it is there, and whether it is a link."""
    itself = client.lstat(path).add_errback(lambda _: None)  # asked for at the same time
    try:
        found = await client.stat(path)
    except SFTPNoSuchFile:
        return None, False
    facts = await itself
    return found, facts is not None and facts.is_link


async def put_file(
    client: "SFTPClient",
    descriptor: int,
    found: os.stat_result,
    target: bytes,
    there: Attributes | None,
    options: Options,
    transfer: Transfer,
) -> str:
    """Send one open file; `there` is what the server has by that name.  Return how it was verified."""
    session = client.session
    transfer.progress.total = (transfer.progress.total or 0) + found.st_size
    part = target
    if options.atomic:
        folder, slash, name = target.rpartition(b"/")
        part = folder + slash + part_name(name, None if options.resume else session.random_bytes)
    mode = stat.S_IMODE(found.st_mode) & PERMISSIONS
    final, keep = mode, False
    if options.atomic and not options.preserve and there is not None and there.mode is not None:
        final, keep = there.mode & PERMISSIONS, True
    begin = await _resume_put(client, part, descriptor, found, options) if options.resume else 0
    transfer.progress.resumed += begin
    transfer.progress.done += begin
    flags = m.WRITE_FLAG | m.CREATE | (0 if begin else m.TRUNCATE)
    if options.atomic and not options.resume:
        flags |= m.EXCLUSIVE
    body = session.dialect.open(part, flags, Attributes(permissions=final | 0o200))
    handle = await session.open_handle(m.OPEN, body, part)
    verified = ""
    sparse = found.st_blocks * 512 < found.st_size if options.sparse is None else options.sparse
    last: list[Deferred[Any]] = []

    def finish(size: int) -> None:
        """Close it right behind the last data: its answer costs no round trip of its own."""
        changes = _changes(session.dialect, found, final, size, options, sparse, keep)
        if changes is not None:
            body = string(handle) + session.dialect.attributes(changes)
            last.append(session.call(m.FSETSTAT, body, path=part))
        last.append(session.call(m.CLOSE, string(handle), path=part))

    try:
        upload = Upload(
            session,
            handle,
            part,
            descriptor,
            offset=begin,
            sparse=sparse,
            told=transfer.moved,
            all_sent=finish,
        )
        try:
            size = await upload.run()
        except BaseException:
            if not last:
                session.close_handle(handle)
            for deferred in last:
                deferred.add_errback(lambda _: None)  # what has failed first is told
            raise
        await gather(*last)
        if options.verify:
            same, verified = await same_file(client, part, descriptor, size, full=options.verify == "full")
            if not same:
                raise TransferError(f"what arrived is not the same ({verified})", target)
        if options.atomic:
            await client.replace(part, target)
    except (SFTPError, TimeoutError, OSError, CancelledError):
        if options.atomic and not options.resume and session.lost is None:
            client.remove(part).add_errback(lambda _: None)
        raise
    transfer.progress.files += 1
    return verified


def _changes(
    dialect: "Dialect",
    found: os.stat_result,
    mode: int,
    size: int,
    options: Options,
    sparse: bool,
    keep: bool,
) -> Attributes | None:
    """Return what the file needs beside its contents, None for nothing."""
    changes = Attributes()
    if options.preserve:
        changes = dialect.times(found.st_atime_ns, found.st_mtime_ns, permissions=mode)
    elif keep or not mode & 0o200:  # OPEN adds the right to write, and the umask takes some away
        changes.permissions = mode
    if sparse:
        changes.size = size
    return None if changes == Attributes() else changes


async def _resume_put(
    client: "SFTPClient", part: bytes, descriptor: int, found: os.stat_result, options: Options
) -> int:
    """Return how much of the part that the server has can stay."""
    try:
        have = (await client.stat(part)).size or 0
    except SFTPNoSuchFile:
        return 0
    if not have or have > found.st_size:
        return 0
    full = options.verify == "full"
    return have if await same_prefix(client, part, descriptor, have, full=full) else 0
