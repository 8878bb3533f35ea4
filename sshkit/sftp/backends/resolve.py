"""Finds a path below a root that is held as a directory descriptor (R32).

`LocalBackend` asks for the directory that holds the last part of a path, and acts on that part with the
descriptor and without following a link in it; so nothing that is swapped in between leads outside.  Links
lead to where they lead if the root were ``/``; ``..`` stops there.  No strings of paths are compared.

Three ways that give the same: `WholeResolver` where the root is the system's own, `KernelResolver` by
openat2, `WalkingResolver` part by part where the kernel has no openat2.
"""

import errno
import os
from typing import Protocol

from sshkit.sftp.backends.openat2 import OpenIn, load

MAX_LINKS = 40  #: as the kernel has it
MAX_PATH = 4096  #: bytes, as the kernel has it
_TRIES = 8  #: openat2 gives up where somebody renames on the way
_OPEN = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class Resolver(Protocol):
    """Finds the directory that holds the last part of a path."""

    root: int

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """Return a directory's descriptor and a name in it; `path` is absolute.

        The caller closes the descriptor if it is not `root`.  The name may be "." where the path ends in
        a directory by its form.
        """
        ...


def open_root(path: "str | bytes | os.PathLike[str]") -> int:
    """Open a directory to resolve in."""
    return os.open(path, _OPEN)


def resolver_for(root: int) -> Resolver:
    """Return the best resolver for a root; it owns the descriptor from now on."""
    own, system = os.fstat(root), os.stat("/")
    if (own.st_dev, own.st_ino) == (system.st_dev, system.st_ino):
        return WholeResolver(root)
    call = _openat2()
    return WalkingResolver(root) if call is None else KernelResolver(root, call)


_loaded: list[OpenIn | None] = []


def _openat2() -> OpenIn | None:
    if not _loaded:
        _loaded.append(load())
    return _loaded[0]


def error(number: int) -> OSError:
    """Return the OSError of a number."""
    return OSError(number, os.strerror(number))


def check_length(path: bytes) -> None:
    """Refuse what the kernel would refuse."""
    if len(path) >= MAX_PATH:
        raise error(errno.ENAMETOOLONG)


class WholeResolver:
    """The root is the system's: the kernel resolves everything, and there is nothing outside."""

    __slots__ = ("root",)

    def __init__(self, root: int) -> None:
        self.root = root

    def parent(self, path: bytes) -> tuple[int, bytes]:
        """Return the whole path as the name in the root."""
        return self.root, path.lstrip(b"/") or b"."


class KernelResolver:
    """One openat2 for all parts but the last."""

    __slots__ = ("_open", "root")

    def __init__(self, root: int, call: OpenIn) -> None:
        self.root = root
        self._open = call

    def parent(self, path: bytes) -> tuple[int, bytes]:
        check_length(path)
        folder, _, name = path.rpartition(b"/")
        if name in (b"", b".", b".."):
            folder, name = path, b"."
        folder = folder.strip(b"/")
        if not folder:
            return self.root, name
        for _ in range(_TRIES):
            try:
                return self._open(self.root, folder, _OPEN), name
            except OSError as failed:
                if failed.errno != errno.EAGAIN:
                    raise
        return WalkingResolver(self.root).parent(path)


class WalkingResolver:
    """Opens part by part without following links, and follows them itself."""

    __slots__ = ("root",)

    def __init__(self, root: int) -> None:
        self.root = root

    def parent(self, path: bytes) -> tuple[int, bytes]:
        descriptor, name, _ = self.walk(path)
        return descriptor, name

    def walk(self, path: bytes) -> tuple[int, bytes, list[bytes]]:
        """Return the same as `parent`, and the names that lead to that directory, without links."""
        check_length(path)
        pending = path.split(b"/")
        pending.reverse()
        stack = [self.root]  # the directories on the way; ".." goes back to what we came through
        names: list[bytes] = []
        links = 0
        try:
            while pending:
                part = pending.pop()
                if part in (b"", b"."):
                    continue
                if part == b"..":
                    if names:
                        os.close(stack.pop())
                        names.pop()
                    continue
                if not pending:
                    return self._last(stack), part, names
                try:
                    stack.append(os.open(part, _OPEN | os.O_NOFOLLOW, dir_fd=stack[-1]))
                    names.append(part)
                    continue
                except OSError as failed:
                    if failed.errno not in (errno.ENOTDIR, errno.ELOOP):
                        raise
                links += 1
                if links > MAX_LINKS:
                    raise error(errno.ELOOP)
                target = read_link(part, stack[-1])
                if target.startswith(b"/"):
                    while names:
                        os.close(stack.pop())
                        names.pop()
                pending.extend(reversed(target.split(b"/")))
            return self._last(stack), b".", names
        finally:
            for descriptor in stack[1:]:
                os.close(descriptor)

    @staticmethod
    def _last(stack: list[int]) -> int:
        return stack.pop() if len(stack) > 1 else stack[0]

    def canonical(self, path: bytes) -> bytes:
        """Return the absolute path without links; the last part need not exist."""
        links = 0
        while True:
            descriptor, name, names = self.walk(path)
            try:
                if name == b".":
                    return b"/" + b"/".join(names)
                try:
                    target = os.readlink(name, dir_fd=descriptor)
                except OSError as failed:
                    if failed.errno not in (errno.EINVAL, errno.ENOENT):
                        raise
                    return b"/" + b"/".join([*names, name])
            finally:
                if descriptor != self.root:
                    os.close(descriptor)
            links += 1
            if links > MAX_LINKS:
                raise error(errno.ELOOP)
            path = target if target.startswith(b"/") else b"/".join([b"", *names, target])


def read_link(name: bytes, directory: int) -> bytes:
    """Return what a link says that stands where a directory should; ENOTDIR where it is no link."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as failed:
        if failed.errno == errno.EINVAL:
            raise error(errno.ENOTDIR) from None
        raise


def joined(path: bytes, target: bytes) -> bytes:
    """Return where a link at the end of `path` leads; still to be resolved."""
    if target.startswith(b"/"):
        return target
    return path.rpartition(b"/")[0] + b"/" + target
