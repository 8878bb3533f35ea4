"""Requests whose form is another in versions 4, 5 and 6 of SFTP: read the packet, ask the backend, answer.

`SFTPServer` puts these into its table of handlers, by version; what is not here is as in `server_paths`.
Sections are those of draft-ietf-secsh-filexfer-13; what it added to -04 and -05 is said.
"""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.dialect_v4 import (
    APPEND_DATA,
    APPENDING,
    APPENDING_WHOLE,
    ATOMIC,
    NATIVE,
    NO_CHECK,
    OVERWRITE,
    READ_ATTRIBUTES,
    READ_DATA,
    STAT_ALWAYS,
    STAT_IF_EXISTS,
    WRITE_ATTRIBUTES,
    WRITE_DATA,
)
from sshkit.sftp.errors import SFTPError, SFTPInvalidParameter, SFTPOpUnsupported
from sshkit.sftp.server_io import Handler, close, readdir
from sshkit.sftp.server_paths import HANDLERS as HANDLERS_3
from sshkit.sftp.server_paths import (
    begin_open,
    finish,
    is_usable,
    last_attributes,
    open_directory,
    path_at,
    readlink,
    remove,
    rmdir,
)
from sshkit.sftp.server_requests import CHANGES, HANDLE, READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import Backend, Found
    from sshkit.sftp.server import SFTPServer

_TEXT = 0x40  # of OPEN in version 4
_DISPOSITION = 7
#: What OPEN may ask for from version 5 on: no text mode, no locks, nothing that happens at CLOSE.
OPEN_FLAGS = _DISPOSITION | APPENDING | APPENDING_WHOLE
_SYNCHRONIZE = 0x100000
ACCESS = READ_DATA | WRITE_DATA | APPEND_DATA | READ_ATTRIBUTES | WRITE_ATTRIBUTES | _SYNCHRONIZE
#: The disposition of an OPEN, as flags of version 3.
_HOW = (m.CREATE | m.EXCLUSIVE, m.CREATE | m.TRUNCATE, 0, m.CREATE, m.TRUNCATE)
_RENAME = OVERWRITE | ATOMIC | NATIVE


def open_file(server: "SFTPServer", payload: memoryview) -> None:
    """OPEN of version 4: as in 3, and there is a text mode, which is refused."""
    path, position = path_at(payload, 5)
    (flags,) = m.unpack_id(payload, position)
    attributes = last_attributes(server, payload, position + 4)
    number = m.unpack_id(payload, 1)[0]
    asked = Asked("open", CHANGES, number, path, flags=flags, attributes=attributes)
    if flags & _TEXT:
        server.fail(asked, SFTPOpUnsupported("Files are not opened as text"))
    else:
        begin_open(server, asked, attributes)


def open_for(server: "SFTPServer", payload: memoryview) -> None:
    """OPEN of versions 5 and 6 (section 8.1.1.3)."""
    path, position = path_at(payload, 5)
    access, how = m.unpack_id(payload, position)[0], m.unpack_id(payload, position + 4)[0]
    attributes = last_attributes(server, payload, position + 8)
    asked = Asked("open", CHANGES, m.unpack_id(payload, 1)[0], path, attributes=attributes)
    if how & ~OPEN_FLAGS:
        server.fail(asked, SFTPOpUnsupported("Files are opened without text mode, locks and other extras"))
    elif access & ~ACCESS or how & _DISPOSITION >= len(_HOW):
        server.fail(asked, SFTPInvalidParameter("An access or disposition that there is not"))
    else:
        asked.flags = _flags_of(access, how)
        begin_open(server, asked, attributes)


def _flags_of(access: int, how: int) -> int:
    """Return the flags of version 3 for an access and a way to open."""
    flags = _HOW[how & _DISPOSITION]
    if access & READ_DATA:
        flags |= m.READ_FLAG
    if access & (WRITE_DATA | APPEND_DATA):
        flags |= m.WRITE_FLAG
    if how & (APPENDING | APPENDING_WHOLE) or access & (WRITE_DATA | APPEND_DATA) == APPEND_DATA:
        flags |= m.APPEND
    return flags


def _path_and_hint(server: "SFTPServer", payload: memoryview) -> bytes:
    """Read a path or handle, and what of the attributes the client wants: it gets them all."""
    name, position = path_at(payload, 5)
    m.unpack_id(payload, position)
    finish(server, payload, position + 4)
    return name


def stat(server: "SFTPServer", payload: memoryview) -> None:
    """STAT (section 8.5)."""
    path = _path_and_hint(server, payload)
    asked = Asked("stat", READS, m.unpack_id(payload, 1)[0], path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_found, server.backend.stat, path)


def lstat(server: "SFTPServer", payload: memoryview) -> None:
    """LSTAT (section 8.5)."""
    path = _path_and_hint(server, payload)
    asked = Asked("lstat", READS, m.unpack_id(payload, 1)[0], path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_found, server.backend.lstat, path)


def fstat(server: "SFTPServer", payload: memoryview) -> None:
    """FSTAT (section 8.5)."""
    handle = _path_and_hint(server, payload)
    asked = Asked("fstat", HANDLE, m.unpack_id(payload, 1)[0], handle=handle)
    file = server.file_of(asked)
    if file is not None:
        server.do(asked, server.send_found, file.file.stat)


def rename(server: "SFTPServer", payload: memoryview) -> None:
    """RENAME of versions 5 and 6, which may replace what is there (section 8.3)."""
    source, position = path_at(payload, 5)
    target, position = path_at(payload, position)
    (flags,) = m.unpack_id(payload, position)
    finish(server, payload, position + 4)
    replaces = bool(flags & _RENAME)
    name = "posix-rename" if replaces else "rename"
    asked = Asked(name, CHANGES, m.unpack_id(payload, 1)[0], source, target)
    if server.is_refused(name):
        server.deny_number(asked.number, name)
    elif flags & ~_RENAME:
        server.fail(asked, SFTPInvalidParameter("A way to rename that there is not"))
    elif is_usable(server, asked, source, target):
        rename = server.backend.posix_rename if replaces else server.backend.rename
        server.do(asked, server.succeed, rename, source, target)


def symlink(server: "SFTPServer", payload: memoryview) -> None:
    """SYMLINK of versions 4 and 5, in the drafts' order: where it is, then what it says."""
    link, position = path_at(payload, 5)
    text, position = path_at(payload, position)
    finish(server, payload, position)
    asked = Asked("symlink", CHANGES, m.unpack_id(payload, 1)[0], text, link)
    if is_usable(server, asked, text, link):
        server.do(asked, server.succeed, server.backend.symlink, text, link)


def link(server: "SFTPServer", payload: memoryview) -> None:
    """LINK of version 6: both kinds of links (section 8.7)."""
    new, position = path_at(payload, 5)
    old, position = path_at(payload, position)
    if position >= len(payload):
        raise WireError("LINK without its kind")
    symbolic = payload[position] != 0
    name = "symlink" if symbolic else "hardlink"
    asked = Asked(name, CHANGES, m.unpack_id(payload, 1)[0], old, new)
    if server.is_refused(name):
        server.deny_number(asked.number, name)
    elif is_usable(server, asked, old, new):
        make = server.backend.symlink if symbolic else server.backend.link
        server.do(asked, server.succeed, make, old, new)


def realpath(server: "SFTPServer", payload: memoryview) -> None:
    """REALPATH of version 6: paths to go on from there, and attributes on request (section 8.9)."""
    reader = WireReader(payload)
    reader.position = 1
    number = reader.uint32("id")
    path = reader.string("path") or b"."
    check = reader.byte("control") if reader.position < reader.end else NO_CHECK
    while reader.position < reader.end:
        part = reader.string("path to go on with")
        path = part if part.startswith(b"/") else path.rstrip(b"/") + b"/" + part
    asked = Asked("realpath", READS, number, path)
    if check not in (NO_CHECK, STAT_IF_EXISTS, STAT_ALWAYS):
        server.fail(asked, SFTPInvalidParameter("A way to check a path that there is not"))
    elif is_usable(server, asked, path):
        if check == NO_CHECK:
            server.do(asked, server.send_path, server.backend.realpath, path)
        else:
            server.do_steps(asked, server.send_names, _real, server.backend, path, check == STAT_ALWAYS)


async def _real(backend: "Backend", path: bytes, must_exist: bool) -> "list[tuple[bytes, Found]]":
    """Return a path and what is known of the file there."""
    real: Any = backend.realpath(path)
    if isinstance(real, Awaitable):
        real = await real
    try:
        found: Any = backend.stat(real)
        return [(real, await found if isinstance(found, Awaitable) else found)]
    except (OSError, SFTPError):
        if must_exist:
            raise
        return [(real, Attributes())]


def _cut(handler: Handler) -> Handler:
    """Return a handler of a request of one string that drops what comes behind it (section 4)."""

    def cut(server: "SFTPServer", payload: memoryview) -> None:
        handler(server, payload[: 9 + m.unpack_two(payload, 1)[1]])

    return cut


_FOURTH: dict[int, Handler] = {
    **HANDLERS_3,
    m.OPEN: open_file,
    m.STAT: stat,
    m.LSTAT: lstat,
    m.FSTAT: fstat,
    m.SYMLINK: symlink,
}
_FIFTH: dict[int, Handler] = {**_FOURTH, m.OPEN: open_for, m.RENAME: rename}
_SIXTH: dict[int, Handler] = {
    **_FIFTH,
    m.REALPATH: realpath,
    m.LINK: link,
    m.OPENDIR: _cut(open_directory),
    m.RMDIR: _cut(rmdir),
    m.REMOVE: _cut(remove),
    m.READLINK: _cut(readlink),
    m.CLOSE: _cut(close),
    m.READDIR: _cut(readdir),
}
del _SIXTH[m.SYMLINK]
#: By version.
HANDLERS: dict[int, dict[int, Handler]] = {4: _FOURTH, 5: _FIFTH, 6: _SIXTH}
