"""expand-path@openssh.com: where ``~`` and ``~user`` are (PROTOCOL of OpenSSH, section 4.9)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request."""
    path = reader.string("path") or b"."
    reader.finish("expand-path")
    asked = Asked("expand-path", READS, number, path)
    if is_usable(server, asked, path):
        server.do(asked, server.send_path, server.backend.expand_path, path)
