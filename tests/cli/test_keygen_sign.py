"""sshkit-keygen -Y: signatures that ssh-keygen and git take, and theirs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import generate_private_key, write_private_key, write_public_key

Run = Callable[..., tuple[int, str, str]]
KEY = generate_private_key("ed25519", comment="me at home")
OTHER = generate_private_key("ecdsa")


@pytest.fixture
def run(run_keygen: Run) -> Run:
    for name, key in (("id", KEY), ("other", OTHER)):
        write_private_key(name, key.to_openssh(random_bytes=os.urandom))
        write_public_key(f"{name}.pub", key.public)
    Path("m").write_text("message\n")
    Path("signers").write_text(f'ann,*@x namespaces="file,git" {KEY.public.to_line()}\njunk\n')
    return run_keygen


@pytest.fixture
def agent(real_agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real ssh-agent for whoever asks the environment."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))


GOOD = f"key {KEY.public.fingerprint()}"


def verify(run: Run, *arguments: str, who: str = "ann", namespace: str = "file") -> tuple[int, str, str]:
    common = ("-f", "signers", "-I", who, "-n", namespace, "-s", "m.sig")
    return run("-Y", "verify", *common, *arguments, stdin=Path("m").read_bytes())


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_file_is_signed_and_verified_by_both_tools(run: Run, hash_name: str) -> None:
    option = ("-O", f"hashalg={hash_name}")
    assert run("-Y", "sign", "-f", "id", "-n", "file", *option, "m") == (
        0,
        "",
        "Signing file m\nWrite signature to m.sig\n",
    )
    status, text, errors = verify(run)
    assert (status, text) == (0, f'Good "file" signature for ann with ED25519 {GOOD}\n')
    assert (
        errors == "sshkit-keygen: signers:2: neither a key nor an option at column 1\n"
        or "signers:2" in errors
    )
    theirs = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "ann", "-n", "file", "-s", "m.sig"],
        input=b"message\n",
        capture_output=True,
        check=True,
    )
    assert theirs.stdout.decode() == text
    os.unlink("m.sig")
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", "id", "-n", "file", "m"], check=True, capture_output=True
    )
    assert verify(run, who="bob@x")[0] == 0
    assert verify(run, "-O", "print-pubkey")[1].splitlines()[1] == " ".join(KEY.public.to_line().split()[:2])
    status, text, _ = run("-Y", "check-novalidate", "-n", "file", "-s", "m.sig", stdin=b"message\n")
    assert (status, text) == (0, f'Good "file" signature with ED25519 {GOOD}\n')


def test_standard_input_is_signed_to_standard_output(run: Run) -> None:
    status, text, errors = run("-Y", "sign", "-f", "id", "-n", "file", stdin=b"message\n")
    assert (status, errors) == (0, "Signing data on standard input\n")
    Path("m.sig").write_text(text)
    assert verify(run)[0] == 0


def test_a_signature_is_overwritten_only_after_a_yes(run: Run) -> None:
    Path("m.sig").write_text("mine")
    assert run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m", stdin="n\n")[0] == 1
    assert Path("m.sig").read_text() == "mine"
    assert run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m", stdin="y\n")[0] == 0
    assert verify(run)[0] == 0


def test_what_does_not_hold_says_so_and_why(run: Run) -> None:
    run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m")
    for arguments, cause in (
        ({"who": "carol"}, "no line allows 'carol' this key"),
        ({"namespace": "git"}, "the signature is for the namespace 'file', not for 'git'"),
    ):
        status, text, errors = verify(run, **arguments)  # type: ignore[arg-type]
        assert (status, text) == (255, "Could not verify signature.\n")
        assert cause in errors
    Path("m").write_text("massage\n")
    assert "does not verify" in verify(run)[2]
    assert verify(run, "-q")[1] == ""
    assert run("-Y", "check-novalidate", "-n", "file", "-s", "none") == (
        255,
        "Could not verify signature.\n",
        "sshkit-keygen: none: No such file or directory\n",
    )


def test_revoked_keys_sign_nothing(run: Run) -> None:
    run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m")
    run("-k", "-q", "-f", "krl", "other.pub")
    assert verify(run, "-r", "krl")[0] == 0
    run("-k", "-q", "-u", "-f", "krl", "id.pub")
    status, text, errors = verify(run, "-r", "krl")
    assert (status, text) == (255, "Could not verify signature.\n")
    assert "revoked" in errors
    assert verify(run, "-r", "none")[0] == 255


def test_principals_are_found_and_matched(run: Run) -> None:
    run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m")
    assert run("-Y", "find-principals", "-f", "signers", "-s", "m.sig")[:2] == (0, "ann\n*@x\n")
    assert run("-Y", "match-principals", "-f", "signers", "-I", "bob@x")[:2] == (0, "ann,*@x\n")
    assert run("-Y", "match-principals", "-f", "signers", "-I", "carol")[0] == 255
    os.unlink("m.sig")
    run("-q", "-Y", "sign", "-f", "other", "-n", "file", "m")
    assert "No principal matched." in run("-Y", "find-principals", "-f", "signers", "-s", "m.sig")[2]


def test_times_are_those_of_the_option(run: Run) -> None:
    Path("signers").write_text(f'ann valid-before="20200101" {KEY.public.to_line()}\n')
    run("-q", "-Y", "sign", "-f", "id", "-n", "file", "m")
    assert "valid until 2020-01-01" in verify(run)[2]
    assert verify(run, "-O", "verify-time=20190601")[0] == 0
    assert verify(run, "-O", "verify-time=soon")[0] == 255


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("-Y", "nosuch"), 'Unsupported operation for -Y: "nosuch"'),
        (("-Y", "sign", "-n", "file"), "Too few arguments for sign: missing key file"),
        (("-Y", "sign", "-f", "id"), "Too few arguments for sign: missing namespace"),
        (("-Y", "verify", "-n", "f"), "Too few arguments for verify: missing signature file"),
        (("-Y", "match-principals", "-f", "x", "-I", "y", "z"), "Too many arguments for match-principals"),
        (("-Y", "sign", "-f", "id", "-n", "file", "-O", "hashalg=md5"), 'Invalid option "hashalg=md5"'),
        (("-Y", "sign", "-f", "id", "-n", "file", "-l"), "only one of -Y, -l at a time"),
    ],
)
def test_wrong_usage_is_told(run: Run, arguments: tuple[str, ...], cause: str) -> None:
    status, _, errors = run(*arguments)
    assert (status, errors.splitlines()[0]) == (1, f"sshkit-keygen: {cause}")


def test_a_public_key_stands_for_the_private_one_beside_it(run: Run) -> None:
    assert run("-q", "-Y", "sign", "-f", "id.pub", "-n", "file", "m")[0] == 0
    assert verify(run)[0] == 0
    write_public_key("lone.pub", KEY.public)
    assert "SSH_AUTH_SOCK names no agent" in run("-Y", "sign", "-f", "lone.pub", "-n", "file", "m")[2]
    write_public_key("lone", KEY.public)
    assert "there is no private key beside it" in run("-Y", "sign", "-f", "lone", "-n", "file", "m")[2]
    write_public_key("other.pub", KEY.public, overwrite=True)
    assert "is not the public half of other" in run("-Y", "sign", "-f", "other.pub", "-n", "file", "m")[2]


@pytest.mark.peer("ssh-agent")
def test_the_agent_signs_for_keys_that_it_holds(run: Run, agent: None) -> None:
    subprocess.run(["ssh-add", "-q", "id"], check=True, capture_output=True)
    assert run("-q", "-Y", "sign", "-f", "other.pub", "-n", "file", "m")[0] == 0
    os.unlink("m.sig")
    os.unlink("id")
    for flags in ((), ("-U",)):
        assert run("-q", "-Y", "sign", *flags, "-f", "id.pub", "-n", "file", "m") == (0, "", "")
        assert verify(run)[0] == 0
        os.unlink("m.sig")


@pytest.mark.peer("git")
def test_git_signs_and_verifies_with_it(run: Run, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "sshkit-keygen"
    environment = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            ["git", "-C", tmp_path / "repository", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    (tmp_path / "repository").mkdir()
    git("init", "-q")
    Path("signers").write_text(f'ann@x namespaces="git" {KEY.public.to_line()}\n')
    for name, value in (
        ("user.name", "Ann"),
        ("user.email", "ann@x"),
        ("gpg.format", "ssh"),
        ("gpg.ssh.program", str(program)),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "signers")),
        ("user.signingKey", str(tmp_path / "id.pub")),
    ):
        git("config", name, value)
    git("commit", "-q", "-S", "--allow-empty", "-m", "signed")
    assert 'Good "git" signature for ann@x with ED25519' in git("verify-commit", "HEAD")
    assert " G " in git("log", "--format= %G? ", "-1")
    git("tag", "-s", "-m", "tag", "v1")
    assert 'Good "git" signature for ann@x' in git("verify-tag", "v1")
    (tmp_path / "signers").write_text(f"bob@x {OTHER.public.to_line()}\n")
    assert "No principal matched" in git("verify-commit", "HEAD", status=1)
