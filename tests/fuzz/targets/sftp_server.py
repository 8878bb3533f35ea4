"""What a client sends to an SFTP server; the first byte says up to which version it goes.

A piece that begins with 0 is bytes as they are; else it is a packet's inside.
"""

from sshkit_keys.errors import SSHKitError

from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.backends.quota import Quota
from tests.fuzz.targets.keyless import calm, check_ending
from tests.fuzz.targets.pieces import pieces
from tests.sftp.server.session import Session

MOST = 1 << 20  #: bytes that the disk holds
ROOM = 4 << 20  #: bytes of answers


def parse(data: bytes) -> None:
    if not data:
        return
    backend = MemoryBackend(quota=Quota(bytes=MOST))
    session = Session(backend, init=False, max_version=3 + data[0] % 4, max_handles=8)
    with calm():
        session.feed(b"\0\0\0\5\1\0\0\0" + bytes((3 + data[0] % 4,)))
        for piece in pieces(data[1:]):
            if session.wire.closed:
                break
            raw = piece[1:] if piece[:1] == b"\0" else len(piece).to_bytes(4, "big") + piece
            session.feed(raw)
            assert len(session.wire.data) < ROOM
            session.answers()
        session.server.connection_lost(SSHKitError("the input is over"))
    for error in session.errors:
        check_ending(error)
    assert all(text.isprintable() for text in session.events), session.events
