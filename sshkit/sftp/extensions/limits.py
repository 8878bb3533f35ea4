"""limits@openssh.com: how much one request may carry (PROTOCOL of OpenSSH, section 4.8)."""

from struct import Struct
from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.packets import MAX_REQUEST
from sshkit.sftp.server_io import MAX_DATA
from sshkit.sftp.server_requests import READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

_ANSWER = Struct(">4Q")


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Answer with the longest packet, READ and WRITE, and how many handles there are."""
    reader.finish("limits")
    answer = _ANSWER.pack(MAX_REQUEST, MAX_DATA, MAX_DATA, server.handles.limit)
    server.send_reply(Asked("limits", READS, number), answer)
