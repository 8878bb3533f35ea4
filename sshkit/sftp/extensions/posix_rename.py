"""posix-rename@openssh.com: rename, and replace what is there (PROTOCOL of OpenSSH, section 4.3)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import CHANGES, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request."""
    source, target = reader.string("old path"), reader.string("new path")
    reader.finish("posix-rename")
    asked = Asked("posix-rename", CHANGES, number, source, target)
    if is_usable(server, asked, source, target):
        server.do(asked, server.succeed, server.backend.posix_rename, source, target)
