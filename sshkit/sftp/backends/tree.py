"""A tree of nodes, and how paths are resolved in it.  MemoryBackend and ArchiveBackend stand on it."""

import errno
import os
import stat

from sshkit.sftp.attributes import Attributes

MAX_LINKS = 40
MAX_PATH = 4096
MAX_NAME = 255


def error(number: int) -> OSError:
    """Return the OSError of a number."""
    return OSError(number, os.strerror(number))


class Node:
    """One file, directory or link.  What `content` is depends on the kind."""

    __slots__ = ("atime", "children", "content", "gid", "links", "mode", "mtime", "parent", "uid")

    def __init__(self, mode: int, now: int = 0, uid: int = 0, gid: int = 0) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.atime = self.mtime = now
        self.links = 1
        self.content: object = None
        self.children: dict[bytes, Node] | None = {} if stat.S_ISDIR(mode) else None
        self.parent: Node | None = None  # of a directory

    @property
    def is_link(self) -> bool:
        """A symbolic link; its content is what it says."""
        return stat.S_ISLNK(self.mode)

    def attributes(self, size: int) -> Attributes:
        """Return what is known of it."""
        return Attributes(size, self.uid, self.gid, self.mode, self.atime, self.mtime)


class Place:
    """Where a path leads: a directory, a name in it, and the node there, if there is one."""

    __slots__ = ("folder", "name", "node", "trail")

    def __init__(self, folder: Node, name: bytes, node: Node | None, trail: list[bytes]) -> None:
        self.folder = folder
        self.name = name  #: b"." where the path names a directory by its form, as "a/.." does
        self.node = node
        self.trail = trail  #: the names that lead to `folder`

    def existing(self) -> Node:
        """Return the node; raises ENOENT."""
        if self.node is None:
            raise error(errno.ENOENT)
        return self.node

    def free(self) -> None:
        """Raise where something is there, or nothing can be."""
        if self.node is not None:
            raise error(errno.EEXIST)
        if len(self.name) > MAX_NAME:
            raise error(errno.ENAMETOOLONG)

    def path(self) -> bytes:
        """Return the absolute path."""
        names = self.trail if self.name == b"." else [*self.trail, self.name]
        return b"/" + b"/".join(names)


class Tree:
    """Nodes below a root."""

    __slots__ = ("root", "start")

    def __init__(self, start: bytes = b"/", now: int = 0) -> None:
        self.root = Node(stat.S_IFDIR | 0o755, now)
        self.start = start

    def find(self, path: bytes, *, follow: bool) -> Place:
        """Resolve a path; with `follow` a link at the end too.  What is before the end must exist."""
        if len(path) >= MAX_PATH:
            raise error(errno.ENAMETOOLONG)
        if not path.startswith(b"/"):
            path = self.start + b"/" + path
        pending = path.split(b"/")
        pending.reverse()
        folder = self.root
        trail: list[bytes] = []
        links = 0
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if trail:
                    trail.pop()
                    assert folder.parent is not None
                    folder = folder.parent
                continue
            assert folder.children is not None
            node = folder.children.get(name)
            if node is not None and node.is_link and (follow or pending):
                links += 1
                if links > MAX_LINKS:
                    raise error(errno.ELOOP)
                target = node.content
                assert isinstance(target, bytes)
                if target.startswith(b"/"):
                    folder, trail = self.root, []
                pending.extend(reversed(target.split(b"/")))
                continue
            if not pending:
                return Place(folder, name, node, trail)
            if node is None:
                raise error(errno.ENOENT)
            if node.children is None:
                raise error(errno.ENOTDIR)
            folder = node
            trail.append(name)
        return Place(folder, b".", folder, trail)

    def realpath(self, path: bytes) -> bytes:
        """Return the absolute path without links; the last part need not exist."""
        return self.find(path, follow=True).path()
