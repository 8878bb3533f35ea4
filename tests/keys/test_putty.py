"""PuTTY's files: what puttygen would write, and every way in which they can be wrong."""

import os
import re
from collections.abc import Callable

import pytest
from sshkit_keys import (
    KeyFormatError,
    PrivateKey,
    SSHKitError,
    UnsupportedKey,
    WrongPassphrase,
    parse_private_key,
    parse_public_half,
)
from sshkit_keys.putty import read_putty
from sshkit_keys.putty_fields import read_private
from sshkit_keys.putty_secrets import Derivation, derive
from sshkit_keys.wire import mpint, string

from tests.keys.seeds import PRIVATE, private

PLAIN = [
    name for name in PRIVATE if name.startswith("putty") and name.endswith("plain") and "dsa-" not in name
]


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_is_written_as_puttygen_does(name: str) -> None:
    data = private(name)
    assert parse_private_key(data).to_putty(version=int(name[5])) == data


@pytest.mark.parametrize("version", [2, 3])
def test_an_encrypted_file_opens_with_its_passphrase_only(keys: dict[str, PrivateKey], version: int) -> None:
    data = keys["ed25519"].to_putty(b"secret", version, random_bytes=os.urandom)
    key = parse_private_key(data, b"secret")
    assert key.public == keys["ed25519"].public
    assert key.comment == keys["ed25519"].comment
    assert parse_public_half(data).comment == key.comment
    for wrong in (b"Secret", b""):
        with pytest.raises(WrongPassphrase):
            parse_private_key(data, wrong)
    assert (
        keys["ed25519"]
        .to_putty(b"secret", version, random_bytes=bytes)
        .startswith(b"PuTTY-User-Key-File-%d: ssh-ed25519\nEncryption: aes256-cbc\n" % version)
    )


def test_what_is_not_written_is_refused(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(UnsupportedKey, match="version 1 is not written"):
        keys["ed25519"].to_putty(version=1)
    with pytest.raises(UnsupportedKey, match="needs a source of randomness"):
        keys["ed25519"].to_putty(b"secret")
    with pytest.raises(UnsupportedKey, match="ssh-dss keys are not written"):
        parse_private_key(private("pem-dsa")).to_putty()


def test_windows_line_ends_change_nothing() -> None:
    data = private("putty3-ed25519-plain")
    assert parse_private_key(data.replace(b"\n", b"\r\n")).public == parse_private_key(data).public


def swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        changed = re.sub(old, new, data, count=1)
        assert changed != data
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "error", "cause"),
    [
        (swap(b"File-3", b"File-1"), UnsupportedKey, "id: PuTTY's format of version 1"),
        (swap(b"File-3", b"File-4"), UnsupportedKey, "id: PuTTY's format of version '4'"),
        (swap(b"Encryption: aes256-cbc", b"Encryption: rot13"), UnsupportedKey, "id:2: encryption 'rot13'"),
        (swap(b"Comment", b"Remark"), KeyFormatError, "id:3: 'Remark' stands where Comment should"),
        (swap(b"Public-Lines: 2", b"Public-Lines"), KeyFormatError, "id:4: 'Public-Lines' stands"),
        (swap(b"Public-Lines: 2", b"Public-Lines: x"), KeyFormatError, "id:4: Public-Lines is no number"),
        (swap(b"Public-Lines: 2", b"Public-Lines: 9999"), KeyFormatError, "id:4: Public-Lines says 9999"),
        (swap(b"Public-Lines: 2", b"Public-Lines: 99"), KeyFormatError, "id:15: the file ends too early"),
        (swap(b"\nAAAA", b"\n!AAA"), KeyFormatError, "id:6: the 2 lines before are not base64"),
        (
            swap(b": ssh-ed25519", b": ssh-rsa"),
            KeyFormatError,
            "id: the ssh-ed25519 key is declared as 'ssh-rsa'",
        ),
        (swap(b"Argon2id", b"Argon3"), UnsupportedKey, "id: key derivation 'Argon3'"),
        (swap(b"Salt: ..", b"Salt: xx"), KeyFormatError, "id:11: Argon2-Salt is not hexadecimal"),
        (swap(b"Salt: .*", b"Salt: 00"), KeyFormatError, "id: 1 bytes of salt"),
        (swap(b"Passes: 1", b"Passes: 0"), KeyFormatError, "id: the parameters of Argon2"),
        (swap(b"Memory: 64", b"Memory: 7"), KeyFormatError, "id: the parameters of Argon2"),
        (swap(b"Private-MAC: ....", b"Private-MAC: 0000"), WrongPassphrase, "id: wrong passphrase"),
        (swap(b"Comment: seed", b"Comment: seen"), WrongPassphrase, "id: wrong passphrase"),
        (lambda data: data + b"x", KeyFormatError, "id:15: text after the end of the key"),
        (lambda data: data + b"x" * 5000, KeyFormatError, "id:15: text after the end of the key"),
        (
            swap(b"Comment: seed", b"Comment: " + b"x" * 5000),
            KeyFormatError,
            "id:3: a line of more than 4096",
        ),
        (
            swap(b"Private-Lines: 1\n.*", b"Private-Lines: 1\nAAAA"),
            KeyFormatError,
            "id:13: 3 encrypted bytes",
        ),
    ],
)
def test_a_damaged_file_names_what_is_wrong(
    change: Callable[[bytes], bytes], error: type[SSHKitError], cause: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(cause)}"):
        parse_private_key(change(private("putty3-ed25519-sealed")), b"secret", "id")


@pytest.mark.parametrize(
    ("memory", "passes", "parallelism", "cause"),
    [
        (262145, 1, 1, "1 passes over 262145 KiB; at most 262144 KiB, and 8388608 in all passes"),
        (8192, 1025, 1, "1025 passes over 8192 KiB"),
        (999999999, 999999999, 999999999, "999999999 passes over 999999999 KiB"),
        (8192, 1, 17, "17 lanes, at most 16"),
    ],
)
def test_r22_a_derivation_that_costs_too_much_is_refused_before_it_runs(
    memory: int, passes: int, parallelism: int, cause: str
) -> None:
    data = private("putty3-ed25519-sealed")
    for name, value in (("Memory", memory), ("Passes", passes), ("Parallelism", parallelism)):
        data = re.sub(rb"Argon2-%s: \d+" % name.encode(), b"Argon2-%s: %d" % (name.encode(), value), data)
    with pytest.raises(UnsupportedKey, match=f"^id: a key derivation of {cause}"):
        parse_private_key(data, b"secret", "id")


@pytest.mark.parametrize("flavour", [b"Argon2id", b"Argon2i", b"Argon2d"])
def test_each_flavour_of_argon2_derives_other_secrets(flavour: bytes) -> None:
    derived = derive(3, b"secret", Derivation(flavour, 64, 1, 1, bytes(16)))
    other = derive(3, b"secret", Derivation.default(bytes(16)))
    assert len(derived.cipher_key) == len(derived.mac_key) == 32
    assert derived.cipher_key != other.cipher_key


def rebuilt(key: PrivateKey, plain: bytes) -> bytes:
    """Return a plain file whose private half is `plain`, under a right MAC."""
    from binascii import b2a_base64

    name = key.public.key_type
    fields = (name, "none", "me", key.public.blob, plain)
    mac = derive(3, None, None).mac(b"".join(string(field) for field in fields)).hex()
    bodies = [b2a_base64(body, newline=False).decode() for body in (key.public.blob, plain)]
    return (
        f"PuTTY-User-Key-File-3: {name}\nEncryption: none\nComment: me\nPublic-Lines: 1\n{bodies[0]}\n"
        f"Private-Lines: 1\n{bodies[1]}\nPrivate-MAC: {mac}\n"
    ).encode()


@pytest.mark.parametrize(
    ("name", "plain", "cause"),
    [
        ("ed25519", b"", "length of seed: 4 bytes wanted"),
        ("ed25519", string(bytes(33)), "a seed of 33 bytes, expected 32"),
        ("ed25519", string(bytes(32)), "two halves are different keys"),
        ("ed25519", string(bytes(32)) + bytes(16), "16 bytes follow its numbers"),
        ("ecdsa256", mpint(0), "outside of its range"),
        ("ecdsa256", mpint(1), "does not belong"),
        ("rsa", mpint(3) * 4, "primes do not belong"),
    ],
)
def test_a_private_half_that_cannot_be_is_refused(
    keys: dict[str, PrivateKey], name: str, plain: bytes, cause: str
) -> None:
    with pytest.raises(KeyFormatError, match=f"^id: the private key is damaged: .*{cause}"):
        parse_private_key(rebuilt(keys[name], plain), None, "id")


def test_a_plain_file_with_a_wrong_mac_is_damaged() -> None:
    data = swap(b"Private-MAC: ....", b"Private-MAC: 0000")(private("putty3-ed25519-plain"))
    with pytest.raises(KeyFormatError, match="id: the private key is damaged: its MAC does not match"):
        parse_private_key(data, None, "id")


def test_dsa_numbers_that_do_not_belong_together_are_refused() -> None:
    key = parse_private_key(private("putty3-dsa-plain"))
    with pytest.raises(KeyFormatError, match="id: the private key is damaged: its numbers are no DSA key"):
        parse_private_key(rebuilt(key, mpint(3)), None, "id")


def test_a_seed_without_its_last_zeros_is_whole(keys: dict[str, PrivateKey]) -> None:
    """The number is written with its lowest byte first, and as short as it is."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from sshkit_keys.ed25519 import Ed25519PrivateKey as Ours

    key = Ours(Ed25519PrivateKey.from_private_bytes(b"\x01" * 30 + bytes(2)))
    assert read_private(key.public, string(b"\x01" * 30)).public == key.public


def test_a_type_without_a_form_in_puttys_files_is_unsupported() -> None:
    from sshkit_keys import generate_private_key

    key = generate_private_key("mldsa44-ed25519")
    with pytest.raises(UnsupportedKey, match=r"ssh-mldsa44.* keys in PuTTY's format"):
        read_private(key.public, b"")


def test_r43_nothing_of_a_file_shows_its_secrets() -> None:
    file = read_putty(private("putty3-ed25519-plain"))
    assert repr(file) == "<PuttyFile ssh-ed25519>"
    assert repr(derive(2, b"secret", None)) == "<Secrets>"
