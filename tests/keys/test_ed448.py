"""Ed448 keys: read, written, signed with; and what KEY_TYPES loads."""

import os
import subprocess
import sys

import asyncssh
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
from sshkit_keys.ed448 import Ed448PrivateKey, Ed448PublicKey
from sshkit_keys.key_types import wrap_private_key
from sshkit_keys.wire import WireReader, string

# The order of the group (RFC 8032 section 5.2).
L = 2**446 - 13818066809895115352007386748515426880336692474882178609894547503885


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate_private_key("ed448", comment="at home")


def test_an_ed448_key_signs_and_verifies(key: PrivateKey) -> None:
    public = parse_public_line(key.public.to_line())
    assert (public, public.bits, public.label, public.comment) == (key.public, 456, "ED448", "at home")
    assert public.signature_algorithms == KEY_TYPES["ssh-ed448"].signature_algorithms == ("ssh-ed448",)
    signature = key.sign("ssh-ed448", b"data")
    public.verify("ssh-ed448", b"data", signature)
    public.verify("ssh-ed448", b"data", signature)
    with pytest.raises(SignatureError, match="does not verify"):
        public.verify("ssh-ed448", b"Data", signature)
    with pytest.raises(UnsupportedKey, match="cannot sign with 'ssh-ed25519'"):
        key.sign("ssh-ed25519", b"data")


def test_r6_an_ed448_s_that_is_not_below_the_order_is_refused(key: PrivateKey) -> None:
    inner = key.sign("ssh-ed448", b"data")[-114:]
    s = int.from_bytes(inner[57:], "little")
    malleated = inner[:57] + (s + L).to_bytes(57, "little")
    with pytest.raises(SignatureError, match="does not verify"):
        key.public.verify("ssh-ed448", b"data", string("ssh-ed448") + string(malleated))


def test_the_first_vector_of_the_rfc_verifies() -> None:
    # RFC 8032 section 7.4, "Blank".
    raw = bytes.fromhex(
        "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778"
        "edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180"
    )
    signature = bytes.fromhex(
        "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281"
        "f2fd7a22ddd47d7828c59bd0a21bfd3980ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b41"
        "04852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e652600"
    )
    public = parse_public_key(string("ssh-ed448") + string(raw))
    public.verify("ssh-ed448", b"", string("ssh-ed448") + string(signature))


def test_sizes_that_cannot_be_are_refused(key: PrivateKey) -> None:
    with pytest.raises(KeyFormatError, match="has 57 bytes, not 56"):
        parse_public_key(string("ssh-ed448") + string(bytes(56)))
    with pytest.raises(SignatureError, match="has 114 bytes, not 113"):
        key.public.verify("ssh-ed448", b"", string("ssh-ed448") + string(bytes(113)))
    with pytest.raises(KeyFormatError, match="an ed448 pair of 1 and 2 bytes"):
        Ed448PrivateKey.read("ssh-ed448", WireReader(string(b"1") + string(b"22")))
    fields = key._private_fields()
    with pytest.raises(KeyFormatError, match="does not belong to the private half"):
        Ed448PrivateKey.read("ssh-ed448", WireReader(fields[:-1] + bytes((fields[-1] ^ 1,))))


def test_an_ed448_key_survives_both_formats(key: PrivateKey) -> None:
    for data in (key.to_openssh(random_bytes=os.urandom), key.to_pkcs8(), key.to_pkcs8(b"secret")):
        read = parse_private_key(data, b"secret")
        assert isinstance(read, Ed448PrivateKey)
        assert isinstance(read.public, Ed448PublicKey)
        assert read.public == key.public
    assert wrap_private_key(key._handle()).public == key.public
    assert Ed448PrivateKey.from_cryptography(object()) is None


def test_asyncssh_reads_an_ed448_key_of_ours_and_we_its_own(key: PrivateKey) -> None:
    theirs = asyncssh.import_private_key(key.to_openssh(random_bytes=os.urandom))
    assert theirs.public_data == key.public.blob
    assert parse_private_key(theirs.export_private_key("openssh")).public == key.public
    key.public.verify("ssh-ed448", b"data", theirs.sign(b"data", b"ssh-ed448"))


def test_looking_up_a_key_type_loads_no_key_type() -> None:
    check = (
        "import sys, sshkit_keys.key_types as t; assert 'ssh-dss' in t.KEY_TYPES;"
        "t.KEY_TYPES['ssh-rsa'].signature_algorithms;"
        "names = ('rsa', 'dsa', 'ecdsa', 'ed25519', 'ed448', 'security_keys', 'mldsa_ed25519', 'key');"
        "print([n for n in names if 'sshkit_keys.' + n in sys.modules]);"
        "t.KEY_TYPES['ssh-ed448'].public;"
        "print([n for n in names if 'sshkit_keys.' + n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['ed448', 'key']"]


@pytest.mark.parametrize("name", list(KEY_TYPES))
def test_the_table_tells_what_the_keys_of_a_type_say(name: str) -> None:
    kind = KEY_TYPES[name]
    assert kind.public is kind.public
    assert kind.public.__module__ == kind.private.__module__
    assert kind.fields in (1, 2, 3, 4)


@pytest.mark.parametrize("kind", ["ed448", "mldsa44-ed25519", "ed25519-sk", "ecdsa-sk"])
def test_a_type_of_one_size_is_made_in_no_other(kind: str) -> None:
    with pytest.raises(UnsupportedKey, match=f"no {kind} key has 100 bits"):
        generate_private_key(kind, 100)  # type: ignore[arg-type]
