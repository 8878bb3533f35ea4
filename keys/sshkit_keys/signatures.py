"""Signatures of files and messages: the SSHSIG format (PROTOCOL.sshsig in OpenSSH's sources).

Called by sshkit-keygen (-Y), and by programs that sign what others verify.  A signature names its key, a
namespace that says what it is for, and the hash of the message; who may sign is told by `allowed_signers`.
An agent signs in two steps: `to_be_signed` gives what it signs, `Signature` takes the result.
"""

import binascii
from collections.abc import Iterable
from typing import NamedTuple

from .certificates import Certificate, certificate_name, parse_key_or_certificate
from .errors import KeyFormatError, SignatureError, UnsupportedKey, WireError
from .key import PrivateKey, PublicKey
from .text import printable, quoted
from .wire import WireReader, string, uint32

HASHES = ("sha512", "sha256")
#: A signature with a large certificate has some 12 KiB in its armour; nobody needs a megabyte.
MAX_SIGNATURE_BYTES = 1 << 18

_MAGIC = b"SSHSIG"
_VERSION = 1
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_LINE_CHARACTERS = 70
_DIGEST_BYTES = {"sha512": 64, "sha256": 32}


def hash_message(message: bytes | Iterable[bytes], hash_name: str = "sha512") -> bytes:
    """Return the hash of a message, which may come in pieces."""
    import hashlib

    _check_hash(hash_name)
    state = hashlib.new(hash_name)
    for piece in (message,) if isinstance(message, bytes) else message:
        state.update(piece)
    return state.digest()


def to_be_signed(digest: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """Return the bytes that the key signs for a message with this hash."""
    _check_hash(hash_name)
    if not namespace:
        raise SignatureError("a signature needs a namespace")
    if len(digest) != _DIGEST_BYTES[hash_name]:
        raise SignatureError(f"a {hash_name} hash has {_DIGEST_BYTES[hash_name]} bytes, not {len(digest)}")
    return _MAGIC + string(namespace) + string(b"") + string(hash_name) + string(digest)


class Signature(NamedTuple):
    """A detached signature."""

    public: PublicKey  #: the key, or the certificate, that claims to have signed
    namespace: str  #: what it is for: "file", "git", or a name with a domain
    hash_name: str  #: "sha512" or "sha256"
    blob: bytes  #: string algorithm, string signature

    @property
    def algorithm(self) -> str:
        """The signature algorithm that the blob names."""
        try:
            return WireReader(self.blob).text("signature algorithm")
        except WireError as error:
            raise SignatureError(f"malformed signature: {error}") from None

    def verify(self, digest: bytes, namespace: str) -> None:
        """Raise SignatureError unless it is the key's own for a message with this hash, in `namespace`.

        This says nothing about who the key belongs to: ask `AllowedSigners.check`.
        """
        if namespace != self.namespace:
            meant = quoted(self.namespace)
            raise SignatureError(f"the signature is for the namespace {meant}, not for {quoted(namespace)}")
        data = to_be_signed(digest, namespace, self.hash_name)
        algorithm = self.algorithm
        if isinstance(self.public, Certificate):
            algorithm = certificate_name(algorithm)
        self.public.verify(algorithm, data, self.blob)

    def to_bytes(self) -> bytes:
        """Return the signature without armour."""
        fields = string(self.namespace) + string(b"") + string(self.hash_name) + string(self.blob)
        return _MAGIC + uint32(_VERSION) + string(self.public.blob) + fields

    def to_armour(self) -> bytes:
        """Return the signature as it is kept in a ".sig" file."""
        text = binascii.b2a_base64(self.to_bytes(), newline=False)
        lines = [text[i : i + _LINE_CHARACTERS] for i in range(0, len(text), _LINE_CHARACTERS)]
        return b"\n".join([_BEGIN, *lines, _END, b""])


def plain_key(public: PublicKey) -> PublicKey:
    """Return the key itself, or the one that a certificate is about."""
    return public.key if isinstance(public, Certificate) else public


def sign_message(
    key: PrivateKey,
    message: bytes | Iterable[bytes],
    namespace: str,
    hash_name: str = "sha512",
    certificate: PublicKey | None = None,
) -> Signature:
    """Sign a message; with `certificate`, the signature names that instead of the bare key."""
    public = key.public
    if certificate is not None:
        if plain_key(certificate) != public:
            raise SignatureError("the certificate is about another key")
        public = certificate
    data = to_be_signed(hash_message(message, hash_name), namespace, hash_name)
    return Signature(public, namespace, hash_name, key.sign(key.public.signature_algorithms[0], data))


def parse_signature(data: bytes, place: str = "") -> Signature:
    """Read a signature in its armour, or without; nothing is verified.

    Raises KeyFormatError for a damaged one, UnsupportedKey for a version, hash or key type of the future.
    """
    if len(data) > MAX_SIGNATURE_BYTES:
        raise KeyFormatError(f"the signature has {len(data)} bytes, at most {MAX_SIGNATURE_BYTES}", place)
    body = data if data.startswith(_MAGIC) else _without_armour(data, place)
    if not body.startswith(_MAGIC):
        raise KeyFormatError("the signature is damaged: it does not start with SSHSIG", place)
    reader = WireReader(body)
    reader.position = len(_MAGIC)
    try:
        version = reader.uint32("version")
        if version != _VERSION:
            raise UnsupportedKey(f"a signature of version {version}; {_VERSION} is known", place)
        blob = reader.string("public key")
        namespace = reader.text("namespace")
        reader.view("reserved")
        hash_name = reader.text("hash")
        signature = reader.string("signature")
        reader.finish("signature")
    except WireError as error:
        raise KeyFormatError(f"the signature is damaged: {error}", place) from None
    if not namespace:
        raise KeyFormatError("the signature is damaged: it has no namespace", place)
    _check_hash(hash_name, place)
    return Signature(parse_key_or_certificate(blob, place=place), namespace, hash_name, signature)


def _check_hash(name: str, place: str = "") -> None:
    if name not in HASHES:
        raise UnsupportedKey(f"hash {quoted(name, 40)} is not used here; sha512 and sha256 are", place)


def _without_armour(data: bytes, place: str) -> bytes:
    lines = [line.strip(b"\r\t ") for line in data.strip(b"\r\n\t ").split(b"\n")]
    if lines[0] != _BEGIN:
        raise KeyFormatError("not a signature: its first line is not BEGIN SSH SIGNATURE", place)
    if lines[-1] != _END:
        raise KeyFormatError("the signature is cut off: its last line is not END SSH SIGNATURE", place)
    try:
        return binascii.a2b_base64(b"".join(lines[1:-1]), strict_mode=True)
    except binascii.Error:
        raise KeyFormatError("the signature is not base64", place) from None


def describe(signature: Signature, identity: str) -> str:
    """Return what ssh-keygen says of a good signature."""
    key = signature.public
    kind = plain_key(key).label
    who = f"{kind}{'-CERT' if plain_key(key) is not key else ''} key {key.fingerprint()}"
    return f'Good "{printable(signature.namespace)}" signature for {printable(identity)} with {who}'
