"""SSHSIG: signatures of files, ours judged by the real ssh-keygen and its by us."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import (
    KeyFormatError,
    PrivateKey,
    SignatureError,
    SSHKitError,
    UnsupportedKey,
    generate_private_key,
)
from sshkit_keys.certificate_signing import sign_certificate
from sshkit_keys.certificates import Certificate
from sshkit_keys.key_files import write_private_key
from sshkit_keys.signatures import (
    Signature,
    describe,
    hash_message,
    parse_signature,
    plain_key,
    sign_message,
    to_be_signed,
)
from sshkit_keys.wire import string, uint32

MESSAGE = b"to whom it may concern\n"


def certify(key: PrivateKey, **limits: object) -> Certificate:
    authority = generate_private_key("ed25519")
    return sign_certificate(
        authority,
        key.public,
        role="user",
        key_id="id",
        principals=("alice",),
        random_bytes=os.urandom,
        **limits,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_signature_comes_back_and_holds(key: PrivateKey, hash_name: str) -> None:
    made = sign_message(key, MESSAGE, "file", hash_name)
    for data in (made.to_armour(), made.to_bytes(), b"\n " + made.to_armour().replace(b"\n", b"\r\n")):
        read = parse_signature(data, "m.sig")
        assert read == made
        read.verify(hash_message(MESSAGE, hash_name), "file")
    assert made.public == key.public
    assert all(len(line) <= 70 for line in made.to_armour().splitlines())
    assert describe(made, "alice") == (
        f'Good "file" signature for alice with {key.public.label} key {key.public.fingerprint()}'
    )


def test_a_message_may_come_in_pieces(keys: dict[str, PrivateKey]) -> None:
    made = sign_message(keys["ed25519"], iter([MESSAGE[:5], MESSAGE[5:]]), "file")
    made.verify(hash_message(MESSAGE), "file")


def test_r06_every_field_is_covered(key: PrivateKey, keys: dict[str, PrivateKey]) -> None:
    made = sign_message(key, MESSAGE, "file")
    digest = hash_message(MESSAGE)
    other = keys["ed25519" if key.public.label != "ED25519" else "rsa"]
    with pytest.raises(SignatureError, match="is for the namespace 'file', not for 'git'"):
        made.verify(digest, "git")
    for wrong in (
        made._replace(public=other.public),
        made._replace(namespace="git"),
        made._replace(blob=made.blob[:-1] + bytes((made.blob[-1] ^ 1,))),
        made._replace(blob=b""),
    ):
        with pytest.raises(SignatureError):
            wrong.verify(digest, wrong.namespace)
    with pytest.raises(SignatureError, match="does not verify"):
        made.verify(hash_message(MESSAGE + b"x"), "file")
    with pytest.raises(SignatureError, match="a sha256 hash has 32 bytes, not 64"):
        made._replace(hash_name="sha256").verify(digest, "file")


def test_a_certificate_may_stand_for_its_key(keys: dict[str, PrivateKey]) -> None:
    for name in ("ed25519", "rsa"):
        certificate = certify(keys[name])
        made = sign_message(keys[name], MESSAGE, "file", certificate=certificate)
        read = parse_signature(made.to_armour())
        assert isinstance(read.public, Certificate)
        assert plain_key(read.public) == keys[name].public
        read.verify(hash_message(MESSAGE), "file")
        assert "-CERT key SHA256:" in describe(read, "alice")
    with pytest.raises(SignatureError, match="the certificate is about another key"):
        sign_message(keys["ecdsa256"], MESSAGE, "file", certificate=certificate)


def test_a_signature_needs_a_namespace_and_a_known_hash(keys: dict[str, PrivateKey]) -> None:
    key = keys["ed25519"]
    with pytest.raises(SignatureError, match="needs a namespace"):
        sign_message(key, MESSAGE, "")
    with pytest.raises(UnsupportedKey, match="hash 'md5' is not used here"):
        sign_message(key, MESSAGE, "file", "md5")
    with pytest.raises(UnsupportedKey, match="hash 'sha1' is not used here"):
        to_be_signed(b"", "file", "sha1")


def _with(made: Signature, **fields: bytes) -> bytes:
    parts = {
        "version": uint32(1),
        "key": string(made.public.blob),
        "namespace": string("file"),
        "reserved": string(""),
        "hash": string("sha512"),
        "signature": string(made.blob),
        **fields,
    }
    return b"SSHSIG" + b"".join(parts.values())


def test_what_is_damaged_or_of_the_future_is_named(keys: dict[str, PrivateKey]) -> None:
    made = sign_message(keys["ed25519"], MESSAGE, "file")
    assert parse_signature(_with(made)) == parse_signature(_with(made, reserved=string("later"))) == made
    cases: list[tuple[bytes, type[SSHKitError], str]] = [
        (b"", KeyFormatError, "m.sig: not a signature"),
        (b"nonsense", KeyFormatError, "m.sig: not a signature"),
        (made.to_armour()[:-20], KeyFormatError, "m.sig: the signature is cut off"),
        (made.to_armour().replace(b"U1NI", b"U1N*"), KeyFormatError, "m.sig: the signature is not base64"),
        (made.to_armour().replace(b"U1NI", b"AAAA"), KeyFormatError, "does not start with SSHSIG"),
        (made.to_bytes() + b"x", KeyFormatError, "m.sig: the signature is damaged"),
        (made.to_bytes()[:50], KeyFormatError, "m.sig: the signature is damaged"),
        (_with(made, version=uint32(2)), UnsupportedKey, "m.sig: a signature of version 2"),
        (_with(made, namespace=string("")), KeyFormatError, "m.sig: the signature is damaged: it has no"),
        (_with(made, hash=string("md5")), UnsupportedKey, "m.sig: hash 'md5'"),
        (_with(made, key=string(string("ssh-x"))), UnsupportedKey, "m.sig: key type 'ssh-x'"),
        (_with(made, signature=bytes(4)) * 9999, KeyFormatError, "bytes, at most 262144"),
    ]
    for data, error, text in cases:
        with pytest.raises(error, match=text):
            parse_signature(data, "m.sig")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    for text in (data, b"SSHSIG\0\0\0\1" + data):
        with pytest.raises(SSHKitError):
            parse_signature(text)


@pytest.mark.peer("ssh-keygen")
def test_the_real_tool_takes_ours_and_we_its_own(key: PrivateKey, tmp_path: Path) -> None:
    def keygen(action: str, *arguments: str | Path) -> str:
        command = ["ssh-keygen", "-Y", action, "-n", "file", *arguments]
        return subprocess.run(command, check=True, input=MESSAGE, capture_output=True).stdout.decode()

    message, signature, private = tmp_path / "m", tmp_path / "m.sig", tmp_path / "key"
    made = sign_message(key, MESSAGE, "file")
    signature.write_bytes(made.to_armour())
    (tmp_path / "allowed").write_text(f"alice {key.public.to_line()}\n")
    shown = keygen("verify", "-f", tmp_path / "allowed", "-I", "alice", "-s", signature)
    assert shown == describe(made, "alice") + "\n"
    signature.unlink()
    message.write_bytes(MESSAGE)
    write_private_key(private, key.to_openssh(random_bytes=os.urandom))
    keygen("sign", "-f", private, message)
    parse_signature(signature.read_bytes()).verify(hash_message(MESSAGE), "file")
