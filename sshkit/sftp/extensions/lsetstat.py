"""lsetstat@openssh.com: attributes of a link itself (PROTOCOL of OpenSSH, section 4.7)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import CHANGES, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request."""
    path = reader.string("path")
    attributes, reader.position = server.dialect.read_attributes(reader.data, reader.position)
    reader.finish("lsetstat")
    asked = Asked("lsetstat", CHANGES, number, path, attributes=attributes)
    if is_usable(server, asked, path):
        server.do(asked, server.succeed, server.dialect.changing(server.backend.lsetstat), path, attributes)
