"""Private keys in the formats of PKCS#1, SEC 1 and PKCS#8 (RFC 8017, RFC 5915, RFC 5958).

Called by `key_files`, and by PrivateKey.to_pkcs8 and to_pem.  cryptography reads them; what is done here is
to tell the errors apart, and to look first at what opening them would cost (rule R22).
"""

from typing import TYPE_CHECKING

from .der import MAX_KEY_BYTES, SEQUENCE, DERReader, find_label
from .errors import KeyFormatError, PassphraseRequired, UnsupportedKey, WireError, WrongPassphrase
from .key import PrivateKey
from .key_types import wrap_private_key
from .pbes import open_pbes1, read_encryption
from .pem import Armour
from .pem_encryption import open_pem, read_dek_info
from .rsa import RSAPrivateKey
from .sec1 import parse_sec1
from .spki import PEM_TYPES
from .wire import WireReader, mpint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.hazmat.primitives.serialization import Encoding, KeySerializationEncryption

ENCRYPTED = "ENCRYPTED PRIVATE KEY"
LABELS = ("PRIVATE KEY", ENCRYPTED, "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")


def is_encrypted(block: Armour) -> bool:
    """Say whether reading the block takes a passphrase."""
    return block.label == ENCRYPTED or "ENCRYPTED" in block.headers.get("Proc-Type", "")


def parse_pem_private(block: Armour, passphrase: bytes | None, place: str = "") -> PrivateKey:
    """Read a block; `passphrase` is None for one that is not encrypted."""
    body = block.body
    if block.label not in LABELS:
        raise UnsupportedKey(f"{block.label} is not supported", place)
    if len(body) > MAX_KEY_BYTES:
        raise KeyFormatError(f"the key has {len(body)} bytes, at most {MAX_KEY_BYTES} allowed", place)
    encrypted = is_encrypted(block)
    if encrypted and passphrase is None:
        raise PassphraseRequired("the key is encrypted; a passphrase is needed", place)
    password = None
    if block.label == ENCRYPTED:
        encryption = read_encryption(body, place)
        if encryption.scheme is None:
            password = passphrase
        else:
            body = open_pbes1(encryption, encryption.scheme, passphrase or b"", place)
    elif encrypted:
        cipher, iv = read_dek_info(block.headers, place)
        body = open_pem(cipher, iv, body, passphrase or b"", place)
    else:
        DERReader(body, place).expect(SEQUENCE, "the sequence of its parts")
    try:
        return _load(body, password, place)
    except KeyFormatError:
        # What the wrong passphrase opened looks like damage.
        if encrypted:
            raise WrongPassphrase("wrong passphrase, or the key is damaged", place) from None
        raise


def _load(body: bytes, password: bytes | None, place: str) -> PrivateKey:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey as RSAHandle
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    if find_label(body) == "EC PRIVATE KEY":
        return parse_sec1(body, place)
    try:
        # OpenSSL would try whether the primes are primes, which takes it a tenth of a second for an honest
        # key and minutes for a large one; the arithmetic of RSAPrivateKey.read stands for it.
        handle = load_der_private_key(body, password, unsafe_skip_rsa_key_validation=True)
        if not isinstance(handle, RSAHandle):
            return wrap_private_key(handle, "", place)
        if handle.key_size > _MAX_RSA_BITS:
            raise UnsupportedKey(
                f"the RSA key has {handle.key_size} bits, at most {_MAX_RSA_BITS} allowed", place
            )
        secret = handle.private_numbers()
        public = secret.public_numbers
        numbers = (public.n, public.e, secret.d, secret.iqmp, secret.p, secret.q)
        return RSAPrivateKey.read("ssh-rsa", WireReader(b"".join(map(mpint, numbers))))
    except UnsupportedAlgorithm:
        raise UnsupportedKey("an algorithm of this key is not supported", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None
    except (ValueError, TypeError, WireError, InternalError):
        # InternalError is cryptography's answer to an Ed25519 or Ed448 key of another length.
        raise KeyFormatError("the private key is damaged", place) from None


_MAX_RSA_BITS = 16384


def _protection(passphrase: bytes | None) -> "KeySerializationEncryption":
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption

    return BestAvailableEncryption(passphrase) if passphrase else NoEncryption()


def _encoding(der: bool) -> "Encoding":
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER if der else Encoding.PEM


def _handle_of(key: PrivateKey) -> "PrivateKeyTypes":
    """Return cryptography's object; UnsupportedKey for types that PKCS#8 has no name for."""
    if key.public.key_type not in PEM_TYPES:
        raise UnsupportedKey(f"{key.public.key_type} keys have no form in PEM")
    handle: PrivateKeyTypes = key._handle()
    return handle


def format_pkcs8(key: PrivateKey, passphrase: bytes | None, der: bool) -> bytes:
    """Return the whole file; see PrivateKey.to_pkcs8."""
    from cryptography.hazmat.primitives.serialization import PrivateFormat

    return _handle_of(key).private_bytes(_encoding(der), PrivateFormat.PKCS8, _protection(passphrase))


def format_pem(key: PrivateKey, passphrase: bytes | None) -> bytes:
    """Return the whole file; see PrivateKey.to_pem."""
    from cryptography.hazmat.primitives.serialization import PrivateFormat

    if key.public.label not in ("RSA", "ECDSA"):
        raise UnsupportedKey(f"there is no traditional PEM of {key.public.key_type} keys; PKCS#8 holds them")
    form = PrivateFormat.TraditionalOpenSSL
    return _handle_of(key).private_bytes(_encoding(False), form, _protection(passphrase))
