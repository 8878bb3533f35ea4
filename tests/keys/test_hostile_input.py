"""No bytes, however made, raise anything but our own errors out of a decoder; no prefix passes for whole."""

import os
from binascii import b2a_base64
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sshkit_keys import (
    KEY_TYPES,
    PrivateKey,
    SignatureError,
    SSHKitError,
    find_public_keys,
    parse_private_key,
    parse_public_half,
    parse_public_key,
    parse_public_line,
)
from sshkit_keys.openssh_format import LABEL
from sshkit_keys.pem import armour, find_private
from sshkit_keys.pkcs8 import LABELS
from sshkit_keys.wire import WireReader, mpint, string

TYPE_NAMES = st.sampled_from([*KEY_TYPES, "ssh-dss", "", "é"])
FIELDS = st.lists(
    st.binary(max_size=80).map(string) | st.integers(-(2**300), 2**300).map(mpint) | st.binary(max_size=3),
    max_size=7,
).map(b"".join)


def refused_or_read(decode: Callable[[], object]) -> None:
    shown = ""
    try:
        decode()
    except SSHKitError as error:
        shown = str(error)
    assert shown.isprintable()


def test_every_prefix_of_a_public_key_is_refused(key: PrivateKey) -> None:
    for size in range(len(key.public.blob)):
        with pytest.raises(SSHKitError):
            parse_public_key(key.public.blob[:size])


def test_every_prefix_of_a_signature_is_refused(key: PrivateKey) -> None:
    algorithm = key.public.signature_algorithms[0]
    signature = key.sign(algorithm, b"data")
    for size in range(len(signature)):
        with pytest.raises(SignatureError):
            key.public.verify(algorithm, b"data", signature[:size])


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_every_prefix_of_a_private_key_is_refused(key: PrivateKey, passphrase: bytes | None) -> None:
    """The armour is whole here, so that the prefix reaches the decoder."""
    body = find_private(key.to_openssh(passphrase, 1, random_bytes=os.urandom)).body
    for size in range(0, len(body), 1 if passphrase is None else 7):
        with pytest.raises(SSHKitError):
            parse_private_key(armour(LABEL, body[:size]), passphrase)
    body = find_private(key.to_pkcs8()).body
    for size in range(len(body)):
        with pytest.raises(SSHKitError):
            parse_private_key(armour("PRIVATE KEY", body[:size]))


def test_every_prefix_of_a_private_key_file_is_refused(keys: dict[str, PrivateKey]) -> None:
    data = keys["ed25519"].to_openssh(random_bytes=os.urandom).rstrip()
    for size in range(len(data)):
        with pytest.raises(SSHKitError):
            parse_private_key(data[:size])


def test_every_flipped_bit_of_a_plain_private_key_is_refused_or_in_its_comment(
    keys: dict[str, PrivateKey],
) -> None:
    key = keys["ed25519"]
    body = bytearray(find_private(key.to_openssh(random_bytes=os.urandom)).body)
    for position in range(len(body)):
        body[position] ^= 0x10
        try:
            read = parse_private_key(armour(LABEL, bytes(body)))
        except SSHKitError:
            pass
        else:
            assert read.public == key.public
            assert read.comment != key.comment
        body[position] ^= 0x10


@given(TYPE_NAMES, FIELDS)
def test_arbitrary_fields_are_no_fault_of_the_public_key_decoder(name: str, fields: bytes) -> None:
    blob = string(name) + fields
    refused_or_read(lambda: parse_public_key(blob))
    refused_or_read(lambda: parse_public_line(f"{name} {b2a_base64(blob, newline=False).decode()}"))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_fault_of_any_decoder(data: bytes) -> None:
    refused_or_read(lambda: parse_public_key(data))
    refused_or_read(lambda: parse_public_line(data.decode("latin-1")))
    refused_or_read(lambda: parse_private_key(data))
    refused_or_read(lambda: list(find_public_keys(data)))


@given(st.sampled_from([*LABELS, LABEL, "DSA PRIVATE KEY"]), st.binary(max_size=200))
@example("OPENSSH PRIVATE KEY", b"openssh-key-v1\0")
def test_arbitrary_bodies_are_no_fault_of_the_private_key_decoder(label: str, body: bytes) -> None:
    data = armour(label, body)
    refused_or_read(lambda: parse_private_key(data, b"secret"))
    refused_or_read(lambda: parse_public_half(data))


@given(TYPE_NAMES, FIELDS)
def test_arbitrary_private_fields_are_no_fault_of_the_decoder(name: str, fields: bytes) -> None:
    if name in KEY_TYPES:
        refused_or_read(lambda: KEY_TYPES[name].private.read(name, WireReader(fields)))


@settings(max_examples=50)
@given(data=st.data())
def test_arbitrary_damage_to_an_encrypted_file_is_no_fault_of_the_decoder(
    keys: dict[str, PrivateKey], data: st.DataObject
) -> None:
    pems = [
        keys["ecdsa256"].to_openssh(b"secret", 1, random_bytes=bytes),
        keys["ecdsa256"].to_pkcs8(b"secret"),
    ]
    block = find_private(data.draw(st.sampled_from(pems)))
    body = bytearray(block.body)
    # Behind the head, so that the rounds are what they were and the test is quick.
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(120, len(body) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(lambda: parse_private_key(armour(block.label, bytes(body)), b"secret"))


@given(st.sampled_from(["ed25519", "ecdsa256", "ecdsa521", "rsa"]), FIELDS, st.booleans())
def test_r6_arbitrary_signatures_are_refused_by_every_key(
    keys: dict[str, PrivateKey], name: str, fields: bytes, wrapped: bool
) -> None:
    public = keys[name].public
    algorithm = public.signature_algorithms[0]
    with pytest.raises(SignatureError):
        public.verify(algorithm, b"data", string(algorithm) + (string(fields) if wrapped else fields))
