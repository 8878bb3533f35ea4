"""What a sync has found and done, and its end: times and modes, removals, the result.

The base of `worker.Worker`, which goes through the trees.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import ensure_deferred, gather
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import join
from sshkit.sftp.messages import from_wire
from sshkit.sftp.progress import TransferError, TreeError
from sshkit.sftp.transfer import Options as TransferOptions
from sshkit.sftp.transfer import Transfer
from sshkit.sftp.tree import LongJob, Work
from sshkit.syncing.outcome import Action, Options, SyncError, SyncResult
from sshkit.syncing.places import PARALLEL, PERMISSIONS, Place

if TYPE_CHECKING:
    from sshkit.syncing.places import Defer


class SyncWork(Work):
    """Jobs whose errors are known by their path in the tree."""

    __slots__ = ("top",)

    def __init__(self, options: TransferOptions, transfer: Transfer, top: bytes) -> None:
        super().__init__(options, transfer)
        self.top = top  #: what the engine's names of a remote source begin with

    def note(self, path: bytes, error: BaseException) -> None:
        if self.top and path.startswith(self.top):
            path = path[len(self.top) :].lstrip(b"/")
        super().note(path, error)


class SyncJob(LongJob):
    """A coroutine that needs some directories."""

    __slots__ = ("places",)

    def __init__(
        self,
        work: Work,
        places: tuple[Place | None, ...],
        path: bytes,
        make: Callable[[], Coroutine[Any, Any, None]],
        is_folder: bool = False,
    ) -> None:
        super().__init__(work, None, path, make, is_folder)
        self.places = [place.hold() for place in places if place is not None]

    def dropped(self) -> None:
        places, self.places = self.places, []
        for place in places:
            place.release()


class Visited:
    """A directory that has been gone through; `touched`: something in it was changed."""

    __slots__ = ("mine", "path", "theirs", "touched")

    def __init__(self, path: bytes, mine: Attributes, theirs: Attributes | None) -> None:
        self.path = path
        self.mine = mine
        self.theirs = theirs
        self.touched = theirs is None


class Ledger:
    """One sync: what it was asked, what it has found, what it has done."""

    __slots__ = (
        "_counts",
        "_defer",
        "_extra",
        "_later",
        "_moving",
        "_parts",
        "_size",
        "_target",
        "_visited",
        "options",
        "told",
        "transfer",
        "work",
    )

    def __init__(
        self,
        options: Options,
        transfer: Transfer,
        told: "Callable[[Action], object] | None",
        defer: "Defer",
        top: bytes,
    ) -> None:
        self.options = options
        self.transfer = transfer
        self.told = told
        self._defer = defer
        self._moving = TransferOptions(
            preserve=options.modes and options.times,
            resume=options.resume,
            verify=options.verify,
            follow_symlinks=False,
            parallel=options.parallel,
            max_depth=options.max_depth,
            max_files=options.max_files,
        )
        self.work = SyncWork(self._moving, transfer, top)
        self._counts: dict[str, int] = dict.fromkeys(
            ("files", "folders", "links", "attributes", "deleted", "unchanged"), 0
        )
        self._size = 0
        self._visited: dict[bytes, Visited] = {}
        self._extra: list[tuple[bytes, bytes, bytes, bool]] = []  # directory, name, name shown, is it one
        self._later: list[tuple[bytes, bytes, Attributes]] = []  # what is set when a file is there
        self._parts: set[tuple[bytes, bytes]] = set()  # files of cut transfers that go on now
        self._target: Place | None = None

    def result(self) -> SyncResult:
        """Return what was done so far."""
        progress = self.transfer.progress
        return SyncResult(
            **self._counts,
            size=self._size,
            moved=progress.done - progress.resumed,
            seconds=progress.seconds,
            errors=tuple(self.work.errors),
        )

    # The end.

    async def _finish(self) -> SyncResult:
        try:
            await self.work.finish()
        except TreeError:
            pass  # told below, with what has been done
        failed = {error.path for error in self.work.errors}
        if not self.options.dry_run:
            await self._all(
                [
                    (folder, name, changes)
                    for folder, name, changes in self._later
                    if from_wire(join(folder, name)) not in failed
                ]
            )
        if self._extra and not self.work.errors:
            await self._delete()
        if not self.options.dry_run:
            await self._all(
                [
                    (visited.path, b"", changes)
                    for visited in reversed(self._visited.values())
                    if (changes := self._folder_changes(visited)) != Attributes()
                ]
            )
        self.transfer.tell()
        result = self.result()
        if result.errors:
            first = result.errors[0]
            where = f"{first.path}: " if first.path else ""
            raise SyncError(f"{len(result.errors)} of {self.work.found} failed; {where}{first.error}", result)
        return result

    def _folder_changes(self, visited: Visited) -> Attributes:
        mine, theirs = visited.mine, visited.theirs
        changes = Attributes()
        other_mode = theirs is None or ((mine.mode or 0) ^ (theirs.mode or 0)) & PERMISSIONS
        if self.options.modes and mine.mode is not None and other_mode:
            changes.permissions = mine.mode & PERMISSIONS
        other_time = visited.touched or theirs is None or not self._same_time(mine, theirs)
        if self.options.times and mine.mtime is not None and other_time:
            changes.atime, changes.mtime = mine.atime, mine.mtime
        return changes

    async def _all(self, changes: list[tuple[bytes, bytes, Attributes]]) -> None:
        """Set modes and times, many in flight."""

        async def change(folder: bytes, name: bytes, wanted: Attributes) -> None:
            async def do(place: Place) -> None:
                await place.change(name, wanted)

            await self._in(folder, join(folder, name), do)

        for start in range(0, len(changes), PARALLEL):
            await gather(*(ensure_deferred(change(*one)) for one in changes[start : start + PARALLEL]))

    async def _in(self, folder: bytes, path: bytes, do: Callable[[Place], Coroutine[Any, Any, None]]) -> None:
        """Do something in a directory below the target; remember what goes wrong."""
        assert self._target is not None
        try:
            place = await self._target.descend(folder)
            try:
                await do(place)
            finally:
                place.release()
        except (SSHKitError, OSError) as error:
            self.work.note(path, error)

    async def _delete(self) -> None:
        """Remove what the source does not have."""
        self._extra = [one for one in self._extra if one[:2] not in self._parts]
        most = self.options.max_delete
        if most is not None and len(self._extra) > most:
            self.work.note(b"", TransferError(f"{len(self._extra)} to be deleted, at most {most} may be"))
            return

        async def delete(folder: bytes, name: bytes, shown: bytes, is_dir: bool) -> None:
            async def do(place: Place) -> None:
                await place.remove(name, is_dir)

            if not self.options.dry_run:
                await self._in(folder, join(folder, shown), do)

        for start in range(0, len(self._extra), PARALLEL):
            batch = self._extra[start : start + PARALLEL]
            for folder, _, shown, is_dir in batch:
                path = from_wire(join(folder, shown)) + ("/" if is_dir else "")
                self._did("deleted", self._visited[folder], Action("delete", path))
            await gather(*(ensure_deferred(delete(*one)) for one in batch))

    # Small things.

    def _add(
        self,
        source: Place | None,
        target: Place | None,
        path: bytes,
        make: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self.work.add(SyncJob(self.work, (source, target), path, make))

    def _did(self, what: str, visited: Visited, action: Action) -> None:
        self._counts[what] += 1
        visited.touched = True
        self._tell(action)

    def _tell(self, action: Action) -> None:
        if self.told is not None:
            self.told(action)

    def _same_time(self, mine: Attributes, theirs: Attributes) -> bool:
        if mine.mtime is None or theirs.mtime is None:
            return False
        return abs(mine.mtime - theirs.mtime) <= self.options.modify_window
