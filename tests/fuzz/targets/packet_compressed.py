"""Compressed packets (RFC 4253 section 6.2): what is inside, and how much it becomes (R21)."""

import zlib
from types import SimpleNamespace
from typing import Any

from sshkit.ssh.ciphers.clear import ClearOpener, ClearSealer
from sshkit.ssh.compression.packets import InflatingOpener
from sshkit.ssh.transport.packet_reader import LIMIT
from tests.fuzz.targets import sealed
from tests.fuzz.targets.pieces import joined, pieces

#: Whoever knows how long a packet may be after the login.
READER: Any = SimpleNamespace(packet_limit=LIMIT)


def parse(data: bytes) -> None:
    deflate = zlib.compressobj(6)
    packets: list[bytes] = []
    for piece in pieces(data):
        payload = piece[1:]
        if piece[:1] != b"\0":  # well compressed, and so often over
            payload = deflate.compress((payload * (1 << (piece[0] & 15) if piece else 1))[: 1 << 20])
            payload += deflate.flush(zlib.Z_SYNC_FLUSH)
        padding = 4 + (-(9 + len(payload)) & 7)
        packets.append(b"\2" + bytes((padding,)) + payload + bytes(padding))
    sealed.open_all(InflatingOpener(ClearOpener(), READER), ClearSealer(), joined(*packets))
