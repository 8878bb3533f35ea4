"""UMAC in plain Python (RFC 4418): a universal hash of the packet, hidden by one block of AES.

Loaded by `umac` once it was negotiated.  Each 4 bytes of a tag are a hash of their own (a *stream*), with its
own part of the key.  The nonce is the sequence number, as 8 bytes.
"""

from operator import mul
from struct import Struct
from typing import Any, Final

BLOCK = 1024  #: bytes that the first layer takes at once
WORDS = Struct(f"<{BLOCK // 4}I")
KEY_WORDS = Struct(f">{BLOCK // 4}I")
NONCE = Struct(">Q8x")
MASK_64: Final = (1 << 64) - 1
PRIME_36: Final = (1 << 36) - 5
PRIME_64: Final = (1 << 64) - 59
POLY_MASK: Final = 0x01FFFFFF01FFFFFF
POLY_LARGE: Final = (1 << 64) - (1 << 32)  #: words from here on do not fit below the prime
#: Words are added each for itself: their top bits apart from the rest.
LOW_BITS: Final = int.from_bytes(b"\xff\xff\xff\x7f" * (BLOCK // 4), "little")
TOP_BITS: Final = LOW_BITS ^ ((1 << (BLOCK * 8)) - 1)


def _encryptor(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # single blocks, as the RFC says


def _derive(cipher: Any, index: int, size: int) -> bytes:
    """Return key material (RFC 4418 section 3.2.1)."""
    blocks = range(1, (size + 15) // 16 + 1)
    output: bytes = cipher.update(b"".join(index.to_bytes(8, "big") + n.to_bytes(8, "big") for n in blocks))
    return output[:size]


class Stream:
    """One hash of 4 bytes."""

    __slots__ = ("_key_low", "_key_top", "_last", "_last_mask", "_poly")

    def __init__(self, first: bytes, second: bytes, third: bytes, mask: bytes) -> None:
        key = int.from_bytes(WORDS.pack(*KEY_WORDS.unpack(first)), "little")
        self._key_low = key & LOW_BITS
        self._key_top = key & TOP_BITS
        self._poly = int.from_bytes(second[:8], "big") & POLY_MASK
        # The first 8 of the 16 bytes that the last layer takes are zero: packets are not that long.
        words = range(32, 64, 8)
        self._last = [int.from_bytes(third[start : start + 8], "big") % PRIME_36 for start in words]
        self._last_mask = int.from_bytes(mask, "big")

    def __repr__(self) -> str:
        return "<UMAC stream>"

    def block(self, number: int, size: int) -> int:
        """Return the first layer's hash of up to 1024 bytes (sections 5.2, 5.2.2).

        Only the words that `size` says take part: a key that meets no message would add its own product.
        """
        sums = ((number & LOW_BITS) + self._key_low) ^ ((number & TOP_BITS) ^ self._key_top)
        words = WORDS.unpack(sums.to_bytes(BLOCK, "little"))
        if size < BLOCK:
            words = words[: max((size + 31) // 32, 1) * 8]
        left = words[0::8] + words[1::8] + words[2::8] + words[3::8]
        right = words[4::8] + words[5::8] + words[6::8] + words[7::8]
        total: int = sum(map(mul, left, right))
        return (total + 8 * size) & MASK_64

    def poly(self, hashes: list[int]) -> int:
        """Return the second layer's hash of those of all blocks (section 5.3.2)."""
        key = self._poly
        value = 1
        for word in hashes:
            if word >= POLY_LARGE:
                value = (key * value + PRIME_64 - 1) % PRIME_64
                word -= 59
            value = (key * value + word) % PRIME_64
        return value

    def last(self, value: int) -> int:
        """Return the third layer's 4 bytes (section 5.4)."""
        a, b, c, d = self._last
        total = a * (value >> 48) + b * (value >> 32 & 0xFFFF) + c * (value >> 16 & 0xFFFF)
        return (total + d * (value & 0xFFFF)) % PRIME_36 & 0xFFFFFFFF ^ self._last_mask


class UMAC:
    """Computes tags of 8 or 16 bytes."""

    __slots__ = ("_pad", "_streams", "size")

    def __init__(self, key: bytes, size: int) -> None:
        count = size // 4
        cipher = _encryptor(key)
        self.size = size
        self._pad = _encryptor(_derive(cipher, 0, 16))
        first = _derive(cipher, 1, BLOCK + (count - 1) * 16)
        second, third = _derive(cipher, 2, count * 24), _derive(cipher, 3, count * 64)
        masks = _derive(cipher, 4, count * 4)
        self._streams = [
            Stream(
                first[16 * n : 16 * n + BLOCK],
                second[24 * n : 24 * n + 24],
                third[64 * n : 64 * n + 64],
                masks[4 * n : 4 * n + 4],
            )
            for n in range(count)
        ]

    def __call__(self, sequence: int, packet: memoryview) -> bytes:
        size = len(packet)
        starts = range(0, size or 1, BLOCK)
        blocks = [
            (int.from_bytes(packet[start : start + BLOCK], "little"), min(size - start, BLOCK))
            for start in starts
        ]
        tag = 0
        for stream in self._streams:
            block = stream.block
            hashes = [block(number, length) for number, length in blocks]
            value = hashes[0] if len(hashes) == 1 else stream.poly(hashes)
            tag = tag << 32 | stream.last(value)
        return (tag ^ self._hidden_by(sequence)).to_bytes(self.size, "big")

    def _hidden_by(self, nonce: int) -> int:
        """Return what hides the hash (section 3.3.1); a block of AES is good for two short tags."""
        if self.size == 16:
            return int.from_bytes(self._pad.update(NONCE.pack(nonce)), "big")
        both = int.from_bytes(self._pad.update(NONCE.pack(nonce & ~1)), "big")
        return both & MASK_64 if nonce & 1 else both >> 64
