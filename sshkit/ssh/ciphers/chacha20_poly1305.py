"""chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305).

Two keys: the second half encrypts the length field alone, the first half the rest and, with its
block 0, gives Poly1305 its one-time key.  The nonce is the sequence number.
"""

from hmac import compare_digest
from struct import Struct
from typing import Any

from sshkit.ssh.ciphers.packet import FAILED, LENGTH, MAX_PACKET_LENGTH, Cipher, Keys, Opened, payload_of
from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.mac import MAC

BLOCK = 8
TAG = 16
NONCE = Struct(">8xQ")  # the library's nonce: a block counter of 8 bytes, then the 8 bytes of the protocol
ZEROS = bytes(64)  # one ChaCha20 block: its key stream is block 0


def _context(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
    from cryptography.hazmat.primitives.ciphers import algorithms

    return CipherContext(algorithms.ChaCha20(key, bytes(16)), None).encryptor()


class _Half:
    """The state that both directions share."""

    __slots__ = ("_header", "_main", "_tag", "sequence")

    def __init__(self, keys: Keys, mac: MAC | None, sequence: int) -> None:
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        self._main = _context(keys.key[:32])
        self._header = _context(keys.key[32:])
        self._tag = Poly1305.generate_tag
        self.sequence = sequence

    def _one_time_key(self, nonce: bytes) -> bytes:
        """Start the packet's key stream; the next byte of it is the first of block 1."""
        self._main.reset_nonce(nonce)
        key: bytes = self._main.update(ZEROS)
        return key[:32]


class ChaChaSealer(_Half):
    """Seals packets with ChaCha20 and Poly1305."""

    __slots__ = ()
    mask = BLOCK - 1
    overhead = 0
    tag_size = TAG

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        body = start + 4
        end = body + length
        nonce = NONCE.pack(self.sequence)
        one_time_key = self._one_time_key(nonce)
        self._header.reset_nonce(nonce)
        header = buffer[start:body]
        self._header.update_into(header, header)
        packet = buffer[body:end]
        self._main.update_into(packet, packet)
        buffer[end : end + TAG] = self._tag(one_time_key, buffer[start:end])
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return end + TAG


class ChaChaOpener(_Half):
    """Opens packets sealed with ChaCha20 and Poly1305."""

    __slots__ = ("_length", "needed")

    def __init__(self, keys: Keys, mac: MAC | None, sequence: int) -> None:
        super().__init__(keys, mac, sequence)
        self.needed = 4
        self._length = 0  # not 0: the length of the packet at `start` is known, though not yet verified

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        body = start + 4
        length = self._length
        if not length:
            if end < body:
                self.needed = 4
                return None
            self._header.reset_nonce(NONCE.pack(self.sequence))
            (length,) = LENGTH.unpack(self._header.update(buffer[start:body]))
            if length % BLOCK or not BLOCK <= length <= MAX_PACKET_LENGTH:
                raise MACMismatch(FAILED)
            self._length = length
        last = body + length
        if end < last + TAG:
            self.needed = length + 4 + TAG
            return None
        one_time_key = self._one_time_key(NONCE.pack(self.sequence))
        if not compare_digest(self._tag(one_time_key, buffer[start:last]), buffer[last : last + TAG]):
            raise MACMismatch(FAILED)
        packet = buffer[body:last]
        self._main.update_into(packet, packet)
        self._length = 0
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload_of(buffer, body, length), last + TAG


CHACHA20_POLY1305 = Cipher("chacha20-poly1305@openssh.com", 64, 0, False, ChaChaSealer, ChaChaOpener)
