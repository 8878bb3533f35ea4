"""`sync`: one tree made equal to another.

Called by programs, by `sshkit.blocking.sync` and by sshkit-sync.  A side is a local path, or a SftpPath for
one at a server; a word with a colon is never taken for a host here.
"""

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, ensure_deferred
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPNoSuchFile
from sshkit.sftp.messages import from_wire
from sshkit.sftp.path import SftpPath
from sshkit.sftp.progress import Progress, TransferError
from sshkit.sftp.transfer import Transfer, last_component
from sshkit.sftp.transfer_local import open_directory
from sshkit.sftp.tree import Folder
from sshkit.syncing.outcome import Action, Options, SyncResult
from sshkit.syncing.patterns import Filter, Rule, parse_rule
from sshkit.syncing.places import LocalPlace, Place, RemotePlace
from sshkit.syncing.worker import Worker

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.syncing.places import Defer

Side = str | bytes | os.PathLike[str] | SftpPath


class Sync(Deferred[SyncResult]):
    """A sync under way: await it, or go through its `events`.  Cancelling stops it."""

    __slots__ = ("_meter", "_work")

    def __init__(self, meter: Transfer) -> None:
        super().__init__(lambda _: self._work.cancel())
        self._meter = meter
        self._work: Deferred[Any] = Deferred()

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._meter.progress

    def events(self) -> AsyncIterator[Progress]:
        """Go through copies of the progress until the end; await the sync itself for its result or error."""
        return self._meter.events()

    def start(self, work: Any) -> "Sync":
        """Begin the work."""
        self._work = ensure_deferred(work)
        self._work.add_both(self._done)
        return self

    def _done(self, outcome: Any) -> None:
        self._meter.callback(outcome if not isinstance(outcome, Failure) else None)  # type: ignore[arg-type]
        self._meter.tell()
        if isinstance(outcome, Failure):
            self.errback(outcome)
        else:
            self.callback(outcome)


def sync(
    source: Side,
    target: Side,
    *,
    include: Iterable[str | bytes] = (),
    exclude: Iterable[str | bytes] = (),
    filters: Iterable[str | Rule] = (),
    progress: Callable[[Progress], object] | None = None,
    on_action: Callable[[Action], object] | None = None,
    reactor: "Reactor | None" = None,
    **options: Any,
) -> Sync:
    """Make `target` equal to `source`, a directory or one file; see `sshkit.syncing.outcome.Options`.

    Patterns are those of `sshkit.syncing.patterns`, rsync's: `filters` (lines such as ``- *.o``) come first,
    then `include`, then `exclude`.  Fires with a SyncResult, or fails with SyncError when some of it
    could not be done; then nothing was deleted.
    """
    chosen = Options(**options)
    rules = [rule if isinstance(rule, Rule) else parse_rule(rule) for rule in filters]
    rules += [Rule(pattern, True) for pattern in include]
    rules += [Rule(pattern, False) for pattern in exclude]
    chosen.filter = Filter(rules)
    clock, defer = _surroundings(source, target, reactor)
    meter = Transfer(_name(source), clock, progress)
    return Sync(meter).start(_run(source, target, chosen, meter, on_action, defer))


def _surroundings(source: Side, target: Side, reactor: Any) -> "tuple[Any, Defer]":
    """Return the clock and the threads to use."""
    for side in (source, target):
        if isinstance(side, SftpPath):
            session = side.client.session
            return session.clock, session.defer_to_thread
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = current()
    return reactor, reactor.defer_to_thread


def _name(side: Side) -> str:
    return str(side) if isinstance(side, SftpPath) else os.fsdecode(side)


async def _run(
    source: Side,
    target: Side,
    options: Options,
    meter: Transfer,
    told: Callable[[Action], object] | None,
    defer: "Defer",
) -> SyncResult:
    if isinstance(source, SftpPath):
        source = await source.expanduser()
    if isinstance(target, SftpPath):
        target = await target.expanduser()
    mine = await _look(source)
    if mine is None:
        raise TransferError("no such file or directory", _raw(source))
    is_tree = mine.is_dir
    theirs = await _look(target)
    if is_tree and theirs is not None and not theirs.is_dir:
        raise TransferError("not a directory", _raw(target))
    await _check_apart(source, target, theirs is not None)
    top = b"" if is_tree else last_component(_raw(source))
    name = top
    if not is_tree and not (theirs is not None and theirs.is_dir):
        name = last_component(_raw(target))
        target = _parent(target)
        theirs = await _look(target)
    here = await _open(source if is_tree else _parent(source), defer)
    there: Place | None = None
    try:
        if theirs is None and not options.dry_run:
            await _make(target)
        if theirs is not None or not options.dry_run:
            there = await _open(target, defer)
        prefix = here.full if isinstance(here, RemotePlace) else b""
        worker = Worker(options, meter, told, defer, prefix)
        if is_tree:
            return await worker.tree(here, mine, there, theirs)
        return await worker.one_file(here, top, mine, there, name)
    finally:
        here.release()
        if there is not None:
            there.release()


def _raw(side: Side) -> bytes:
    return bytes(side) if isinstance(side, SftpPath) else os.fsencode(side)


def _parent(side: Side) -> Side:
    if isinstance(side, SftpPath):
        return side.parent
    return os.path.dirname(os.fsencode(side)) or b"."


async def _look(side: Side) -> Attributes | None:
    """Return what is known of a side; of what a link leads to.  None: it is not there."""
    if isinstance(side, SftpPath):
        try:
            return await side.stat()
        except SFTPNoSuchFile:
            return None
    try:
        found = os.stat(side)
    except FileNotFoundError:
        return None
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise TransferError("neither a directory nor a regular file", _raw(side))
    return Attributes.from_stat(found)


async def _make(side: Side) -> None:
    if isinstance(side, SftpPath):
        await side.mkdir(parents=True, exist_ok=True)
    else:
        os.makedirs(side, exist_ok=True)


async def _open(side: Side, defer: "Defer") -> Place:
    if isinstance(side, SftpPath):
        return RemotePlace(side.client, bytes(side), b"")
    return LocalPlace(Folder(open_directory(os.fsencode(side))), b"", defer)


async def _check_apart(source: Side, target: Side, exists: bool) -> None:
    """Refuse a tree that is to become what it lies in, or what lies in it."""
    if isinstance(source, SftpPath) and isinstance(target, SftpPath):
        if source.client is not target.client:
            return
        one = (bytes(await source.resolve()), bytes(await _there(target, exists)))
    elif isinstance(source, SftpPath) or isinstance(target, SftpPath):
        return
    else:
        one = (os.path.realpath(os.fsencode(source)), os.path.realpath(os.fsencode(target)))
    first, second = (path.rstrip(b"/") + b"/" for path in one)
    if first.startswith(second) or second.startswith(first):
        words = f"{from_wire(one[0])} and {from_wire(one[1])} are the same, or one lies in the other"
        raise TransferError(words)


async def _there(target: SftpPath, exists: bool) -> SftpPath:
    """Return the absolute name of a target that may not be there."""
    if exists or target == target.parent:
        return await target.resolve()
    return await _there(target.parent, await target.parent.exists()) / target.name
