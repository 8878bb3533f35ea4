"""PEM and DER, their encryptions old and new, and what each may cost."""

import re

import pytest
from sshkit_keys import (
    KeyFormatError,
    PrivateKey,
    SSHKitError,
    UnsupportedKey,
    WrongPassphrase,
    parse_private_key,
    parse_public_file,
)
from sshkit_keys.der import DERReader, find_label
from sshkit_keys.pbes import open_pbes1, read_encryption
from sshkit_keys.pem import Armour, armour, find_private
from sshkit_keys.spki import public_handle, wrap_public_key

from tests.keys.seeds import PASSPHRASE, private


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    return bytes((tag, 130)) + len(body).to_bytes(2, "big") + body


def number(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    body = b""
    for value in (40 * first + second, *rest):
        groups = [value & 127]
        while value := value >> 7:
            groups.append(value & 127 | 128)
        body += bytes(reversed(groups))
    return der(6, body)


def encrypted(algorithm: bytes, sealed: bytes = bytes(64)) -> bytes:
    return armour("ENCRYPTED PRIVATE KEY", der(0x30, algorithm, der(4, sealed)))


def pbes1(name: str, rounds: int = 1, salt: bytes = bytes(8), sealed: bytes = bytes(64)) -> bytes:
    parameters = der(0x30, der(4, salt), number(rounds))
    return encrypted(der(0x30, oid(name), parameters), sealed)


def pbes2(derivation: bytes, cipher: str = "2.16.840.1.101.3.4.1.42") -> bytes:
    parameters = der(0x30, derivation, der(0x30, oid(cipher), der(4, bytes(16))))
    return encrypted(der(0x30, oid("1.2.840.113549.1.5.13"), parameters))


def kdf(name: str, *parts: bytes) -> bytes:
    return der(0x30, oid(name), der(0x30, *parts))


PBKDF2, SCRYPT = "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
SALT = der(4, bytes(8))


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (pbes1("1.2.3"), UnsupportedKey, "encryption 1.2.3 is not supported"),
        (pbes1("1.2.840.113549.1.5.10", 0), UnsupportedKey, "with 0 rounds, at most 10000000"),
        (pbes1("1.2.840.113549.1.5.10", 10**8), UnsupportedKey, "with 100000000 rounds"),
        (pbes1("1.2.840.113549.1.5.3", 1 << 200), UnsupportedKey, "with 2**200 or more rounds"),
        (pbes1("1.2.840.113549.1.5.10", 1, bytes(1025)), KeyFormatError, "1025 bytes of salt"),
        (pbes1("1.2.840.113549.1.5.10", sealed=bytes(63)), KeyFormatError, "63 encrypted bytes are not"),
        (pbes1("1.2.840.113549.1.5.10", sealed=b""), WrongPassphrase, "wrong passphrase"),
        (pbes1("1.2.840.113549.1.5.10"), WrongPassphrase, "wrong passphrase"),
        (pbes1("1.2.840.113549.1.12.1.4", salt=b""), WrongPassphrase, "wrong passphrase"),
        (pbes1("1.2.840.113549.1.12.1.2"), WrongPassphrase, "wrong passphrase"),
        (pbes2(kdf("1.2.3", SALT)), UnsupportedKey, "key derivation 1.2.3 is not"),
        (pbes2(kdf(SCRYPT, SALT, number(0), number(8), number(1))), UnsupportedKey, "of cost 0"),
        (pbes2(kdf(PBKDF2, SALT, number(1)), "1.2.3"), UnsupportedKey, "cipher 1.2.3 is not"),
        (
            pbes2(kdf(PBKDF2, SALT, number(1), number(32), der(0x30, oid("1.2.3")))),
            UnsupportedKey,
            "hash 1.2.3",
        ),
        (pbes2(kdf(PBKDF2, SALT, der(2, b""))), KeyFormatError, "the number of rounds is not a positive"),
        (pbes2(kdf(PBKDF2, SALT, der(2, b"\xff"))), KeyFormatError, "the number of rounds is not a positive"),
        (pbes2(kdf(PBKDF2, SALT)), KeyFormatError, "the number of rounds is not there"),
        (encrypted(der(0x30, der(6, b""))), KeyFormatError, "name is no object identifier"),
        (encrypted(der(0x30, der(6, b"\x81"))), KeyFormatError, "name is no object identifier"),
        (encrypted(der(0x30, der(6, bytes(33)))), KeyFormatError, "name is no object identifier"),
    ],
)
def test_r22_an_encryption_is_looked_at_before_it_runs(
    data: bytes, error: type[SSHKitError], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: .*{re.escape(cause)}"):
        parse_private_key(data, b"secret", "id")


def test_a_passphrase_that_is_not_utf_8_opens_no_pkcs12_scheme() -> None:
    with pytest.raises(WrongPassphrase, match="id: wrong passphrase: it is not UTF-8"):
        parse_private_key(pbes1("1.2.840.113549.1.12.1.4"), b"\xff", "id")


def test_the_empty_passphrase_is_a_passphrase() -> None:
    encryption = read_encryption(find_private(private("pbes1-pbe-sha1-2des")).body)
    assert encryption.scheme is not None
    assert repr(encryption) == f"<Encryption of {len(encryption.sealed)} bytes>"
    for passphrase in (b"", b"Secret"):
        with pytest.raises(WrongPassphrase):
            open_pbes1(encryption, encryption.scheme, passphrase)
    assert open_pbes1(encryption, encryption.scheme, PASSPHRASE).startswith(b"\x30")


def dek(name: str, iv: str, body: bytes = bytes(16)) -> bytes:
    head = f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {name},{iv}\n\n"
    return head.encode() + armour("RSA PRIVATE KEY", body).partition(b"\n")[2]


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (dek("ROT13", "00"), UnsupportedKey, "cipher 'ROT13' is not supported"),
        (dek("AES-128-CBC", "00"), KeyFormatError, "names no block of 16 bytes"),
        (dek("AES-128-CBC", "xx"), KeyFormatError, "names no block of 16 bytes"),
        (dek("DES-EDE3-CBC", "00" * 8, bytes(9)), KeyFormatError, "9 encrypted bytes are not whole blocks"),
        (dek("DES-EDE3-CBC", "00" * 8, b""), KeyFormatError, "0 encrypted bytes are not whole blocks"),
        (dek("des-cbc", "00" * 8), WrongPassphrase, "wrong passphrase"),
        (dek("camellia-256-cbc", "00" * 16), WrongPassphrase, "wrong passphrase"),
    ],
)
def test_a_damaged_dek_info_header_is_told_from_a_wrong_passphrase(
    data: bytes, error: type[SSHKitError], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: .*{cause}"):
        parse_private_key(data, b"secret", "id")


def test_what_opens_to_rubbish_is_a_wrong_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """One passphrase in 256 leaves something that looks like padding."""
    from sshkit_keys import pkcs8

    monkeypatch.setattr(pkcs8, "open_pem", lambda *_: b"\x30\x00")
    with pytest.raises(WrongPassphrase, match="id: wrong passphrase"):
        parse_private_key(private("dek-aes128"), b"secret", "id")


CURVE = der(0xA0, oid("1.2.840.10045.3.1.7"))


@pytest.mark.parametrize(
    ("body", "error", "cause"),
    [
        ((number(2), der(4, b"x"), CURVE), KeyFormatError, "a version that is not known"),
        ((number(1), der(4, b"x"), der(2, b"x")), KeyFormatError, "the curve is not there"),
        ((number(1), der(4, b"x"), CURVE), UnsupportedKey, "without its public half"),
        ((number(1), der(4, b"x"), CURVE, der(0xA1, der(3, b"\0\1"))), KeyFormatError, "uncompressed form"),
        (
            (number(1), der(4, b"x"), CURVE, der(0xA1, der(3, b"\0\4" + bytes(64)))),
            KeyFormatError,
            "does not belong",
        ),
    ],
)
def test_a_damaged_ec_key_names_what_is_wrong(
    body: tuple[bytes, ...], error: type[SSHKitError], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: .*{cause}"):
        parse_private_key(armour("EC PRIVATE KEY", der(0x30, *body)), None, "id")


def rsa_der(n: int, p: int, q: int, e: int = 3, d: int = 7) -> bytes:
    return der(0x30, *map(number, (0, n, e, d, p, q, 1, 1, 1)))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (rsa_der(33, 3, 7), "primes do not belong"),
        (rsa_der((1 << 16384) | 1, 3, 11), "the RSA key has 16385 bits, at most 16384 allowed"),
        (rsa_der(33, 3, 11, d=1 << 17000), "is damaged"),
        (der(0x30, number(0), number(33)), "is damaged"),
    ],
)
def test_r22_rsa_numbers_are_checked_with_arithmetic_alone(body: bytes, cause: str) -> None:
    with pytest.raises(SSHKitError, match=f"^id: .*{cause}"):
        parse_private_key(armour("RSA PRIVATE KEY", body), None, "id")


def test_r22_a_public_modulus_of_too_many_bits_is_unsupported() -> None:
    body = der(0x30, number((1 << 16384) | 1), number(3))
    with pytest.raises(UnsupportedKey, match="id: a number of the key is too large"):
        parse_public_file(body, "id")


@pytest.mark.parametrize("length", [0, 31, 32, 33, 56, 57, 58])
@pytest.mark.parametrize("kind", ["1.3.101.112", "1.3.101.113"])
def test_an_edwards_key_of_another_length_is_damaged(kind: str, length: int) -> None:
    body = der(0x30, number(0), der(0x30, oid(kind)), der(4, der(4, bytes(length))))
    if length == {"1.3.101.112": 32, "1.3.101.113": 57}[kind]:
        assert parse_private_key(body, None, "id").public.label in ("ED25519", "ED448")
        return
    with pytest.raises(KeyFormatError, match=r"^id: the private key is damaged"):
        parse_private_key(body, None, "id")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("x25519", "a private key of this type is not supported"),
        ("secp256k1", "curve secp256k1 is not used in SSH"),
    ],
)
def test_what_ssh_has_no_type_for_is_unsupported(name: str, cause: str) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, x25519

    key = x25519.X25519PrivateKey.generate() if name == "x25519" else ec.generate_private_key(ec.SECP256K1())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    with pytest.raises(UnsupportedKey, match=f"id: {cause}"):
        parse_private_key(pem, None, "id")
    with pytest.raises(UnsupportedKey, match="id: " + cause.replace("private", "public")):
        wrap_public_key(key.public_key(), "", "id")


def test_an_algorithm_that_cryptography_has_not_is_unsupported() -> None:
    algorithm = der(0x30, oid("1.2.3"))
    with pytest.raises(UnsupportedKey, match="id: an algorithm of this key is not supported"):
        parse_private_key(der(0x30, number(0), algorithm, der(4, b"x")), None, "id")
    with pytest.raises(UnsupportedKey, match="id: an algorithm of this key is not supported"):
        parse_public_file(der(0x30, algorithm, der(3, b"\0x")), "id")


def test_a_public_key_that_pem_cannot_hold_is_refused(keys: dict[str, PrivateKey]) -> None:
    class Odd:
        key_type = "ssh-rsa"
        blob = b"\0\0\0\7ssh-rsa" + b"\0\0\0\1\3" + b"\0\0\0\1\3"

    with pytest.raises(UnsupportedKey, match="this ssh-rsa key cannot be written in PEM"):
        public_handle(Odd())  # type: ignore[arg-type]


def test_a_dsa_public_key_survives_pem() -> None:
    key = parse_private_key(private("pem-dsa")).public
    assert parse_public_file(key.to_spki_pem()) == key


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (b"", None),
        (b"0", None),
        (b"\x30\x01", None),
        (b"\x30\x00", None),
        (b"\x30\x00\x00", None),
        (b"\x30\x03\x02\x01\x00", None),
        (b"\x30\x02\x02\x09", None),
        (der(0x30, number(1), number(3)), "RSA PUBLIC KEY"),
        (rsa_der(33, 3, 11), "RSA PRIVATE KEY"),
        (der(0x30, *[number(1)] * 6), "DSA PRIVATE KEY"),
    ],
)
def test_der_is_told_by_its_first_elements(data: bytes, label: str | None) -> None:
    assert find_label(data) == label


@pytest.mark.parametrize("text", ["0.9.1", "1.2.840.113549", "2.16.840.1", "2.999.3"])
def test_an_object_identifier_is_read_as_it_is_written(text: str) -> None:
    assert DERReader(oid(text)).identifier("name") == text


def test_r43_nothing_that_holds_a_key_shows_it() -> None:
    assert repr(Armour("PRIVATE KEY", {}, b"secret")) == "<Armour PRIVATE KEY of 6 bytes>"
    assert repr(DERReader(b"secret")) == "<DERReader at 0 of 6>"
