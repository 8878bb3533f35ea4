"""The private half of a PuTTY key file, by key type (PuTTY's manual, appendix C.3).

Called by `putty`.  The public half is the blob that SSH knows, so only what is missing in it is stored here.
"""

from .errors import UnsupportedKey
from .key import PrivateKey, PublicKey, contradiction
from .key_types import KEY_TYPES, wrap_private_key
from .seeds import SEED_BYTES, key_from_seed
from .wire import WireReader, mpint, string

#: Padding to whole blocks may follow the fields.
_MAX_PADDING = 15


def read_private(public: PublicKey, plain: bytes) -> PrivateKey:
    """Return the private key for `public`, whose blob the caller compares."""
    reader = WireReader(plain)
    outer = WireReader(public.blob)
    name = outer.text("key type")
    if name == "ssh-rsa":
        e, n = outer.mpint("RSA exponent"), outer.mpint("RSA modulus")
        d, p, q, iqmp = (reader.mpint(f"RSA {field}") for field in ("d", "p", "q", "iqmp"))
        key = _read(name, b"".join(map(mpint, (n, e, d, iqmp, p, q))))
    elif name.startswith("ecdsa-sha2-"):
        key = _read(name, outer.rest() + mpint(reader.mpint("private number")))
    elif name in SEED_BYTES:
        # The number is written with its lowest byte first, so that zeros may be missing at its end.
        seed = reader.string("seed")
        if len(seed) > SEED_BYTES[name]:
            raise contradiction(f"a seed of {len(seed)} bytes, expected {SEED_BYTES[name]}")
        key = key_from_seed(name, seed.ljust(SEED_BYTES[name], b"\0"))
    elif name == "ssh-dss":
        key = _from_dss([outer.mpint(f"DSA {field}") for field in "pqgy"], reader.mpint("DSA x"))
    else:
        raise UnsupportedKey(f"{name} keys in PuTTY's format are not supported")
    if reader.end - reader.position > _MAX_PADDING:
        raise contradiction(f"{reader.end - reader.position} bytes follow its numbers")
    return key


def _read(name: str, fields: bytes) -> PrivateKey:
    reader = WireReader(fields)
    key = KEY_TYPES[name].private.read(name, reader)
    reader.finish("private key")
    return key


def _from_dss(group: list[int], x: int) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import dsa

    p, q, g, y = group
    public = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
    try:
        return wrap_private_key(dsa.DSAPrivateNumbers(x, public).private_key())
    except ValueError:
        raise contradiction("its numbers are no DSA key") from None


def write_private(key: PrivateKey) -> bytes:
    """Return the private half, not padded."""
    name = key.public.key_type
    if name not in SEED_BYTES and name != "ssh-rsa" and not name.startswith("ecdsa-sha2-nistp"):
        raise UnsupportedKey(f"{name} keys are not written in PuTTY's format")
    handle = key._handle()
    if name in SEED_BYTES:
        return string(handle.private_bytes_raw())
    numbers = handle.private_numbers()
    if name == "ssh-rsa":
        return b"".join(map(mpint, (numbers.d, numbers.p, numbers.q, numbers.iqmp)))
    return mpint(numbers.private_value)
