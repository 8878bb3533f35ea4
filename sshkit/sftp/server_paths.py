"""Requests by path, and FSTAT and FSETSTAT: read the packet, ask the backend, answer.

`SFTPServer` puts these into its table of handlers.  Each is called with the server and the payload; WireError
is answered as a bad message.
"""

import errno
import os
from typing import TYPE_CHECKING

from sshkit_keys.errors import WireError

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPPermissionDenied
from sshkit.sftp.server_io import Handler, by_handle
from sshkit.sftp.server_requests import CHANGES, HANDLE, READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

_CHANGING = m.WRITE_FLAG | m.APPEND | m.CREATE | m.TRUNCATE


def one_path(payload: memoryview) -> tuple[int, bytes]:
    """Read an id and one path."""
    number, length = m.unpack_two(payload, 1)
    if length != len(payload) - 9:
        raise WireError(f"a path of {length} bytes, {len(payload) - 9} are there")
    return number, bytes(payload[9:])


def path_at(payload: memoryview, position: int) -> tuple[bytes, int]:
    """Read a path; return where it ends, too."""
    start = position + 4
    end = start + m.unpack_id(payload, position)[0]
    if end > len(payload):
        raise WireError(f"a path up to byte {end} of {len(payload)}")
    return bytes(payload[start:end]), end


def last_attributes(server: "SFTPServer", payload: memoryview, position: int) -> Attributes:
    """Read the attributes at the end of a packet."""
    attributes, end = server.dialect.read_attributes(payload, position)
    finish(server, payload, end)
    return attributes


def finish(server: "SFTPServer", payload: memoryview, end: int) -> None:
    """Refuse a packet that goes on, where the version does not allow it."""
    if end != len(payload) and server.dialect.exact:
        raise WireError(f"{len(payload) - end} bytes left over")


def is_usable(server: "SFTPServer", asked: Asked, *paths: bytes) -> bool:
    """Answer ENOENT for a path that no file can have."""
    for path in paths:
        if not path or b"\0" in path:
            server.fail(asked, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
            return False
    return True


def open_file(server: "SFTPServer", payload: memoryview) -> None:
    """OPEN."""
    path, position = path_at(payload, 5)
    (number,) = m.unpack_id(payload, 1)
    (flags,) = m.unpack_id(payload, position)
    attributes = last_attributes(server, payload, position + 4)
    begin_open(server, Asked("open", CHANGES, number, path, flags=flags, attributes=attributes), attributes)


def begin_open(server: "SFTPServer", asked: Asked, attributes: Attributes) -> None:
    """Open a file; `asked` has the path, and the flags as in version 3."""
    path, flags = asked.path, asked.flags
    if server.read_only and flags & _CHANGING:
        server.fail(asked, SFTPPermissionDenied())
    elif is_usable(server, asked, path):
        try:
            server.handles.check_room()
        except OSError as error:
            server.fail(asked, error)
        else:
            change = server.dialect.changing(server.backend.open)
            server.do(asked, server.opened, change, path, flags, attributes)


def open_directory(server: "SFTPServer", payload: memoryview) -> None:
    """OPENDIR."""
    number, path = one_path(payload)
    asked = Asked("opendir", READS, number, path)
    if is_usable(server, asked, path):
        try:
            server.handles.check_room()
        except OSError as error:
            server.fail(asked, error)
        else:
            server.do(asked, server.opened_directory, server.backend.opendir, path)


def stat(server: "SFTPServer", payload: memoryview) -> None:
    """STAT."""
    number, path = one_path(payload)
    asked = Asked("stat", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_found, server.backend.stat, path)


def lstat(server: "SFTPServer", payload: memoryview) -> None:
    """LSTAT."""
    number, path = one_path(payload)
    asked = Asked("lstat", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_found, server.backend.lstat, path)


def fstat(server: "SFTPServer", payload: memoryview) -> None:
    """FSTAT."""
    number, handle = by_handle(payload)
    asked = Asked("fstat", HANDLE, number, handle=handle)
    file = server.file_of(asked)
    if file is not None:
        server.do(asked, server.send_found, file.file.stat)


def setstat(server: "SFTPServer", payload: memoryview) -> None:
    """SETSTAT."""
    path, position = path_at(payload, 5)
    attributes = last_attributes(server, payload, position)
    asked = Asked("setstat", CHANGES, m.unpack_id(payload, 1)[0], path, attributes=attributes)
    if is_usable(server, asked, path):
        server.do(asked, server.succeed, server.dialect.changing(server.backend.setstat), path, attributes)


def fsetstat(server: "SFTPServer", payload: memoryview) -> None:
    """FSETSTAT."""
    handle, position = path_at(payload, 5)
    attributes = last_attributes(server, payload, position)
    asked = Asked("fsetstat", HANDLE, m.unpack_id(payload, 1)[0], handle=handle, attributes=attributes)
    file = server.file_of(asked)
    if file is not None:
        server.do(asked, server.succeed, server.dialect.changing(file.file.setstat), attributes)


def mkdir(server: "SFTPServer", payload: memoryview) -> None:
    """MKDIR."""
    path, position = path_at(payload, 5)
    attributes = last_attributes(server, payload, position)
    asked = Asked("mkdir", CHANGES, m.unpack_id(payload, 1)[0], path, attributes=attributes)
    if is_usable(server, asked, path):
        server.do(asked, server.succeed, server.dialect.changing(server.backend.mkdir), path, attributes)


def rmdir(server: "SFTPServer", payload: memoryview) -> None:
    """RMDIR."""
    number, path = one_path(payload)
    asked = Asked("rmdir", CHANGES, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.succeed, server.backend.rmdir, path)


def remove(server: "SFTPServer", payload: memoryview) -> None:
    """REMOVE."""
    number, path = one_path(payload)
    asked = Asked("remove", CHANGES, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.succeed, server.backend.remove, path)


def realpath(server: "SFTPServer", payload: memoryview) -> None:
    """REALPATH; nothing at all is where the client starts."""
    number, path = one_path(payload)
    path = path or b"."
    asked = Asked("realpath", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_path, server.backend.realpath, path)


def readlink(server: "SFTPServer", payload: memoryview) -> None:
    """READLINK."""
    number, path = one_path(payload)
    asked = Asked("readlink", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_path, server.backend.readlink, path)


def two_paths(payload: memoryview, position: int = 5) -> tuple[bytes, bytes]:
    """Read two paths at the end of a packet."""
    first, position = path_at(payload, position)
    second, position = path_at(payload, position)
    if position != len(payload):
        raise WireError(f"{len(payload) - position} bytes left over")
    return first, second


def rename(server: "SFTPServer", payload: memoryview) -> None:
    """RENAME, which replaces nothing."""
    source, target = two_paths(payload)
    asked = Asked("rename", CHANGES, m.unpack_id(payload, 1)[0], source, target)
    if is_usable(server, asked, source, target):
        server.do(asked, server.succeed, server.backend.rename, source, target)


def symlink(server: "SFTPServer", payload: memoryview) -> None:
    """SYMLINK, in the order that OpenSSH gave it: what it says, then where it is."""
    text, link = two_paths(payload)
    asked = Asked("symlink", CHANGES, m.unpack_id(payload, 1)[0], text, link)
    if is_usable(server, asked, text, link):
        server.do(asked, server.succeed, server.backend.symlink, text, link)


def symlink_as_drafted(server: "SFTPServer", payload: memoryview) -> None:
    """SYMLINK in the draft's order: where it is, then what it says."""
    link, text = two_paths(payload)
    asked = Asked("symlink", CHANGES, m.unpack_id(payload, 1)[0], text, link)
    if is_usable(server, asked, text, link):
        server.do(asked, server.succeed, server.backend.symlink, text, link)


HANDLERS: dict[int, Handler] = {
    m.OPEN: open_file,
    m.OPENDIR: open_directory,
    m.STAT: stat,
    m.LSTAT: lstat,
    m.FSTAT: fstat,
    m.SETSTAT: setstat,
    m.FSETSTAT: fsetstat,
    m.MKDIR: mkdir,
    m.RMDIR: rmdir,
    m.REMOVE: remove,
    m.REALPATH: realpath,
    m.READLINK: readlink,
    m.RENAME: rename,
    m.SYMLINK: symlink,
}
