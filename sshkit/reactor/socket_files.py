"""The files of UNIX sockets: which one is ours, and taking only that away.

Called by whoever binds a socket to a path.
"""

import os

#: A path, the device and inode that it had when the socket was bound, and the process that bound it.
SocketFile = tuple[str | bytes, int, int, int]

#: Whether files that our parent has bound are ours to remove: then this process goes on in its place.
_inherited = False


def inherit() -> None:
    """Take over the files that were bound before the fork."""
    global _inherited
    _inherited = True


def is_abstract(path: str | bytes) -> bool:
    """Whether a name lies in Linux's abstract name space, where there are no files."""
    return path[:1] in ("\0", b"\0")


def check_path(path: str | bytes) -> None:
    """Raise ValueError for what the kernel would cut: a NUL inside a path, or no name at all."""
    if not path:
        raise ValueError("a socket needs a path, or a name that begins with a NUL")
    if not is_abstract(path) and ("\0" in path if isinstance(path, str) else b"\0" in path):
        raise ValueError("a NUL in a path")


def socket_file(path: str | bytes) -> SocketFile | None:
    """Remember the file of a socket just bound; None for an abstract name."""
    if is_abstract(path):
        return None
    status = os.stat(path, follow_symlinks=False)
    return path, status.st_dev, status.st_ino, os.getpid()


def remove_socket_file(file: SocketFile | None) -> None:
    """Remove a socket's file, unless another one has its name by now, or it is a forked child's parent's."""
    if file is None:
        return
    path, device, inode, owner = file
    if owner != os.getpid() and not _inherited:
        return
    try:
        status = os.stat(path, follow_symlinks=False)
        if (status.st_dev, status.st_ino) == (device, inode):
            os.unlink(path)
    except OSError:
        pass
