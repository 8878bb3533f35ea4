"""sshkit-keygen reads every format and writes what other programs want."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import (
    PrivateKey,
    generate_private_key,
    load_private_key,
    load_public_key,
    write_private_key,
    write_public_key,
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def keys() -> dict[str, PrivateKey]:
    return {kind: generate_private_key(kind, comment="me at home") for kind in ("ed25519", "ecdsa", "rsa")}  # type: ignore[arg-type]


@pytest.fixture
def files(run_keygen: Run, keys: dict[str, PrivateKey]) -> Run:
    for kind, key in keys.items():
        write_private_key(kind, key.to_openssh(random_bytes=os.urandom))
        write_public_key(f"{kind}.pub", key.public)
    return run_keygen


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PKCS8", "PEM", "OpenSSH"])
@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_a_public_key_goes_out_and_comes_back(
    files: Run, keys: dict[str, PrivateKey], kind: str, form: str, suffix: str
) -> None:
    status, text, errors = files("-e", "-m", form, "-f", kind + suffix)
    if form == "PEM" and kind == "ed25519":
        assert (status, text) == (255, "")
        assert "PKCS#1" in errors or "RSA" in errors
        return
    assert (status, errors) == (0, "")
    Path("out").write_text(text)
    status, line, errors = files("-i", "-f", "out")
    assert (status, errors) == (0, "")
    assert line.split()[1] == keys[kind].public.to_line().split()[1]
    assert files("-y", "-f", "out")[1] == line


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize(
    ("form", "kinds"), [("RFC4716", "ed25519 ecdsa rsa"), ("PKCS8", "ecdsa rsa"), ("PEM", "ecdsa rsa")]
)
def test_what_goes_out_is_what_the_real_tool_writes(files: Run, form: str, kinds: str) -> None:
    for kind in kinds.split():
        theirs = subprocess.run(
            ["ssh-keygen", "-e", "-m", form, "-f", f"{kind}.pub"], check=True, capture_output=True, text=True
        )
        assert files("-e", "-m", form, "-f", f"{kind}.pub")[1] == theirs.stdout


@pytest.mark.parametrize("form", ["PKCS8", "PEM", "PUTTY", "DER", "OpenSSH", "RFC4716"])
def test_a_private_key_is_converted_under_its_passphrase(
    files: Run, keys: dict[str, PrivateKey], form: str
) -> None:
    assert files("-p", "-m", form, "-N", "secret", "-P", "", "-f", "rsa", "-a", "1")[0] == 0
    assert os.stat("rsa").st_mode & 0o777 == 0o600
    assert load_private_key("rsa", b"secret").public == keys["rsa"].public
    assert files("-y", "-P", "secret", "-f", "rsa")[1].split()[1] == keys["rsa"].public.to_line().split()[1]
    # And to OpenSSH's own on standard output: encrypted still, or under -N's passphrase.
    status, text, _ = files("-i", "-f", "rsa", "-P", "secret", "-a", "1")
    assert status == 0
    write_private_key("back", text.encode())
    assert load_private_key("back", b"secret").public == keys["rsa"].public
    text = files("-i", "-f", "rsa", "-a", "1", "-N", "", stdin="secret\n")[1]
    write_private_key("plain", text.encode())
    assert load_private_key("plain").public == keys["rsa"].public


def test_formats_that_hold_no_such_key_are_named(files: Run) -> None:
    assert files("-e", "-m", "PUTTY", "-f", "rsa.pub") == (
        255,
        "",
        "sshkit-keygen: public keys are not written in the format PUTTY\n",
    )
    assert "unknown key format 'XML'" in files("-i", "-m", "XML", "-f", "rsa.pub")[2]
    before = Path("ed25519").read_bytes()
    status, _, errors = files("-p", "-m", "PEM", "-N", "", "-f", "ed25519")
    assert status == 255
    assert "PKCS#8 holds them" in errors
    assert Path("ed25519").read_bytes() == before


def test_standard_input_is_a_file_too(files: Run, keys: dict[str, PrivateKey]) -> None:
    line = keys["ed25519"].public.to_line() + "\n"
    assert files("-y", "-f", "-", stdin=Path("ed25519").read_bytes())[1] == line
    assert files("-y", "-f", "-", stdin=line)[1] == line
    assert files("-l", "-f", "-", stdin=Path("ed25519").read_bytes())[1] == files("-l", "-f", "ed25519")[1]


def test_the_comment_is_changed_in_both_files(files: Run) -> None:
    assert files("-c", "-C", "at work", "-f", "ed25519") == (
        0,
        "Old comment: me at home\nComment 'at work' applied\n",
        "",
    )
    assert load_private_key("ed25519").comment == load_public_key("ed25519.pub").comment == "at work"
    assert files("-p", "-N", "secret", "-f", "ed25519", "-a", "1")[0] == 0
    status, text, _ = files("-c", "-f", "ed25519", "-a", "1", stdin="secret\n\n")
    assert (status, text) == (0, "Old comment: at work\nNew comment: Comment removed\n")
    assert load_private_key("ed25519", b"secret").comment == ""
    assert files("-c", "-f", "ed25519", "-P", "secret") == (1, "No existing comment\nNew comment: ", "")
    assert files("-p", "-m", "PKCS8", "-N", "", "-P", "secret", "-f", "ed25519")[0] == 0
    assert "comments are kept in OpenSSH's format only" in files("-c", "-C", "x", "-f", "ed25519")[2]


def test_words_and_records_are_shown(files: Run, keys: dict[str, PrivateKey]) -> None:
    assert files("-B", "-f", "ed25519")[1].startswith("256 x")
    status, text, _ = files("-r", "host.example", "-f", "ed25519.pub", "-O", "hashalg=sha256")
    assert status == 0
    assert text.startswith("host.example IN SSHFP 4 2 ")
    assert len(files("-r", "host", "-g", "-f", "ed25519.pub")[1].splitlines()) == 2
    assert files("-r", "host", "-f", "ed25519.pub", "-O", "hashalg=md5")[0] == 1
    assert files("-r", "a b", "-f", "ed25519.pub")[0] == 1


def test_records_of_this_machine_come_from_its_host_keys(
    files: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sshkit_cli.keygen_show._HOST_KEYS", str(tmp_path / "{}.pub"))
    assert len(files("-r", "host")[1].splitlines()) == 6
    monkeypatch.setattr("sshkit_cli.keygen_show._HOST_KEYS", str(tmp_path / "none{}"))
    assert files("-r", "host") == (255, "", f"sshkit-keygen: {tmp_path}/none*: no host key found\n")


def test_host_keys_that_are_missing_are_made(files: Run, tmp_path: Path) -> None:
    (tmp_path / "etc" / "ssh").mkdir(parents=True)
    (tmp_path / "etc" / "ssh" / "ssh_host_rsa_key").write_text("mine")
    (tmp_path / "etc" / "ssh" / "ssh_host_ecdsa_key").write_text("")
    status, text, errors = files("-A", "-f", tmp_path, "-C", "host")
    assert (status, text, errors) == (0, "sshkit-keygen: generating new host keys: ECDSA ED25519 \n", "")
    key = load_private_key(tmp_path / "etc/ssh/ssh_host_ed25519_key")
    assert key.comment == "host"
    assert load_public_key(tmp_path / "etc/ssh/ssh_host_ecdsa_key.pub").bits == 256
    assert files("-A", "-f", tmp_path) == (0, "", "")
    assert (tmp_path / "etc/ssh/ssh_host_rsa_key").read_text() == "mine"


def test_new_types_are_made(files: Run) -> None:
    for kind, label in (("ed448", "ED448"), ("mldsa44-ed25519", "MLDSA44-ED25519")):
        assert files("-q", "-t", kind, "-f", kind, "-N", "", "-C", "new")[0] == 0
        assert label in files("-l", "-f", kind)[1].upper()
        assert load_private_key(kind).public == load_public_key(f"{kind}.pub")


def test_security_keys_need_their_device_and_its_options_are_checked(
    files: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _, errors = files("-t", "ed25519-sk", "-f", "sk", "-N", "", "-O", "resident")
    assert (status, errors.splitlines()[0]) == (
        1,
        "sshkit-keygen: option -O resident is not known for security keys",
    )
    asked: dict[str, object] = {}

    def enroll(kind: str, comment: str, **wanted: object) -> PrivateKey:
        asked.update(wanted, kind=kind)
        return generate_private_key("ed25519", comment=comment)

    monkeypatch.setattr("sshkit_keys.security_key_devices.enroll", enroll)
    settings = ["application=ssh:git", "user=ann", "no-touch-required", "verify-required"]
    options = [part for setting in settings for part in ("-O", setting)]
    status, text, _ = files("-t", "ecdsa-sk", "-f", "sk", "-N", "", *options)
    assert status == 0
    assert "touch your authenticator" in text
    assert asked == {
        "kind": "ecdsa-sk",
        "application": "ssh:git",
        "user": "ann",
        "touch_required": False,
        "verification_required": True,
    }
    assert files("-t", "ed25519", "-f", "x", "-N", "", "-O", "user=ann")[0] == 1
    assert files("-q", "-t", "ed25519-sk", "-f", "sk2", "-N", "")[0] == 0


@pytest.mark.parametrize("option", ["-D", "-w"])
def test_libraries_are_never_loaded(files: Run, option: str) -> None:
    assert "are not loaded" in files(option, "x.so")[2]
    assert "resident keys are not downloaded" in files("-K")[2]


def test_passphrases_that_never_match_end(files: Run) -> None:
    status, _, errors = files("-q", "-f", "new", stdin="a\nb\n" * 10)
    assert (status, errors.splitlines()[-1]) == (255, errors.splitlines()[-1])
    assert "did not match 10 times" in errors
    assert not os.path.exists("new")


def test_another_program_may_be_asked_for_the_passphrase(
    files: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert files("-p", "-N", "secret", "-f", "ed25519", "-a", "1")[0] == 0
    program = tmp_path / "ask"
    program.write_text("#!/bin/sh\necho secret\n")
    program.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    assert files("-y", "-f", "ed25519")[0] == 0
    program.write_text("#!/bin/sh\nexit 1\n")
    assert "no passphrase was given" in files("-y", "-f", "ed25519")[2]
