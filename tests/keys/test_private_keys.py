"""Private keys: every format is read again, and every damage has its own error."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sshkit_keys import (
    KeyFormatError,
    KeyPermissionsError,
    PassphraseRequired,
    PrivateKey,
    UnsupportedKey,
    WrongPassphrase,
    find_public_keys,
    load_private_key,
    load_public_key,
    parse_private_key,
    parse_public_half,
    write_private_key,
    write_public_key,
)
from sshkit_keys.key_files import MAX_KEY_FILE_BYTES
from sshkit_keys.openssh_format import LABEL, MAX_ROUNDS
from sshkit_keys.pem import armour
from sshkit_keys.private_ciphers import PRIVATE_CIPHERS
from sshkit_keys.wire import mpint, string, uint32

MAGIC = b"openssh-key-v1\0"
WRITTEN = [name for name, cipher in PRIVATE_CIPHERS.items() if cipher.seal]


def envelope(
    key: PrivateKey,
    cipher: str = "none",
    kdf: str = "none",
    options: bytes = b"",
    count: int = 1,
    private: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """Build a private key file by hand."""
    if private is None:
        private = inner(key)
    head = string(cipher) + string(kdf) + string(options) + uint32(count) + string(key.public.blob)
    return armour(LABEL, MAGIC + head + string(private) + tail)


def inner(
    key: PrivateKey, fields: bytes | None = None, name: str = "", checks: tuple[int, int] = (7, 7)
) -> bytes:
    fields = key._private_fields() if fields is None else fields
    plain = uint32(checks[0]) + uint32(checks[1]) + string(name or key.public.key_type) + fields
    plain += string(key.comment)
    return plain + bytes(range(1, -len(plain) % 8 + 1))


def block(label: str, body: str) -> bytes:
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode("latin-1")


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_survives_openssh_format(key: PrivateKey, passphrase: bytes | None) -> None:
    data = key.to_openssh(passphrase, 1, random_bytes=os.urandom)
    read = parse_private_key(data, passphrase)
    assert read.public == key.public
    assert read.comment == key.comment
    algorithm = key.public.signature_algorithms[0]
    key.public.verify(algorithm, b"data", read.sign(algorithm, b"data"))
    assert parse_public_half(data) == key.public


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_survives_pkcs8(key: PrivateKey, passphrase: bytes | None) -> None:
    data = key.to_pkcs8(passphrase)
    assert (b"ENCRYPTED" in data) == (passphrase is not None)
    read = parse_private_key(data, passphrase)
    assert read.public == key.public
    assert read.comment == ""


@pytest.mark.parametrize("passphrase", [None, b"secret"])
@pytest.mark.parametrize("name", ["rsa", "ecdsa256"])
def test_the_traditional_formats_are_read(
    keys: dict[str, PrivateKey], name: str, passphrase: bytes | None
) -> None:
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase)
    data = (
        keys[name]
        ._handle()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, protection)
    )
    assert parse_private_key(data, passphrase).public == keys[name].public
    crlf = b"a comment before\r\n" + data.replace(b"\n", b"\r\n")
    assert parse_private_key(crlf, passphrase).public == keys[name].public
    if passphrase:
        with pytest.raises(WrongPassphrase):
            parse_private_key(data, b"Secret")
        with pytest.raises(PassphraseRequired):
            parse_private_key(data)


@pytest.mark.parametrize("cipher", WRITTEN)
def test_each_cipher_opens_with_its_passphrase_only(keys: dict[str, PrivateKey], cipher: str) -> None:
    key = keys["ed25519"]
    data = key.to_openssh(b"secret", 1, cipher, random_bytes=os.urandom)
    assert parse_private_key(data, b"secret").public == key.public
    for wrong in (b"Secret", b""):
        with pytest.raises(WrongPassphrase, match=r"^id: wrong passphrase"):
            parse_private_key(data, wrong, "id")
    with pytest.raises(PassphraseRequired, match=r"^id: the key is encrypted"):
        parse_private_key(data, None, "id")


@pytest.mark.parametrize("cipher", ["3des-cbc", "none", "rot13"])
def test_other_ciphers_are_not_written(keys: dict[str, PrivateKey], cipher: str) -> None:
    with pytest.raises(UnsupportedKey, match=f"not written with cipher '{cipher}'"):
        keys["ed25519"].to_openssh(b"secret", 1, cipher, random_bytes=os.urandom)


@pytest.mark.parametrize("rounds", [0, MAX_ROUNDS + 1])
def test_r22_rounds_outside_of_the_limits_are_not_written(keys: dict[str, PrivateKey], rounds: int) -> None:
    with pytest.raises(UnsupportedKey, match="rounds of bcrypt; 1 to 2048 are allowed"):
        keys["ed25519"].to_openssh(b"secret", rounds, random_bytes=os.urandom)


def test_the_random_source_is_the_callers(keys: dict[str, PrivateKey]) -> None:
    asked = []

    def source(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    first = keys["ed25519"].to_openssh(b"secret", 1, random_bytes=source)
    assert first == keys["ed25519"].to_openssh(b"secret", 1, random_bytes=source)
    assert asked == [4, 16, 4, 16]


def test_a_passphrase_is_asked_for_only_if_there_is_something_to_open(keys: dict[str, PrivateKey]) -> None:
    asked: list[str] = []

    def ask() -> bytes:
        asked.append("asked")
        return b"secret"

    parse_private_key(keys["ed25519"].to_openssh(random_bytes=os.urandom), ask)
    parse_private_key(keys["ed25519"].to_pkcs8(), ask)
    assert asked == []
    parse_private_key(keys["ed25519"].to_openssh(b"secret", 1, random_bytes=os.urandom), ask)
    parse_private_key(keys["ed25519"].to_pkcs8(b"secret"), ask)
    assert asked == ["asked", "asked"]
    with pytest.raises(PassphraseRequired, match="no passphrase was given"):
        parse_private_key(keys["ed25519"].to_pkcs8(b"secret"), lambda: b"")


@pytest.mark.parametrize(
    ("build", "error", "cause"),
    [
        (lambda k: armour(LABEL, b"junk"), KeyFormatError, "does not start with openssh-key-v1"),
        (lambda k: envelope(k, count=2), UnsupportedKey, "2 keys in one file"),
        (lambda k: envelope(k, "rot13", "bcrypt"), UnsupportedKey, "cipher 'rot13'"),
        (lambda k: envelope(k, "none", "bcrypt"), UnsupportedKey, "cipher 'none'"),
        (lambda k: envelope(k, "aes256-ctr", "none"), UnsupportedKey, "key derivation 'none'"),
        (lambda k: envelope(k, options=b"x"), KeyFormatError, "derivation options: 1 bytes left over"),
        (lambda k: envelope(k, tail=b"x"), KeyFormatError, "1 bytes left over"),
        (lambda k: envelope(k, private=b""), KeyFormatError, "check number: 4 bytes wanted"),
        (lambda k: envelope(k, private=inner(k, checks=(1, 2))), KeyFormatError, "check numbers differ"),
        (lambda k: envelope(k, private=inner(k, name="ssh-dss")), KeyFormatError, "of different types"),
        (lambda k: envelope(k, private=inner(k)[:-1] + b"\0"), KeyFormatError, "padding is wrong"),
        (lambda k: envelope(k, private=inner(k) + bytes(8)), KeyFormatError, "padding is wrong"),
    ],
)
def test_a_damaged_file_in_openssh_format_names_what_is_wrong(
    keys: dict[str, PrivateKey], build: Callable[[PrivateKey], bytes], error: type[Exception], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: .*{cause}"):
        parse_private_key(build(keys["ed25519"]), None, "id")


@pytest.mark.parametrize(
    ("cipher", "options", "private", "tail", "error", "cause"),
    [
        ("aes256-ctr", string(b"") + uint32(1), bytes(16), b"", KeyFormatError, "0 bytes of salt"),
        ("aes256-ctr", string(bytes(65)) + uint32(1), bytes(16), b"", KeyFormatError, "65 bytes of salt"),
        ("aes256-ctr", string(bytes(16)) + uint32(0), bytes(16), b"", KeyFormatError, "0 rounds"),
        ("aes256-ctr", string(bytes(16)) + uint32(1), bytes(15), b"", KeyFormatError, "not whole blocks"),
        ("aes256-ctr", string(bytes(16)) + uint32(1), bytes(16), b"x", KeyFormatError, "left over"),
        ("aes256-ctr", string(bytes(16)), bytes(16), b"", KeyFormatError, "rounds: 4 bytes wanted"),
        (
            "aes256-gcm@openssh.com",
            string(bytes(16)) + uint32(1),
            bytes(16),
            bytes(15),
            KeyFormatError,
            "tag of 15",
        ),
        (
            "aes256-ctr",
            string(bytes(16)) + uint32(2**31),
            bytes(16),
            b"",
            UnsupportedKey,
            "2147483648 rounds of bcrypt, at most 2048",
        ),
    ],
)
def test_r22_damaged_or_endless_derivations_are_refused_before_they_run(
    keys: dict[str, PrivateKey],
    cipher: str,
    options: bytes,
    private: bytes,
    tail: bytes,
    error: type[Exception],
    cause: str,
) -> None:
    data = envelope(keys["ed25519"], cipher, "bcrypt", options, private=private, tail=tail)
    with pytest.raises(error, match=f"^id: .*{cause}"):
        parse_private_key(data, b"secret", "id")


def test_a_private_key_under_another_public_key_is_refused(keys: dict[str, PrivateKey]) -> None:
    other = keys["ed25519"].generate()  # type: ignore[attr-defined]
    data = envelope(keys["ed25519"], private=inner(other))
    with pytest.raises(KeyFormatError, match="two halves are different keys"):
        parse_private_key(data)


def rsa_fields(
    numbers: rsa.RSAPrivateNumbers, *, d: int = 0, iqmp: int = 0, p: int = 0, q: int = 0, n: int = 0
) -> bytes:
    public = numbers.public_numbers
    values = (n or public.n, public.e, d or numbers.d, iqmp or numbers.iqmp, p or numbers.p, q or numbers.q)
    return b"".join(map(mpint, values))


def test_rsa_numbers_that_do_not_belong_together_are_refused(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa"]
    numbers = key._handle().private_numbers()
    p, q, n = numbers.p, numbers.q, numbers.public_numbers.n
    primes, exponent = "primes do not belong", "private exponent does not belong"
    cases = [
        ({"p": -p, "q": -q}, primes),
        ({"p": p + 2}, primes),
        ({"p": n, "q": 1}, primes),
        ({"iqmp": numbers.iqmp + p}, primes),
        ({"iqmp": -1}, primes),
        ({"iqmp": 1}, primes),
        ({"d": n + 1}, exponent),
        ({"d": -1}, exponent),
        ({"d": 3}, exponent),
        # Right modulo p - 1 and wrong modulo q - 1.
        ({"d": numbers.dmp1}, exponent),
    ]
    for changed, cause in cases:
        data = envelope(key, private=inner(key, rsa_fields(numbers, **changed)))
        with pytest.raises(KeyFormatError, match=f"^id: the private key is damaged: the {cause}"):
            parse_private_key(data, None, "id")


def test_r22_a_tiny_rsa_key_never_signs() -> None:
    # 3 * 11 = 33, e = 3, d = 7: sound, and good for nothing.
    fields = b"".join(mpint(n) for n in (33, 3, 7, 2, 3, 11))
    blob = string("ssh-rsa") + mpint(3) + mpint(33)
    plain = uint32(1) + uint32(1) + string("ssh-rsa") + fields + string("")
    plain += bytes(range(1, -len(plain) % 8 + 1))
    head = string("none") + string("none") + string("") + uint32(1) + string(blob)
    key = parse_private_key(armour(LABEL, MAGIC + head + string(plain)))
    assert key.public.bits == 6
    with pytest.raises(UnsupportedKey, match="6 bits; 2048 to 16384 are allowed"):
        key.sign("rsa-sha2-256", b"data")


def test_an_rsa_key_that_the_library_refuses_is_unsupported(
    keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def __init__(self, *numbers: object) -> None: ...

        def private_key(self, **options: bool) -> None:
            raise ValueError("not today")

    data = keys["rsa"].to_openssh(random_bytes=os.urandom)
    monkeypatch.setattr(rsa, "RSAPrivateNumbers", Refusing)
    with pytest.raises(UnsupportedKey, match=r"^id: the RSA key cannot be used: not today"):
        parse_private_key(data, None, "id")


@pytest.mark.parametrize(
    ("public", "secret"), [(31, 64), (32, 63), (0, 0)], ids=["short public", "short secret", "empty"]
)
def test_an_ed25519_pair_of_another_size_is_refused(
    keys: dict[str, PrivateKey], public: int, secret: int
) -> None:
    fields = string(bytes(public)) + string(bytes(secret))
    with pytest.raises(KeyFormatError, match="expected 32 and 64"):
        parse_private_key(envelope(keys["ed25519"], private=inner(keys["ed25519"], fields)))


@pytest.mark.parametrize("damage", [40, 80])
def test_ed25519_halves_that_do_not_belong_together_are_refused(
    keys: dict[str, PrivateKey], damage: int
) -> None:
    fields = bytearray(keys["ed25519"]._private_fields())
    fields[damage] ^= 1
    with pytest.raises(KeyFormatError, match="does not belong to the private half"):
        parse_private_key(envelope(keys["ed25519"], private=inner(keys["ed25519"], bytes(fields))))


@pytest.mark.parametrize("secret", [0, -1, 1 << 256, 1 << 4000])
def test_an_ecdsa_number_outside_of_its_range_is_refused(keys: dict[str, PrivateKey], secret: int) -> None:
    key = keys["ecdsa256"]
    point = key._private_fields()[: -len(mpint(key._handle().private_numbers().private_value))]
    with pytest.raises(KeyFormatError, match="outside of its range"):
        parse_private_key(envelope(key, private=inner(key, point + mpint(secret))))


def test_ecdsa_halves_that_do_not_belong_together_are_refused(keys: dict[str, PrivateKey]) -> None:
    key = keys["ecdsa256"]
    point = key._private_fields()[: -len(mpint(key._handle().private_numbers().private_value))]
    with pytest.raises(KeyFormatError, match="does not belong to the private half"):
        parse_private_key(envelope(key, private=inner(key, point + mpint(1))))


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (b"", KeyFormatError, "not a private key"),
        (b"\n\n", KeyFormatError, "not a private key"),
        (b"junk", KeyFormatError, "not a private key"),
        (b"ssh-ed25519 AAAA me", KeyFormatError, "a public key, where a private key is needed"),
        (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", UnsupportedKey, "ssh.com's format"),
        (b"x\n---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", UnsupportedKey, "ssh.com's format"),
        (b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0", UnsupportedKey, "keys of SSH-1"),
        (
            b"-----BEGIN ANY PRIVATE KEY-----\n-----END ANY PRIVATE KEY-----",
            UnsupportedKey,
            "ANY PRIVATE KEY is not supported",
        ),
        (b"x\n-----BEGIN RSA PRIVATE KEY-----\nAAAA", KeyFormatError, "line 2: .* no END line"),
        (b"-----BEGIN \xff PRIVATE KEY-----\n-----END \xff PRIVATE KEY-----", KeyFormatError, "not base64"),
        (
            b"-----BEGIN PRIVATE KEY-----\nA!\n-----END PRIVATE KEY-----",
            KeyFormatError,
            "line 2: .* not base64",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", KeyFormatError, "is damaged"),
        (
            b"-----BEGIN PRIVATE KEY-----\n\xff: x\n-----END PRIVATE KEY-----",
            KeyFormatError,
            "damaged header",
        ),
    ],
)
def test_what_is_no_private_key_is_told_from_what_is_unsupported(
    data: bytes, error: type[Exception], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: .*{cause}"):
        parse_private_key(data, None, "id")


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    return bytes((tag, 130)) + len(body).to_bytes(2, "big") + body


def number(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def encrypted_pkcs8(kdf: bytes) -> bytes:
    pbes2 = der(6, bytes.fromhex("2a864886f70d01050d"))
    cipher = der(0x30, der(6, bytes.fromhex("60864801650304012a")), der(4, bytes(16)))
    body = der(0x30, der(0x30, pbes2, der(0x30, kdf, cipher)), der(4, bytes(160)))
    return armour("ENCRYPTED PRIVATE KEY", body, 64)


def test_a_curve_that_nobody_uses_is_unsupported() -> None:
    curve = der(0xA0, der(6, bytes.fromhex("2b81040006")))
    body = der(0x30, number(1), der(4, bytes(13) + b"\x01"), curve)
    with pytest.raises(UnsupportedKey, match=r"^id: curve 1.3.132.0.6 is not used in SSH"):
        parse_private_key(armour("EC PRIVATE KEY", body), None, "id")


def pbkdf2(rounds: int) -> bytes:
    return der(0x30, der(6, bytes.fromhex("2a864886f70d01050c")), der(0x30, der(4, bytes(8)), number(rounds)))


def scrypt(n: int, r: int, p: int) -> bytes:
    numbers = der(0x30, der(4, bytes(8)), number(n), number(r), number(p))
    return der(0x30, der(6, bytes.fromhex("2b06010401da47040b")), numbers)


@pytest.mark.parametrize(
    ("kdf", "cause"),
    [
        (pbkdf2(1 << 40), "1099511627776 rounds, at most 10000000"),
        (scrypt(1 << 20, 8, 1), "cost 8388608, at most 2097152"),
        (scrypt(1 << 14, 8, 1 << 30), "cost 140737488355328"),
    ],
)
def test_r22_a_derivation_of_pkcs8_that_costs_too_much_is_refused_before_it_runs(
    kdf: bytes, cause: str
) -> None:
    with pytest.raises(UnsupportedKey, match=f"^id: .*{cause}"):
        parse_private_key(encrypted_pkcs8(kdf), b"secret", "id")


@pytest.mark.parametrize("kdf", [pbkdf2(2048), scrypt(16, 8, 1)])
def test_a_derivation_of_pkcs8_within_the_limits_runs(kdf: bytes) -> None:
    with pytest.raises((WrongPassphrase, UnsupportedKey)) as caught:
        parse_private_key(encrypted_pkcs8(kdf), b"secret", "id")
    assert "at most" not in str(caught.value)


def deep(levels: int) -> bytes:
    body = b""
    for _ in range(levels):
        body = der(0x30, body)
    return body


@pytest.mark.parametrize(
    "body",
    [b"", b"\x30", b"\x30\x85\0\0\0\0\0", b"\x30\x80", b"\x30\x82\x01", b"\x30\x05\0", b"\x04\0", deep(12)],
    ids=["empty", "one", "five", "indefinite", "cut length", "cut body", "no sequence", "deep"],
)
def test_r18_a_damaged_structure_of_pkcs8_is_refused(body: bytes) -> None:
    with pytest.raises(KeyFormatError, match="private key: the key is damaged at byte "):
        parse_private_key(armour("ENCRYPTED PRIVATE KEY", body), b"secret")


def test_r43_no_form_of_a_private_key_shows_its_secret(key: PrivateKey) -> None:
    secret = key._private_fields()
    for text in (repr(key), str(key), f"{key}"):
        assert text == f"<{type(key).__name__} {key.public.key_type} {key.public.fingerprint()}>"
        assert secret[-20:].hex() not in text
    for leak in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not pickled or copied"):
            leak(key)
    assert not hasattr(key, "__dict__")


def test_r43_no_error_shows_a_passphrase(keys: dict[str, PrivateKey]) -> None:
    for data in (
        keys["ed25519"].to_openssh(b"secret", 1, random_bytes=os.urandom),
        keys["ed25519"].to_pkcs8(b"secret"),
    ):
        with pytest.raises(WrongPassphrase) as caught:
            parse_private_key(data, b"hunter2")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_r22_a_private_key_file_is_closed_to_others_from_the_start(
    tmp_path: Path, keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    write = os.write

    def spy(descriptor: int, data: memoryview) -> int:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    old = os.umask(0)
    try:
        write_private_key(tmp_path / "id", keys["ed25519"].to_openssh(random_bytes=os.urandom))
    finally:
        os.umask(old)
    assert modes == [0o600]
    assert (tmp_path / "id").stat().st_mode & 0o777 == 0o600
    assert load_private_key(tmp_path / "id").public == keys["ed25519"].public


def test_r22_a_private_key_file_that_others_may_read_is_refused(
    tmp_path: Path, keys: dict[str, PrivateKey]
) -> None:
    path = tmp_path / "id"
    write_private_key(path, keys["ed25519"].to_openssh(random_bytes=os.urandom))
    path.chmod(0o640)
    with pytest.raises(KeyPermissionsError, match=r"id: permissions 0640 are too open"):
        load_private_key(path)
    assert load_private_key(path, check_permissions=False).public == keys["ed25519"].public


def test_a_public_key_is_loaded_from_every_kind_of_file(tmp_path: Path, keys: dict[str, PrivateKey]) -> None:
    key = keys["ed25519"]
    write_public_key(tmp_path / "id.pub", key.public)
    assert (tmp_path / "id.pub").read_text() == key.public.to_line() + "\n"
    assert load_public_key(tmp_path / "id.pub").comment == key.comment
    (tmp_path / "commented").write_text(f"# mine\n\n{key.public.to_line()}")
    assert load_public_key(tmp_path / "commented") == key.public
    (tmp_path / "plain").write_bytes(key.to_openssh(random_bytes=os.urandom))
    assert load_public_key(tmp_path / "plain").comment == key.comment
    (tmp_path / "sealed").write_bytes(key.to_openssh(b"secret", 1, random_bytes=os.urandom))
    assert load_public_key(tmp_path / "sealed") == key.public
    (tmp_path / "pkcs8").write_bytes(key.to_pkcs8())
    assert load_public_key(tmp_path / "pkcs8") == key.public
    (tmp_path / "closed").write_bytes(key.to_pkcs8(b"secret"))
    with pytest.raises(PassphraseRequired):
        load_public_key(tmp_path / "closed")


def test_a_file_without_a_key_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(KeyFormatError, match=r"empty: no key in this file"):
        load_public_key(tmp_path / "empty")
    (tmp_path / "junk").write_text("\njunk\n")
    with pytest.raises(KeyFormatError, match=r"junk:2: not a public key line"):
        load_public_key(tmp_path / "junk")
    with pytest.raises(FileNotFoundError):
        load_public_key(tmp_path / "none")


def test_r18_a_key_file_of_more_than_a_megabyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(MAX_KEY_FILE_BYTES + 1))
    (tmp_path / "big").chmod(0o600)
    for load in (load_public_key, load_private_key):
        with pytest.raises(KeyFormatError, match=r"big: the file is larger than 1048576 bytes"):
            load(tmp_path / "big")


def test_keys_are_found_on_lines_of_every_kind(keys: dict[str, PrivateKey]) -> None:
    a, b = keys["ed25519"].public, keys["ecdsa256"].public
    lines = [
        "# a comment",
        "",
        "junk",
        'open="never',
        "ssh-ed25519 AAAA damaged",
        a.to_line(),
        f"host,other {b.to_line()}",
        f"@revoked host {a.to_line()}",
        f'from="a b",command="say \\"x y\\" now" {b.to_line()}',
        "x" * 70000 + f" {a.to_line()}",
    ]
    found = list(find_public_keys("\n".join(lines).encode()))
    assert found == [a, b, a, b]
    assert found[3].comment == b.comment
