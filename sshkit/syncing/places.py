"""One directory of a tree, here or at a server: what a sync asks of it, and does to it.

`worker.py` calls these.  Local directories are held by descriptor and every name in them is one component
that is not followed, so a link that is put there meanwhile leads nobody astray (R35).  Changes go to names
of the listing only, below the top.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from sshkit.deferred import Deferred, gather
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.client_listing import Lister, join
from sshkit.sftp.errors import SFTPError
from sshkit.sftp.progress import TransferError
from sshkit.sftp.transfer_local import CLOEXEC, NOFOLLOW, NONBLOCK, hash_part, open_below, part_name
from sshkit.sftp.tree import Folder

PERMISSIONS = 0o777  #: never set-uid, set-gid, sticky (R35)
PARALLEL = 64
PIECE = 1 << 20
Defer = Callable[..., Deferred[Any]]


class Place(ABC):
    """A directory; `path` is relative to the top of its tree."""

    __slots__ = ("path",)
    path: bytes

    def hold(self) -> "Place":
        """Count one more user."""
        return self

    @abstractmethod
    def release(self) -> None:
        """Count one less."""
        ...

    @abstractmethod
    async def entries(self) -> dict[bytes, Attributes]:
        """Return what is in it; links are not followed."""
        ...

    @abstractmethod
    async def below(self, name: bytes) -> "Place":
        """Return a directory in it, which the caller releases."""
        ...

    async def descend(self, path: bytes) -> "Place":
        """Return a directory somewhere below, which the caller releases."""
        at = self.hold()
        for name in path.split(b"/") if path else ():
            try:
                deeper = await at.below(name)
            finally:
                at.release()
            at = deeper
        return at

    @abstractmethod
    async def make(self, name: bytes, mode: int) -> None:
        """Make a directory in it."""
        ...

    @abstractmethod
    async def readlink(self, name: bytes) -> bytes:
        """Return what a link in it says."""
        ...

    @abstractmethod
    async def symlink(self, text: bytes, name: bytes) -> None:
        """Make a link in it, over a file or link that is there."""
        ...

    @abstractmethod
    async def rename(self, name: bytes, other: bytes) -> None:
        """Rename something in it."""
        ...

    @abstractmethod
    async def remove(self, name: bytes, is_dir: bool) -> None:
        """Remove something in it, a directory with all that is in it."""
        ...

    @abstractmethod
    async def change(self, name: bytes, attributes: Attributes) -> None:
        """Change mode and times of a file in it, or with an empty name of itself."""
        ...

    @abstractmethod
    async def digest(self, name: bytes, size: int, algorithms: Sequence[str]) -> tuple[str, bytes]:
        """Return the algorithm taken and the hash of a file in it."""
        ...


class LocalPlace(Place):
    """A directory here."""

    __slots__ = ("_defer", "_random", "folder")

    def __init__(self, folder: Folder, path: bytes, defer: Defer) -> None:
        self.folder = folder
        self.path = path
        self._defer = defer
        self._random = os.urandom

    def hold(self) -> "LocalPlace":
        self.folder.hold()
        return self

    def release(self) -> None:
        self.folder.release()

    async def entries(self) -> dict[bytes, Attributes]:
        found: dict[bytes, Attributes] = await self._defer(_scan, self.folder.descriptor)
        return found

    async def below(self, name: bytes) -> "LocalPlace":
        folder = Folder(open_below(self.folder.descriptor, name))
        return LocalPlace(folder, join(self.path, name), self._defer)

    async def make(self, name: bytes, mode: int) -> None:
        os.mkdir(name, mode, dir_fd=self.folder.descriptor)

    async def readlink(self, name: bytes) -> bytes:
        return os.readlink(name, dir_fd=self.folder.descriptor)

    async def symlink(self, text: bytes, name: bytes) -> None:
        parent = self.folder.descriptor
        part = part_name(name, self._random)
        os.symlink(text, part, dir_fd=parent)
        try:
            os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            os.unlink(part, dir_fd=parent)
            raise

    async def rename(self, name: bytes, other: bytes) -> None:
        parent = self.folder.descriptor
        os.rename(name, other, src_dir_fd=parent, dst_dir_fd=parent)

    async def remove(self, name: bytes, is_dir: bool) -> None:
        parent = self.folder.descriptor
        if not is_dir:
            os.unlink(name, dir_fd=parent)
            return
        from shutil import rmtree

        await self._defer(rmtree, name, dir_fd=parent)

    async def change(self, name: bytes, attributes: Attributes) -> None:
        if not name:
            _change(self.folder.descriptor, attributes)
            return
        flags = os.O_RDONLY | NOFOLLOW | NONBLOCK | CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self.folder.descriptor)
        try:
            _change(descriptor, attributes)
        finally:
            os.close(descriptor)

    async def digest(self, name: bytes, size: int, algorithms: Sequence[str]) -> tuple[str, bytes]:
        flags = os.O_RDONLY | NOFOLLOW | NONBLOCK | CLOEXEC
        descriptor = os.open(name, flags, dir_fd=self.folder.descriptor)
        try:
            return algorithms[0], await self._defer(hash_part, descriptor, 0, size, algorithms[0])
        finally:
            os.close(descriptor)


def _change(descriptor: int, attributes: Attributes) -> None:
    if attributes.permissions is not None:
        os.fchmod(descriptor, attributes.permissions & PERMISSIONS)
    if attributes.mtime is not None:
        atime = attributes.mtime if attributes.atime is None else attributes.atime
        os.utime(descriptor, (atime, attributes.mtime))


def _scan(descriptor: int) -> dict[bytes, Attributes]:
    """Return what is in a local directory; for a thread."""
    found: dict[bytes, Attributes] = {}
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed meanwhile
            found[os.fsencode(entry.name)] = Attributes.from_stat(facts)
    return found


class RemotePlace(Place):
    """A directory at a server; `full` is its name there."""

    __slots__ = ("client", "full")

    def __init__(self, client: SFTPClient, full: bytes, path: bytes) -> None:
        self.client = client
        self.full = full
        self.path = path

    def release(self) -> None:
        """Nothing is held."""

    async def entries(self) -> dict[bytes, Attributes]:
        found: dict[bytes, Attributes] = {}
        lister = await Lister(self.client.session, self.full).open()
        try:
            while (batch := await lister.next()) is not None:
                for name, _, attributes in batch:
                    found[name] = attributes
        finally:
            lister.close()
        unknown = [name for name, facts in found.items() if facts.permissions is None]
        for start in range(0, len(unknown), PARALLEL):
            names = unknown[start : start + PARALLEL]
            for name, facts in zip(
                names, await gather(*(self.client.lstat(self.at(name)) for name in names)), strict=True
            ):
                found[name] = facts
        return found

    def at(self, name: bytes) -> bytes:
        """Return the full name of something in it."""
        return join(self.full, name) if name else self.full

    async def below(self, name: bytes) -> "RemotePlace":
        return RemotePlace(self.client, self.at(name), join(self.path, name))

    async def make(self, name: bytes, mode: int) -> None:
        await self.client.mkdir(self.at(name), mode)

    async def readlink(self, name: bytes) -> bytes:
        text = (await self.client.readlink(self.at(name))).encode("utf-8", "surrogateescape")
        if not text or b"\0" in text:
            raise TransferError("the link says what no link can", self.at(name))
        return text

    async def symlink(self, text: bytes, name: bytes) -> None:
        part = self.at(part_name(name, self.client.session.random_bytes))
        await self.client.symlink(text, part)
        try:
            await self.client.replace(part, self.at(name))
        except SFTPError:
            self.client.remove(part).add_errback(lambda _: None)
            raise

    async def rename(self, name: bytes, other: bytes) -> None:
        await self.client.rename(self.at(name), self.at(other), replace=False)

    async def remove(self, name: bytes, is_dir: bool) -> None:
        await (self.client.rmtree if is_dir else self.client.remove)(self.at(name))

    async def change(self, name: bytes, attributes: Attributes) -> None:
        if attributes.permissions is not None:
            attributes.permissions &= PERMISSIONS
        await self.client.setstat(self.at(name), attributes)

    async def digest(self, name: bytes, size: int, algorithms: Sequence[str]) -> tuple[str, bytes]:
        if self.client.can_hash:
            try:
                algorithm, found = await self.client.hash(self.at(name), algorithms, size=size)
            except SFTPError:
                pass  # none of these; or it hashes no such file
            else:
                if algorithm in algorithms:
                    return algorithm, found
        import hashlib

        digest = hashlib.new(algorithms[0], usedforsecurity=False)
        async with self.client.open(self.at(name)) as file:
            while data := await file.read(PIECE):
                digest.update(data)
        return algorithms[0], digest.digest()
