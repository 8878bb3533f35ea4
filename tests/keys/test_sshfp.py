"""SSHFP records: what a zone file says of a host key."""

import subprocess
from pathlib import Path

import pytest
from sshkit_keys import PrivateKey, TrustFileError, UnsupportedKey, generate_private_key
from sshkit_keys.fingerprints import bubble_babble
from sshkit_keys.sshfp import SSHFPRecord, parse_sshfp, sshfp_records


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa256", "ecdsa521", "rsa"])
def test_records_and_words_are_those_of_the_real_tool(
    kind: str, keys: dict[str, PrivateKey], tmp_path: Path
) -> None:
    key = keys[kind].public
    path = tmp_path / "key.pub"
    path.write_text(key.to_line() + "\n")

    def keygen(*arguments: str) -> str:
        return subprocess.run(
            ["ssh-keygen", *arguments, "-f", path], check=True, capture_output=True, text=True
        ).stdout

    records = sshfp_records(key)
    assert keygen("-r", "host").splitlines() == [f"host {record.to_text()}" for record in records]
    assert keygen("-r", "host", "-g").splitlines() == [f"host {record.to_text(True)}" for record in records]
    assert keygen("-B").split()[1] == bubble_babble(key.blob)


def test_a_record_matches_its_key_and_no_other(keys: dict[str, PrivateKey]) -> None:
    a, b = keys["ecdsa256"].public, keys["ecdsa384"].public
    sha1, sha256 = sshfp_records(a)
    assert parse_sshfp(f"host.example. 3600 {sha256.to_text()}") == sha256
    assert parse_sshfp(f"3 2 {sha256.fingerprint.hex()[:30]} {sha256.fingerprint.hex()[30:]}") == sha256
    assert sha256.matches(a)
    assert not sha256.matches(b)
    assert not sha256._replace(algorithm=4).matches(a)
    assert not sha1.matches(a)  # too weak to decide on a key by


@pytest.mark.parametrize(
    "text", ["", "4", "4 2", "4 2 zz", "a 2 00", "4 1 00", "4 2 " + "00" * 31, "IN SSHFP", "SSHFP 4 2 0"]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(TrustFileError, match="SSHFP record"):
        parse_sshfp(text)


def test_records_of_future_hashes_are_read_and_match_nothing(keys: dict[str, PrivateKey]) -> None:
    record = parse_sshfp("4 9 0011")
    assert record == SSHFPRecord(4, 9, b"\0\x11")
    assert not record.matches(keys["ed25519"].public)


def test_types_and_hashes_without_a_number_are_named(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(UnsupportedKey, match="no SSHFP record has hash 'md5'"):
        sshfp_records(keys["rsa"].public, ["md5"])
    with pytest.raises(UnsupportedKey, match="for a key of type ssh-mldsa44-ed25519@openssh"):
        sshfp_records(generate_private_key("mldsa44-ed25519").public)
