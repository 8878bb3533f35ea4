"""Files in memory: for tests, and for programs that serve what they make.

`SFTPServer` calls it.  One MemoryBackend may serve many sessions: they see the same tree.  It checks no
permissions: everybody may do everything that the server lets through.
"""

import errno
import stat
from collections.abc import Callable, Iterator

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend, BackendDirectory, BackendFile, Entry, FileSystemFacts
from sshkit.sftp.backends.quota import Quota
from sshkit.sftp.backends.tree import MAX_NAME, MAX_PATH, Node, Place, Tree, error
from sshkit.sftp.messages import APPEND, CREATE, EXCLUSIVE, TRUNCATE

#: What a program that did not say otherwise keeps in memory at most.
DEFAULT_BYTES = 256 << 20
_BLOCK = 4096


class MemoryFile(BackendFile):
    """One open file; the node outlives its name."""

    __slots__ = ("_append", "_backend", "_node")

    def __init__(self, backend: "MemoryBackend", node: Node, append: bool) -> None:
        self._backend = backend
        self._node = node
        self._append = append

    def read(self, offset: int, size: int) -> bytes:
        return bytes(data_of(self._node)[offset : offset + size])

    def write(self, offset: int, data: memoryview) -> None:
        content = data_of(self._node)
        if self._append:
            offset = len(content)
        end = offset + len(data)
        if end > len(content):
            self._backend.resize(self._node, end)
        content[offset:end] = data
        self._node.mtime = self._backend.seconds()

    def stat(self) -> Attributes:
        return attributes_of(self._node)

    def setstat(self, attributes: Attributes) -> None:
        self._backend.change(self._node, attributes)

    def statvfs(self) -> FileSystemFacts:
        return self._backend.facts()

    def sync(self) -> None:
        """It is as safe as it can be."""

    def close(self) -> None:
        """Nothing is held."""


class NodeDirectory(BackendDirectory):
    """One listing; it shows what was there when it began."""

    __slots__ = ("_entries",)

    def __init__(self, node: Node, attributes_of: Callable[[Node], Attributes]) -> None:
        children = node.children
        if children is None:
            raise error(errno.ENOTDIR)
        nodes = [(b".", node), (b"..", node.parent or node), *children.items()]
        self._entries: Iterator[Entry] = ((name, attributes_of(child)) for name, child in nodes)

    def read(self, count: int) -> list[Entry]:
        return [entry for _, entry in zip(range(count), self._entries, strict=False)]

    def close(self) -> None:
        """Nothing is held."""


class MemoryBackend(Backend):
    """A tree that lives as long as this object."""

    __slots__ = ("_now", "_quota", "_tree", "read_only")

    def __init__(
        self,
        files: "dict[str, bytes] | None" = None,
        *,
        now: Callable[[], float] = lambda: 0.0,
        start: bytes = b"/",
        quota: Quota | None = None,
        read_only: bool = False,
    ) -> None:
        """`files` are contents by path; directories on the way are made.  `now` gives seconds since 1970."""
        self._now = now
        self._tree = Tree(start, int(now()))
        self._quota = Quota(bytes=DEFAULT_BYTES) if quota is None else quota
        self.read_only = read_only
        for path, content in (files or {}).items():
            self.put(path, content)

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file into the tree, and the directories on the way to it."""
        raw = path.encode("utf-8", "surrogateescape")
        parts = raw.strip(b"/").split(b"/")
        for count in range(1, len(parts)):
            place = self._tree.find(b"/" + b"/".join(parts[:count]), follow=True)
            if place.node is None:
                self._add(place, Node(stat.S_IFDIR | 0o755, self.seconds()))
        file = self.open(b"/" + b"/".join(parts), CREATE | TRUNCATE, Attributes(permissions=mode))
        file.write(0, memoryview(content))

    def get(self, path: str) -> bytes:
        """Return a file's content."""
        node = self._tree.find(path.encode("utf-8", "surrogateescape"), follow=True).existing()
        return bytes(data_of(node))

    def seconds(self) -> int:
        """Return the time, as files have it."""
        return int(self._now())

    # Files.

    def open(self, path: bytes, flags: int, attributes: Attributes) -> MemoryFile:
        place = self._tree.find(path, follow=not flags & EXCLUSIVE)
        node = place.node
        if node is None:
            if not flags & CREATE:
                raise error(errno.ENOENT)
            mode = 0o644 if attributes.permissions is None else attributes.permissions & 0o777
            node = Node(stat.S_IFREG | mode, self.seconds())
            node.content = bytearray()
            self._add(place, node)
        elif flags & CREATE and flags & EXCLUSIVE:
            raise error(errno.EEXIST)
        if node.children is not None:
            raise error(errno.EISDIR)
        if flags & TRUNCATE:
            self.resize(node, 0)
        return MemoryFile(self, node, bool(flags & APPEND))

    def opendir(self, path: bytes) -> NodeDirectory:
        return NodeDirectory(self._tree.find(path, follow=True).existing(), attributes_of)

    def stat(self, path: bytes) -> Attributes:
        return attributes_of(self._tree.find(path, follow=True).existing())

    def lstat(self, path: bytes) -> Attributes:
        return attributes_of(self._tree.find(path, follow=False).existing())

    def setstat(self, path: bytes, attributes: Attributes) -> None:
        self.change(self._tree.find(path, follow=True).existing(), attributes)

    def lsetstat(self, path: bytes, attributes: Attributes) -> None:
        self.change(self._tree.find(path, follow=False).existing(), attributes)

    def change(self, node: Node, attributes: Attributes) -> None:
        """Change what is not None."""
        if attributes.size is not None:
            if node.children is not None:
                raise error(errno.EISDIR)
            self.resize(node, attributes.size)
        if attributes.permissions is not None:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(attributes.permissions)
        if attributes.atime is not None:
            node.atime = attributes.atime
        if attributes.mtime is not None:
            node.mtime = attributes.mtime
        if attributes.uid is not None:
            node.uid = attributes.uid
        if attributes.gid is not None:
            node.gid = attributes.gid

    def resize(self, node: Node, size: int) -> None:
        """Make a file longer, with zeros, or shorter; raises EDQUOT."""
        content = data_of(node)
        self._quota.grow(size - len(content))
        if size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))

    # Names.

    def mkdir(self, path: bytes, attributes: Attributes) -> None:
        place = self._tree.find(path.rstrip(b"/") or b"/", follow=False)
        place.free()
        mode = 0o755 if attributes.permissions is None else attributes.permissions & 0o777
        self._add(place, Node(stat.S_IFDIR | mode, self.seconds()))

    def rmdir(self, path: bytes) -> None:
        place = self._tree.find(path.rstrip(b"/") or b"/", follow=False)
        node = place.existing()
        if node.children is None:
            raise error(errno.ENOTDIR)
        if node.children:
            raise error(errno.ENOTEMPTY)
        self._drop(place)

    def remove(self, path: bytes) -> None:
        place = self._tree.find(path, follow=False)
        if place.existing().children is not None:
            raise error(errno.EISDIR)
        self._drop(place)

    def rename(self, source: bytes, target: bytes) -> None:
        self._tree.find(target.rstrip(b"/"), follow=False).free()
        self.posix_rename(source, target)

    def posix_rename(self, source: bytes, target: bytes) -> None:
        old = self._tree.find(source.rstrip(b"/") or b"/", follow=False)
        new = self._tree.find(target.rstrip(b"/") or b"/", follow=False)
        node = old.existing()
        if new.node is node:
            return
        if b"." in (old.name, new.name):
            raise error(errno.EBUSY)
        if node.children is not None and new.trail[: len(old.trail) + 1] == [*old.trail, old.name]:
            raise error(errno.EINVAL)  # into itself
        if new.node is not None:
            self._check_replaceable(node, new.node)
            self._drop(new)
        elif len(new.name) > MAX_NAME:
            raise error(errno.ENAMETOOLONG)
        assert old.folder.children is not None
        assert new.folder.children is not None
        del old.folder.children[old.name]
        new.folder.children[new.name] = node
        if node.children is not None:
            node.parent = new.folder

    @staticmethod
    def _check_replaceable(node: Node, lost: Node) -> None:
        if lost.children:
            raise error(errno.ENOTEMPTY)
        if (lost.children is None) != (node.children is None):
            raise error(errno.ENOTDIR if lost.children is None else errno.EISDIR)

    def link(self, source: bytes, target: bytes) -> None:
        node = self._tree.find(source, follow=False).existing()
        place = self._tree.find(target, follow=False)
        if node.children is not None:
            raise error(errno.EPERM)
        place.free()
        self._add(place, node)
        node.links += 1

    def symlink(self, text: bytes, link: bytes) -> None:
        if len(text) >= MAX_PATH:
            raise error(errno.ENAMETOOLONG)
        place = self._tree.find(link, follow=False)
        place.free()
        node = Node(stat.S_IFLNK | 0o777, self.seconds())
        node.content = text
        self._add(place, node)

    def readlink(self, path: bytes) -> bytes:
        node = self._tree.find(path, follow=False).existing()
        if not isinstance(node.content, bytes):
            raise error(errno.EINVAL)
        return node.content

    def realpath(self, path: bytes) -> bytes:
        return self._tree.realpath(path)

    def expand_path(self, path: bytes) -> bytes:
        if path.startswith(b"~"):
            user, _, rest = path[1:].partition(b"/")
            path = self.home_directory(user) + b"/" + rest
        return self._tree.realpath(path)

    def home_directory(self, user: bytes) -> bytes:
        if user:
            raise error(errno.ENOENT)
        return self._tree.start

    def statvfs(self, path: bytes) -> FileSystemFacts:
        self._tree.find(path, follow=True).existing()
        return self.facts()

    def facts(self) -> FileSystemFacts:
        """Return the sizes, as the quota has them."""
        quota = self._quota
        total = (DEFAULT_BYTES if quota.bytes is None else quota.bytes) // _BLOCK
        free = max(total - -(-quota.used_bytes // _BLOCK), 0)
        files = 1 << 20 if quota.files is None else quota.files
        left = max(files - quota.used_files, 0)
        return FileSystemFacts(
            _BLOCK, _BLOCK, total, free, free, files, left, left, 0, 1 if self.read_only else 0, MAX_NAME
        )

    # Inside.

    def _add(self, place: Place, node: Node) -> None:
        place.free()
        self._quota.add_file()
        assert place.folder.children is not None
        place.folder.children[place.name] = node
        if node.children is not None:
            node.parent = place.folder

    def _drop(self, place: Place) -> None:
        if place.name == b".":
            raise error(errno.EBUSY)
        assert place.folder.children is not None
        node = place.folder.children.pop(place.name)
        self._quota.drop_file()
        node.links -= 1
        if not node.links and isinstance(node.content, bytearray):
            self._quota.grow(-len(node.content))


def data_of(node: Node) -> bytearray:
    """Return a file's content; raises for what is no file."""
    if isinstance(node.content, bytearray):
        return node.content
    raise error(errno.EINVAL if node.is_link else errno.EISDIR)


def attributes_of(node: Node) -> Attributes:
    """Return what is known of a node."""
    size = len(node.content) if isinstance(node.content, (bytes, bytearray)) else 0
    return node.attributes(size)
