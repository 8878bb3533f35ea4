"""What the targets of ciphers share: packets under keys that the fuzzer has, and bytes without.

A piece begins with a byte: 0, its rest goes to the opener as it is; else its rest is a packet's inside
(padding length, payload, padding) with the length field that the byte says, sealed as a peer would that has
the keys.
"""

from collections.abc import Sequence

from sshkit.ssh.ciphers.packet import LENGTH, Cipher, Keys, Opener, Sealer
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.macs.mac import MAC
from sshkit.ssh.transport.packet_reader import LIMIT
from tests.fuzz.targets.pieces import pieces, random_bytes

ROOM = 16 * 1024
Suite = tuple[Cipher, "MAC | None"]


def keys_of(cipher: Cipher, mac: MAC | None) -> Keys:
    """Return keys that never change."""
    return Keys(
        random_bytes(cipher.key_size), random_bytes(cipher.iv_size), random_bytes(mac.key_size if mac else 0)
    )


def run(suites: Sequence[Suite], data: bytes) -> None:
    """Open what the input says with one of the suites; the first byte says with which."""
    if not data:
        return
    cipher, mac = suites[data[0] % len(suites)]
    keys = keys_of(cipher, mac)
    open_all(cipher.make_opener(keys, mac, 3), cipher.make_sealer(keys, mac, 3), data[1:])


def open_all(opener: Opener, sealer: Sealer, data: bytes) -> list[bytes]:
    """Open packet after packet out of one buffer, as PacketReader does; return the payloads."""
    wire = b"".join(_sent(sealer, piece) for piece in pieces(data))[:ROOM]
    buffer = memoryview(bytearray(wire))
    found: list[bytes] = []
    start, end = 0, 0
    while end < len(wire):
        end = min(len(wire), max(end + 1, start + opener.needed))
        opened = opener.open(buffer, start, end)
        if opened is None:
            assert opener.needed > 0
            if opener.needed > LIMIT:
                raise RemoteProtocolError("a packet that is too long")
            continue
        payload, after = opened
        assert start < after <= end, (start, after, end)
        assert len(payload) >= 1
        assert len(payload) < LIMIT
        found.append(bytes(payload))
        start = after
        opener.needed = 0
    return found


def _sent(sealer: Sealer, piece: bytes) -> bytes:
    if not piece or piece[0] == 0:
        return piece[1:]
    body = piece[1:]
    lack = -(len(body) + sealer.overhead) & sealer.mask
    if piece[0] == 1:  # a length that fits
        body += bytes(lack)
    length = len(body) + (piece[0] - 2 if piece[0] > 1 else 0)
    buffer = bytearray(LENGTH.size + length + 128)
    LENGTH.pack_into(buffer, 0, length)
    buffer[4 : 4 + len(body)] = body
    del buffer[LENGTH.size + length + 128 :]
    if length + sealer.overhead & sealer.mask:
        return bytes(buffer[: 4 + length])  # no cipher seals that
    with memoryview(buffer) as view:
        end = sealer.seal(view, 0, length)
    return bytes(buffer[:end])
