"""Public keys: what is read, what verifies, and what is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sshkit_keys import (
    KEY_TYPES,
    KeyFormatError,
    PrivateKey,
    PublicKey,
    SignatureError,
    UnsupportedKey,
    generate_private_key,
    parse_public_key,
    parse_public_line,
)
from sshkit_keys.key_types import MAX_BLOB_BYTES, wrap_private_key
from sshkit_keys.rsa import RSAPrivateKey
from sshkit_keys.wire import WireReader, mpint, string

# The order of ed25519's group (RFC 8032 section 5.1).
L = 2**252 + 27742317777372353535851937790883648493


def rsa_blob(n: int, e: int) -> bytes:
    return string("ssh-rsa") + mpint(e) + mpint(n)


def weak_rsa_key() -> RSAPrivateKey:
    # By hand, since neither our generator nor ssh-keygen's default makes such a key.
    return RSAPrivateKey(rsa.generate_private_key(65537, 1024))


def test_a_public_key_survives_its_line(key: PrivateKey) -> None:
    line = key.public.to_line()
    read = parse_public_line(line)
    assert read == key.public
    assert hash(read) == hash(key.public)
    assert read.comment == key.comment
    assert read.bits == key.public.bits
    assert read.label in ("ED25519", "ECDSA", "RSA")
    assert read.to_line() == line
    assert read != line


def test_a_line_without_a_comment_stays_without(keys: dict[str, PrivateKey]) -> None:
    line = " ".join(keys["ed25519"].public.to_line().split()[:2])
    assert parse_public_line(line).to_line() == line


def test_a_comment_with_control_characters_is_escaped_in_the_line(keys: dict[str, PrivateKey]) -> None:
    read = parse_public_key(keys["ed25519"].public.blob, "a\nb\x1b[1m")
    assert read.to_line().endswith(r" a\nb\x1b[1m")


def test_each_algorithm_of_a_key_signs_and_verifies(key: PrivateKey) -> None:
    public = parse_public_key(key.public.blob)
    assert public.signature_algorithms == KEY_TYPES[public.key_type].signature_algorithms
    public.check_usable()
    for algorithm in public.signature_algorithms:
        signature = key.sign(algorithm, b"data")
        public.verify(algorithm, b"data", signature)
        public.verify(algorithm, b"data", signature)
        with pytest.raises(SignatureError, match="does not verify"):
            public.verify(algorithm, b"Data", signature)


def test_rsa_prefers_sha512() -> None:
    assert KEY_TYPES["ssh-rsa"].signature_algorithms == ("rsa-sha2-512", "rsa-sha2-256")


def test_r6_a_signature_with_another_label_is_refused(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa"]
    signature = key.sign("rsa-sha2-256", b"data")
    with pytest.raises(SignatureError, match="labelled 'rsa-sha2-256', expected 'rsa-sha2-512'"):
        key.public.verify("rsa-sha2-512", b"data", signature)


@pytest.mark.parametrize("algorithm", ["ssh-rsa", "ssh-dss", "none", "", "x\x1b"])
def test_r6_an_algorithm_that_is_not_the_keys_own_is_refused(key: PrivateKey, algorithm: str) -> None:
    with pytest.raises(SignatureError, match="is no signature algorithm of"):
        key.public.verify(algorithm, b"data", string(algorithm) + string(b"x"))
    with pytest.raises(UnsupportedKey, match="cannot sign with"):
        key.sign(algorithm, b"data")


def test_r6_the_algorithm_of_another_curve_is_refused(keys: dict[str, PrivateKey]) -> None:
    signature = keys["ecdsa384"].sign("ecdsa-sha2-nistp384", b"data")
    with pytest.raises(SignatureError, match="is no signature algorithm"):
        keys["ecdsa256"].public.verify("ecdsa-sha2-nistp384", b"data", signature)


def test_r6_every_damage_to_a_signature_is_refused(key: PrivateKey) -> None:
    algorithm = key.public.signature_algorithms[0]
    signature = key.sign(algorithm, b"data")
    for damaged in (signature + b"\0", signature[:-1], signature[:10], b"", string(algorithm) + string(b"")):
        with pytest.raises(SignatureError):
            key.public.verify(algorithm, b"data", damaged)


def test_r6_an_ed25519_s_that_is_not_below_the_order_is_refused(keys: dict[str, PrivateKey]) -> None:
    key = keys["ed25519"]
    inner = key.sign("ssh-ed25519", b"data")[-64:]
    s = int.from_bytes(inner[32:], "little")
    assert s < L
    malleated = inner[:32] + (s + L).to_bytes(32, "little")
    with pytest.raises(SignatureError, match="does not verify"):
        key.public.verify("ssh-ed25519", b"data", string("ssh-ed25519") + string(malleated))


def test_r6_a_key_that_names_another_curve_is_refused(keys: dict[str, PrivateKey]) -> None:
    blob = keys["ecdsa256"].public.blob.replace(b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384")
    with pytest.raises(KeyFormatError, match="of type ecdsa-sha2-nistp384 names the curve 'nistp256'"):
        parse_public_key(blob)


def test_r6_a_point_off_its_curve_is_refused(keys: dict[str, PrivateKey]) -> None:
    blob = keys["ecdsa256"].public.blob
    with pytest.raises(KeyFormatError, match="does not lie on nistp256"):
        parse_public_key(blob[:-1] + bytes((blob[-1] ^ 1,)))


def test_a_point_in_compressed_form_is_refused(keys: dict[str, PrivateKey]) -> None:
    fields = string("ecdsa-sha2-nistp256") + string("nistp256")
    x = keys["ecdsa256"].public.blob[-64:-32]
    with pytest.raises(KeyFormatError, match="not in uncompressed form"):
        parse_public_key(fields + string(b"\x02" + x))


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (-1, 1), (1, -1), (1 << 256, 1), (1, 1 << 256)])
def test_ecdsa_numbers_outside_of_their_range_are_refused(
    keys: dict[str, PrivateKey], r: int, s: int
) -> None:
    name = "ecdsa-sha2-nistp256"
    with pytest.raises(SignatureError, match="outside of its range"):
        keys["ecdsa256"].public.verify(name, b"data", string(name) + string(mpint(r) + mpint(s)))


def test_an_ed25519_signature_of_another_size_is_refused(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(SignatureError, match="has 64 bytes, not 63"):
        keys["ed25519"].public.verify("ssh-ed25519", b"", string("ssh-ed25519") + string(bytes(63)))


def test_an_ed25519_key_of_another_size_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="has 32 bytes, not 31"):
        parse_public_key(string("ssh-ed25519") + string(bytes(31)))


def test_an_rsa_signature_may_lack_its_zero_bytes_and_have_no_more(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa"]
    label = string("rsa-sha2-256")
    tried = 0
    while True:
        data = b"%d" % tried
        inner = key.sign("rsa-sha2-256", data)[-256:]
        if inner[0] == 0:
            break
        tried += 1
    key.public.verify("rsa-sha2-256", data, label + string(inner[1:]))
    with pytest.raises(SignatureError, match="has 257 bytes, the key 256"):
        key.public.verify("rsa-sha2-256", data, label + string(b"\0" + inner))


def test_r22_a_small_rsa_key_is_shown_but_neither_signs_nor_verifies() -> None:
    key = weak_rsa_key()
    public = parse_public_key(key.public.blob)
    assert public.bits == 1024
    assert public.fingerprint().startswith("SHA256:")
    with pytest.raises(UnsupportedKey, match="1024 bits; 2048 to 16384 are allowed"):
        public.check_usable()
    with pytest.raises(SignatureError, match="1024 bits"):
        public.verify("rsa-sha2-512", b"", string("rsa-sha2-512") + string(bytes(128)))
    with pytest.raises(UnsupportedKey, match="1024 bits"):
        key.sign("rsa-sha2-512", b"")


@pytest.mark.parametrize("bits", [1024, 2047, 16385])
def test_r22_no_rsa_key_is_made_outside_of_2048_to_16384_bits(bits: int) -> None:
    with pytest.raises(UnsupportedKey, match="2048 to 16384 are allowed"):
        generate_private_key("rsa", bits)


def test_r22_an_rsa_modulus_of_more_than_16384_bits_is_refused() -> None:
    body = b"\x01" + bytes(2047) + b"\x01"
    with pytest.raises(KeyFormatError, match="at most 16384"):
        parse_public_key(string("ssh-rsa") + mpint(65537) + string(body))


@pytest.mark.parametrize(
    ("e", "cause"),
    [
        (1, "not an odd number"),
        (0, "not an odd number"),
        (-3, "not an odd number"),
        (65536, "not an odd number"),
        ((1 << 2047) + 1, "not an odd number"),
        ((1 << 64) + 1, "65 bits, at most 64"),
    ],
)
def test_r22_an_rsa_exponent_is_odd_and_small(e: int, cause: str) -> None:
    with pytest.raises(KeyFormatError, match=cause):
        parse_public_key(rsa_blob((1 << 2047) + 1, e))


@pytest.mark.parametrize("n", [0, -5, 1, 1 << 2047])
def test_r22_an_rsa_modulus_is_odd_and_positive(n: int) -> None:
    with pytest.raises(KeyFormatError, match="not an odd positive number"):
        parse_public_key(rsa_blob(n, 3))


def test_bytes_after_the_key_are_refused(key: PrivateKey) -> None:
    with pytest.raises(KeyFormatError, match="1 bytes left over"):
        parse_public_key(key.public.blob + b"\0", place="here:1")


def test_a_key_type_that_is_not_in_the_table_is_unsupported() -> None:
    with pytest.raises(UnsupportedKey, match=r"^here:1: key type 'ssh-\\x1bdss' is not supported$"):
        parse_public_key(string("ssh-\x1bdss") + string(b"x"), place="here:1")


def test_r18_a_blob_of_more_than_32_kib_is_refused() -> None:
    with pytest.raises(KeyFormatError, match="32769 bytes, at most 32768 allowed"):
        parse_public_key(bytes(MAX_BLOB_BYTES + 1))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("", "not a public key line"),
        ("ssh-ed25519", "not a public key line"),
        ("ssh-ed25519 !!!!", "not base64"),
        ("ssh-ed25519 AAAAé", "not base64"),
        ("ssh-ed25519é AAAA", "not base64"),
        ("ssh-ed25519 AAAA", "damaged"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5", "of type 'ssh-ed25519' but is declared as 'ssh-rsa'"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "damaged"),
    ],
)
def test_a_damaged_line_names_place_and_cause(line: str, cause: str) -> None:
    with pytest.raises(KeyFormatError, match=f"^k.pub:3: .*{cause}"):
        parse_public_line(line, "k.pub:3")


def test_the_place_of_an_error_is_escaped() -> None:
    with pytest.raises(KeyFormatError) as caught:
        parse_public_line("", "a\x1b[2Jb")
    assert str(caught.value) == r"a\x1b[2Jb: not a public key line"


@pytest.mark.parametrize(
    ("kind", "bits", "cause"),
    [
        ("ed25519", 255, "no ed25519 key has 255 bits"),
        ("ecdsa", 224, "no ECDSA key has 224 bits"),
        ("dsa", None, "unknown key type 'dsa'"),
    ],
)
def test_a_key_that_cannot_be_is_not_made(kind: str, bits: int | None, cause: str) -> None:
    with pytest.raises(UnsupportedKey, match=cause):
        generate_private_key(kind, bits)  # type: ignore[arg-type]


def test_an_object_of_another_type_is_no_ssh_key() -> None:
    with pytest.raises(UnsupportedKey, match=r"^here: curve secp256k1 is not used in SSH"):
        wrap_private_key(ec.generate_private_key(ec.SECP256K1()), place="here")
    with pytest.raises(UnsupportedKey, match=r"^here: a private key of this type"):
        wrap_private_key(object(), place="here")


def test_a_public_key_shows_type_and_fingerprint(key: PrivateKey) -> None:
    public: PublicKey = key.public
    assert public.fingerprint() in repr(public)
    assert public.key_type in repr(public)


def test_a_reader_of_a_view_makes_a_key_with_its_own_bytes(key: PrivateKey) -> None:
    buffer = bytearray(key.public.blob)
    read = parse_public_key(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert read == key.public
    assert WireReader(read.blob).text() == read.key_type
