"""ECDSA keys in the traditional PEM and its DER (RFC 5915, SEC 1 section C.4).

Called by `pkcs8`.  Read here, since PuTTY writes the private number with a zero in front or without those it
should have, which OpenSSL takes and cryptography does not.
"""

from .der import BIT_STRING, DERReader
from .errors import KeyFormatError, UnsupportedKey
from .key import PrivateKey
from .key_types import KEY_TYPES
from .wire import WireReader, mpint, string

#: Object identifier of the curve: its name in SSH.
_CURVES = {
    "1.2.840.10045.3.1.7": "nistp256",
    "1.3.132.0.34": "nistp384",
    "1.3.132.0.35": "nistp521",
}
_CURVE, _POINT = 0xA0, 0xA1
_VERSION = 1


def parse_sec1(body: bytes, place: str = "") -> PrivateKey:
    """Read the key; its public half must be there and belong to it."""
    inside = DERReader(body, place).enter()
    if inside.integer("the version") != _VERSION:
        inside.fail("a version that is not known")
    secret = int.from_bytes(inside.octets("the private number"), "big")
    if inside.next_tag != _CURVE:
        inside.fail("the curve is not there")
    identifier = inside.enter().identifier("the curve's name")
    curve = _CURVES.get(identifier)
    if curve is None:
        raise UnsupportedKey(f"curve {identifier} is not used in SSH", place)
    if inside.next_tag != _POINT:
        raise UnsupportedKey("an EC key without its public half is not supported", place)
    point = inside.enter().expect(BIT_STRING, "the public point").contents()[1:]
    name = f"ecdsa-sha2-{curve}"
    try:
        reader = WireReader(string(curve) + string(point) + mpint(secret))
        return KEY_TYPES[name].private.read(name, reader)
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
