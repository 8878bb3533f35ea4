"""The extensions that a server offers, by name: one ordered table, a file each.

`SFTPServer` looks an EXTENDED request up here and calls the handler with itself, the request's number and a
reader that stands behind the name.  To add one: a file, and a line in EXTENSIONS.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.sftp import status as codes
from sshkit.sftp.extensions import (
    check_file,
    copy_data,
    expand_path,
    fsync,
    hardlink,
    home_directory,
    limits,
    lsetstat,
    posix_rename,
    statvfs,
    users_groups,
)
from sshkit.sftp.server_requests import CHANGES, HANDLE, READS

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

_MAX_NAME = 256


class Extension(NamedTuple):
    """One extension."""

    request: str  #: its name in lists of allowed and denied requests
    version: bytes  #: what is said of it in VERSION
    kind: int  #: which others it may run beside: READS, CHANGES or HANDLE (its first field)
    handle: "Callable[[SFTPServer, int, WireReader], object]"


#: In the order of the offer.
EXTENSIONS = {
    b"posix-rename@openssh.com": Extension("posix-rename", b"1", CHANGES, posix_rename.handle),
    b"statvfs@openssh.com": Extension("statvfs", b"2", READS, statvfs.handle),
    b"fstatvfs@openssh.com": Extension("fstatvfs", b"2", HANDLE, statvfs.handle_open),
    b"hardlink@openssh.com": Extension("hardlink", b"1", CHANGES, hardlink.handle),
    b"fsync@openssh.com": Extension("fsync", b"1", HANDLE, fsync.handle),
    b"lsetstat@openssh.com": Extension("lsetstat", b"1", CHANGES, lsetstat.handle),
    b"limits@openssh.com": Extension("limits", b"1", READS, limits.handle),
    b"expand-path@openssh.com": Extension("expand-path", b"1", READS, expand_path.handle),
    b"copy-data": Extension("copy-data", b"1", CHANGES, copy_data.handle),
    b"home-directory": Extension("home-directory", b"1", READS, home_directory.handle),
    b"users-groups-by-id@openssh.com": Extension("users-groups-by-id", b"1", READS, users_groups.handle),
    b"check-file": Extension("check-file", b"", HANDLE, check_file.handle_named_once),
    b"check-file-handle": Extension("check-file-handle", b"", HANDLE, check_file.handle_open),
    b"check-file-name": Extension("check-file-name", b"", READS, check_file.handle_path),
}


def offered(server: "SFTPServer") -> list[bytes]:
    """Return the names of the extensions that are not refused."""
    return [name for name, extension in EXTENSIONS.items() if not server.is_refused(extension.request)]


def offers(server: "SFTPServer") -> bytes:
    """Return what is said of extensions in VERSION."""
    names = offered(server)
    return b"".join(wire.string(name) + wire.string(EXTENSIONS[name].version) for name in names)


def kind_of(payload: memoryview) -> tuple[int, bytes]:
    """Return what an EXTENDED request may run beside, and its handle."""
    try:
        reader = _after_name(payload)
        extension = EXTENSIONS.get(reader[1])
        if extension is None:
            return HANDLE, b""
        return extension.kind, reader[2].string() if extension.kind == HANDLE else b""
    except WireError:
        return HANDLE, b""


def handle(server: "SFTPServer", payload: memoryview) -> None:
    """Take one EXTENDED request."""
    number, name, reader = _after_name(payload)
    extension = EXTENSIONS.get(name)
    if extension is None:
        words = codes.WORDS[codes.OP_UNSUPPORTED]
        server.send_status(number, codes.OP_UNSUPPORTED, words)
    elif server.is_refused(extension.request):
        server.deny_number(number, extension.request)
    else:
        extension.handle(server, number, reader)


def _after_name(payload: memoryview) -> tuple[int, bytes, WireReader]:
    reader = WireReader(payload)
    reader.position = 1
    number = reader.uint32("id")
    name = reader.view("extension")
    if len(name) > _MAX_NAME:
        raise WireError(f"an extension's name of {len(name)} bytes")
    return number, bytes(name), reader
