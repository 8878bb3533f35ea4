"""aes128-cbc, aes192-cbc, aes256-cbc and 3des-cbc (RFC 4253 section 6.3): by name only, for old devices.

Without an -etm MAC the length of a packet is decrypted before anything was verified, and a peer that learns
whether the length was taken for a good one learns plaintext (CVE-2008-5161).  So whatever is wrong with a
packet, a length or a tag, is told in one way and after the same number of bytes.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from sshkit.ssh.ciphers.packet import (
    FAILED,
    LENGTH,
    LIMIT_BEFORE_LOGIN,
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

#: Bytes, from the length field on, after which a bad packet is told.  The reader refuses what is longer than
#: `FIRST` before the login, and `WHOLE` after it; so at each of them all bad packets look alike.
FIRST = LIMIT_BEFORE_LOGIN
WHOLE = MAX_PACKET_LENGTH + 128
#: With blocks of 8 bytes, equal blocks tell about each other after some 2**32 of them (CVE-2016-2183).
SMALL_BLOCK_BYTES = 1 << 25

Contexts = Callable[[Keys], Any]


def _aes(keys: Keys) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    return CipherContext(algorithms.AES(keys.key), modes.CBC(keys.iv))


def _triple_des(keys: Keys) -> Any:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher as CipherContext
    from cryptography.hazmat.primitives.ciphers import modes

    return CipherContext(TripleDES(keys.key), modes.CBC(keys.iv))


class CBCSealer:
    """Seals packets, with the tag over the ciphertext or over the plaintext."""

    __slots__ = ("_etm", "_tag", "_update", "mask", "overhead", "sequence", "tag_size")

    def __init__(self, context: Any, block: int, mac: MAC, mac_key: bytes, sequence: int) -> None:
        self._update = context.encryptor().update
        self._tag = mac.start(mac_key)
        self._etm = mac.etm
        self.mask = block - 1
        self.overhead = 0 if mac.etm else 4
        self.tag_size = mac.tag_size
        self.sequence = sequence

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        end = start + 4 + length
        after = end + self.tag_size
        if self._etm:
            buffer[start + 4 : end] = self._update(buffer[start + 4 : end])
            buffer[end:after] = self._tag(self.sequence, buffer[start:end])
        else:
            buffer[end:after] = self._tag(self.sequence, buffer[start:end])
            buffer[start:end] = self._update(buffer[start:end])
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return after


class CBCOpener:
    """What the two openers share."""

    __slots__ = ("_block", "_tag", "_tag_size", "_update", "needed", "sequence")

    def __init__(self, context: Any, block: int, mac: MAC, mac_key: bytes, sequence: int) -> None:
        self._update = context.decryptor().update
        self._tag = mac.start(mac_key)
        self._tag_size = mac.tag_size
        self._block = block
        self.sequence = sequence
        self.needed = block


class CBCEtmOpener(CBCOpener):
    """Opens packets that were encrypted, then MACed: nothing is decrypted before it was verified."""

    __slots__ = ()

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        body = start + 4
        if end < body:
            self.needed = 4
            return None
        (length,) = LENGTH.unpack_from(buffer, start)
        if length % self._block or not self._block <= length <= MAX_PACKET_LENGTH:
            raise MACMismatch(FAILED)
        last = body + length
        after = last + self._tag_size
        if end < after:
            self.needed = after - start
            return None
        if not compare_digest(self._tag(self.sequence, buffer[start:last]), buffer[last:after]):
            raise MACMismatch(FAILED)
        buffer[body:last] = self._update(buffer[body:last])
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload_of(buffer, body, length), after


class CBCMteOpener(CBCOpener):
    """Opens packets whose tag covers the plaintext; the first block tells the length."""

    __slots__ = ("_failed", "_length")

    def __init__(self, context: Any, block: int, mac: MAC, mac_key: bytes, sequence: int) -> None:
        super().__init__(context, block, mac, mac_key, sequence)
        self._length = 0  # not 0: the first block of the packet at `start` is already decrypted
        self._failed = False

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        if self._failed:
            self._fail(buffer, start, end)
            return None
        length, block = self._length, self._block
        if not length:
            if end - start < block:
                self.needed = block
                return None
            buffer[start : start + block] = self._update(buffer[start : start + block])
            (length,) = LENGTH.unpack_from(buffer, start)
            if (length + 4) % block or not max(block, 16) - 4 <= length <= MAX_PACKET_LENGTH:
                self._fail(buffer, start, end)
                return None
            self._length = length
        last = start + 4 + length
        after = last + self._tag_size
        if end < after:
            size = after - start
            self.needed = size if size <= FIRST or end - start >= FIRST else FIRST
            return None
        rest = start + block
        buffer[rest:last] = self._update(buffer[rest:last])
        if not compare_digest(self._tag(self.sequence, buffer[start:last]), buffer[last:after]):
            self._fail(buffer, start, end)
            return None
        self._length = 0
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return payload_of(buffer, start + 4, length), after

    def _fail(self, buffer: memoryview, start: int, end: int) -> None:
        """Wait for as many bytes as a good packet could have, then do a packet's work, and fail."""
        self._failed = True
        size = end - start
        self.needed = WHOLE if size >= FIRST else FIRST
        if size >= WHOLE:
            self._tag(self.sequence, buffer[start : start + WHOLE])
            raise MACMismatch(FAILED)


def _line(name: str, key_size: int, block: int, contexts: Contexts) -> Cipher:
    def sealer(keys: Keys, mac: MAC | None, sequence: int) -> Sealer:
        assert mac is not None  # the table says needs_mac
        return CBCSealer(contexts(keys), block, mac, keys.mac_key, sequence)

    def opener(keys: Keys, mac: MAC | None, sequence: int) -> Opener:
        assert mac is not None
        kind = CBCEtmOpener if mac.etm else CBCMteOpener
        return kind(contexts(keys), block, mac, keys.mac_key, sequence)

    return Cipher(name, key_size, block, True, sealer, opener)


AES256_CBC = _line("aes256-cbc", 32, 16, _aes)
AES192_CBC = _line("aes192-cbc", 24, 16, _aes)
AES128_CBC = _line("aes128-cbc", 16, 16, _aes)
TRIPLE_DES_CBC = _line("3des-cbc", 24, 8, _triple_des)._replace(max_bytes=SMALL_BLOCK_BYTES)
