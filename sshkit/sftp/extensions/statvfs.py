"""statvfs@openssh.com and fstatvfs@openssh.com: sizes of a file system (PROTOCOL of OpenSSH, section 4.4)."""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import HANDLE, READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import FileSystemFacts
    from sshkit.sftp.server import SFTPServer

_ANSWER = Struct(">11Q")


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request by path."""
    path = reader.string("path")
    reader.finish("statvfs")
    asked = Asked("statvfs", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, _respond(server), server.backend.statvfs, path)


def handle_open(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request by handle."""
    handle = reader.string("handle")
    reader.finish("fstatvfs")
    asked = Asked("fstatvfs", HANDLE, number, handle=handle)
    file = server.file_of(asked)
    if file is not None:
        server.do(asked, _respond(server), file.file.statvfs)


def _respond(server: "SFTPServer") -> "Callable[[Asked, FileSystemFacts], None]":
    def respond(asked: Asked, facts: "FileSystemFacts") -> None:
        server.send_reply(asked, _ANSWER.pack(*facts))

    return respond
