"""Private keys in OpenSSH's own format, "openssh-key-v1" (PROTOCOL.key in OpenSSH's sources).

Called by `key_files` and by PrivateKey.to_openssh.  The outer part holds the public key in clear, the
inner one the private key, encrypted under a key that bcrypt derives from the passphrase.
"""

from collections.abc import Callable
from typing import NamedTuple

from .errors import KeyFormatError, PassphraseRequired, UnsupportedKey, WireError, WrongPassphrase
from .key import PrivateKey, PublicKey, contradiction
from .key_types import KEY_TYPES, parse_public_key
from .pem import armour
from .private_ciphers import PRIVATE_CIPHERS, PrivateCipher, WrongTag
from .text import quoted
from .wire import WireReader, string, uint32

LABEL = "OPENSSH PRIVATE KEY"
_MAGIC = b"openssh-key-v1\0"
#: One round of bcrypt takes about 8 ms: the default of 24 a fifth of a second, these 16 seconds.
MAX_ROUNDS = 2048
#: ssh-keygen writes 16 bytes of salt.
MAX_SALT_BYTES = 64
_PLAIN_BLOCK = 8
#: Its last byte is its length.  PuTTY pads to 16 bytes where 8 are due, and OpenSSH takes that.
MAX_PADDING_BYTES = 255


class Envelope(NamedTuple):
    """The outer part of a private key file."""

    public: PublicKey
    #: None: the private part is not encrypted.
    cipher: PrivateCipher | None
    salt: bytes
    rounds: int
    #: The private part, with the tag of an authenticated cipher at its end.
    sealed: bytes


def open_envelope(body: bytes, place: str = "") -> Envelope:
    """Read the outer part, which takes no passphrase; the comment is not in it."""
    if not body.startswith(_MAGIC):
        raise KeyFormatError("the private key is damaged: it does not start with openssh-key-v1", place)
    reader = WireReader(body)
    reader.position = len(_MAGIC)
    try:
        cipher_name = reader.text("cipher")
        kdf_name = reader.text("key derivation")
        options = WireReader(reader.view("key derivation options"))
        count = reader.uint32("number of keys")
        if count != 1:
            raise UnsupportedKey(f"{count} keys in one file; only one is supported", place)
        public = parse_public_key(reader.string("public key"), place=place)
        sealed = reader.string("private key")
        cipher = None
        salt, rounds = b"", 0
        if cipher_name != "none" or kdf_name != "none":
            cipher = PRIVATE_CIPHERS.get(cipher_name)
            if cipher is None:
                raise UnsupportedKey(f"cipher {quoted(cipher_name, 64)} is not supported", place)
            if kdf_name != "bcrypt":
                raise UnsupportedKey(f"key derivation {quoted(kdf_name, 64)} is not supported", place)
            salt, rounds = options.string("salt"), options.uint32("rounds")
            if not 1 <= len(salt) <= MAX_SALT_BYTES or rounds < 1:
                raise KeyFormatError(f"{len(salt)} bytes of salt and {rounds} rounds cannot be", place)
            if rounds > MAX_ROUNDS:
                raise UnsupportedKey(f"{rounds} rounds of bcrypt, at most {MAX_ROUNDS} allowed", place)
            if len(sealed) % cipher.block_bytes:
                raise KeyFormatError(f"{len(sealed)} encrypted bytes are not whole blocks", place)
            if cipher.tag_bytes:
                tag = reader.rest()
                if len(tag) != cipher.tag_bytes:
                    raise KeyFormatError(f"a tag of {len(tag)} bytes, expected {cipher.tag_bytes}", place)
                sealed += tag
        options.finish("key derivation options")
        reader.finish("private key file")
    except WireError as error:
        raise KeyFormatError(f"the private key is damaged: {error}", place) from None
    return Envelope(public, cipher, salt, rounds, sealed)


def parse_openssh_private(envelope: Envelope, passphrase: bytes | None, place: str = "") -> PrivateKey:
    """Read the inner part; `passphrase` is not looked at if it is not encrypted."""
    plain = envelope.sealed
    cipher = envelope.cipher
    if cipher is not None:
        if passphrase is None:
            raise PassphraseRequired("the key is encrypted; a passphrase is needed", place)
        try:
            key, iv = _derive(cipher, passphrase, envelope.salt, envelope.rounds)
            plain = cipher.open(key, iv, plain)
        except WrongTag:
            raise WrongPassphrase("wrong passphrase, or the key is damaged", place) from None
    reader = WireReader(plain)
    try:
        if reader.uint32("check number") != reader.uint32("check number"):
            if cipher is not None:
                raise WrongPassphrase("wrong passphrase, or the key is damaged", place)
            raise contradiction("its check numbers differ")
        name = reader.text("key type")
        if name != envelope.public.key_type:
            raise contradiction("its two halves are of different types")
        key_pair = KEY_TYPES[name].private.read(name, reader)
        comment = reader.string("comment")
        padding = reader.rest()
    except WireError as error:
        raise KeyFormatError(f"the private key is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    if len(padding) > MAX_PADDING_BYTES or padding != bytes(range(1, len(padding) + 1)):
        raise KeyFormatError("the private key is damaged: its padding is wrong", place)
    if key_pair.public != envelope.public:
        raise KeyFormatError("the private key is damaged: its two halves are different keys", place)
    key_pair.comment = comment.decode("utf-8", "replace")
    return key_pair


def format_private_key(
    key: PrivateKey,
    passphrase: bytes | None,
    rounds: int,
    cipher_name: str,
    random_bytes: Callable[[int], bytes],
) -> bytes:
    """Return the whole file; see PrivateKey.to_openssh."""
    check = random_bytes(4)
    cipher = None
    salt = b""
    header = string("none") + string("none") + string("")
    if passphrase:
        cipher = PRIVATE_CIPHERS.get(cipher_name)
        if cipher is None or cipher.seal is None:
            raise UnsupportedKey(f"keys are not written with cipher {quoted(cipher_name, 64)}")
        if not 1 <= rounds <= MAX_ROUNDS:
            raise UnsupportedKey(f"{rounds} rounds of bcrypt; 1 to {MAX_ROUNDS} are allowed")
        salt = random_bytes(16)
        header = string(cipher_name) + string("bcrypt") + string(string(salt) + uint32(rounds))
    plain = check + check + string(key.public.key_type) + key._private_fields() + string(key.comment)
    block_bytes = cipher.block_bytes if cipher else _PLAIN_BLOCK
    plain += bytes(range(1, -len(plain) % block_bytes + 1))
    tag = b""
    if passphrase and cipher and cipher.seal:
        secret, iv = _derive(cipher, passphrase, salt, rounds)
        sealed = cipher.seal(secret, iv, plain)
        plain, tag = sealed[: len(plain)], sealed[len(plain) :]
    body = _MAGIC + header + uint32(1) + string(key.public.blob) + string(plain) + tag
    return armour(LABEL, body)


def _derive(cipher: PrivateCipher, passphrase: bytes, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
    """Return the cipher's key and its first block or nonce."""
    import bcrypt

    size = cipher.key_bytes + cipher.iv_bytes
    if not passphrase:
        # bcrypt refuses the empty passphrase, which opens no key.
        raise WrongTag
    secret = bcrypt.kdf(passphrase, salt, size, rounds, ignore_few_rounds=True)
    return secret[: cipher.key_bytes], secret[cipher.key_bytes :]
