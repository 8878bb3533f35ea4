"""Keys as JSON Web Keys, which are read and not written (RFC 7517, RFC 7518 section 6, RFC 8037).

Called by `key_files`.  One key, or a set ("keys") that holds exactly one.  The "kid" becomes the comment.
"""

import binascii
from typing import Any

from .der import MAX_KEY_BYTES
from .errors import KeyFormatError, UnsupportedKey, WireError
from .key import PrivateKey, PublicKey, contradiction
from .key_types import KEY_TYPES, parse_public_key
from .seeds import SEED_BYTES, key_from_seed
from .text import quoted
from .wire import WireReader, mpint, string

#: Name of the curve in JOSE: in SSH, and bytes of a coordinate.
_CURVES = {"P-256": ("nistp256", 32), "P-384": ("nistp384", 48), "P-521": ("nistp521", 66)}
#: The same: type of the key.
_EDWARDS = {"Ed25519": "ssh-ed25519", "Ed448": "ssh-ed448"}
#: No number of a key has more.
_MAX_MEMBER_BYTES = 2049


class JWK:
    """The members of one key, whose types are checked as they are read."""

    __slots__ = ("members", "place")

    def __init__(self, members: dict[str, Any], place: str) -> None:
        self.members = members
        self.place = place

    def __repr__(self) -> str:
        return f"<JWK {quoted(str(self.members.get('kty')), 16)}>"

    @property
    def is_private(self) -> bool:
        """Whether the secret half is there."""
        return "d" in self.members

    @property
    def comment(self) -> str:
        """What the file calls the key."""
        kid = self.members.get("kid")
        return kid if isinstance(kid, str) else ""

    def text(self, name: str) -> str:
        """Return a member that must be text."""
        value = self.members.get(name)
        if not isinstance(value, str):
            raise KeyFormatError(f"the key's member {name!r} is not there, or is no text", self.place)
        return value

    def octets(self, name: str) -> bytes:
        """Return a member that must be base64url without padding (RFC 7515 section 2)."""
        text = self.text(name)
        if len(text) <= 2 * _MAX_MEMBER_BYTES and text.isascii() and not set(text) & set("+/="):
            raw = text.translate({45: 43, 95: 47}).encode("ascii")
            try:
                return binascii.a2b_base64(raw + b"=" * (-len(raw) % 4), strict_mode=True)
            except binascii.Error:
                pass
        raise KeyFormatError(f"the key's member {name!r} is not base64url", self.place)

    def number(self, name: str) -> int:
        """Return a member that must be a number above 0."""
        raw = self.octets(name)
        if not any(raw) or len(raw) > _MAX_MEMBER_BYTES:
            raise KeyFormatError(f"the key's member {name!r} is zero or too large", self.place)
        return int.from_bytes(raw, "big")


def read_jwk(data: bytes, place: str = "") -> JWK:
    """Read the members; what they say of the key is not looked at."""
    import json

    if len(data) > MAX_KEY_BYTES:
        raise KeyFormatError(f"the key has {len(data)} bytes, at most {MAX_KEY_BYTES} allowed", place)
    try:
        value: Any = json.loads(data)
    except RecursionError:
        raise KeyFormatError("the JSON nests too deeply", place) from None
    except json.JSONDecodeError as error:
        # The error's own text and its `doc` would carry the key.
        raise KeyFormatError(f"line {error.lineno}: not JSON at column {error.colno}", place) from None
    except ValueError:
        raise KeyFormatError("not JSON: not UTF-8, or a number too long", place) from None
    if isinstance(value, dict) and isinstance(value.get("keys"), list):
        keys = value["keys"]
        if len(keys) != 1:
            raise UnsupportedKey(f"a set of {len(keys)} keys; only one is supported", place)
        value = keys[0]
    if not isinstance(value, dict) or "kty" not in value:
        raise KeyFormatError("JSON, but not a key: it has no member 'kty'", place)
    return JWK(value, place)


def parse_jwk_public(jwk: JWK) -> PublicKey:
    """Return the public key, of a private one its public half."""
    try:
        return parse_public_key(_blob(jwk), jwk.comment, jwk.place)
    except WireError as error:
        raise KeyFormatError(f"the key is damaged: {error}", jwk.place) from None


def parse_jwk_private(jwk: JWK) -> PrivateKey:
    """Return the private key, whose halves belong together."""
    place = jwk.place
    if not jwk.is_private:
        raise KeyFormatError("a public key, where a private key is needed", place)
    public = parse_jwk_public(jwk)
    try:
        key = _private(jwk, public)
        if key.public != public:
            raise contradiction("its two halves are different keys")
    except WireError as error:
        raise KeyFormatError(f"the private key is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    key.comment = jwk.comment
    return key


def _blob(jwk: JWK) -> bytes:
    kind = jwk.text("kty")
    if kind == "RSA":
        return string("ssh-rsa") + mpint(jwk.number("e")) + mpint(jwk.number("n"))
    if kind not in ("EC", "OKP"):
        raise UnsupportedKey(f"keys of kind {quoted(kind, 32)} are not used in SSH", jwk.place)
    curve = jwk.text("crv")
    if kind == "EC" and curve in _CURVES:
        name, size = _CURVES[curve]
        point = b"\x04" + b"".join(_sized(jwk, member, size) for member in "xy")
        return string(f"ecdsa-sha2-{name}") + string(name) + string(point)
    if kind == "OKP" and curve in _EDWARDS:
        name = _EDWARDS[curve]
        return string(name) + string(_sized(jwk, "x", SEED_BYTES[name]))
    raise UnsupportedKey(f"curve {quoted(curve, 32)} is not used in SSH", jwk.place)


def _sized(jwk: JWK, name: str, size: int) -> bytes:
    raw = jwk.octets(name)
    if len(raw) != size:
        raise KeyFormatError(f"the key's member {name!r} has {len(raw)} bytes, expected {size}", jwk.place)
    return raw


def _private(jwk: JWK, public: PublicKey) -> PrivateKey:
    name = public.key_type
    outer = WireReader(public.blob)
    outer.view("key type")
    if name == "ssh-rsa":
        if "p" not in jwk.members or "oth" in jwk.members:
            raise UnsupportedKey("an RSA key without its two primes is not supported")
        n, e, d, p, q = (jwk.number(member) for member in "nedpq")
        try:
            iqmp = pow(q, -1, p)
        except ValueError:
            raise contradiction("the primes do not belong to the modulus") from None
        fields = b"".join(map(mpint, (n, e, d, iqmp, p, q)))
    elif name.startswith("ecdsa-sha2-"):
        fields = outer.rest() + mpint(jwk.number("d"))
    else:
        return key_from_seed(name, _sized(jwk, "d", SEED_BYTES[name]))
    return KEY_TYPES[name].private.read(name, WireReader(fields))
