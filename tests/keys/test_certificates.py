"""Certificates: made, read, verified, and what makes one fail to hold."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from sshkit_keys import (
    CERTIFICATE_TYPES,
    DEFAULT_USER_EXTENSIONS,
    FOREVER,
    KEY_TYPES,
    Certificate,
    CertificateError,
    KeyFileError,
    KeyFormatError,
    PrivateKey,
    PublicKey,
    SignatureError,
    UnsupportedKey,
    check_source_address,
    format_certificate,
    generate_private_key,
    parse_certificate,
    parse_key_or_certificate,
    parse_key_or_certificate_line,
    parse_public_key,
    parse_public_line,
    sign_certificate,
    verify_security_key,
)
from sshkit_keys.certificate_options import CRITICAL_OPTIONS, EXTENSIONS, read_options
from sshkit_keys.certificates import AUTHORITY_ALGORITHMS, certificate_name, plain_name
from sshkit_keys.key_types import MAX_BLOB_BYTES
from sshkit_keys.rsa import RSAPrivateKey
from sshkit_keys.trust_files import TrustEntry
from sshkit_keys.wire import string, uint32, uint64

from .test_security_keys import Device

NONE: frozenset[str] = frozenset()
NOW = 1_700_000_000


@pytest.fixture(scope="module")
def authority() -> PrivateKey:
    return generate_private_key("ed25519", comment="authority")


@pytest.fixture(scope="module")
def other_keys() -> dict[str, PrivateKey]:
    return {name: generate_private_key(name) for name in ("ed448", "mldsa44-ed25519")}  # type: ignore[arg-type]


def make(authority: PrivateKey, key: PublicKey, **fields: object) -> Certificate:
    given = {
        "role": "user",
        "key_id": "id of it",
        "principals": ("alice", "bob"),
        "random_bytes": os.urandom,
        **fields,
    }
    return sign_certificate(authority, key, **given)  # type: ignore[arg-type]


def by_hand(signer: PrivateKey, public: PublicKey, /, **change: bytes) -> bytes:
    """Build a certificate of an ed25519 key field by field, so that any may be wrong."""
    fields = {
        "name": string("ssh-ed25519-cert-v01@openssh.com"),
        "nonce": string(b"n" * 32),
        "key": string(public.blob[-32:]),
        "serial": uint64(1),
        "role": uint32(1),
        "key_id": string("id"),
        "principals": string(string("alice")),
        "valid": uint64(0) + uint64(FOREVER),
        "critical": string(b""),
        "extensions": string(b""),
        "reserved": string(b""),
        "authority": string(signer.public.blob),
        **change,
    }
    data = b"".join(fields[name] for name in list(fields)[:12])
    signature = string(signer.sign(signer.public.signature_algorithms[0], data))
    return data + change.get("signature", signature) + change.get("tail", b"")


# ----- what a certificate says


def test_a_certificate_says_what_the_authority_signed(authority: PrivateKey, key: PrivateKey) -> None:
    made = make(
        authority,
        key.public,
        serial=7,
        valid_after=5,
        valid_before=9,
        critical_options={"source-address": "10.0.0.0/8", "force-command": "/bin/true", "odd@x": b"\xff"},
        extensions=DEFAULT_USER_EXTENSIONS,
    )
    read = parse_key_or_certificate_line(made.to_line())
    assert isinstance(read, Certificate)
    assert read == made
    assert read.key == key.public
    assert CERTIFICATE_TYPES[read.key_type] == key.public.key_type
    assert (read.serial, read.role, read.key_id, read.principals) == (7, "user", "id of it", ("alice", "bob"))
    assert (read.valid_after, read.valid_before, len(read.nonce)) == (5, 9, 32)
    options = {"force-command": "/bin/true", "odd@x": b"\xff", "source-address": "10.0.0.0/8"}
    assert read.critical_options == options
    assert list(read.critical_options) == sorted(options)
    assert (read.force_command, read.source_address) == ("/bin/true", "10.0.0.0/8")
    assert read.extensions == DEFAULT_USER_EXTENSIONS
    assert read.authority == authority.public
    assert read.signature_algorithm == "ssh-ed25519"
    assert read.comment == key.comment
    assert read.bits == key.public.bits
    assert read.label == f"{key.public.label}-CERT"
    assert read.fingerprint() == key.public.fingerprint()
    read.check_usable()


def test_a_certificates_algorithms_are_its_keys_own(authority: PrivateKey, key: PrivateKey) -> None:
    certificate = make(authority, key.public)
    names = KEY_TYPES[key.public.key_type].signature_algorithms
    assert certificate.signature_algorithms == tuple(map(certificate_name, names))
    for algorithm in certificate.signature_algorithms:
        signature = key.sign(plain_name(algorithm), b"data")
        certificate.verify(algorithm, b"data", signature)
        with pytest.raises(SignatureError, match="does not verify"):
            certificate.verify(algorithm, b"Data", signature)


def test_r6_a_certificate_verifies_with_its_own_algorithms_only(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa"]
    certificate = make(keys["ed25519"], key.public)
    assert certificate.signature_algorithms[0] == "rsa-sha2-512-cert-v01@openssh.com"
    signature = key.sign("rsa-sha2-512", b"data")
    for name in ("rsa-sha2-512", "ssh-rsa-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com"):
        with pytest.raises(SignatureError, match="is no signature algorithm"):
            certificate.verify(name, b"data", signature)
    with pytest.raises(SignatureError, match="labelled 'rsa-sha2-512', expected 'rsa-sha2-256'"):
        certificate.verify("rsa-sha2-256-cert-v01@openssh.com", b"data", signature)
    certificate._verify("rsa-sha2-512", b"data", signature[-256:])


@pytest.mark.parametrize("name", ["ed448", "mldsa44-ed25519"])
def test_the_new_types_have_certificates_and_sign_them(
    other_keys: dict[str, PrivateKey], authority: PrivateKey, name: str
) -> None:
    key = other_keys[name]
    certificate = make(key, authority.public)
    assert certificate.authority == key.public
    certificate = make(authority, key.public)
    (algorithm,) = certificate.signature_algorithms
    certificate.verify(algorithm, b"data", key.sign(key.public.key_type, b"data"))
    assert certificate.key_type == algorithm == certificate_name(key.public.key_type)


@pytest.mark.parametrize("key_type", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"])
def test_r6_a_security_keys_certificate_keeps_its_rules(authority: PrivateKey, key_type: str) -> None:
    device = Device(key_type)
    certificate = make(authority, device.public)
    (algorithm,) = certificate.signature_algorithms
    assert algorithm == key_type.removesuffix("@openssh.com") + "-cert-v01@openssh.com"
    untouched = device.sign(b"data", 0)
    with pytest.raises(SignatureError, match="nobody touched"):
        certificate.verify(algorithm, b"data", untouched)
    certificate.verify(algorithm, b"data", untouched, touch_required=False)
    assert verify_security_key(certificate, key_type, b"data", device.sign(b"data")).touched
    strict = make(authority, device.public, critical_options={"verify-required": ""})
    with pytest.raises(SignatureError, match="did not verify its user"):
        strict.verify(algorithm, b"data", device.sign(b"data", 1))
    strict.verify(algorithm, b"data", device.sign(b"data", 5))
    with pytest.raises(SignatureError, match="did not verify its user"):
        certificate.verify(algorithm, b"data", device.sign(b"data", 1), verification_required=True)


def test_a_security_key_may_be_an_authority_touched_or_not(authority: PrivateKey) -> None:
    device = Device("sk-ssh-ed25519@openssh.com")

    class Signer:
        public = device.public

        def sign(self, algorithm: str, data: bytes) -> bytes:
            return device.sign(data, 0)

    certificate = sign_certificate(
        Signer(), authority.public, role="host", key_id="", random_bytes=os.urandom, comment="mine"
    )
    assert (certificate.authority, certificate.role, certificate.comment) == (device.public, "host", "mine")


def test_the_tables_leave_out_what_cannot_be() -> None:
    assert "ssh-dss-cert-v01@openssh.com" not in CERTIFICATE_TYPES
    assert set(CERTIFICATE_TYPES.values()) == set(KEY_TYPES) - {"ssh-dss"}
    assert "ssh-rsa" not in AUTHORITY_ALGORITHMS
    assert not [name for name in AUTHORITY_ALGORITHMS if "webauthn" in name]
    assert plain_name("anything") == "anything"


def test_reading_a_certificate_loads_no_cryptography_before_its_time() -> None:
    check = (
        "import sys, sshkit_keys.certificates, sshkit_keys.revocation, sshkit_keys.certificate_signing;"
        "print([n for n in ('cryptography', 'hashlib', 'datetime', 'ipaddress') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ----- what is refused while reading


def test_r7_a_trust_file_does_not_take_a_certificate_for_a_key(
    authority: PrivateKey, keys: dict[str, PrivateKey]
) -> None:
    certificate = make(authority, keys["ed25519"].public)
    with pytest.raises(UnsupportedKey, match="is a certificate; a plain key is wanted"):
        parse_public_key(certificate.blob)
    with pytest.raises(UnsupportedKey, match="is a certificate"):
        parse_public_line(certificate.to_line())
    entry = TrustEntry("file", 1, certificate.to_line())
    with pytest.raises(UnsupportedKey, match=r"file:1: .* is a certificate"):
        entry.key  # noqa: B018


def test_r7_a_certificate_is_no_authority(authority: PrivateKey, keys: dict[str, PrivateKey]) -> None:
    inner = make(authority, keys["ed25519"].public)

    class Chained:
        public = inner

        def sign(self, algorithm: str, data: bytes) -> bytes:
            return keys["ed25519"].sign("ssh-ed25519", data)

    with pytest.raises(CertificateError, match="chains are not allowed"):
        sign_certificate(Chained(), authority.public, role="user", key_id="", random_bytes=os.urandom)
    blob = by_hand(keys["ed25519"], authority.public, authority=string(inner.blob))
    with pytest.raises(UnsupportedKey, match=r"here: the certificate's authority: .* is a certificate"):
        parse_certificate(blob, place="here")


def test_r7_one_changed_bit_anywhere_ends_a_certificate(authority: PrivateKey) -> None:
    blob = by_hand(authority, authority.public)
    assert parse_certificate(blob).serial == 1
    for position in range(len(blob)):
        changed = bytearray(blob)
        changed[position] ^= 1
        with pytest.raises(KeyFileError):
            parse_certificate(changed)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"role": uint32(0)}, "for role 0; 1 is for users"),
        ({"role": uint32(3)}, "for role 3"),
        ({"key": string(bytes(31))}, "has 32 bytes, not 31"),
        ({"key_id": string("a\0b")}, "key id holds a NUL"),
        ({"key_id": string(b"\xff")}, "not UTF-8"),
        ({"principals": string(string("a\0"))}, "principal holds a NUL"),
        ({"principals": string(b"\0\0\0\5a")}, "5 bytes wanted"),
        ({"principals": string(string("a") * 257)}, "more than 256 principals"),
        ({"critical": string(string("a"))}, "damaged"),
        ({"critical": string((string("a") + string("")) * 2)}, "critical option 'a' twice"),
        ({"extensions": string((string("a") + string("")) * 2)}, "extension 'a' twice"),
        (
            {"extensions": string(b"".join(string(str(n)) + string("") for n in range(257)))},
            "more than 256 extensions",
        ),
        ({"critical": string(string("force-command") + string(""))}, "'force-command' is damaged"),
        ({"critical": string(string("force-command") + string("raw"))}, "'force-command' is damaged"),
        (
            {"critical": string(string("source-address") + string(string("a\0")))},
            "'source-address' is damaged",
        ),
        ({"critical": string(string("verify-required") + string(string("x")))}, "is damaged"),
        ({"extensions": string(string("permit-pty") + string("x"))}, "'permit-pty' is damaged"),
        ({"tail": b"\0"}, "1 bytes left over"),
        ({"signature": string(b"")}, "damaged"),
        ({"signature": string(string("ssh-ed25519") + string(bytes(64)))}, "not signed by its authority"),
        ({"signature": string(string("ssh-rsa") + string(bytes(64)))}, "not signed by its authority"),
        ({"authority": string(b"junk")}, "damaged"),
    ],
)
def test_r18_a_damaged_certificate_is_refused(
    authority: PrivateKey, change: dict[str, bytes], cause: str
) -> None:
    blob = by_hand(authority, authority.public, **change)
    with pytest.raises(KeyFormatError, match=f"^here: .*{cause}"):
        parse_certificate(blob, place="here")


def test_options_in_any_order_are_read(authority: PrivateKey) -> None:
    pairs = string("b") + string("") + string("a") + string(string("text"))
    read = parse_certificate(by_hand(authority, authority.public, critical=string(pairs)))
    assert read.critical_options == {"b": "", "a": "text"}
    assert read.force_command is None
    raw = string("c") + string(string(""))
    assert read_options(raw, "extension", {}) == {"c": string("")}


def test_r18_a_certificate_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(KeyFormatError, match=f"here: .*at most {MAX_BLOB_BYTES} allowed"):
        parse_certificate(bytes(MAX_BLOB_BYTES + 1), place="here")


def test_what_is_no_certificate_is_unsupported(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(UnsupportedKey, match=r"^here: 'ssh-ed25519' is no certificate type"):
        parse_certificate(keys["ed25519"].public.blob, place="here")
    assert parse_key_or_certificate(keys["ed25519"].public.blob, "c").comment == "c"
    with pytest.raises(KeyFormatError, match="here: the public key is damaged"):
        parse_key_or_certificate(b"\0", place="here")
    with pytest.raises(KeyFormatError, match="here: not a public key line"):
        parse_key_or_certificate_line("ssh-ed25519", "here")
    line = " ".join(keys["ed25519"].public.to_line().split()[:2])
    assert parse_key_or_certificate_line(line).comment == ""


def test_r7_an_authority_that_signs_with_sha1_is_believed_on_demand_and_never_holds(
    keys: dict[str, PrivateKey],
) -> None:
    rsa = keys["rsa"]
    assert isinstance(rsa, RSAPrivateKey)
    whole = by_hand(rsa, keys["ed25519"].public, signature=b"")
    blob = whole + string(rsa.sign("ssh-rsa", whole, allow_sha1=True))
    with pytest.raises(KeyFormatError, match="not signed by its authority: 'ssh-rsa' is no signature alg"):
        parse_certificate(blob)
    certificate = parse_certificate(blob, allow_sha1=True)
    assert certificate.signature_algorithm == "ssh-rsa"
    with pytest.raises(CertificateError, match="is signed with ssh-rsa, which is not allowed"):
        certificate.check("user", "alice", NOW, enforced_options=NONE)
    certificate.check("user", "alice", NOW, enforced_options=NONE, authority_algorithms=["ssh-rsa"])


# ----- what holds here and now


@pytest.mark.parametrize(
    ("fields", "role", "principal", "cause"),
    [
        ({}, "host", "alice", "is for a user, not for a host"),
        ({"role": "host"}, "user", "alice", "is for a host, not for a user"),
        ({"valid_after": NOW + 1}, "user", "alice", "is not valid before 20"),
        ({"valid_before": NOW}, "user", "alice", "expired at 20"),
        ({"principals": ()}, "user", "alice", "lists no principal"),
        ({"principals": ()}, "user", None, "lists no principal"),
        ({}, "user", "alic", "does not list 'alic' as a principal"),
        ({}, "user", "alice,bob", "does not list"),
        ({}, "user", "", "does not list"),
        ({"principals": ("*",)}, "user", "alice", "does not list"),
        ({"principals": ("*.example",), "role": "host"}, "host", "a.example", "does not list"),
        ({}, "user", "ALICE", "does not list"),
        ({"critical_options": {"new@x": "1"}}, "user", "alice", "critical option 'new@x', unknown here"),
        ({"critical_options": {"force-command": "x"}}, "user", "alice", "'force-command', unknown here"),
        ({"critical_options": {"verify-required": ""}, "role": "host"}, "host", "alice", "unknown here"),
    ],
)
def test_r7_what_does_not_hold_is_refused(
    authority: PrivateKey, fields: dict[str, object], role: str, principal: str | None, cause: str
) -> None:
    certificate = make(authority, authority.public, **fields)
    with pytest.raises(CertificateError, match=f"the certificate 'id of it' .*{cause}"):
        certificate.check(role, principal, NOW, enforced_options=frozenset(("verify-required",)))  # type: ignore[arg-type]


def test_r7_what_holds_passes(authority: PrivateKey) -> None:
    certificate = make(
        authority,
        authority.public,
        valid_after=NOW,
        valid_before=NOW + 1,
        critical_options={"force-command": "x"},
        extensions={"unknown@x": "ignored"},
    )
    certificate.check("user", "bob", NOW, enforced_options=frozenset(CRITICAL_OPTIONS))
    certificate.check("user", None, NOW, enforced_options=frozenset(CRITICAL_OPTIONS))
    with pytest.raises(CertificateError, match="signed with ssh-ed25519, which is not allowed"):
        certificate.check(
            "user", "bob", NOW, enforced_options=frozenset(CRITICAL_OPTIONS), authority_algorithms=("x",)
        )


def test_r7_no_principals_match_only_if_the_caller_says_so(authority: PrivateKey) -> None:
    certificate = make(authority, authority.public, principals=(), role="host")
    certificate.check("host", "any", NOW, enforced_options=NONE, allow_empty_principals=True)


def test_r22_a_certificate_of_a_weak_key_does_not_hold(authority: PrivateKey) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = RSAPrivateKey(rsa.generate_private_key(65537, 1024)).public
    with pytest.raises(UnsupportedKey, match="1024 bits"):
        make(authority, weak)
    prefix = len(string("ssh-rsa"))
    name = string("ssh-rsa-cert-v01@openssh.com")
    blob = by_hand(authority, authority.public, name=name, key=weak.blob[prefix:])
    certificate = parse_certificate(blob)
    with pytest.raises(CertificateError, match="'id': the RSA key has 1024 bits"):
        certificate.check("user", "alice", NOW, enforced_options=NONE)


def test_a_key_id_with_control_characters_is_escaped_in_errors(authority: PrivateKey) -> None:
    certificate = make(authority, authority.public, key_id="\x1b[2J")
    with pytest.raises(CertificateError, match=r"'\\x1b\[2J' is for a user"):
        certificate.check("host", None, NOW, enforced_options=NONE)


# ----- where it may be used from


@pytest.mark.parametrize(
    ("addresses", "address", "let_in"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1,2001:db8::/32", "2001:db8::7", True),
        ("2001:db8::/32", "2001:db9::7", False),
        ("::/0", "192.0.2.1", False),
        ("0.0.0.0/0", "192.0.2.1", True),
        ("0.0.0.0/0", "UNKNOWN", False),
        ("fe80::/10", "fe80::1%eth0", True),
    ],
)
def test_r7_the_source_address_decides(
    authority: PrivateKey, addresses: str, address: str, let_in: bool
) -> None:
    certificate = make(authority, authority.public, critical_options={"source-address": addresses})
    if let_in:
        check_source_address(certificate, address)
    else:
        with pytest.raises(CertificateError, match="is not for use from"):
            check_source_address(certificate, address)


@pytest.mark.parametrize(
    "addresses",
    [
        "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/8,", ",", "example.com", "10.0.0.0 /8",
        "10.0.0.0/", "10/8", "*", "!10.0.0.0/8", "10.0.0.0/8/8", "0" * 60, "fe80::1%1",
    ],
)  # fmt: skip
def test_r7_a_source_address_list_that_is_not_understood_whole_lets_nobody_in(
    authority: PrivateKey, addresses: str
) -> None:
    certificate = make(authority, authority.public, critical_options={"source-address": addresses})
    with pytest.raises(CertificateError, match="the source-address list holds"):
        check_source_address(certificate, "10.0.0.1")


def test_a_certificate_without_the_option_may_be_used_from_anywhere(authority: PrivateKey) -> None:
    check_source_address(make(authority, authority.public), "anywhere")


# ----- what cannot be made


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"role": "admin"}, "not for a 'admin'"),
        ({"serial": -1}, "the serial is not from"),
        ({"serial": 1 << 64}, "the serial is not from"),
        ({"valid_after": 5, "valid_before": 5}, "the end not after the start"),
        ({"valid_before": 1 << 64}, "the end not after the start"),
        ({"principals": ("a",) * 257}, "at most 256 names"),
        ({"principals": "alice"}, "principals are a sequence"),
        ({"principals": ("",)}, "an empty principal"),
        ({"principals": ("a\0",)}, "holds a NUL"),
        ({"key_id": "a\0"}, "holds a NUL"),
        ({"critical_options": {"": ""}}, "cannot be a critical option's name"),
        ({"extensions": {"a\0": ""}}, "cannot be a extension's name"),
        ({"critical_options": {"force-command": ""}}, "force-command needs a value"),
        ({"extensions": {"permit-pty": "x"}}, "permit-pty takes no value"),
    ],
)
def test_a_certificate_that_cannot_be_is_not_made(
    authority: PrivateKey, fields: dict[str, object], cause: str
) -> None:
    with pytest.raises(CertificateError, match=cause):
        make(authority, authority.public, **fields)


def test_a_key_without_certificates_is_not_certified(authority: PrivateKey) -> None:
    from cryptography.hazmat.primitives.asymmetric import dsa
    from sshkit_keys.dsa import DSAPrivateKey

    with pytest.raises(UnsupportedKey, match="no certificates of ssh-dss keys"):
        make(authority, DSAPrivateKey(dsa.generate_private_key(1024)).public)


def test_a_certificates_key_is_certified_anew(authority: PrivateKey, keys: dict[str, PrivateKey]) -> None:
    first = make(authority, keys["ed25519"].public)
    second = make(keys["rsa"], first, algorithm="rsa-sha2-256", serial=2)
    assert second.key == first.key
    assert (second.authority, second.signature_algorithm) == (keys["rsa"].public, "rsa-sha2-256")
    assert first != second


def test_a_signer_that_signs_something_else_is_found_out(authority: PrivateKey) -> None:
    class Liar:
        public = authority.public

        def sign(self, algorithm: str, data: bytes) -> bytes:
            return authority.sign(algorithm, data + b"!")

    with pytest.raises(KeyFormatError, match="not signed by its authority"):
        sign_certificate(Liar(), authority.public, role="user", key_id="", random_bytes=os.urandom)


# ----- shown


def test_a_certificate_is_shown_in_ssh_keygens_lines_with_controls_escaped(authority: PrivateKey) -> None:
    certificate = make(
        authority,
        authority.public,
        key_id="a\nb",
        principals=("x\x1b",),
        critical_options={"flag@x": "", "force-command": "ls\t", "raw@x": b"\xff", "text@x": "t"},
    )
    lines = format_certificate(certificate)
    assert lines[3] == r'        Key ID: "a\nb"'
    assert lines[7] == r"                x\x1b"
    assert lines[9:13] == [
        "                flag@x UNKNOWN FLAG OPTION",
        r"                force-command ls\t",
        "                raw@x UNKNOWN OPTION: ff (len 1)",
        "                text@x UNKNOWN OPTION: 0000000174 (len 5)",
    ]
    assert lines[13] == "        Extensions: (none)"
    assert format_certificate(certificate, "md5")[1].split()[-1].startswith("MD5:")
    assert list(EXTENSIONS) == sorted(EXTENSIONS)


def test_r43_nothing_secret_is_in_a_certificates_repr(authority: PrivateKey) -> None:
    certificate = make(authority, authority.public)
    assert repr(certificate) == f"<Certificate {certificate.key_type} {authority.public.fingerprint()}>"


def test_every_reader_is_of_its_own(authority: PrivateKey) -> None:
    read: Callable[..., Certificate] = Certificate.read
    blob = make(authority, authority.public).blob
    from sshkit_keys.wire import WireReader

    reader = WireReader(blob)
    assert read(reader.text(), reader, blob, "c").comment == "c"
