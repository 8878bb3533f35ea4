"""sshkit-keygen certifies and revokes: what the real ssh-keygen reads in the result."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import generate_private_key, load_public_key, write_private_key, write_public_key
from sshkit_keys.certificates import Certificate

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run_keygen: Run) -> Run:
    for name, kind in (("ca", "ed25519"), ("rsa-ca", "rsa"), ("u", "ed25519"), ("v", "ecdsa")):
        key = generate_private_key(kind, comment=f"{name} comment")  # type: ignore[arg-type]
        write_private_key(name, key.to_openssh(random_bytes=os.urandom))
        write_public_key(f"{name}.pub", key.public)
    return run_keygen


@pytest.fixture
def agent(real_agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real ssh-agent for whoever asks the environment."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))


def certificate(path: str) -> Certificate:
    found = load_public_key(path)
    assert isinstance(found, Certificate)
    return found


def shown_by_the_real_tool(path: str) -> str:
    return subprocess.run(["ssh-keygen", "-L", "-f", path], check=True, capture_output=True, text=True).stdout


@pytest.mark.peer("ssh-keygen")
def test_a_user_is_certified_with_all_that_options_say(run: Run) -> None:
    options = ("clear", "permit-pty", "source-address=10.0.0.0/8", "force-command=ls -l", "verify-required")
    more = ("no-touch-required", "permit-x11-forwarding", "no-pty", "extension:a@b=c", "critical:d@e")
    flags = [part for option in (*options, *more) for part in ("-O", option)]
    status, text, errors = run(
        "-s", "ca", "-I", "id", "-n", "ann,bob", "-V", "20300101Z:20310101Z", "-z", "7", *flags, "u.pub"
    )
    assert (status, text) == (0, "")
    assert errors.startswith(
        'Signed user key u-cert.pub: id "id" serial 7 for ann,bob valid from 2030-01-01T'
    )
    made = certificate("u-cert.pub")
    assert (made.key_id, made.serial, made.role, made.principals) == ("id", 7, "user", ("ann", "bob"))
    assert made.comment == "u comment"
    assert sorted(made.critical_options) == ["d@e", "force-command", "source-address", "verify-required"]
    assert sorted(made.extensions) == ["a@b", "no-touch-required", "permit-X11-forwarding"]
    assert run("-L", "-f", "u-cert.pub") == (0, shown_by_the_real_tool("u-cert.pub"), "")


@pytest.mark.peer("ssh-keygen")
def test_hosts_are_certified_one_after_the_other(run: Run) -> None:
    flags = (
        "-s",
        "rsa-ca",
        "-h",
        "-I",
        "hosts",
        "-n",
        "h1",
        "-z",
        "+7",
        "-t",
        "rsa-sha2-256",
        "-O",
        "force-command=x",
    )
    assert run("-q", *flags, "u.pub", "v.pub") == (0, "", "")
    assert [certificate(f"{name}-cert.pub").serial for name in "uv"] == [7, 8]
    made = certificate("v-cert.pub")
    assert (made.role, made.extensions, made.critical_options) == ("host", {}, {})
    assert made.signature_algorithm == "rsa-sha2-256"
    assert "(using rsa-sha2-256)" in shown_by_the_real_tool("v-cert.pub")


@pytest.mark.parametrize(
    ("arguments", "status", "cause"),
    [
        (("-s", "ca", "u.pub"), 255, "Must specify key id (-I)"),
        (("-s", "ca", "-I", "x"), 1, "no key to certify"),
        (("-s", "ca", "-I", "x", "none.pub"), 255, "none.pub: No such file"),
        (("-s", "none", "-I", "x", "u.pub"), 255, "none: No such file"),
        (
            ("-s", "ca", "-I", "x", "-O", "permit-all", "u.pub"),
            1,
            'Unsupported certificate option "permit-all"',
        ),
        (("-s", "ca", "-I", "x", "-O", "force-command", "u.pub"), 1, "Unsupported certificate option"),
        (("-s", "ca", "-I", "x", "-O", "force-command=a", "-O", "force-command=b", "u.pub"), 255, "already"),
        (("-s", "ca", "-I", "x", "-n", "a,,b", "u.pub"), 255, "an empty name"),
        (("-s", "ca", "-I", "x", "-z", "-1", "u.pub"), 1, "Invalid serial number"),
        (("-s", "ca", "-I", "x", "-z", "18446744073709551616", "u.pub"), 1, "Invalid serial number"),
        (("-s", "ca", "-I", "x", "-V", "bad", "u.pub"), 255, "'bad' is no validity"),
        (("-s", "ca", "-I", "x", "-O", "source-address=10.0.0.1/8", "u.pub"), 255, "source-address"),
        (("-U", "-s", "ca.pub", "-I", "x", "u.pub"), 255, "SSH_AUTH_SOCK names no agent"),
    ],
)
def test_what_cannot_be_certified_is_told(
    run: Run, arguments: tuple[str, ...], status: int, cause: str
) -> None:
    got, _, errors = run(*arguments)
    assert (got, cause in errors) == (status, True), errors
    assert not os.path.exists("u-cert.pub")


def test_serial_numbers_end(run: Run) -> None:
    status, _, errors = run("-s", "ca", "-I", "x", "-z", "+18446744073709551615", "u.pub", "v.pub")
    assert (status, certificate("u-cert.pub").serial) == (255, 2**64 - 1)
    assert "the serial numbers are used up" in errors


@pytest.mark.peer("ssh-agent")
def test_the_agent_may_hold_the_authority(run: Run, agent: None) -> None:
    assert "the agent does not hold the key" in run("-U", "-s", "ca.pub", "-I", "x", "u.pub")[2]
    subprocess.run(["ssh-add", "-q", "ca"], check=True, capture_output=True)
    os.unlink("ca")
    assert run("-q", "-U", "-s", "ca.pub", "-I", "x", "u.pub") == (0, "", "")
    assert certificate("u-cert.pub").authority == load_public_key("ca.pub")


def test_several_certificates_of_a_file_are_shown_with_their_lines(run: Run) -> None:
    run("-q", "-s", "ca", "-I", "one", "u.pub")
    Path("many").write_text(f"# c\n{Path('u-cert.pub').read_text()}{Path('v.pub').read_text()}junk\n")
    status, text, errors = run("-L", "-f", "many")
    assert status == 0
    assert text.startswith("many:2:\n        Type: ")
    assert "many:3 is not a certificate" not in text
    assert errors.splitlines()[0] == "many:3 is not a certificate"
    assert errors.splitlines()[1].startswith("sshkit-keygen: many:4: ")
    assert run("-L", "-f", "v.pub")[0] == 1
    assert run("-L", "-f", "-", stdin=Path("u-cert.pub").read_bytes())[1].startswith("(stdin):\n")


@pytest.mark.peer("ssh-keygen")
def test_revocation_lists_are_made_asked_and_added_to(run: Run) -> None:
    run("-q", "-s", "ca", "-I", "id", "-z", "5", "u.pub")
    Path("spec").write_text("serial: 1-9\nid: foo\n")
    assert run("-k", "-f", "krl", "-s", "ca.pub", "-z", "3", "spec") == (0, "Revoking from spec\n", "")
    assert run("-Q", "-f", "krl", "u-cert.pub", "u.pub", "v.pub") == (
        1,
        "u-cert.pub (u comment): REVOKED\nu.pub (u comment): ok\nv.pub (v comment): ok\n",
        "",
    )
    assert run("-k", "-q", "-u", "-f", "krl", "v.pub")[0] == 0
    assert run("-Q", "-q", "-f", "krl", "v.pub") == (1, "", "")
    assert run("-Q", "-f", "krl", "u.pub")[0] == 0
    theirs = subprocess.run(
        ["ssh-keygen", "-Q", "-l", "-f", "krl", "u-cert.pub", "u.pub"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run("-Q", "-l", "-f", "krl", "u-cert.pub", "u.pub") == (theirs.returncode, theirs.stdout, "")
    assert run("-k", "-f", "krl2", "-s", "none", "spec")[0] == 0


def test_what_cannot_be_revoked_or_asked_is_told(run: Run) -> None:
    Path("spec").write_text("serial: 1-9\n")
    assert "spec:1: revoking certificates by serial needs" in run("-k", "-f", "krl", "spec")[2]
    assert not os.path.exists("krl")
    assert run("-k", "u.pub")[0] == 1
    assert run("-k", "-f", "krl", "-z", "x", "u.pub")[0] == 1
    assert run("-Q", "-f", "none", "u.pub")[0] == 255
    assert run("-k", "-q", "-f", "krl", "u.pub")[0] == 0
    status, text, errors = run("-Q", "-f", "krl", "none.pub", "spec", "v.pub")
    assert (status, text) == (1, "v.pub (v comment): ok\n")
    assert errors.startswith("sshkit-keygen: none.pub: No such file")
    assert "spec:1" in errors
