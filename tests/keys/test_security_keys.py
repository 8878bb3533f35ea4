"""Keys in FIDO security keys: a software device signs, OpenSSH's own tools read and judge."""

import hashlib
import os
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from sshkit_keys import (
    KEY_TYPES,
    KeyFormatError,
    PrivateKey,
    SignatureError,
    UnsupportedKey,
    generate_private_key,
    parse_private_key,
    parse_public_key,
    parse_public_line,
    verify_security_key,
    write_private_key,
)
from sshkit_keys.security_key_devices import enroll
from sshkit_keys.security_keys import (
    ECDSA,
    ED25519,
    RESIDENT,
    TOUCH_REQUIRED,
    VERIFICATION_REQUIRED,
    WEBAUTHN,
    SecurityKeyPrivateKey,
    SecurityKeyPublicKey,
    SecurityKeySignature,
    SKECDSAPrivateKey,
    SKEd25519PrivateKey,
)
from sshkit_keys.wire import WireReader, byte, mpint, string, uint32


class Device:
    """A security key in software: it has one secret, and counts."""

    def __init__(self, key_type: str, application: str = "ssh:") -> None:
        self.key_type = key_type
        self.application = application
        self.counter = 41
        self.secret: Any
        if key_type == ED25519:
            self.secret = ed25519.Ed25519PrivateKey.generate()
            fields = string(self.secret.public_key().public_bytes_raw())
        else:
            self.secret = ec.generate_private_key(ec.SECP256R1())
            point = self.secret.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
            fields = string("nistp256") + string(point)
        self.blob = string(key_type) + fields + string(application)

    @property
    def public(self) -> SecurityKeyPublicKey:
        key = parse_public_key(self.blob, "in a device")
        assert isinstance(key, SecurityKeyPublicKey)
        return key

    def raw(self, message: bytes) -> bytes:
        if self.key_type == ED25519:
            return bytes(self.secret.sign(message))
        r, s = decode_dss_signature(self.secret.sign(message, ec.ECDSA(hashes.SHA256())))
        return mpint(r) + mpint(s)

    def sign(self, data: bytes, flags: int = 1) -> bytes:
        self.counter += 1
        tail = byte(flags) + uint32(self.counter)
        message = hashlib.sha256(self.application.encode()).digest() + tail + hashlib.sha256(data).digest()
        return string(self.key_type) + string(self.raw(message)) + tail

    def browse(self, data: bytes, **change: Any) -> bytes:
        """Sign as a browser does."""
        origin = change.get("origin", "https://example.com")
        flags = change.get("flags", 1)
        extensions = change.get("extensions", b"")
        challenge = urlsafe_b64encode(data).rstrip(b"=").decode()
        kind = change.get("kind", "webauthn.get")
        client = change.get(
            "client",
            f'{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}',
        ).encode()
        tail = byte(flags) + uint32(7)
        message = hashlib.sha256(self.application.encode()).digest() + tail + extensions
        inner = self.raw(message + hashlib.sha256(client).digest())
        named = change.get("named", origin)
        return string(WEBAUTHN) + string(inner) + tail + string(named) + string(client) + string(extensions)


TYPES = [ED25519, ECDSA]


@pytest.fixture(params=TYPES)
def device(request: pytest.FixtureRequest) -> Device:
    return Device(request.param)


def private_key(device: Device, flags: int = TOUCH_REQUIRED) -> SecurityKeyPrivateKey:
    kind = SKEd25519PrivateKey if device.key_type == ED25519 else SKECDSAPrivateKey
    return kind(device.public, b"handle", flags)


def test_a_signature_tells_flags_and_counter(device: Device) -> None:
    public = device.public
    assert public.signature_algorithms == KEY_TYPES[device.key_type].signature_algorithms
    signature = device.sign(b"data", 5)
    public.verify(device.key_type, b"data", signature)
    answer = verify_security_key(public, device.key_type, b"data", signature)
    assert answer == SecurityKeySignature(5, 42)
    assert (answer.touched, answer.verified, answer.origin) == (True, True, None)
    with pytest.raises(SignatureError, match="does not verify"):
        public.verify(device.key_type, b"Data", signature)


def test_r6_a_signature_without_a_touch_is_refused_unless_waived(device: Device) -> None:
    signature = device.sign(b"data", 0)
    with pytest.raises(SignatureError, match="nobody touched"):
        device.public.verify(device.key_type, b"data", signature)
    device.public.verify(device.key_type, b"data", signature, touch_required=False)


def test_r6_a_signature_without_a_verified_user_is_refused_on_demand(device: Device) -> None:
    with pytest.raises(SignatureError, match="did not verify its user"):
        device.public.verify(device.key_type, b"data", device.sign(b"data", 1), verification_required=True)
    device.public.verify(device.key_type, b"data", device.sign(b"data", 5), verification_required=True)


def test_r6_flags_and_counter_are_signed(device: Device) -> None:
    signature = device.sign(b"data", 0)
    touched = signature[:-5] + b"\x01" + signature[-4:]
    for forged in (touched, signature[:-1] + b"\xff"):
        with pytest.raises(SignatureError, match="does not verify"):
            device.public.verify(device.key_type, b"data", forged, touch_required=False)


def test_r6_label_and_algorithm_must_agree(device: Device) -> None:
    signature = device.sign(b"data")
    with pytest.raises(SignatureError, match="is no signature algorithm"):
        device.public.verify("ssh-ed25519", b"data", signature)
    plain = string("ssh-ed25519") + signature[len(string(device.key_type)) :]
    with pytest.raises(SignatureError, match="labelled 'ssh-ed25519'"):
        device.public.verify(device.key_type, b"data", plain)


def test_r6_every_cut_of_a_signature_is_refused(device: Device) -> None:
    signature = device.sign(b"data")
    for damaged in (signature + b"\0", signature[:-1], signature[:-5], signature[:40], b""):
        with pytest.raises(SignatureError, match="malformed"):
            device.public.verify(device.key_type, b"data", damaged)


def test_r6_inner_signatures_of_another_shape_are_refused() -> None:
    tail = b"\x01" + uint32(1)
    with pytest.raises(SignatureError, match="has 64 bytes, not 63"):
        Device(ED25519).public.verify(ED25519, b"", string(ED25519) + string(bytes(63)) + tail)
    for r, s in ((0, 1), (1, -1), (1, 1 << 256)):
        inner = string(mpint(r) + mpint(s))
        with pytest.raises(SignatureError, match="outside of its range"):
            Device(ECDSA).public.verify(ECDSA, b"", string(ECDSA) + inner + tail)


def test_a_key_that_is_in_no_device_has_no_flags(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(SignatureError, match="a ssh-ed25519 key is not in a security key"):
        verify_security_key(keys["ed25519"].public, "ssh-ed25519", b"", b"")


def test_a_public_key_survives_its_line(device: Device) -> None:
    read = parse_public_line(device.public.to_line())
    assert isinstance(read, SecurityKeyPublicKey)
    assert (read, read.bits, read.application) == (device.public, 256, "ssh:")
    assert read.label == ("ED25519-SK" if device.key_type == ED25519 else "ECDSA-SK")


@pytest.mark.parametrize(
    ("blob", "cause"),
    [
        (string(ED25519) + string(bytes(31)) + string("ssh:"), "has 32 bytes, not 31"),
        (string(ED25519) + string(bytes(32)) + string("a\0b"), "holds a NUL"),
        (string(ED25519) + string(bytes(32)), "damaged"),
        (string(ECDSA) + string("nistp384") + string(b"\4") + string(""), "names the curve 'nistp384'"),
        (string(ECDSA) + string("nistp256") + string(b"\2" + bytes(32)) + string(""), "uncompressed"),
        (string(ECDSA) + string("nistp256") + string(b"\4" + bytes(64)) + string(""), "does not lie on"),
    ],
)
def test_r6_a_public_key_that_cannot_be_is_refused(blob: bytes, cause: str) -> None:
    with pytest.raises(KeyFormatError, match=cause):
        parse_public_key(blob)


# ----- signatures of a browser


def test_what_a_browser_signed_verifies_and_tells_its_origin() -> None:
    device = Device(ECDSA, "example.com")
    signature = device.browse(b"data")
    device.public.verify(WEBAUTHN, b"data", signature)
    answer = device.public.open_signature(WEBAUTHN, b"data", signature)
    assert answer == SecurityKeySignature(1, 7, "https://example.com")
    extended = device.browse(b"data", flags=0x81, extensions=b"\xa0")
    device.public.verify(WEBAUTHN, b"data", extended)
    assert device.public.signature_algorithms[-1] == WEBAUTHN


def test_r6_a_browser_must_have_signed_this_data_and_nothing_else() -> None:
    device = Device(ECDSA, "example.com")
    public = device.public
    with pytest.raises(SignatureError, match="something else"):
        public.verify(WEBAUTHN, b"Data", device.browse(b"data"))
    for change in (
        {"kind": "webauthn.create"},
        {"named": "https://evil.example"},
        {"client": ' {"type":"webauthn.get"}'},
        {"client": '{"challenge":"ZGF0YQ","type":"webauthn.get","origin":"https://example.com"}'},
        {"client": '{"type":"webauthn.get","challenge":"ZGF0YQ==","origin":"https://example.com"}'},
        {"client": '{"type":"webauthn.get","challenge":"\\u005aGF0YQ","origin":"https://example.com"}'},
        {"client": ""},
    ):
        with pytest.raises(SignatureError, match="something else"):
            public.verify(WEBAUTHN, b"data", device.browse(b"data", **change))


@pytest.mark.parametrize("origin", ['https://a","x":"', "a\0b"])
def test_r6_an_origin_that_could_end_early_is_refused(origin: str) -> None:
    device = Device(ECDSA)
    with pytest.raises(SignatureError, match="quotation mark or a NUL"):
        device.public.verify(WEBAUTHN, b"data", device.browse(b"data", origin=origin))


@pytest.mark.parametrize(
    ("flags", "extensions"), [(0x41, b""), (0x81, b""), (0x01, b"\xa0"), (0xC1, b"\xa0")]
)
def test_r6_flags_that_do_not_fit_the_extensions_are_refused(flags: int, extensions: bytes) -> None:
    device = Device(ECDSA)
    with pytest.raises(SignatureError, match="do not fit"):
        device.public.verify(WEBAUTHN, b"data", device.browse(b"data", flags=flags, extensions=extensions))


def test_r6_a_browsers_signature_without_a_touch_is_refused() -> None:
    device = Device(ECDSA)
    with pytest.raises(SignatureError, match="nobody touched"):
        device.public.verify(WEBAUTHN, b"data", device.browse(b"data", flags=4))


def test_r6_a_browsers_signature_does_not_pass_for_a_plain_one() -> None:
    device = Device(ECDSA)
    with pytest.raises(SignatureError, match="labelled"):
        device.public.verify(ECDSA, b"data", device.browse(b"data"))
    with pytest.raises(SignatureError, match="malformed"):
        device.public.verify(WEBAUTHN, b"data", string(WEBAUTHN) + device.sign(b"data")[len(string(ECDSA)) :])


# ----- private keys


def test_a_private_key_keeps_handle_flags_and_application(device: Device) -> None:
    key = private_key(device, TOUCH_REQUIRED | RESIDENT)
    read = parse_private_key(key.to_openssh(b"secret", 1, random_bytes=os.urandom), b"secret")
    assert isinstance(read, SecurityKeyPrivateKey)
    assert (read.public, read.key_handle, read.flags, read.reserved) == (key.public, b"handle", 0x21, b"")
    assert (read.application, read.comment) == ("ssh:", "in a device")
    assert "handle" not in repr(read)
    with pytest.raises(UnsupportedKey):
        read.to_pkcs8()
    with pytest.raises(UnsupportedKey, match="holds no private key"):
        read._handle()
    assert type(read).from_cryptography(object()) is None
    fields = WireReader(key._private_fields())
    assert type(read).read(device.key_type, fields).public == key.public


@pytest.mark.peer("ssh-keygen")
def test_ssh_keygen_reads_our_private_form(device: Device, tmp_path: Path) -> None:
    write_private_key(tmp_path / "id", private_key(device).to_openssh(random_bytes=os.urandom))
    run = subprocess.run(
        ["ssh-keygen", "-y", "-f", "id"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == device.public.to_line() + "\n"
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", "id"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    public = device.public
    assert shown.stdout == f"256 {public.fingerprint()} in a device ({public.label})\n"


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("way", ["plain", "browser"])
def test_ssh_keygen_believes_what_we_believe(device: Device, tmp_path: Path, way: str) -> None:
    if way == "browser" and device.key_type == ED25519:
        device = Device(ECDSA, "example.com")
    public = device.public
    digest = hashlib.sha512(b"data").digest()
    tail = string("file") + string("") + string("sha512") + string(digest)
    signed = b"SSHSIG" + tail
    signature = device.browse(signed) if way == "browser" else device.sign(signed)
    algorithm = WEBAUTHN if way == "browser" else device.key_type
    public.verify(algorithm, signed, signature)
    body = b"SSHSIG" + uint32(1) + string(public.blob) + tail[: -len(string(digest))] + string(signature)
    armoured = f"-----BEGIN SSH SIGNATURE-----\n{b64encode(body).decode()}\n-----END SSH SIGNATURE-----\n"
    (tmp_path / "sig").write_text(armoured)
    (tmp_path / "signers").write_text(f"me {public.to_line()}\n")
    judged = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "me", "-n", "file", "-s", "sig"],
        cwd=tmp_path,
        input=b"data",
        capture_output=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stderr


def test_signing_without_the_package_names_the_extra_and_the_agent(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fido2.ctap2", None)
    with pytest.raises(UnsupportedKey, match=r"sshkit\[fido2\].*an agent"):
        private_key(device).sign(device.key_type, b"data")
    with pytest.raises(UnsupportedKey, match=r"sshkit\[fido2\]"):
        generate_private_key("ed25519-sk")
    with pytest.raises(UnsupportedKey, match="cannot sign with 'ssh-rsa'"):
        private_key(device).sign("ssh-rsa", b"data")


class FakeCtap2:
    """What is used of the package fido2, over a `Device`."""

    device: Device
    fault: str = ""
    asked: tuple[Any, ...] = ()

    def __init__(self, found: object) -> None:
        pass

    def get_assertion(self, rp_id: str, digest: bytes, allowed: Any, options: Any) -> Any:
        if self.fault:
            raise OSError(self.fault)
        type(self).asked = (rp_id, allowed, options)
        flags = 5 if "uv" in options else int(options["up"])
        message = hashlib.sha256(rp_id.encode()).digest() + byte(flags) + uint32(3) + digest
        secret = self.device.secret
        signed = (
            secret.sign(message)
            if self.device.key_type == ED25519
            else secret.sign(message, ec.ECDSA(hashes.SHA256()))
        )
        return SimpleNamespace(signature=signed, auth_data=SimpleNamespace(flags=flags, counter=3))

    def make_credential(self, digest: bytes, rp: Any, user: Any, kinds: Any, options: Any) -> Any:
        if self.fault:
            raise OSError(self.fault)
        type(self).asked = (rp["id"], user["name"], kinds[0]["alg"], options)
        reader = WireReader(self.device.blob)
        reader.view()
        if self.device.key_type == ED25519:
            numbers = {-2: reader.string()}
        else:
            reader.view()
            point = reader.string()
            numbers = {-2: point[1:33], -3: point[33:]}
        credential = SimpleNamespace(credential_id=b"id", public_key=numbers)
        return SimpleNamespace(auth_data=SimpleNamespace(credential_data=credential))


@pytest.fixture
def plugged(device: Device, monkeypatch: pytest.MonkeyPatch) -> type[FakeCtap2]:
    """The device, behind the package's names."""
    session = type("Session", (FakeCtap2,), {"device": device})
    ctap2, hid = ModuleType("fido2.ctap2"), ModuleType("fido2.hid")
    ctap2.Ctap2 = session  # type: ignore[attr-defined]
    hid.CtapHidDevice = SimpleNamespace(list_devices=lambda: iter([object()]))  # type: ignore[attr-defined]
    for name, module in (("fido2", ModuleType("fido2")), ("fido2.ctap2", ctap2), ("fido2.hid", hid)):
        monkeypatch.setitem(sys.modules, name, module)
    return session


@pytest.mark.parametrize(("flags", "signed"), [(0, 0), (1, 1), (TOUCH_REQUIRED | VERIFICATION_REQUIRED, 5)])
def test_a_device_signs_as_the_files_flags_ask(
    device: Device, plugged: type[FakeCtap2], flags: int, signed: int
) -> None:
    key = private_key(device, flags)
    signature = key.sign(device.key_type, b"data")
    assert verify_security_key(key.public, device.key_type, b"data", signature).flags == signed
    assert plugged.asked[:2] == ("ssh:", [{"type": "public-key", "id": b"handle"}])


def test_a_device_makes_a_key(device: Device, plugged: type[FakeCtap2]) -> None:
    kind: Any = "ed25519-sk" if device.key_type == ED25519 else "ecdsa-sk"
    key = generate_private_key(kind, comment="new")
    assert isinstance(key, SecurityKeyPrivateKey)
    assert (key.public, key.comment, key.key_handle, key.flags) == (device.public, "new", b"id", 1)
    assert plugged.asked == ("ssh:", "openssh", -8 if kind == "ed25519-sk" else -7, None)
    key.public.verify(device.key_type, b"data", key.sign(device.key_type, b"data"))
    strict = enroll(kind, touch_required=False, verification_required=True)
    assert strict.flags == VERIFICATION_REQUIRED
    assert plugged.asked[3] == {"uv": True}


def test_what_a_device_says_is_one_error(device: Device, plugged: type[FakeCtap2]) -> None:
    plugged.fault = "gone\x1b"
    with pytest.raises(UnsupportedKey, match=r"did not sign: gone\\x1b"):
        private_key(device).sign(device.key_type, b"data")
    with pytest.raises(UnsupportedKey, match="made no key: gone"):
        generate_private_key("ecdsa-sk")


def test_without_a_device_nothing_signs(
    device: Device, plugged: type[FakeCtap2], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["fido2.hid"].CtapHidDevice, "list_devices", lambda: iter(()))
    with pytest.raises(UnsupportedKey, match="no security key is plugged in"):
        private_key(device).sign(device.key_type, b"data")
