"""Keys that live in a FIDO security key (PROTOCOL.u2f in OpenSSH's sources, W3C WebAuthn level 2).

Named in the table of `key_types`: sk-ssh-ed25519@openssh.com and sk-ecdsa-sha2-nistp256@openssh.com.  The
device signs a hash of the application, its flags, a counter and a hash of the data; a signature whose
flags do not say that somebody touched the device is refused unless the caller waives it (rule R6).
A browser's signatures (webauthn-sk-ecdsa-...) wrap the data in a JSON text that is compared, not parsed.
"""

from typing import TYPE_CHECKING, ClassVar, NamedTuple, NoReturn, Self

from .errors import KeyFormatError, SignatureError, UnsupportedKey, WireError
from .key import PrivateKey, PublicKey
from .text import quoted
from .wire import WireReader, byte, string, uint32

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

ED25519 = "sk-ssh-ed25519@openssh.com"
ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
WEBAUTHN = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"

#: Flags of a signature (WebAuthn section 6.1): somebody touched the device, or proved who they are.
USER_PRESENT = 0x01
USER_VERIFIED = 0x04
#: A signature never carries the key itself; extensions only if its flags say so.
_ATTESTED_DATA = 0x40
_HAS_EXTENSIONS = 0x80

#: Flags of a private key file: what its making asked for.
TOUCH_REQUIRED = 0x01
VERIFICATION_REQUIRED = 0x04
RESIDENT = 0x20


class SecurityKeySignature(NamedTuple):
    """What a signature that verified says beside that."""

    flags: int
    #: Grows with each signature of the device, or is always 0.
    counter: int
    #: The web page's, for a signature that a browser made; else None.
    origin: str | None = None

    @property
    def touched(self) -> bool:
        """Whether somebody touched the device."""
        return bool(self.flags & USER_PRESENT)

    @property
    def verified(self) -> bool:
        """Whether the device checked who that was, by a PIN or a finger."""
        return bool(self.flags & USER_VERIFIED)


class SecurityKeyPublicKey(PublicKey):
    """What the two types have in common."""

    __slots__ = ("application",)

    #: Whom the key was made for: "ssh:", or a web page's domain.
    application: str

    @property
    def bits(self) -> int:
        return 256

    def verify(
        self,
        algorithm: str,
        data: bytes,
        signature: bytes,
        *,
        touch_required: bool = True,
        verification_required: bool = False,
    ) -> None:
        """As PublicKey.verify; also raises unless the device was touched, or its user verified."""
        answer = self.open_signature(algorithm, data, signature)
        if touch_required and not answer.touched:
            raise SignatureError("nobody touched the security key for this signature")
        if verification_required and not answer.verified:
            raise SignatureError("the security key did not verify its user for this signature")

    def open_signature(self, algorithm: str, data: bytes, signature: bytes) -> SecurityKeySignature:
        """Check the signature alone and return its flags and counter, which are the caller's to judge."""
        if algorithm not in self.signature_algorithms:
            raise SignatureError(f"{quoted(algorithm)} is no signature algorithm of a {self.key_type} key")
        try:
            reader = WireReader(signature)
            label = reader.view("signature algorithm")
            if label != algorithm.encode("ascii"):
                raise SignatureError(f"signature is labelled {quoted(bytes(label))}, expected {algorithm!r}")
            inner = reader.string("signature")
            flags = reader.byte("signature flags")
            counter = reader.uint32("signature counter")
            origin, client_data, extensions = None, data, b""
            if algorithm == WEBAUTHN:
                origin = reader.text("web origin")
                client_data = reader.string("client data")
                extensions = reader.string("extensions")
                _check_client_data(data, origin, client_data, flags, extensions)
            reader.finish("signature")
            message = _digest(self.application.encode()) + byte(flags) + uint32(counter) + extensions
            self._verify(algorithm, message + _digest(client_data), inner)
        except WireError as error:
            raise SignatureError(f"malformed signature: {error}") from None
        return SecurityKeySignature(flags, counter, origin)


def verify_security_key(
    key: PublicKey, algorithm: str, data: bytes, signature: bytes
) -> SecurityKeySignature:
    """Check a signature and return its flags and counter; the caller decides whether a touch is needed.

    `key` may be a certificate of such a key.  Raises SignatureError, also if it is no security key's.
    """
    key = getattr(key, "key", key)
    if not isinstance(key, SecurityKeyPublicKey):
        raise SignatureError(f"a {key.key_type} key is not in a security key")
    return key.open_signature(algorithm, data, signature)


def _digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


def _check_client_data(data: bytes, origin: str, client_data: bytes, flags: int, extensions: bytes) -> None:
    """Raise unless the browser's JSON begins as the standard fixes it, with our data as its challenge.

    The beginning holds all that counts: a quote in the origin could end it early, so there is none; what
    follows (crossOrigin and later additions) is signed too but means nothing here.
    """
    from base64 import urlsafe_b64encode

    if '"' in origin or "\0" in origin:
        raise SignatureError("the web origin holds a quotation mark or a NUL")
    if flags & _ATTESTED_DATA or bool(flags & _HAS_EXTENSIONS) != bool(extensions):
        raise SignatureError(f"the flags {flags:#04x} do not fit {len(extensions)} bytes of extensions")
    challenge = urlsafe_b64encode(data).rstrip(b"=")
    expected = b'{"type":"webauthn.get","challenge":"' + challenge + b'","origin":"' + origin.encode() + b'"'
    if not client_data.startswith(expected):
        raise SignatureError("the browser signed something else than this data")


class SKEd25519PublicKey(SecurityKeyPublicKey):
    """An ed25519 key in a device."""

    __slots__ = ("_verifier",)

    label = "ED25519-SK"

    def __init__(
        self, verifier: "ed25519.Ed25519PublicKey", application: str, blob: bytes, comment: str = ""
    ) -> None:
        self.key_type = ED25519
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = (ED25519,)
        self.application = application
        self._verifier = verifier

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ed25519

        raw = reader.string("public key")
        if len(raw) != 32:
            raise KeyFormatError(f"an ed25519 public key has 32 bytes, not {len(raw)}")
        application = _read_application(reader)
        return cls(ed25519.Ed25519PublicKey.from_public_bytes(raw), application, blob, comment)

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        if len(signature) != 64:
            raise SignatureError(f"an ed25519 signature has 64 bytes, not {len(signature)}")
        try:
            self._verifier.verify(signature, data)
        except InvalidSignature:
            raise SignatureError("the security key's signature does not verify") from None


class SKECDSAPublicKey(SecurityKeyPublicKey):
    """A key on the curve nistp256 in a device."""

    __slots__ = ("_verifier",)

    label = "ECDSA-SK"

    def __init__(
        self, verifier: "ec.EllipticCurvePublicKey", application: str, blob: bytes, comment: str = ""
    ) -> None:
        self.key_type = ECDSA
        self.blob = blob
        self.comment = comment
        self.signature_algorithms = (ECDSA, WEBAUTHN)
        self.application = application
        self._verifier = verifier

    @classmethod
    def read(cls, key_type: str, reader: WireReader, blob: bytes, comment: str) -> Self:
        from cryptography.hazmat.primitives.asymmetric import ec

        curve = reader.text("curve")
        point = reader.string("public point")
        if curve != "nistp256":
            raise KeyFormatError(f"a key of type {key_type} names the curve {quoted(curve)}")
        if not point.startswith(b"\x04"):
            raise KeyFormatError("the public point is not in uncompressed form")
        application = _read_application(reader)
        try:
            verifier = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError:
            raise KeyFormatError("the public point does not lie on nistp256") from None
        return cls(verifier, application, blob, comment)

    def _verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        reader = WireReader(signature)
        r = reader.mpint("signature r")
        s = reader.mpint("signature s")
        reader.finish("signature")
        if r <= 0 or s <= 0 or max(r.bit_length(), s.bit_length()) > 256:
            raise SignatureError("the ECDSA signature holds a number outside of its range")
        try:
            self._verifier.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise SignatureError("the security key's signature does not verify") from None


def _read_application(reader: WireReader) -> str:
    application = reader.text("application")
    if "\0" in application:
        raise KeyFormatError("the application holds a NUL")
    return application


class SecurityKeyPrivateKey(PrivateKey):
    """What a file keeps of a key whose secret never leaves the device: the handle that finds it there."""

    __slots__ = ("application", "flags", "key_handle", "reserved")

    key_type: ClassVar[str]
    public_class: ClassVar[type[SecurityKeyPublicKey]]
    #: How many fields of the blob the private form repeats.
    _fields: ClassVar[int]

    def __init__(
        self, public: SecurityKeyPublicKey, key_handle: bytes, flags: int, reserved: bytes = b""
    ) -> None:
        self.public = public
        self.application = public.application
        #: Tells the device which of its keys is meant.
        self.key_handle = key_handle
        #: TOUCH_REQUIRED and the like.
        self.flags = flags
        self.reserved = reserved

    @classmethod
    def read(cls, key_type: str, reader: WireReader) -> Self:
        start = reader.position
        for _ in range(cls._fields):
            reader.view("public key")
        blob = string(cls.key_type) + bytes(reader.data[start : reader.position])
        fields = WireReader(blob)
        fields.view("key type")
        public = cls.public_class.read(cls.key_type, fields, blob, "")
        flags = reader.byte("security key flags")
        key_handle = reader.string("key handle")
        return cls(public, key_handle, flags, reader.string("reserved"))

    @classmethod
    def from_cryptography(cls, handle: object, comment: str = "") -> Self | None:
        """Return None: cryptography has no object for a key in a device."""
        return None

    def _private_fields(self) -> bytes:
        prefix = len(string(self.key_type))
        return self.public.blob[prefix:] + byte(self.flags) + string(self.key_handle) + string(self.reserved)

    def _handle(self) -> NoReturn:
        raise UnsupportedKey("a security key's file holds no private key: only OpenSSH's own format can")

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Have the device sign, which waits for a touch.

        Raises UnsupportedKey where the extra ``sshkit[fido2]`` or the device is missing: an agent can sign.
        """
        if algorithm != self.key_type:
            raise UnsupportedKey(f"an {self.key_type} key cannot sign with {quoted(algorithm)}")
        from .security_key_devices import sign_with_device

        return sign_with_device(self, data)


class SKEd25519PrivateKey(SecurityKeyPrivateKey):
    """The handle of an ed25519 key in a device."""

    __slots__ = ()

    key_type = ED25519
    public_class = SKEd25519PublicKey
    _fields = 2


class SKECDSAPrivateKey(SecurityKeyPrivateKey):
    """The handle of a nistp256 key in a device."""

    __slots__ = ()

    key_type = ECDSA
    public_class = SKECDSAPublicKey
    _fields = 3
