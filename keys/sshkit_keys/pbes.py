"""What protects private keys in PKCS#8: PBES2 and the older PBES1 (RFC 8018, RFC 7914, RFC 7292 appendix B).

Called by `pkcs8` before anything runs: the costs are the file's to name, so they are looked at first (rule
R22).  cryptography opens PBES2 and some of PBES1; the other schemes that OpenSSL once wrote are opened here.
They are read only, as are all below PBES2.
"""

from typing import NamedTuple

from .der import SEQUENCE, DERReader
from .errors import KeyFormatError, UnsupportedKey, WrongPassphrase

#: PBKDF2 rounds: OpenSSL writes 2048; ten million take some seconds.
MAX_ROUNDS = 10_000_000
#: scrypt's N * r * p; OpenSSL writes 2**17.  128 times this is the memory: 256 MiB.
MAX_SCRYPT_COST = 2**21
#: 8 and 16 bytes are in use.
MAX_SALT_BYTES = 1024

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
#: HMAC with SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
_HMACS = frozenset(f"1.2.840.113549.2.{number}" for number in (7, 8, 9, 10, 11))
_CIPHERS = frozenset(
    (
        "2.16.840.1.101.3.4.1.2",  # AES-128-CBC
        "2.16.840.1.101.3.4.1.22",  # AES-192-CBC
        "2.16.840.1.101.3.4.1.42",  # AES-256-CBC
        "1.2.840.113549.3.7",  # triple DES
        "1.2.840.113549.3.2",  # RC2
    )
)


class Scheme(NamedTuple):
    """One scheme of PBES1 that is opened here."""

    pkcs12: bool  #: the derivation of PKCS#12, or PBKDF1
    cipher: str
    key_bytes: int
    iv_bytes: int


#: The rest of PBES1 is cryptography's: MD5 and DES, SHA-1 with triple DES, RC2 of 40 bits or RC4 of 128.
#: Left out are MD2 and the two with RC2 of 64 bits, which no library opens any more.
_PBES1 = frozenset(("1.2.840.113549.1.5.3", *(f"1.2.840.113549.1.12.1.{number}" for number in (1, 3, 6))))
_OURS = {
    "1.2.840.113549.1.5.10": Scheme(False, "DES", 8, 8),
    "1.2.840.113549.1.12.1.2": Scheme(True, "RC4", 5, 0),
    "1.2.840.113549.1.12.1.4": Scheme(True, "DES", 16, 8),
    "1.2.840.113549.1.12.1.5": Scheme(True, "RC2", 16, 8),
}


class Encryption(NamedTuple):
    """How the key is protected; `scheme` is None if cryptography opens it."""

    scheme: Scheme | None
    salt: bytes
    rounds: int
    sealed: bytes

    def __repr__(self) -> str:
        return f"<Encryption of {len(self.sealed)} bytes>"


def read_encryption(body: bytes, place: str = "") -> Encryption:
    """Read the head of an EncryptedPrivateKeyInfo, whose derivation is affordable when this returns."""
    outer = DERReader(body, place)
    info = outer.expect(SEQUENCE, "the encrypted key")
    algorithm = info.expect(SEQUENCE, "the encryption's algorithm")
    sealed = info.octets("the encrypted part")
    name = algorithm.identifier("the encryption's name")
    parameters = algorithm.expect(SEQUENCE, "the encryption's parameters")
    if name == _PBES2:
        _check_pbes2(parameters, place)
        return Encryption(None, b"", 0, sealed)
    if name not in _PBES1 and name not in _OURS:
        raise UnsupportedKey(f"encryption {name} is not supported", place)
    salt, rounds = _salt(parameters), parameters.integer("the number of rounds")
    _check_rounds(rounds, place)
    return Encryption(_OURS.get(name), salt, rounds, sealed)


def _check_pbes2(parameters: DERReader, place: str) -> None:
    derivation = parameters.expect(SEQUENCE, "the key derivation")
    cipher = parameters.expect(SEQUENCE, "the cipher").identifier("the cipher's name")
    name = derivation.identifier("the key derivation's name")
    if name not in (_PBKDF2, _SCRYPT):
        raise UnsupportedKey(f"key derivation {name} is not supported", place)
    numbers = derivation.expect(SEQUENCE, "the key derivation's parameters")
    _salt(numbers)
    if name == _SCRYPT:
        cost = numbers.integer("N") * numbers.integer("r") * numbers.integer("p")
        if not 0 < cost <= MAX_SCRYPT_COST:
            raise UnsupportedKey(f"a key derivation of cost {cost}, at most {MAX_SCRYPT_COST} allowed", place)
    else:
        _check_rounds(numbers.integer("the number of rounds"), place)
        while numbers.next_tag not in (None, SEQUENCE):
            numbers.enter()
        if numbers.next_tag is not None:
            hmac = numbers.enter().identifier("the derivation's hash")
            if hmac not in _HMACS:
                raise UnsupportedKey(f"a key derivation with hash {hmac} is not supported", place)
    if cipher not in _CIPHERS:
        raise UnsupportedKey(f"cipher {cipher} is not supported", place)


def _salt(parameters: DERReader) -> bytes:
    salt = parameters.octets("the salt")
    if len(salt) > MAX_SALT_BYTES:
        parameters.fail(f"{len(salt)} bytes of salt cannot be")
    return salt


def _check_rounds(rounds: int, place: str) -> None:
    if not 0 < rounds <= MAX_ROUNDS:
        shown = rounds if rounds.bit_length() <= 64 else f"2**{rounds.bit_length() - 1} or more"
        raise UnsupportedKey(f"a key derivation with {shown} rounds, at most {MAX_ROUNDS} allowed", place)


def open_pbes1(encryption: Encryption, scheme: Scheme, passphrase: bytes, place: str = "") -> bytes:
    """Return the PrivateKeyInfo; raises WrongPassphrase."""
    import warnings

    from cryptography.hazmat.decrepit.ciphers import algorithms
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    if scheme.pkcs12:
        try:
            password = passphrase.decode("utf-8").encode("utf-16-be") + b"\0\0"
        except UnicodeDecodeError:
            raise WrongPassphrase("wrong passphrase: it is not UTF-8", place) from None
        key = _pkcs12_derive(1, password, encryption, scheme.key_bytes)
        iv = _pkcs12_derive(2, password, encryption, scheme.iv_bytes)
    else:
        digest = _pbkdf1(passphrase, encryption)
        key, iv = digest[:8], digest[8:16]
    with warnings.catch_warnings():
        # What is said of these ciphers is known: they are read here, never written.
        warnings.simplefilter("ignore")
        if scheme.cipher == "RC4":
            context = Cipher(algorithms.ARC4(key), None).decryptor()
            return context.update(encryption.sealed) + context.finalize()
        # DES under K is triple DES under K, K, K; with two keys it is K1, K2, K1.
        algorithm = algorithms.RC2(key) if scheme.cipher == "RC2" else algorithms.TripleDES((key * 3)[:24])
        try:
            context = Cipher(algorithm, modes.CBC(iv)).decryptor()
            plain = context.update(encryption.sealed) + context.finalize()
        except ValueError:
            raise KeyFormatError(
                f"{len(encryption.sealed)} encrypted bytes are not whole blocks", place
            ) from None
    size = plain[-1] if plain else 0
    if not 1 <= size <= 8 or plain[-size:] != bytes((size,)) * size:
        raise WrongPassphrase("wrong passphrase, or the key is damaged", place)
    return plain[:-size]


def _pbkdf1(passphrase: bytes, encryption: Encryption) -> bytes:
    """PBKDF1 with SHA-1 (RFC 8018 section 5.1)."""
    import hashlib

    digest = passphrase + encryption.salt
    for _ in range(encryption.rounds):
        digest = hashlib.sha1(digest, usedforsecurity=False).digest()
    return digest


def _pkcs12_derive(purpose: int, password: bytes, encryption: Encryption, size: int) -> bytes:
    """The derivation of PKCS#12 with SHA-1 (RFC 7292 appendix B.2); one hash suffices here."""
    import hashlib

    salt = encryption.salt
    block = bytes((purpose,)) * 64
    for text in (salt, password):
        whole = -(-len(text) // 64) * 64
        block += (text * (whole // len(text) + 1))[:whole] if text else b""
    digest = block
    for _ in range(encryption.rounds):
        digest = hashlib.sha1(digest, usedforsecurity=False).digest()
    return digest[:size]
