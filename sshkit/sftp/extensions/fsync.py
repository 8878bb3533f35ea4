"""fsync@openssh.com: an open file is on the disk when the answer comes (PROTOCOL of OpenSSH, section 4.6)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_requests import HANDLE, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request; disks take their time, so it runs in a thread."""
    handle = reader.string("handle")
    reader.finish("fsync")
    asked = Asked("fsync", HANDLE, number, handle=handle)
    file = server.file_of(asked)
    if file is not None:
        server.do_apart(asked, server.succeed, file.file.sync)
