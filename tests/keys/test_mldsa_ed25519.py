"""Composite keys of ML-DSA-44 and Ed25519, against the published vector."""

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest
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
)
from sshkit_keys.mldsa_ed25519 import MLDSAEd25519PrivateKey, MLDSAEd25519PublicKey, representative
from sshkit_keys.wire import WireReader, string

NAME = "ssh-mldsa44-ed25519@openssh.com"
VECTOR = json.loads((Path(__file__).parent / "vectors" / "mldsa44_ed25519.json").read_text())


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate_private_key("mldsa44-ed25519", comment="at home")


def test_the_published_signature_verifies() -> None:
    public = parse_public_key(string(NAME) + string(b64decode("".join(VECTOR["pk"]))))
    signature = b64decode("".join(VECTOR["s"]))
    blob = string(NAME) + string(signature)
    public.verify(NAME, b64decode(VECTOR["m"]), blob)
    public.verify(NAME, b64decode(VECTOR["m"]), blob)


def test_the_published_seeds_make_the_published_key() -> None:
    key = MLDSAEd25519PrivateKey.from_seeds(b64decode(VECTOR["sk"]))
    assert key.public.blob == string(NAME) + string(b64decode("".join(VECTOR["pk"])))


@pytest.mark.parametrize("position", [0, 2419, 2420, 2483])
def test_r6_both_halves_of_a_signature_must_verify(position: int) -> None:
    public = parse_public_key(string(NAME) + string(b64decode("".join(VECTOR["pk"]))))
    signature = bytearray(b64decode("".join(VECTOR["s"])))
    signature[position] ^= 1
    with pytest.raises(SignatureError, match="the composite signature does not verify"):
        public.verify(NAME, b64decode(VECTOR["m"]), string(NAME) + string(signature))


def test_what_is_signed_binds_prefix_label_context_and_hash() -> None:
    signed = representative(b"data", b"ctx")
    assert signed.startswith(b"CompositeAlgorithmSignatures2025COMPSIG-MLDSA44-Ed25519-SHA512\x03ctx")
    assert len(signed) == 32 + 30 + 1 + 3 + 64


def test_a_composite_key_signs_and_verifies(key: PrivateKey) -> None:
    public = parse_public_line(key.public.to_line())
    assert isinstance(public, MLDSAEd25519PublicKey)
    assert (public.bits, public.label, public.comment) == (256, "MLDSA44-ED25519", "at home")
    assert public.signature_algorithms == KEY_TYPES[NAME].signature_algorithms == (NAME,)
    signature = key.sign(NAME, b"data")
    public.verify(NAME, b"data", signature)
    with pytest.raises(SignatureError, match="does not verify"):
        public.verify(NAME, b"Data", signature)
    with pytest.raises(UnsupportedKey, match="cannot sign with 'ssh-ed25519'"):
        key.sign("ssh-ed25519", b"data")


def test_half_of_a_composite_signature_is_none_of_either_key(key: PrivateKey) -> None:
    assert isinstance(key, MLDSAEd25519PrivateKey)
    curve = parse_public_key(string("ssh-ed25519") + string(key.public.blob[-32:]))
    half = key.sign(NAME, b"data")[-64:]
    with pytest.raises(SignatureError, match="does not verify"):
        curve.verify("ssh-ed25519", b"data", string("ssh-ed25519") + string(half))


def test_the_private_form_is_the_two_seeds(key: PrivateKey) -> None:
    read = parse_private_key(key.to_openssh(b"secret", 1, random_bytes=os.urandom), b"secret")
    assert isinstance(read, MLDSAEd25519PrivateKey)
    assert (read.public, read.comment) == (key.public, "at home")
    reader = WireReader(key._private_fields())
    assert (len(reader.view()), len(reader.view())) == (1344, 64)
    reader.finish()


def test_sizes_and_pairs_that_cannot_be_are_refused(key: PrivateKey) -> None:
    with pytest.raises(KeyFormatError, match="has 1344 bytes, not 1343"):
        parse_public_key(string(NAME) + string(bytes(1343)))
    with pytest.raises(SignatureError, match="has 2484 bytes, not 64"):
        key.public.verify(NAME, b"", string(NAME) + string(bytes(64)))
    with pytest.raises(KeyFormatError, match="the composite seeds have 63 bytes"):
        MLDSAEd25519PrivateKey.read(NAME, WireReader(string(b"") + string(bytes(63))))
    with pytest.raises(KeyFormatError, match="does not belong to the private half"):
        MLDSAEd25519PrivateKey.read(NAME, WireReader(string(bytes(1344)) + string(bytes(64))))


def test_a_composite_key_has_no_other_format(key: PrivateKey) -> None:
    with pytest.raises(UnsupportedKey):
        key.to_pkcs8()
    with pytest.raises(UnsupportedKey, match="OpenSSH's own format only"):
        key._handle()
    assert MLDSAEd25519PrivateKey.from_cryptography(object()) is None
