"""aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647, as OpenSSH's PROTOCOL narrows it).

The length field is sent in the clear and authenticated; the nonce is 4 fixed bytes and a counter of
packets.  Both directions work in place: this is the hot path.  A keyed context is the largest part of an
idle connection, so a resting half keeps only the key, and the next packet makes the context again.
"""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.ssh.ciphers.packet import FAILED, LENGTH, MAX_PACKET_LENGTH, MIN_PADDING, Cipher, Keys, Opened
from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.mac import MAC

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG = 16
NONCE = Struct(">4sQ")
unpack_length = LENGTH.unpack_from
pack_nonce = NONCE.pack
#: nonce, data, associated data, where the result goes
AEADCall = Callable[[bytes, memoryview, memoryview, memoryview], int]


def _aead(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


class Resting:
    """Stands in for the encrypting or decrypting call of a half that rests."""

    __slots__ = ("_half",)

    def __init__(self, half: "GCMSealer | GCMOpener") -> None:
        self._half = half

    def __call__(self, nonce: bytes, data: memoryview, associated: memoryview, into: memoryview) -> int:
        return self._half.wake()(nonce, data, associated, into)


class GCMSealer:
    """Seals packets with AES-GCM."""

    __slots__ = ("_counter", "_encrypt_into", "_fixed", "_key", "sequence")
    mask = 15
    overhead = 0
    tag_size = TAG

    def __init__(self, keys: Keys, mac: MAC | None, sequence: int) -> None:
        self._key = keys.key
        self._encrypt_into: AEADCall = _aead(keys.key).encrypt_into
        self._fixed, self._counter = NONCE.unpack(keys.iv)
        self.sequence = sequence

    def rest(self) -> None:
        """Keep only the key until the next packet."""
        self._encrypt_into = Resting(self)

    def wake(self) -> AEADCall:
        """Make the context again."""
        self._encrypt_into = call = _aead(self._key).encrypt_into
        return call

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        body = start + 4
        end = body + length
        counter = self._counter
        self._encrypt_into(
            pack_nonce(self._fixed, counter), buffer[body:end], buffer[start:body], buffer[body : end + TAG]
        )
        self._counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return end + TAG


class GCMOpener:
    """Opens packets sealed with AES-GCM."""

    __slots__ = ("_counter", "_decrypt_into", "_fixed", "_key", "needed", "sequence")

    def __init__(self, keys: Keys, mac: MAC | None, sequence: int) -> None:
        self._key = keys.key
        self._decrypt_into: AEADCall = _aead(keys.key).decrypt_into
        self._fixed, self._counter = NONCE.unpack(keys.iv)
        self.sequence = sequence
        self.needed = 4

    def rest(self) -> None:
        """Keep only the key until the next packet."""
        self._decrypt_into = Resting(self)

    def wake(self) -> AEADCall:
        """Make the context again."""
        self._decrypt_into = call = _aead(self._key).decrypt_into
        return call

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        body = start + 4
        if end < body:
            self.needed = 4
            return None
        (length,) = unpack_length(buffer, start)
        after = body + length
        if length & 15 or not 16 <= length <= MAX_PACKET_LENGTH:
            raise MACMismatch(FAILED)
        if end < after + TAG:
            self.needed = length + 4 + TAG
            return None
        counter = self._counter
        try:
            self._decrypt_into(
                pack_nonce(self._fixed, counter),
                buffer[body : after + TAG],
                buffer[start:body],
                buffer[body:after],
            )
        except Exception:  # InvalidTag; its class is not loaded here
            raise MACMismatch(FAILED) from None
        self._counter = (counter + 1) & 0xFFFFFFFFFFFFFFFF
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        padding = buffer[body]
        last = after - padding
        if padding < MIN_PADDING or last < body + 2:
            raise MACMismatch(FAILED)
        return buffer[body + 1 : last], after + TAG


AES128_GCM = Cipher("aes128-gcm@openssh.com", 16, 12, False, GCMSealer, GCMOpener)
AES256_GCM = Cipher("aes256-gcm@openssh.com", 32, 12, False, GCMSealer, GCMOpener)
