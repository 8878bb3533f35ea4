"""aes128-ctr, aes192-ctr and aes256-ctr (RFC 4344), with a MAC beside them.

With an -etm MAC (OpenSSH's PROTOCOL section 1.5) the length is in the clear and the tag covers the
ciphertext; else the length is encrypted and the tag covers the plaintext (RFC 4253 section 6.4).
"""

from hmac import compare_digest
from typing import Any

from sshkit.ssh.ciphers.packet import (
    FAILED,
    LENGTH,
    MAX_PACKET_LENGTH,
    Cipher,
    Keys,
    Opened,
    Opener,
    Sealer,
    payload_of,
)
from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.mac import MAC

BLOCK = 16


def _context(keys: Keys) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    return CipherContext(algorithms.AES(keys.key), modes.CTR(keys.iv)).encryptor()


class _Half:
    """The state that all four directions share."""

    __slots__ = ("_context", "_tag", "sequence", "tag_size")
    mask = BLOCK - 1

    def __init__(self, keys: Keys, mac: MAC, sequence: int) -> None:
        self._context = _context(keys)
        self._tag = mac.start(keys.mac_key)
        self.sequence = sequence
        self.tag_size = mac.tag_size

    def _check(self, packet: memoryview, tag: memoryview) -> None:
        if not compare_digest(self._tag(self.sequence, packet), tag):
            raise MACMismatch(FAILED)


class EtmSealer(_Half):
    """Seals packets: encrypt, then MAC."""

    __slots__ = ()
    overhead = 0

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        body = start + 4
        end = body + length
        packet = buffer[body:end]
        self._context.update_into(packet, packet)
        after = end + self.tag_size
        buffer[end:after] = self._tag(self.sequence, buffer[start:end])
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return after


class EtmOpener(_Half):
    """Opens packets that were encrypted, then MACed."""

    __slots__ = ("needed",)

    def __init__(self, keys: Keys, mac: MAC, sequence: int) -> None:
        super().__init__(keys, mac, sequence)
        self.needed = 4

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        body = start + 4
        if end < body:
            self.needed = 4
            return None
        (length,) = LENGTH.unpack_from(buffer, start)
        if length % BLOCK or not BLOCK <= length <= MAX_PACKET_LENGTH:
            raise MACMismatch(FAILED)
        last = body + length
        after = last + self.tag_size
        if end < after:
            self.needed = after - start
            return None
        self._check(buffer[start:last], buffer[last:after])
        packet = buffer[body:last]
        self._context.update_into(packet, packet)
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload_of(buffer, body, length), after


class MteSealer(_Half):
    """Seals packets: MAC of the plaintext, and encrypt (RFC 4253 section 6.4)."""

    __slots__ = ()
    overhead = 4

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        end = start + 4 + length
        packet = buffer[start:end]
        after = end + self.tag_size
        buffer[end:after] = self._tag(self.sequence, packet)
        self._context.update_into(packet, packet)
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return after


class MteOpener(_Half):
    """Opens packets whose tag covers the plaintext; the first block tells the length."""

    __slots__ = ("_length", "needed")

    def __init__(self, keys: Keys, mac: MAC, sequence: int) -> None:
        super().__init__(keys, mac, sequence)
        self.needed = BLOCK
        self._length = 0  # not 0: the first block of the packet at `start` is already decrypted

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        length = self._length
        if not length:
            if end - start < BLOCK:
                self.needed = BLOCK
                return None
            block = buffer[start : start + BLOCK]
            self._context.update_into(block, block)
            (length,) = LENGTH.unpack_from(buffer, start)
            if (length + 4) % BLOCK or not BLOCK - 4 <= length <= MAX_PACKET_LENGTH:
                raise MACMismatch(FAILED)
            self._length = length
        last = start + 4 + length
        after = last + self.tag_size
        if end < after:
            self.needed = after - start
            return None
        rest = buffer[start + BLOCK : last]
        if rest:
            self._context.update_into(rest, rest)
        self._check(buffer[start:last], buffer[last:after])
        self._length = 0
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload_of(buffer, start + 4, length), after


def _sealer(keys: Keys, mac: MAC | None, sequence: int) -> Sealer:
    assert mac is not None  # the table says needs_mac
    return (EtmSealer if mac.etm else MteSealer)(keys, mac, sequence)


def _opener(keys: Keys, mac: MAC | None, sequence: int) -> Opener:
    assert mac is not None
    return (EtmOpener if mac.etm else MteOpener)(keys, mac, sequence)


AES128_CTR = Cipher("aes128-ctr", 16, BLOCK, True, _sealer, _opener)
AES192_CTR = Cipher("aes192-ctr", 24, BLOCK, True, _sealer, _opener)
AES256_CTR = Cipher("aes256-ctr", 32, BLOCK, True, _sealer, _opener)
