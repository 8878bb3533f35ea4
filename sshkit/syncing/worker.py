"""Goes through both trees at the same time, and makes one equal to the other.

`sync.py` starts it.  Each directory is a job: both listings are asked for at once, each difference becomes a
job of its own, so many in flight (`sshkit.sftp.tree.Work`).  What the source does not have is noted, and
removed when all else went well; times of directories are set last.
"""

import os
from typing import TYPE_CHECKING, cast

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import ensure_deferred, gather
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import join
from sshkit.sftp.client_requests import HASHES
from sshkit.sftp.file import read_size, write_size
from sshkit.sftp.messages import from_wire
from sshkit.sftp.progress import TransferError
from sshkit.sftp.transfer_local import part_name
from sshkit.sftp.tree import SMALL, SmallFile
from sshkit.syncing import moving
from sshkit.syncing.ledger import Ledger, SyncJob, Visited
from sshkit.syncing.outcome import Action, SyncResult
from sshkit.syncing.places import PERMISSIONS, LocalPlace, Place, RemotePlace

if TYPE_CHECKING:
    pass


PART_END = part_name(b"", None)[1:]  #: how the names of files end that are not whole yet


class Worker(Ledger):
    """One sync."""

    __slots__ = ()

    # From the outside.

    async def tree(
        self, source: Place, mine: Attributes, target: Place | None, theirs: Attributes | None
    ) -> SyncResult:
        """Make the directory `target` equal to `source`; None: it is not there (a dry run)."""
        self._target = target
        self.work.add_folder(self._folder_job(source, target, mine, theirs, 0))
        return await self._finish()

    async def one_file(
        self, source: Place, name: bytes, mine: Attributes, target: Place | None, other: bytes
    ) -> SyncResult:
        """Make the file `other` in `target` equal to `name` in `source`."""
        self._target = target
        visited = self._visited[b""] = Visited(b"", Attributes(), Attributes())
        theirs = {} if target is None else await target.entries()
        self.work.count()
        self._entry(visited, source, name, mine, target, other, theirs.get(other), 0)
        return await self._finish()

    # Directories.

    def _folder_job(
        self, source: Place, target: Place | None, mine: Attributes, theirs: Attributes | None, depth: int
    ) -> SyncJob:
        path = source.path
        return SyncJob(
            self.work,
            (source, target),
            path,
            lambda: self._folder(source, target, Visited(path, mine, theirs), depth),
            True,
        )

    def _below_job(
        self,
        source: Place,
        target: Place | None,
        name: bytes,
        mine: Attributes,
        theirs: Attributes | None,
        depth: int,
    ) -> SyncJob:
        async def go() -> None:
            inside = await source.below(name)
            other: Place | None = None
            try:
                if target is not None and (theirs is not None or not self.options.dry_run):
                    if theirs is None:
                        mode = 0o777 if mine.mode is None else mine.mode & PERMISSIONS
                        await target.make(name, mode | 0o700)
                    other = await target.below(name)
                visited = Visited(inside.path, mine, theirs)
                await self._folder(inside, other, visited, depth)
                self.transfer.progress.files += 1
            finally:
                inside.release()
                if other is not None:
                    other.release()

        return SyncJob(self.work, (source, target), join(source.path, name), go, True)

    async def _folder(self, source: Place, target: Place | None, visited: Visited, depth: int) -> None:
        """Compare one directory."""
        options, work = self.options, self.work
        if depth > options.max_depth:
            raise TransferError(f"more than {options.max_depth} directories below each other", source.path)
        theirs: dict[bytes, Attributes] = {}
        if target is None:
            ours = await source.entries()
        else:
            ours, theirs = await gather(ensure_deferred(source.entries()), ensure_deferred(target.entries()))
        self._visited[visited.path] = visited
        self.transfer.progress.path = from_wire(visited.path)
        spared: set[bytes] = set()
        for name in sorted(ours):
            if work.over:
                return
            mine = ours[name]
            if is_part(name):  # of a transfer to there that was cut
                self._tell(Action("skip", from_wire(join(source.path, name))))
                continue
            if options.filter.excludes(join(source.path, name), mine.is_dir):
                continue
            spared.add(name)
            work.count()
            try:
                self._entry(visited, source, name, mine, target, name, theirs.get(name), depth)
            except (SSHKitError, OSError) as error:
                work.note(join(source.path, name), error)
            await work.room()
        if options.delete:
            for name in sorted(theirs.keys() - spared):
                is_dir = theirs[name].is_dir
                if options.delete_excluded or not options.filter.excludes(join(source.path, name), is_dir):
                    self._extra.append((visited.path, name, name, is_dir))

    def _entry(
        self,
        visited: Visited,
        source: Place,
        name: bytes,
        mine: Attributes,
        target: Place | None,
        other: bytes,
        theirs: Attributes | None,
        depth: int,
    ) -> None:
        """Begin with one name."""
        path = join(source.path, name)
        takes_part = mine.is_dir or mine.is_file or (mine.is_link and self.options.links)
        if theirs is not None and theirs.is_dir != mine.is_dir and takes_part:
            self._in_the_way(visited, source, name, mine, target, other, theirs, depth)
            return
        if mine.is_dir:
            if not self.options.recursive:
                self._tell(Action("skip", from_wire(path) + "/"))
                return
            if theirs is None:
                self._did("folders", visited, Action("directory", from_wire(path) + "/", new=True))
            self.work.add_folder(self._below_job(source, target, name, mine, theirs, depth + 1))
        elif mine.is_link and self.options.links:
            self._add(source, target, path, lambda: self._link(visited, source, name, target, other, theirs))
        elif not mine.is_file:
            self._tell(Action("skip", from_wire(path)))
        elif theirs is None or not theirs.is_file:
            self._move(visited, source, name, mine, target, other, theirs)
        elif self.options.update and (theirs.mtime or 0) > (mine.mtime or 0) + self.options.modify_window:
            self._same(target, other, path, mine, None)
        elif theirs.size != mine.size or theirs.size is None:
            self._move(visited, source, name, mine, target, other, theirs)
        elif self.options.checksum and target is not None:
            there = target
            self._add(
                source, target, path, lambda: self._compare(visited, source, name, mine, there, other, theirs)
            )
        elif self.options.size_only or self._same_time(mine, theirs):
            self._same(target, other, path, mine, theirs)
        else:
            self._move(visited, source, name, mine, target, other, theirs)

    def _in_the_way(
        self,
        visited: Visited,
        source: Place,
        name: bytes,
        mine: Attributes,
        target: Place | None,
        other: bytes,
        theirs: Attributes,
        depth: int,
    ) -> None:
        """Give what is of another kind another name, to be removed when all is done."""
        if not self.options.delete:
            raise TransferError("something of another kind is in the way, and is removed with delete only")
        place = target
        if place is None or self.options.dry_run:
            self._extra.append((visited.path, other, other, theirs.is_dir))
            self._entry(visited, source, name, mine, None, other, None, depth)
            return

        async def put_aside() -> None:
            aside = part_name(other, os.urandom)
            await place.rename(other, aside)
            self._extra.append((visited.path, aside, other, theirs.is_dir))
            self._entry(visited, source, name, mine, place, other, None, depth)

        self._add(source, target, join(source.path, name), put_aside)

    # Files and links.

    async def _link(
        self,
        visited: Visited,
        source: Place,
        name: bytes,
        target: Place | None,
        other: bytes,
        theirs: Attributes | None,
    ) -> None:
        text = await source.readlink(name)
        if (
            theirs is not None
            and theirs.is_link
            and target is not None
            and await target.readlink(other) == text
        ):
            self._counts["unchanged"] += 1
        else:
            path = from_wire(join(source.path, name))
            self._did("links", visited, Action("link", path, new=theirs is None))
            if target is not None and not self.options.dry_run:
                await target.symlink(text, other)
        self.transfer.progress.files += 1

    async def _compare(
        self,
        visited: Visited,
        source: Place,
        name: bytes,
        mine: Attributes,
        target: Place,
        other: bytes,
        theirs: Attributes,
    ) -> None:
        """Compare contents: by the server's own hash where it has one, else by reading."""
        size = mine.size or 0
        pairs = [(target, other), (source, name)]
        if not (isinstance(target, RemotePlace) and target.client.can_hash):
            pairs.reverse()
        (first, first_name), (second, second_name) = pairs
        algorithm, one = await first.digest(first_name, size, HASHES)
        _, two = await second.digest(second_name, size, (algorithm,))
        if one == two:
            self._same(target, other, join(source.path, name), mine, theirs)
        else:
            self._move(visited, source, name, mine, target, other, theirs)

    def _same(
        self, target: Place | None, other: bytes, path: bytes, mine: Attributes, theirs: Attributes | None
    ) -> None:
        """Its contents need nothing; its mode and times may (where `theirs` are given)."""
        self._counts["unchanged"] += 1
        self.transfer.progress.files += 1
        if theirs is None:
            return
        changes = Attributes()
        if self.options.modes and mine.mode is not None and (mine.mode ^ (theirs.mode or 0)) & PERMISSIONS:
            changes.permissions = mine.mode & PERMISSIONS
        if self.options.times and mine.mtime is not None and not self._same_time(mine, theirs):
            changes.atime, changes.mtime = mine.atime, mine.mtime
        if changes == Attributes():
            return
        self._counts["attributes"] += 1
        self._tell(Action("attributes", from_wire(path)))
        if target is not None and not self.options.dry_run:
            self._add(None, target, path, lambda: target.change(other, changes))

    def _move(
        self,
        visited: Visited,
        source: Place,
        name: bytes,
        mine: Attributes,
        target: Place | None,
        other: bytes,
        theirs: Attributes | None,
    ) -> None:
        """Transfer one file."""
        path, size = join(source.path, name), mine.size or 0
        self._size += size
        self._did("files", visited, Action("file", from_wire(path), size, theirs is None))
        if target is None or self.options.dry_run:
            self.transfer.progress.files += 1
            return
        if not self._moving.preserve:  # the engine sets both or none
            changes = Attributes()
            keeps = theirs if theirs is not None and theirs.is_file else None
            model = mine if self.options.modes else keeps  # who replaces a file takes its mode
            if model is not None and model.mode is not None:
                changes.permissions = model.mode & PERMISSIONS
            if self.options.times and mine.mtime is not None:
                changes.atime, changes.mtime = mine.atime, mine.mtime
            if changes != Attributes():
                self._later.append((visited.path, other, changes))
        if isinstance(source, LocalPlace) != isinstance(target, LocalPlace):
            self._parts.add((visited.path, part_name(other, None)))
        options, transfer, work = self._moving, self.transfer, self.work
        by_blocks = moving.may_delta(self.options.delta, mine, theirs)
        plain = not options.verify
        if isinstance(source, LocalPlace) and isinstance(target, RemotePlace):
            here, there = source, target
            if plain and size <= min(SMALL, write_size(there.client.session)):
                work.add(moving.SmallUpload(work, there, here.folder, name, there.at(other), path))
                return
            self._add(
                source,
                target,
                path,
                lambda: moving.send(here, name, there, other, theirs, options, transfer, by_blocks),
            )
        elif isinstance(source, RemotePlace) and isinstance(target, LocalPlace):
            far, near = source, target
            if plain and 0 < size < min(SMALL, read_size(far.client.session)):
                work.add(SmallFile(work, far.client, near.folder, far.at(name), other, mine))
                return
            self._add(
                source,
                target,
                path,
                lambda: moving.fetch(far, name, mine, near, other, options, transfer, by_blocks),
            )
        elif isinstance(source, LocalPlace) and isinstance(target, LocalPlace):
            one, two = source, target
            self._add(
                source,
                target,
                path,
                lambda: moving.copy_here(one, name, two, other, theirs, options, transfer, self._defer),
            )
        else:
            from_there, to_there = cast("RemotePlace", source), cast("RemotePlace", target)
            self._add(
                source,
                target,
                path,
                lambda: moving.copy_there(from_there, name, mine, to_there, other, theirs, options, transfer),
            )


def is_part(name: bytes) -> bool:
    """Tell whether it is a file that is not whole yet."""
    return name.startswith(b".") and name.endswith(PART_END)
