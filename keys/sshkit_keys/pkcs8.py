"""Private keys in the formats of PKCS#1, SEC 1 and PKCS#8 (RFC 8017, RFC 5915, RFC 5958).

Called by `key_files`.  cryptography reads them; what is done here is to tell the errors apart, and to
look at the key derivation's parameters before it runs, since their cost is the file's to name (rule R22).
"""

from .errors import KeyFormatError, PassphraseRequired, UnsupportedKey, WrongPassphrase
from .key import PrivateKey
from .key_types import wrap_private_key
from .pem import Armour

LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")

#: PBKDF2 rounds: OpenSSL writes 2048; ten million take some seconds.
MAX_ROUNDS = 10_000_000
#: scrypt's N * r * p; OpenSSL writes 2**17.  128 times this is the memory: 256 MiB.
MAX_SCRYPT_COST = 2**21

_SCRYPT_OID = bytes.fromhex("2b06010401da470411")
_INTEGER, _OBJECT, _SEQUENCE = 0x02, 0x06, 0x30
# An algorithm identifier nests four deep; more is no key.
_MAX_DEPTH = 8


def is_encrypted(block: Armour) -> bool:
    """Say whether reading the block takes a passphrase."""
    return block.label == "ENCRYPTED PRIVATE KEY" or "ENCRYPTED" in block.headers.get("Proc-Type", "")


def parse_pem_private(block: Armour, passphrase: bytes | None, place: str = "") -> PrivateKey:
    """Read a block; `passphrase` is None for one that is not encrypted."""
    if block.label not in LABELS:
        raise UnsupportedKey(f"{block.label} is not supported", place)
    encrypted = is_encrypted(block)
    if encrypted and passphrase is None:
        raise PassphraseRequired("the key is encrypted; a passphrase is needed", place)
    if block.label == "ENCRYPTED PRIVATE KEY":
        _check_cost(block.body, place)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        handle = load_pem_private_key(block.to_pem(), passphrase if encrypted else None)
    except UnsupportedAlgorithm:
        raise UnsupportedKey("an algorithm of this key is not supported", place) from None
    except (ValueError, TypeError):
        if encrypted:
            raise WrongPassphrase("wrong passphrase, or the key is damaged", place) from None
        raise KeyFormatError("the private key is damaged", place) from None
    return wrap_private_key(handle, "", place)


def _check_cost(body: bytes, place: str) -> None:
    """Raise unless the outer structure is sound and its key derivation affordable."""
    try:
        tag, start, end = _element(body, 0, len(body))
        if tag != _SEQUENCE:
            raise ValueError("not a sequence")
        tag, start, end = _element(body, start, end)
        leaves = _leaves(body, start, end, 0) if tag == _SEQUENCE else []
    except ValueError:
        raise KeyFormatError("the encrypted private key is damaged", place) from None
    numbers = [int.from_bytes(value, "big") for tag, value in leaves if tag == _INTEGER]
    cost = max(numbers, default=0)
    if cost > MAX_ROUNDS:
        raise UnsupportedKey(f"a key derivation with {cost} rounds, at most {MAX_ROUNDS} allowed", place)
    if (_OBJECT, _SCRYPT_OID) in leaves:
        cost = 1
        for number in numbers[:3]:
            cost *= number
        if cost > MAX_SCRYPT_COST:
            raise UnsupportedKey(f"a key derivation of cost {cost}, at most {MAX_SCRYPT_COST} allowed", place)


def _element(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Return tag, start and end of the contents of the DER element at `position` (X.690 section 8.1)."""
    if end - position < 2:
        raise ValueError("no room for an element")
    tag, length = data[position], data[position + 1]
    start = position + 2
    if length > 127:
        size = length - 128
        if not 1 <= size <= 4 or end - start < size:
            raise ValueError("a length that cannot be")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if length > end - start:
        raise ValueError("an element that does not fit")
    return tag, start, start + length


def _leaves(data: bytes, position: int, end: int, depth: int) -> list[tuple[int, bytes]]:
    """Return (tag, contents) of all elements that hold no others, in their order."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    found: list[tuple[int, bytes]] = []
    while position < end:
        tag, start, position = _element(data, position, end)
        if tag == _SEQUENCE:
            found += _leaves(data, start, position, depth + 1)
        else:
            found.append((tag, data[start:position]))
    return found
