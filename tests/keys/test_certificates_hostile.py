"""Whatever the bytes, certificates, revocation lists and security keys raise our errors and nothing else."""

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sshkit_keys import (
    CERTIFICATE_TYPES,
    KEY_TYPES,
    KeyFileError,
    PrivateKey,
    RevocationList,
    SignatureError,
    SSHKitError,
    format_certificate,
    generate_private_key,
    parse_certificate,
    parse_key_or_certificate,
    parse_validity,
    sign_certificate,
)
from sshkit_keys.certificate_options import matches_address
from sshkit_keys.security_keys import ECDSA, WEBAUTHN
from sshkit_keys.wire import WireReader, string, uint32, uint64

from .test_security_keys import Device

AUTHORITY = generate_private_key("ed25519")
CERTIFICATE = sign_certificate(
    AUTHORITY,
    AUTHORITY.public,
    role="user",
    key_id="id",
    principals=("a", "b"),
    critical_options={"force-command": "ls"},
    extensions={"permit-pty": ""},
    random_bytes=os.urandom,
)
DEVICE = Device(ECDSA)
SIGNATURE = DEVICE.browse(b"data")

#: A change of one place: where, how many bytes go, what comes instead.
EDITS = st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), st.binary(max_size=8))
MANY = settings(max_examples=200, deadline=None)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, gone, new in edits:
        place %= len(data) + 1
        data = data[:place] + new + data[place + gone :]
    return data


def refused_or_read(read: Callable[[], object], *errors: type[SSHKitError]) -> None:
    try:
        read()
    except errors:
        pass


@MANY
@given(st.sampled_from([*CERTIFICATE_TYPES, *KEY_TYPES, ""]), st.binary(max_size=600))
def test_r18_any_bytes_after_a_type_are_read_or_refused(name: str, rest: bytes) -> None:
    refused_or_read(lambda: parse_key_or_certificate(string(name) + rest), KeyFileError)


@MANY
@given(st.lists(EDITS, min_size=1, max_size=3))
def test_r7_no_edit_of_a_certificate_is_believed(edits: list[tuple[int, int, bytes]]) -> None:
    data = edited(CERTIFICATE.blob, edits)
    if data != CERTIFICATE.blob:
        with pytest.raises(KeyFileError):
            parse_certificate(data)


@MANY
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=40))
def test_r18_whatever_an_authority_signs_is_shown_or_refused(
    principals: bytes, critical: bytes, extensions: bytes, key_id: bytes
) -> None:
    reader = WireReader(CERTIFICATE.blob)
    for _ in range(3):
        reader.view()
    data = b"".join(
        (
            CERTIFICATE.blob[: reader.position],
            uint64(1),
            uint32(1),
            string(key_id),
            string(principals),
            uint64(0),
            uint64(9),
            string(critical),
            string(extensions),
            string(b""),
            string(AUTHORITY.public.blob),
        )
    )
    blob = data + string(AUTHORITY.sign("ssh-ed25519", data))
    refused_or_read(lambda: format_certificate(parse_certificate(blob)), KeyFileError)


@MANY
@given(st.lists(EDITS, max_size=4))
def test_r18_any_edit_of_a_revocation_list_is_read_or_refused(edits: list[tuple[int, int, bytes]]) -> None:
    revoked = RevocationList()
    revoked.revoke_serials(None, 5)
    for serial in range(100, 200, 3):
        revoked.revoke_serials(AUTHORITY.public, serial)
    revoked.revoke_key_id(AUTHORITY.public, "id")
    revoked.revoke_hash(AUTHORITY.public)
    data = edited(revoked.to_bytes(generated=1), edits)

    def use() -> None:
        read = RevocationList.parse(data)
        RevocationList.parse(read.to_bytes(generated=1))
        assert list(read.lines())
        read.check(CERTIFICATE)

    refused_or_read(use, KeyFileError)


@MANY
@given(st.binary(max_size=300))
def test_r18_any_revocation_list_and_specification_is_read_or_refused(data: bytes) -> None:
    refused_or_read(lambda: RevocationList.parse(data), KeyFileError)
    refused_or_read(lambda: RevocationList.parse(b"SSHKRL\n\0" + uint32(1) + bytes(32) + data), KeyFileError)
    refused_or_read(lambda: RevocationList().update(data, AUTHORITY.public), KeyFileError)


@MANY
@given(st.lists(EDITS, min_size=1, max_size=2))
def test_r6_no_edit_of_a_browsers_signature_is_believed(edits: list[tuple[int, int, bytes]]) -> None:
    data = edited(SIGNATURE, edits)
    if data != SIGNATURE:
        with pytest.raises(SignatureError):
            DEVICE.public.verify(WEBAUTHN, b"data", data)


@MANY
@given(st.text(max_size=40) | st.from_regex(r"[-+]?[0-9a-z]{0,16}:[-+]?[0-9a-z]{0,16}", fullmatch=True))
def test_any_validity_and_address_list_is_read_or_refused(text: str) -> None:
    refused_or_read(lambda: parse_validity(text, 1_700_000_000), KeyFileError)
    refused_or_read(lambda: matches_address(text, text), KeyFileError)


@pytest.mark.parametrize("kind", ["ed448", "mldsa44-ed25519"])
def test_r43_nothing_secret_is_in_the_repr_of_a_key(kind: str) -> None:
    key: PrivateKey = generate_private_key(kind)  # type: ignore[arg-type]
    assert repr(key) == f"<{type(key).__name__} {key.public.key_type} {key.public.fingerprint()}>"
    with pytest.raises(TypeError, match="not pickled"):
        key.__reduce__()
