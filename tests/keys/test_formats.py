"""Every format: told from the bytes alone, read, written, and its faults told apart."""

import os
from pathlib import Path

import pytest
from sshkit_keys import (
    KeyFormatError,
    PassphraseRequired,
    PrivateKey,
    PublicKey,
    SSHKitError,
    UnsupportedKey,
    WrongPassphrase,
    find_public_keys,
    generate_private_key,
    load_public_key,
    parse_private_key,
    parse_public_file,
    parse_public_half,
)
from sshkit_keys.formats import FORMATS, find_format
from sshkit_keys.pem import armour
from sshkit_keys.pkcs8 import LABELS

from tests.keys.seeds import PASSPHRASE, PRIVATE, PUBLIC, private, public

SEALED = [name for name in PRIVATE if "sealed" in name or name[:3] in ("pbe", "dek") or "openssh-" in name]
WRITTEN = [name for name, form in FORMATS.items() if form.write_private]
WRITTEN_PUBLIC = [name for name, form in FORMATS.items() if form.write_public]


def is_sealed(name: str) -> bool:
    try:
        parse_private_key(private(name))
    except PassphraseRequired:
        return True
    return False


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_key_of_the_real_tools_is_read(name: str) -> None:
    key = parse_private_key(private(name), PASSPHRASE)
    again = parse_private_key(key.to_openssh(random_bytes=os.urandom))
    assert again.public == key.public
    if key.public.signature_algorithms:
        algorithm = key.public.signature_algorithms[0]
        again.public.verify(algorithm, b"data", key.sign(algorithm, b"data"))


@pytest.mark.parametrize("name", [name for name in PRIVATE if is_sealed(name)])
def test_an_encrypted_key_tells_a_wrong_passphrase_from_none(name: str) -> None:
    with pytest.raises(PassphraseRequired, match=r"^id: the key is encrypted"):
        parse_private_key(private(name), None, "id")
    with pytest.raises(WrongPassphrase, match=r"^id: wrong passphrase"):
        parse_private_key(private(name), b"Secret", "id")


def test_the_seeds_hold_encrypted_keys_of_every_kind() -> None:
    sealed = [name for name in PRIVATE if is_sealed(name)]
    assert {name.partition("-")[0] for name in sealed} >= {"dek", "pbes1", "pbes2", "der", "openssh", "pem"}
    assert {"putty2-ed25519-sealed", "putty3-rsa-sealed", "pkcs8-rsa-2048-sealed"} < set(sealed)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_key_of_the_real_tools_is_read(name: str) -> None:
    key = parse_public_file(public(name), "id")
    assert parse_public_file(f"{key.to_line()}\n".encode()) == key
    if name.startswith(("line", "jwk", "certificate")):
        assert key.comment == "seed"
    if name.startswith("rfc4716"):
        assert "converted by" in key.comment
    with pytest.raises(SSHKitError, match="id: a public key, where a private key is needed"):
        parse_private_key(public(name), None, "id")


@pytest.mark.parametrize("name", PRIVATE)
def test_the_public_half_of_a_private_key_is_read_if_it_can_be(name: str) -> None:
    whole = parse_private_key(private(name), PASSPHRASE)
    for read in (parse_public_half, parse_public_file):
        try:
            assert read(private(name)) == whole.public
        except PassphraseRequired:
            assert not name.startswith(("putty", "openssh"))


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_survives_each_format_that_is_written(
    key: PrivateKey, form: str, passphrase: bytes | None
) -> None:
    write = FORMATS[form].write_private
    assert write is not None
    if form == "PEM" and key.public.label == "ED25519":
        with pytest.raises(UnsupportedKey, match="no traditional PEM of ssh-ed25519 keys; PKCS#8 holds"):
            write(key, passphrase, os.urandom)
        return
    data = write(key, passphrase, os.urandom)
    assert parse_private_key(data, passphrase).public == key.public
    if passphrase:
        with pytest.raises(PassphraseRequired):
            parse_private_key(data)


@pytest.mark.parametrize("form", WRITTEN_PUBLIC)
def test_a_public_key_survives_each_format_that_is_written(key: PrivateKey, form: str) -> None:
    write = FORMATS[form].write_public
    assert write is not None
    if form == "PEM" and key.public.label != "RSA":
        with pytest.raises(UnsupportedKey, match="PKCS#1 is a format of RSA keys"):
            write(key.public)
        return
    read = parse_public_file(write(key.public))
    assert read == key.public
    assert read.comment == (key.comment if form in ("OpenSSH", "RFC4716") else "")


def test_a_format_is_found_by_its_name() -> None:
    assert find_format("putty") is FORMATS["PUTTY"]
    with pytest.raises(UnsupportedKey, match=r"unknown key format 'a\\x1b'; OpenSSH, RFC4716, PKCS8,"):
        find_format("a\x1b")


@pytest.mark.parametrize("label", LABELS)
def test_r18_a_key_of_many_bytes_is_refused_before_it_is_read(label: str) -> None:
    with pytest.raises(KeyFormatError, match="id: the key has 65537 bytes, at most 65536"):
        parse_private_key(armour(label, bytes(65537)), b"secret", "id")
    with pytest.raises(KeyFormatError, match="id: the key has 65537 bytes, at most 65536"):
        parse_public_file(armour("PUBLIC KEY", bytes(65537)), "id")
    with pytest.raises(KeyFormatError, match="id: line 2: 133336 bytes of base64, at most 131072"):
        parse_private_key(armour(label, bytes(100000)), b"secret", "id")


def test_r18_armour_with_many_headers_is_refused() -> None:
    headers = b"".join(b"a%d: b\n" % number for number in range(20))
    data = b"-----BEGIN PRIVATE KEY-----\n" + headers + b"-----END PRIVATE KEY-----\n"
    with pytest.raises(KeyFormatError, match="id: line 18: more than 16 headers"):
        parse_private_key(data, None, "id")


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (b"", KeyFormatError, "id: no key in this file"),
        (b"# only\n\n  # comments\n", KeyFormatError, "id: no key in this file"),
        (b"\n\nrubbish", KeyFormatError, "id:3: not a public key line"),
        (b"ssh-rsa " + b"A" * 70000, KeyFormatError, "id:1: the line is longer than 65536 bytes"),
        (armour("ANY PUBLIC KEY", b"x"), UnsupportedKey, "id: ANY PUBLIC KEY is not supported"),
        (armour("PUBLIC KEY", b"\x30\x00"), KeyFormatError, "id: the public key is damaged"),
        (armour("PUBLIC KEY", b"\x30"), KeyFormatError, "id: the key is damaged at byte 0: an element"),
        (armour("CERTIFICATE", b"x"), KeyFormatError, "id:1: "),
    ],
)
def test_what_is_no_public_key_is_named(data: bytes, error: type[SSHKitError], cause: str) -> None:
    with pytest.raises(error, match=f"^{cause}"):
        parse_public_file(data, "id")


def test_a_certificate_is_found_among_other_lines(keys: dict[str, PrivateKey]) -> None:
    line = public("certificate").decode()
    damaged = line.replace("AAAA", "AAAB", 1)
    text = f'# {line}\nfrom="a b" {line}\n{damaged}\nno-pty "ssh-rsa x\n{keys["rsa"].public.to_line()}\n'
    found = list(find_public_keys(text.encode(), "file"))
    assert [key.key_type for key in found] == ["ssh-ed25519-cert-v01@openssh.com", "ssh-rsa"]


def test_a_public_key_is_loaded_by_its_format_and_not_by_its_name(
    tmp_path: Path, keys: dict[str, PrivateKey]
) -> None:
    path = tmp_path / "id.txt"
    path.write_bytes(b"\n" + keys["rsa"].public.to_rfc4716())
    assert load_public_key(path) == keys["rsa"].public


@pytest.mark.parametrize("kind", ["mldsa44-ed25519", "ed448"])
def test_a_type_that_only_ssh_knows_is_refused_by_the_formats_of_others(kind: str) -> None:
    key = generate_private_key(kind)  # type: ignore[arg-type]
    public_key: PublicKey = key.public
    if kind == "ed448":
        assert parse_private_key(key.to_pkcs8()).public == public_key
        assert parse_private_key(key.to_putty()).public == public_key
        assert parse_public_file(public_key.to_spki_pem()) == public_key
        return
    for write in (key.to_pkcs8, key.to_pem, key.to_putty, public_key.to_spki_pem, public_key.to_pkcs1_pem):
        with pytest.raises(UnsupportedKey, match="ssh-mldsa44"):
            write()
    assert parse_public_file(public_key.to_rfc4716()) == public_key
