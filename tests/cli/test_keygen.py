"""sshkit-keygen does what fingers that know ssh-keygen expect."""

import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_cli import keygen
from sshkit_keys import (
    PrivateKey,
    generate_private_key,
    load_private_key,
    load_public_key,
    randomart,
    write_private_key,
    write_public_key,
)

KINDS = "ecdsa, ecdsa-sk, ed25519, ed25519-sk, ed448, mldsa44-ed25519, rsa"
KEY_FORMATS = "OpenSSH, RFC4716, PKCS8, PEM, DER, PUTTY, JWK"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_keygen: Run) -> Run:
    return run_keygen


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate_private_key("ed25519", comment="me at home")


def write(key: PrivateKey, name: str, passphrase: bytes | None = None) -> None:
    write_private_key(name, key.to_openssh(passphrase, 1, random_bytes=os.urandom))
    write_public_key(f"{name}.pub", key.public)


@pytest.mark.parametrize(
    ("arguments", "bits", "label"),
    [
        ([], 256, "ED25519"),
        (["-t", "ed25519", "-b", "4096"], 256, "ED25519"),
        (["-t", "ecdsa"], 256, "ECDSA"),
        (["-t", "ECDSA", "-b", "521"], 521, "ECDSA"),
        (["-t", "rsa", "-b", "2048"], 2048, "RSA"),
    ],
)
def test_a_key_pair_is_made(run: Run, tmp_path: Path, arguments: list[str], bits: int, label: str) -> None:
    status, output, errors = run(*arguments, "-f", "id", "-N", "", "-C", "me at home")
    assert (status, errors) == (0, "")
    key = load_private_key(tmp_path / "id")
    assert key.public == load_public_key(tmp_path / "id.pub")
    assert (key.public.bits, key.public.label, key.comment) == (bits, label, "me at home")
    assert output.splitlines() == [
        f"Generating public/private {label.lower()} key pair.",
        "Your identification has been saved in id",
        "Your public key has been saved in id.pub",
        "The key fingerprint is:",
        f"{key.public.fingerprint()} me at home",
        "The key's randomart image is:",
        *randomart(key.public.blob, f"{label} {bits}").splitlines(),
    ]


def test_a_quiet_run_prints_nothing(run: Run) -> None:
    assert run("-q", "-f", "id", "-N", "") == (0, "", "")


def test_the_comment_is_user_and_host_unless_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("-q", "-f", "id", "-N", "")
    assert re.fullmatch(r"[^@]+@" + re.escape(os.uname().nodename), load_private_key("id").comment)
    monkeypatch.setattr(os, "getuid", lambda: 3999999)
    run("-q", "-f", "other", "-N", "")
    assert load_private_key("other").comment.startswith("3999999@")


def test_a_file_that_exists_is_overwritten_only_after_a_yes(run: Run, key: PrivateKey) -> None:
    write(key, "id")
    for answer in ("n\n", "", "\n"):
        status, output, _ = run("-q", "-f", "id", "-N", "", stdin=answer)
        assert (status, output) == (1, "id already exists.\nOverwrite (y/n)? ")
        assert load_private_key("id").public == key.public
    assert run("-q", "-f", "id", "-N", "", stdin="y\n")[0] == 0
    assert load_private_key("id").public != key.public
    assert load_private_key("id").public == load_public_key("id.pub")


def test_without_a_file_the_users_own_folder_is_proposed_and_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    path = f"{tmp_path}/home/.ssh/id_ecdsa"
    status, output, _ = run("-t", "ecdsa", "-N", "", stdin="\n")
    assert status == 0
    assert (
        f"Enter file in which to save the key ({path}): Created directory '{tmp_path}/home/.ssh'." in output
    )
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert load_private_key(path).public.label == "ECDSA"
    assert run("-q", "-N", "", stdin="other\n")[0] == 0
    assert load_private_key("other").public.label == "ED25519"
    shutil.rmtree(tmp_path / "home" / ".ssh")
    assert "Created" not in run("-q", "-N", "", stdin="\n")[1]
    assert run("-N", "")[0] == 255


def test_a_passphrase_is_asked_for_twice(run: Run) -> None:
    status, shown, _ = run("-q", "-f", "id", "-a", "1", stdin="one\ntwo\nsecret\nsecret\n")
    assert status == 0
    assert "Passphrases do not match.  Try again." in shown
    assert load_private_key("id", b"secret").public == load_public_key("id.pub")


def test_show_public_prints_the_line_of_the_public_key(run: Run, key: PrivateKey) -> None:
    write(key, "id")
    assert run("-y", "-f", "id") == (0, key.public.to_line() + "\n", "")
    assert run("-y", stdin="id\n")[1].endswith(key.public.to_line() + "\n")


def test_the_passphrase_comes_from_an_option_or_is_asked_for(run: Run, key: PrivateKey) -> None:
    write(key, "id", b"secret")
    line = key.public.to_line() + "\n"
    assert run("-y", "-f", "id", "-P", "secret") == (0, line, "")
    assert run("-y", "-f", "id", stdin="secret\n") == (0, line, 'Enter passphrase for "id": ')
    status, output, errors = run("-y", "-f", "id", "-P", "wrong")
    assert (status, output) == (255, "")
    assert errors == "sshkit-keygen: id: wrong passphrase, or the key is damaged\n"
    assert run("-y", "-f", "id")[2].endswith(
        "sshkit-keygen: id: the key is encrypted; no passphrase was given\n"
    )


def test_the_passphrase_is_changed_and_the_comment_kept(run: Run, key: PrivateKey) -> None:
    write(key, "id")
    status, output, _ = run("-p", "-f", "id", "-N", "secret", "-a", "1", "-Z", "aes128-gcm@openssh.com")
    assert status == 0
    assert output == (
        "Key has comment 'me at home'\nYour identification has been saved with the new passphrase.\n"
    )
    assert load_private_key("id", b"secret").comment == "me at home"
    assert run("-q", "-p", "-P", "secret", "-N", "", stdin="id\n")[0] == 0
    assert load_private_key("id").public == key.public


def test_keys_are_written_as_pkcs8_if_asked(run: Run) -> None:
    run("-q", "-f", "id", "-N", "secret", "-m", "pkcs8")
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in Path("id").read_bytes()
    assert run("-p", "-f", "id", "-P", "secret", "-N", "", "-m", "PKCS8")[1].startswith("Your identification")
    assert b"BEGIN PRIVATE KEY" in Path("id").read_bytes()


def test_fingerprints_of_every_kind_of_file_are_shown(run: Run, key: PrivateKey) -> None:
    write(key, "id")
    shown = f"256 {key.public.fingerprint()} me at home (ED25519)\n"
    assert run("-l", "-f", "id.pub") == (0, shown, "")
    assert run("-l", "-f", "id") == (0, shown, "")
    assert run("-l", "-f", "-", stdin=Path("id.pub").read_text()) == (0, shown, "")
    assert run("-l", stdin="id.pub\n")[1].endswith(shown)
    md5 = f"256 {key.public.fingerprint('md5')} me at home (ED25519)\n"
    picture = randomart(key.public.blob, "ED25519 256", "md5")
    assert run("-lv", "-E", "MD5", "-f", "id.pub") == (0, f"{md5}{picture}\n", "")
    bare = " ".join(key.public.to_line().split()[:2])
    Path("known").write_text(f"# hosts\none,two {bare}\njunk\n@revoked * {key.public.to_line()}\n")
    nameless = f"256 {key.public.fingerprint()} no comment (ED25519)\n"
    assert run("-l", "-f", "known") == (0, nameless + shown, "")
    Path("allowed").write_text(f'command="a b",no-pty {key.public.to_line()}\n')
    assert run("-l", "-f", "allowed") == (0, shown, "")


def test_what_an_encrypted_key_does_not_tell_comes_from_the_file_beside_it(run: Run, key: PrivateKey) -> None:
    shown = f"256 {key.public.fingerprint()} me at home (ED25519)\n"
    nameless = f"256 {key.public.fingerprint()} no comment (ED25519)\n"
    write(key, "id", b"secret")
    assert run("-l", "-f", "id") == (0, shown, "")
    write_public_key("id.pub", generate_private_key("ed25519", comment="x").public, overwrite=True)
    assert run("-l", "-f", "id") == (0, nameless, "")
    Path("id.pub").write_text("junk")
    assert run("-l", "-f", "id") == (0, nameless, "")
    os.unlink("id.pub")
    assert run("-l", "-f", "id") == (0, nameless, "")
    write_private_key("pem", key.to_pkcs8(b"secret"))
    assert run("-l", "-f", "pem") == (
        255,
        "",
        "sshkit-keygen: pem: the key is encrypted; a passphrase is needed\n",
    )
    write_public_key("pem.pub", key.public)
    assert run("-l", "-f", "pem") == (0, shown, "")


def test_a_comment_that_controls_the_terminal_is_escaped(run: Run, key: PrivateKey) -> None:
    Path("k.pub").write_text(" ".join(key.public.to_line().split()[:2]) + " \x1b[2Jme")
    assert r"\x1b[2Jme" in run("-l", "-f", "k.pub")[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-l", "-f", "none"], "none: No such file or directory"),
        (["-y", "-f", "none"], "none: No such file or directory"),
        (["-l", "-f", "."], ".: Is a directory"),
        (["-l", "-f", "junk"], "junk:1: not a public key line"),
        (["-y", "-f", "junk"], "junk:1: not a public key line"),
        (["-y", "-f", "open"], "open: permissions 0644 are too open: only its owner may read a private key"),
        (["-t", "dsa", "-f", "id"], f"unknown key type dsa; {KINDS} are known"),
        (["-m", "XML"], f"unknown key format 'XML'; {KEY_FORMATS} are known"),
        (["-m", "JWK", "-f", "id"], "private keys are not written in the format JWK"),
        (
            ["-q", "-t", "rsa", "-b", "1024", "-f", "id", "-N", ""],
            "the RSA key has 1024 bits; 2048 to 16384 are allowed",
        ),
        (
            ["-q", "-t", "ecdsa", "-b", "255", "-f", "id", "-N", ""],
            "no ECDSA key has 255 bits; 256, 384 and 521 are valid",
        ),
        (["-q", "-f", "id", "-N", "x", "-Z", "rot13"], "keys are not written with cipher 'rot13'"),
        (["-q", "-f", "none/id", "-N", ""], "none/id: No such file or directory"),
    ],
)
def test_an_error_is_one_line_and_status_255(run: Run, arguments: list[str], error: str) -> None:
    Path("junk").write_text("junk\n")
    os.chmod("junk", 0o600)
    Path("open").write_text("-----BEGIN PRIVATE KEY-----")
    os.chmod("open", 0o644)
    status, _, errors = run(*arguments)
    assert (status, errors) == (255, f"sshkit-keygen: {error}\n")
    assert not os.path.exists("id")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["-x"], "option -x not recognized"),
        (["-f"], "option -f requires argument"),
        (["-y", "-l"], "only one of -l, -y at a time"),
        (["-l", "x"], "too many arguments"),
        (["-l", "-E", "sha1"], "unknown fingerprint hash 'sha1'; sha256 and md5 are known"),
        (["-b", "x"], "option -b needs a number, not 'x'"),
        (["-b", "0"], "option -b needs a number, not '0'"),
        (["-b", "9999999999"], "option -b needs a number, not '9999999999'"),
    ],
)
def test_wrong_usage_is_told_with_the_usage_and_status_1(run: Run, arguments: list[str], error: str) -> None:
    assert run(*arguments) == (1, "", f"sshkit-keygen: {error}\n{keygen.USAGE}\n")


def test_an_interrupt_ends_with_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sshkit_cli.keygen_make.make_key", interrupt)
    monkeypatch.setattr(sys, "argv", ["sshkit-keygen"])
    assert keygen.main() == 1


def test_an_error_without_a_file_names_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*values: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sshkit_cli.keygen_make.make_key", broken)
    assert run() == (255, "", "sshkit-keygen: terminal: Broken pipe\n")


def test_r43_on_a_terminal_the_passphrase_is_not_echoed(tmp_path: Path) -> None:
    program = (
        "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from sshkit_cli.keygen import main; sys.exit(main(['-f', 'id', '-a', '1']))"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    try:
        for prompt in (b"(empty for no passphrase): ", b"passphrase again: "):
            while not seen.endswith(prompt):
                seen += os.read(ours, 4096)
            os.write(ours, b"hunter2\n")
        while b"+----[SHA256]-----+" not in seen:
            seen += os.read(ours, 4096)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"hunter2" not in seen
    assert load_private_key(tmp_path / "id", b"hunter2").public == load_public_key(tmp_path / "id.pub")


def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sshkit_cli.keygen", "-q", "-f", "id", "-N", ""], cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert load_private_key(tmp_path / "id").public == load_public_key(tmp_path / "id.pub")


def test_showing_a_fingerprint_loads_no_cryptography(tmp_path: Path, key: PrivateKey) -> None:
    write_public_key(tmp_path / "id.pub", key.public)
    program = (
        "import sys; from sshkit_cli.keygen import main; main(['-l', '-f', 'id.pub'])\n"
        "print(*{'cryptography', 'bcrypt', 'argparse', 'asyncio', 'logging'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1] == ""
