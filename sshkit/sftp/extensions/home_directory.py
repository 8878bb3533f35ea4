"""home-directory: where a user's files are (draft-ietf-secsh-filexfer-extensions-00 section 5)."""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request; an empty name is the user himself."""
    user = reader.string("user name")
    reader.finish("home-directory")
    asked = Asked("home-directory", READS, number, user)
    if not user or is_usable(server, asked, user):
        server.do(asked, server.send_path, server.backend.home_directory, user)
