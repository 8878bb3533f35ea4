"""Streamlined NTRU Prime sntrup761, a key encapsulation, in plain Python (NIST round 3 submission, 2020).

Called by `sntrup761x25519` once it was negotiated.  A polynomial is one long number with a slot of bits for
each coefficient, so that a product in a ring is one multiplication of numbers, and a step of an inversion
is a few additions of long numbers.  The time that it takes depends on the secrets: each key pair is good for
one key exchange only, and none of it is ever written down.

Coefficients of *small* polynomials (-1, 0, 1) are kept as 0, 1, 2: one more than they are.
"""

from collections.abc import Callable, Sequence
from hashlib import sha512
from struct import pack, unpack
from typing import NamedTuple

P = 761
Q = 4591
WEIGHT = 286
HALF = (Q - 1) // 2
ROUNDED = (Q + 2) // 3  #: a rounded coefficient is one of so many
PUBLIC_SIZE = 1158
CIPHERTEXT_SIZE = 1039
SECRET_SIZE = 32
SMALL_SIZE = (P + 3) // 4
CONFIRM_SIZE = 32

WIDE, MEDIUM, NARROW = 32, 16, 8  #: bits of a slot
CODES = {WIDE: "I", MEDIUM: "H", NARROW: "B"}  #: of struct


def _ones(width: int, count: int) -> int:
    return ((1 << (width * count)) - 1) // ((1 << width) - 1)


_WIDE_ONES = _ones(WIDE, P)


class PrivateKey(NamedTuple):
    """A key pair: two small polynomials, and what the answer to a damaged ciphertext is made of."""

    f: list[int]
    g_inverse: list[int]
    public: bytes
    rho: bytes

    def __repr__(self) -> str:
        return "<sntrup761.PrivateKey>"


def generate(random_bytes: Callable[[int], bytes]) -> PrivateKey:
    """Make a key pair."""
    while True:
        g = _random_small(random_bytes)
        g_inverse = _invert([(value + 2) % 3 for value in g], _THREE, 1)
        if g_inverse is not None:
            break
    f = _random_short(random_bytes)
    # Polynomials modulo q are a field: every f has an inverse.
    third = _invert([(value - 1) % Q for value in f], _Q, pow(3, -1, Q))
    assert third is not None
    public = _encode([(value + HALF) % Q for value in _multiply(third, g)], Q)
    rho = random_bytes(SMALL_SIZE)
    return PrivateKey(f, [(value + 1) % 3 for value in g_inverse], public, rho)


def encapsulate(public: bytes, random_bytes: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """Return a shared secret, and the ciphertext that tells it to the owner of `public`."""
    small = _random_short(random_bytes)
    packed = _pack_small(small)
    ciphertext = _hide(small, packed, public)
    return _hash(1, _hash(3, packed) + ciphertext), ciphertext


def decapsulate(key: PrivateKey, ciphertext: bytes) -> bytes:
    """Return the shared secret; where the ciphertext is not an honest one, a secret that nobody knows."""
    rounded = _decode(ciphertext[:-CONFIRM_SIZE], ROUNDED)
    product = _multiply([(3 * value - HALF) % Q for value in rounded], key.f)
    # HALF is a multiple of 3, so the centred value is the same modulo 3.
    remainders = [(3 * value + HALF) % Q % 3 for value in product]
    small = [(value + 1) % 3 for value in _multiply_three(remainders, key.g_inverse)]
    if P - small.count(1) != WEIGHT:
        small = [2] * WEIGHT + [1] * (P - WEIGHT)
    packed = _pack_small(small)
    honest = _hide(small, packed, key.public) == ciphertext
    return _hash(1 if honest else 0, _hash(3, packed if honest else key.rho) + ciphertext)


def _hash(prefix: int, data: bytes) -> bytes:
    return sha512(bytes((prefix,)) + data).digest()[:32]


def _hide(small: list[int], packed: bytes, public: bytes) -> bytes:
    """Return the ciphertext of a small polynomial."""
    product = _multiply(_shift(_decode(public, Q)), small)
    rounded = _encode([((value + HALF) % Q + 1) // 3 for value in product], ROUNDED)
    return rounded + _hash(2, _hash(3, packed) + _hash(4, public))


def _shift(values: list[int]) -> list[int]:
    return [(value - HALF) % Q for value in values]


# Randomness.


def _random_words(random_bytes: Callable[[int], bytes]) -> tuple[int, ...]:
    return unpack(f"<{P}I", random_bytes(4 * P))


def _random_small(random_bytes: Callable[[int], bytes]) -> list[int]:
    return [(word & 0x3FFFFFFF) * 3 >> 30 for word in _random_words(random_bytes)]


def _random_short(random_bytes: Callable[[int], bytes]) -> list[int]:
    """Return WEIGHT coefficients that are not 0, put in a random order by sorting."""
    words = _random_words(random_bytes)
    marked = [word & ~1 for word in words[:WEIGHT]] + [word & ~3 | 1 for word in words[WEIGHT:]]
    return [word & 3 for word in sorted(marked)]


# Products: the ring is that of polynomials modulo x**P - x - 1.


def _number(values: Sequence[int], width: int) -> int:
    return int.from_bytes(pack(f"<{len(values)}{CODES[width]}", *values), "little")


def _values(number: int, width: int) -> tuple[int, ...]:
    return unpack(f"<{P}{CODES[width]}", number.to_bytes(width // 8 * P, "little"))


def _fold(product: int, width: int) -> int:
    high = product >> (width * P)
    return (product & ((1 << (width * P)) - 1)) + high + (high << width)


#: Added to each coefficient of a product, so that none is negative: a multiple of q, and P * q at least.
_LIFT = Q * P * _ones(WIDE, 2 * P - 1)


def _multiply(values: list[int], small: list[int]) -> list[int]:
    """Return the product modulo q, each coefficient from 0 to q - 1."""
    factor = _number(small, WIDE) - _WIDE_ONES
    folded = _fold(_number(values, WIDE) * factor + _LIFT, WIDE)
    return [value % Q for value in _values(folded, WIDE)]


def _multiply_three(values: list[int], small: list[int]) -> list[int]:
    """Return the product modulo 3, each coefficient from 0 to 2."""
    residues = [(value + 2) % 3 for value in small]
    folded = _fold(_number(values, MEDIUM) * _number(residues, MEDIUM), MEDIUM)
    return [value % 3 for value in _values(folded, MEDIUM)]


# Inverses, by division steps from the low end (Bernstein and Yang, 2019).


class _Field(NamedTuple):
    """How slots are reduced: from less than `limit` to less than `reduced`, keeping them modulo `modulus`."""

    modulus: int
    width: int
    limit: int
    reduced: int
    reduce: Callable[[int], int]


_SLOTS = P + 1
_Q_ESTIMATE = (2048 << 17) // Q
_Q_HIGH = _ones(WIDE, _SLOTS) * 0xFFFF
_Q_QUOTIENT = _ones(WIDE, _SLOTS) * 0x7FFF
_ALL_WIDE = (1 << (WIDE * _SLOTS)) - 1


def _reduce_q(number: int) -> int:
    """Take away a multiple of q that is at most three times too small."""
    estimate = ((number >> 11) & _Q_HIGH) * _Q_ESTIMATE >> 17 & _Q_QUOTIENT
    return (number & _ALL_WIDE) - estimate * Q


_LOW = _ones(NARROW, _SLOTS) * 3
_HIGH = _ones(NARROW, _SLOTS) * 0x3F


def _reduce_three(number: int) -> int:
    """Add the digits to the base 4, twice: 4 is 1 modulo 3."""
    number = (number & _LOW) + (number >> 2 & _HIGH)
    return (number & _LOW) + (number >> 2 & _HIGH)


_Q = _Field(Q, WIDE, 1 << 27, 3 * Q, _reduce_q)
_THREE = _Field(3, NARROW, 64, 8, _reduce_three)


def _invert(values: list[int], field: _Field, scale: int) -> list[int] | None:
    """Return `scale` divided by the polynomial, coefficients from 0 on; None where it has no inverse."""
    modulus, width, limit, reduced, reduce = field
    step = (modulus - 1) * (reduced - 1)  # what one addition adds to a slot at most
    slot = (1 << width) - 1
    # Both polynomials backwards: their ends are what the steps look at.
    f = 1 | (modulus - 1) << (width * (P - 1)) | (modulus - 1) << (width * P)
    g = _number(values[::-1], width)
    v, r = 0, scale
    top = reduced  # the slots of g and r are less
    f_inverse = 1
    delta = 1
    for _ in range(2 * P - 1):
        v <<= width
        low = (g & slot) % modulus
        if delta > 0 and low:
            f, g, v, r = reduce(g), f, reduce(r), v
            f_inverse = pow(low, -1, modulus)
            low = (g & slot) % modulus
            delta = -delta
            top = reduced
        delta += 1
        if low:
            if top + step > limit:
                g, r, top = reduce(g), reduce(r), reduced
            factor = -low * f_inverse % modulus
            g += f * factor
            r += v * factor
            top += step
        g >>= width
    if delta:
        return None
    backwards = _values(reduce(v) & ((1 << (width * P)) - 1), width)
    last = pow(f & slot, -1, modulus)
    return [value * last % modulus for value in reversed(backwards)]


# Bytes.


def _pack_small(small: list[int]) -> bytes:
    padded = [*small, 0, 0, 0]
    parts = zip(padded[0::4], padded[1::4], padded[2::4], padded[3::4], strict=True)
    return bytes([a | b << 2 | c << 4 | d << 6 for a, b, c, d in parts])


def _encode(values: list[int], modulus: int) -> bytes:
    """Write numbers below `modulus` in hardly more bytes than they need, by joining them in pairs."""
    output = bytearray()
    moduli = [modulus] * len(values)
    while len(values) > 1:
        joined: list[int] = []
        joined_moduli: list[int] = []
        for index in range(0, len(values) - 1, 2):
            value = values[index] + values[index + 1] * moduli[index]
            size = moduli[index] * moduli[index + 1]
            while size >= 16384:
                output.append(value & 255)
                value >>= 8
                size = (size + 255) >> 8
            joined.append(value)
            joined_moduli.append(size)
        if len(values) % 2:
            joined.append(values[-1])
            joined_moduli.append(moduli[-1])
        values, moduli = joined, joined_moduli
    value, size = values[0], moduli[0]
    while size > 1:
        output.append(value & 255)
        value >>= 8
        size = (size + 255) >> 8
    return bytes(output)


def _decode(data: bytes, modulus: int) -> list[int]:
    """Read P numbers as `_encode` writes them; of the right length, any bytes mean some numbers."""
    moduli = [modulus] * P
    position = 0
    levels: list[tuple[list[int], list[tuple[int, int]]]] = []
    while len(moduli) > 1:
        joined_moduli: list[int] = []
        bottoms: list[tuple[int, int]] = []  # what was written at this level: number, and its size
        for index in range(0, len(moduli) - 1, 2):
            size = moduli[index] * moduli[index + 1]
            bottom, factor = 0, 1
            while size >= 16384:
                bottom += data[position] * factor
                factor <<= 8
                position += 1
                size = (size + 255) >> 8
            bottoms.append((bottom, factor))
            joined_moduli.append(size)
        if len(moduli) % 2:
            joined_moduli.append(moduli[-1])
        levels.append((moduli, bottoms))
        moduli = joined_moduli
    values = [int.from_bytes(data[position:], "little") % moduli[0]]
    for moduli, bottoms in reversed(levels):
        parts: list[int] = []
        for index, (bottom, factor) in enumerate(bottoms):
            second, first = divmod(bottom + values[index] * factor, moduli[2 * index])
            parts += (first, second % moduli[2 * index + 1])
        if len(moduli) % 2:
            parts.append(values[-1])
        values = parts
    return values
