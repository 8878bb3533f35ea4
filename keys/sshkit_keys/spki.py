"""Public keys in PEM and DER: SubjectPublicKeyInfo and PKCS#1 (RFC 5280 section 4.1, RFC 8017 section A.1.1).

Called by `key_files` to read, and by PublicKey.to_spki_pem and to_pkcs1_pem.  Between the two worlds stands
an object of cryptography, which is made from a blob here, or a blob from it.
"""

from typing import TYPE_CHECKING

from .der import MAX_KEY_BYTES, DERReader
from .errors import KeyFormatError, UnsupportedKey, WireError
from .key import PublicKey
from .key_types import parse_public_key
from .wire import WireReader, mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

LABELS = ("PUBLIC KEY", "RSA PUBLIC KEY")

_CURVES = {
    "ecdsa-sha2-nistp256": "SECP256R1",
    "ecdsa-sha2-nistp384": "SECP384R1",
    "ecdsa-sha2-nistp521": "SECP521R1",
}
#: The key types that the world of PEM has names for.
PEM_TYPES = ("ssh-ed25519", *_CURVES, "ssh-rsa", "ssh-ed448", "ssh-dss")


def parse_public_der(body: bytes, place: str = "") -> PublicKey:
    """Read a public key in either of the two forms."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if len(body) > MAX_KEY_BYTES:
        raise KeyFormatError(f"the key has {len(body)} bytes, at most {MAX_KEY_BYTES} allowed", place)
    DERReader(body, place).enter()
    try:
        handle = load_der_public_key(body)
    except UnsupportedAlgorithm:
        raise UnsupportedKey("an algorithm of this key is not supported", place) from None
    except ValueError:
        raise KeyFormatError("the public key is damaged", place) from None
    return wrap_public_key(handle, "", place)


def wrap_public_key(handle: "PublicKeyTypes", comment: str = "", place: str = "") -> PublicKey:
    """Return the public key that an object of cryptography is; UnsupportedKey if SSH has no such type."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        if isinstance(handle, rsa.RSAPublicKey):
            rsa_numbers = handle.public_numbers()
            blob = string("ssh-rsa") + mpint(rsa_numbers.e) + mpint(rsa_numbers.n)
        elif isinstance(handle, ec.EllipticCurvePublicKey):
            curve = f"nistp{handle.curve.key_size}"
            if handle.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
                raise UnsupportedKey(f"curve {handle.curve.name} is not used in SSH", place)
            point = handle.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            blob = string(f"ecdsa-sha2-{curve}") + string(curve) + string(point)
        elif isinstance(handle, ed25519.Ed25519PublicKey):
            blob = string("ssh-ed25519") + string(handle.public_bytes_raw())
        elif isinstance(handle, ed448.Ed448PublicKey):
            blob = string("ssh-ed448") + string(handle.public_bytes_raw())
        elif isinstance(handle, dsa.DSAPublicKey):
            numbers = handle.public_numbers()
            group = numbers.parameter_numbers
            blob = string("ssh-dss") + b"".join(map(mpint, (group.p, group.q, group.g, numbers.y)))
        else:
            raise UnsupportedKey("a public key of this type is not supported", place)
    except WireError as error:
        raise UnsupportedKey(f"a number of the key is too large: {error}", place) from None
    return parse_public_key(blob, comment, place)


def public_handle(key: PublicKey) -> "PublicKeyTypes":
    """Return cryptography's object for a public key; UnsupportedKey for types that PEM has no form for."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    reader = WireReader(key.blob)
    name = reader.text("key type")
    try:
        if name == "ssh-rsa":
            e, n = reader.mpint("e"), reader.mpint("n")
            return rsa.RSAPublicNumbers(e, n).public_key()
        if name in _CURVES:
            curve = getattr(ec, _CURVES[name])()
            reader.view("curve")
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, reader.string("public point"))
        if name == "ssh-ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(reader.string("public key"))
        if name == "ssh-ed448":
            return ed448.Ed448PublicKey.from_public_bytes(reader.string("public key"))
        if name == "ssh-dss":
            p, q, g, y = (reader.mpint(field) for field in "pqgy")
            return dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
    except ValueError:
        raise UnsupportedKey(f"this {name} key cannot be written in PEM") from None
    raise UnsupportedKey(f"{key.key_type} keys have no form in PEM")


def format_spki(key: PublicKey, der: bool = False) -> bytes:
    """Return the key as SubjectPublicKeyInfo; see PublicKey.to_spki_pem."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoding = Encoding.DER if der else Encoding.PEM
    return public_handle(key).public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def format_pkcs1(key: PublicKey) -> bytes:
    """Return an RSA key as PKCS#1; see PublicKey.to_pkcs1_pem."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if key.key_type != "ssh-rsa":
        raise UnsupportedKey(f"PKCS#1 is a format of RSA keys, not of {key.key_type}")
    return public_handle(key).public_bytes(Encoding.PEM, PublicFormat.PKCS1)
