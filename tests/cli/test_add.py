"""sshkit-add says and does what ssh-add would, with real agents and with ours."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sshkit_cli import add, add_keys
from sshkit_cli.add import parse
from sshkit_cli.add_destinations import DestinationError, parse_destinations
from sshkit_cli.agent import UsageError
from sshkit_keys import (
    PrivateKey,
    generate_private_key,
    sign_certificate,
    write_private_key,
    write_public_key,
)
from sshkit_keys.security_keys import SKEd25519PrivateKey, SKEd25519PublicKey
from sshkit_keys.wire import WireReader, string

import sshkit
from sshkit.agent.serve import AgentListener, serve_agent
from sshkit.blocking.thread import ReactorThread
from tests.cli.user import PATIENCE
from tests.interop.peers import BACKPORTS

NEW = BACKPORTS / "usr" / "bin" / "ssh-agent"
AUTHORITY = generate_private_key("ed25519", comment="ca")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(
    params=[
        pytest.param("ssh-agent", id="9.2", marks=pytest.mark.peer("ssh-agent")),
        pytest.param(
            str(NEW), id="10.0", marks=pytest.mark.skipif(not NEW.exists(), reason="no OpenSSH 10 unpacked")
        ),
    ]
)
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The socket of a real agent."""
    path = str(tmp_path / "real")
    program = shutil.which(request.param)
    assert program is not None
    process = subprocess.Popen([program, "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    yield path
    process.terminate()
    process.wait(PATIENCE)
    process.stdout.close()


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentListener]:
    """An agent of ours."""
    thread = ReactorThread()
    path = str(tmp_path / "ours")
    listener = thread.call(
        lambda: serve_agent(
            path,
            reactor=thread.reactor,
            add_token=lambda provider, pin, limits: [generate_private_key("ed25519", comment=pin)],
        ),
        timeout=PATIENCE,
    )
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    yield listener
    thread.call(listener.close, timeout=PATIENCE)
    thread.stop()


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; returns status, output and errors."""
    monkeypatch.chdir(home)

    def command(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = add.main(list(arguments))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Have SSH_ASKPASS give one answer after the other; returns the file of the questions."""

    def prepare(*lines: str) -> Path:
        left = home / "answers"
        left.write_text("".join(f"{line}\n" for line in lines))
        program = home / "askpass"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$1" >> {home}/questions\nhead -n 1 {left}; sed -i 1d {left}\n'
        )
        program.chmod(0o700)
        monkeypatch.setenv("SSH_ASKPASS", str(program))
        monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
        return home / "questions"

    return prepare


def make(path: Path, kind: str = "ed25519", passphrase: bytes | None = None, comment: str = "") -> PrivateKey:
    key = generate_private_key(kind, None, comment or path.name)  # type: ignore[arg-type]
    write_private_key(path, key.to_openssh(passphrase, 1, random_bytes=os.urandom))
    write_public_key(f"{path}.pub", key.public)
    return key


def make_security_key(path: Path) -> SKEd25519PrivateKey:
    """Write the file of a key in a device that does not exist."""
    raw = generate_private_key("ed25519").public.blob[-32:]
    name = "sk-ssh-ed25519@openssh.com"
    fields = string(raw) + string("ssh:")
    public = SKEd25519PublicKey.read(name, WireReader(fields), string(name) + fields, "sk")
    key = SKEd25519PrivateKey(public, b"handle", 1)
    write_private_key(path, key.to_openssh(random_bytes=os.urandom))
    write_public_key(f"{path}.pub", key.public)
    return key


def certify(path: Path, key: PrivateKey, valid_before: int = 0xFFFFFFFFFFFFFFFF) -> None:
    certificate = sign_certificate(
        AUTHORITY, key.public, role="user", key_id="my id", valid_before=valid_before, random_bytes=os.urandom
    )
    Path(f"{path}-cert.pub").write_text(certificate.to_line() + "\n")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_goes_through_a_real_agent(real: str, run: Run, home: Path, kind: str) -> None:
    key = make(home / "id", kind)
    assert run("-l") == (1, "The agent has no identities.\n", "")
    assert run("id") == (0, "", "Identity added: id (id)\n")
    line = f"{key.public.bits} {key.public.fingerprint()} id ({key.public.label})\n"
    assert run("-l") == (0, line, "")
    assert run("-l", "-E", "md5")[1] == line.replace(key.public.fingerprint(), key.public.fingerprint("md5"))
    assert run("-L") == (0, f"{key.public.to_line()}\n", "")
    assert run("-T", "id.pub") == (0, "", "")
    assert run("-d", "id") == (0, "", f"Identity removed: id {key.public.label} (id)\n")
    assert run("-T", "id") == (1, "", "Agent signature failed for id: agent refused operation\n")
    status, _, errors = run("-d", "id")
    assert (status, errors) == (1, 'Could not remove identity "id": agent refused operation\n')
    assert run("-q", "id") == (0, "", "")
    assert run("-D") == (0, "", "All identities removed.\n")


def test_limits_are_set_at_a_real_agent(real: str, run: Run, home: Path) -> None:
    make(home / "id")
    assert run("-c", "-t", "1h", "id") == (
        0,
        "",
        "Identity added: id (id)\nLifetime set to 3600 seconds\nThe user must confirm each use of the key\n",
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_certificate_beside_a_key_is_added_too(real: str, run: Run, home: Path, kind: str) -> None:
    key = make(home / "id", kind)
    certify(home / "id", key)
    assert run("id")[2] == "Identity added: id (id)\nCertificate added: id-cert.pub (my id)\n"
    assert f"({key.public.label}-CERT)" in run("-l")[1]
    assert run("-T", "id-cert.pub")[0] == 0
    assert run("-d", "id")[2].splitlines() == [
        f"Identity removed: id {key.public.label} (id)",
        f"Identity removed: id-cert.pub {key.public.label}-CERT (id)",
    ]
    assert "CERT" not in run("-k", "id")[2]
    run("-D")
    assert run("-C", "id")[2] == "Certificate added: id-cert.pub (my id)\n"
    assert len(run("-l")[1].splitlines()) == 1
    assert run("-C", "-d", "id")[0] == 0


def test_a_key_for_one_host_is_added_to_a_real_agent(real: str, run: Run, home: Path) -> None:
    make(home / "id")
    (home / "hosts").write_text(f"alpha {AUTHORITY.public.to_line()}\n")
    assert run("-H", "hosts", "-h", "ann@alpha", "id")[0] == 0
    assert run("-T", "id.pub")[0] == 1
    status, _, errors = run("-H", "hosts", "-h", "beta", "id")
    assert (status, errors) == (1, "sshkit-add: no host keys found for destination 'beta'\n")


def test_locking_a_real_agent(real: str, run: Run, answers: Callable[..., Path]) -> None:
    answers("word", "other", "word", "word", "guess", "word", "word", "word")
    assert run("-x") == (1, "", "Passwords do not match.\n")
    assert run("-x") == (0, "", "Agent locked.\n")
    assert run("-X") == (1, "", "Failed to unlock agent: agent refused operation\n")
    assert run("-X") == (0, "", "Agent unlocked.\n")
    assert run("-X") == (1, "", "Failed to unlock agent: agent refused operation\n")
    assert run("-D")[0] == 0
    answers("word", "word", "word", "word")
    assert run("-x")[0] == 0
    assert run("-x")[2] == "Failed to lock agent: agent refused operation\n"
    assert run("-D") == (1, "", "Failed to remove all identities.\n")


def test_default_keys_are_added(ours: AgentListener, run: Run, home: Path) -> None:
    (home / ".ssh").mkdir()
    assert run() == (1, "", "")
    for name, kind in (("id_rsa", "rsa"), ("id_ed25519", "ed25519")):
        make(home / ".ssh" / name, kind)
    make(home / ".ssh" / "other")
    assert run()[0] == 0
    assert [held.comment for held in ours.keyring] == ["id_rsa", "id_ed25519"]
    assert run("-d")[0] == 0
    assert len(ours.keyring) == 0


def test_one_passphrase_opens_several_keys(
    ours: AgentListener, run: Run, home: Path, answers: Callable[..., Path]
) -> None:
    for name, passphrase in (("a", b"one"), ("b", b"one"), ("c", b"two"), ("d", None)):
        make(home / name, passphrase=passphrase)
    questions = answers("one", "wrong", "two")
    assert run("-c", "a", "b", "c", "d")[0] == 0
    assert len(ours.keyring) == 4
    assert questions.read_text().splitlines() == [
        "Enter passphrase for a (will confirm each use): ",
        "Enter passphrase for c (will confirm each use): ",
        "Bad passphrase, try again for c (will confirm each use): ",
    ]


def test_an_empty_passphrase_gives_up_one_key_and_not_the_next(
    ours: AgentListener, run: Run, home: Path, answers: Callable[..., Path]
) -> None:
    make(home / "a", passphrase=b"one")
    make(home / "b")
    answers("")
    assert run("a", "b")[0] == 1
    assert [held.comment for held in ours.keyring] == ["b"]


def test_files_that_cannot_be_used_are_named_and_the_others_added(
    ours: AgentListener, run: Run, home: Path
) -> None:
    make(home / "good")
    make(home / "open")
    (home / "open").chmod(0o644)
    (home / "damaged").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    (home / "damaged").chmod(0o600)
    status, _, errors = run("missing", "open", "damaged", "good")
    assert status == 1
    assert errors.splitlines()[0] == "missing: No such file or directory"
    assert errors.splitlines()[1].startswith('Error loading key "open": permissions 0644 are too open')
    assert errors.splitlines()[2].startswith('Error loading key "damaged": ')
    assert errors.splitlines()[3] == "Identity added: good (good)"


def test_keys_come_and_go_by_standard_input(ours: AgentListener, run: Run, home: Path) -> None:
    key = make(home / "id", comment="x")
    key.comment = ""
    secret = key.to_openssh(random_bytes=os.urandom)
    assert run("-", stdin=secret) == (0, "", "Identity added: (stdin) ((stdin))\n")
    lines = b"# comment\n\nnonsense\n" + (home / "id.pub").read_bytes()
    status, _, errors = run("-d", "-", stdin=lines)
    assert (status, errors.splitlines()) == (
        0,
        ["(stdin):3: not a public key line", "Identity removed: (stdin) ED25519 (x)"],
    )
    assert run("-d", "-", stdin=lines)[0] == 1


def test_a_certificate_leaves_the_agent_when_it_expires(
    ours: AgentListener, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(add_keys, "time", lambda: 1_000_000.5)
    key = make(home / "id")
    certify(home / "id", key, 1_000_100)
    assert "Lifetime set to 400 seconds" in run("id")[2]
    assert "Lifetime set to 50 seconds\n" in run("-t", "50", "id")[2]
    assert "Lifetime" not in run("-N", "id")[2]
    certify(home / "id", key, 999_000)
    status, _, errors = run("id")
    assert (status, errors.splitlines()[-1]) == (1, "Certificate id-cert.pub has expired")


def test_a_certificate_that_does_not_fit_is_told(ours: AgentListener, run: Run, home: Path) -> None:
    make(home / "id")
    certify(home / "id", generate_private_key("ed25519"))
    status, _, errors = run("id")
    assert (status, errors.splitlines()[-1]) == (
        1,
        "Certificate id-cert.pub does not match private key id",
    )
    (home / "id-cert.pub").write_text("nonsense\n")
    status, _, errors = run("id")
    assert status == 1
    assert errors.splitlines()[-1].startswith('Failed to load certificate "id-cert.pub": ')


def test_what_the_agent_refuses_is_told(ours: AgentListener, run: Run, home: Path) -> None:
    key = make(home / "id")
    certify(home / "id", key)
    ours.agent.policy = lambda request: False
    status, _, errors = run("id")
    assert (status, errors.splitlines()) == (
        1,
        [
            'Could not add identity "id": agent refused operation',
            "Certificate id-cert.pub (my id) add failed: agent refused operation",
        ],
    )


def test_keys_that_cannot_be_read_are_not_tested(ours: AgentListener, run: Run, home: Path) -> None:
    (home / "bad.pub").write_text("nonsense\n")
    status, _, errors = run("-T", "missing", "bad.pub")
    assert status == 1
    assert errors.splitlines() == [
        "Couldn't read public key missing: No such file or directory",
        "Couldn't read public key bad.pub: not a public key line",
    ]
    assert run("-d", "missing") == (1, "", "Bad key file missing: No such file or directory\n")


def test_certificates_alone_must_be_there(ours: AgentListener, run: Run, home: Path) -> None:
    make(home / "id")
    assert run("-C", "id") == (1, "", "")
    assert run("id")[0] == 0
    assert run("-C", "-d", "id") == (1, "", "")
    assert run("-k", "-d", "id")[0] == 0


def test_the_pub_file_stands_for_a_key_that_is_elsewhere(ours: AgentListener, run: Run, home: Path) -> None:
    make(home / "id")
    assert run("id")[0] == 0
    (home / "id").unlink()
    assert run("-T", "id") == (0, "", "")
    assert run("-d", "id")[0] == 0


def test_a_security_key_is_added_with_its_provider(ours: AgentListener, run: Run, home: Path) -> None:
    key = make_security_key(home / "id")
    assert run("id") == (0, "", "Identity added: id (sk)\n")
    assert [held.public for held in ours.keyring] == [key.public]
    status, _, errors = run("-S", "/usr/lib/libother.so", "id")
    assert (status, errors) == (1, 'Could not add identity "id": agent refused operation\n')


def test_a_quiet_command_says_nothing(ours: AgentListener, run: Run, home: Path) -> None:
    make(home / "id")
    assert run("-q", "-t", "5", "-c", "id") == (0, "", "")


def test_tokens_are_added_and_removed(
    ours: AgentListener, run: Run, home: Path, answers: Callable[..., Path]
) -> None:
    path = "/usr/lib/token.so"
    questions = answers("1234", "1234")
    key = make(home / "id")
    certify(home / "id", key)
    assert run("-s", path, "id-cert.pub") == (0, "", f"Card added: {path}\n")
    assert questions.read_text() == "Enter passphrase for PKCS#11: \n"
    assert [held.comment for held in ours.keyring] == ["1234"]
    assert run("-s", "/tmp/x.so")[0] == 1
    assert run("-e", path) == (0, "", f"Card removed: {path}\n")
    assert run("-e", path) == (1, "", f'Could not remove card "{path}": agent refused operation\n')


def test_the_agents_extensions_are_listed(ours: AgentListener, run: Run) -> None:
    assert run("-Q") == (0, "query\nsession-bind@openssh.com\n", "")


def test_an_agent_that_does_not_tell_its_extensions(real: str, run: Run) -> None:
    assert run("-Q") == (1, "", "The agent does not tell its extensions.\n")


def test_keys_inside_devices_are_not_read_out(ours: AgentListener, run: Run) -> None:
    assert run("-K")[0] == 1


def test_without_an_agent_the_status_is_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert run("-l") == (2, "", "Could not open a connection to your authentication agent.\n")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    status, _, errors = run("-l")
    assert status == 2
    assert errors.startswith("Error connecting to agent: ")


@pytest.mark.parametrize(
    "argv",
    [
        ["-z"],
        ["-l", "-L"],
        ["-l", "-D"],
        ["-x", "-X"],
        ["-M", "5"],
        ["-C", "-k"],
        ["-E", "sha1"],
        ["-t", "x"],
        ["-T"],
    ],
)
def test_a_command_line_that_makes_no_sense_shows_the_usage(argv: list[str], run: Run) -> None:
    status, _, errors = run(*argv)
    assert status == 1
    assert "usage: sshkit-add" in errors


def test_options_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse(["-v", "-N", "-S", "internal", "-h", "a", "-h", "b>c", "-H", "f", "x"])
    assert options.destinations == ("a", "b>c")
    assert (options.host_key_files, options.provider, options.files) == (("f",), "internal", ("x",))
    assert options.keep_certificates
    assert options.verbose
    with pytest.raises(UsageError):
        parse(["-d", "-D"])


def test_errors_beside_the_agent_end_the_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/x")
    for error, shown in (
        (sshkit.AgentLost("the agent is gone"), "sshkit-add: the agent is gone\n"),
        (FileNotFoundError(2, "No such file", "/a\x1b"), "sshkit-add: /a\\x1b: No such file\n"),
        (KeyboardInterrupt(), "\n"),
    ):

        def fail(session: object, path: str, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(add_keys.Session, "run", fail)
        assert run("-l") == (1, "", shown)
    monkeypatch.setattr(add, "main", lambda: 3)
    with pytest.raises(SystemExit) as ended:
        add.run()
    assert ended.value.code == 3


class Unknown:
    """A key of a type that nobody knows."""

    def __init__(self) -> None:
        self.blob = string("ssh-new\x1b") + b"x"
        self.key_type = "ssh-new\x1b"
        self.comment = "new"
        self.public = None


def test_r36_a_key_of_an_unknown_type_is_shown_escaped(
    ours: AgentListener, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keys(client: object) -> Sequence[object]:
        return [Unknown()]

    monkeypatch.setattr("sshkit.ssh.agent.client.AgentClient.list_keys", keys)
    assert run("-l")[1].endswith(" new (ssh-new\\x1b)\n")
    assert run("-L")[1].startswith("ssh-new\\x1b AAAA")


# Destinations.


def hosts(tmp_path: Path) -> str:
    path = tmp_path / "known"
    line = AUTHORITY.public.to_line()
    path.write_text(
        f"alpha {line}\n[alpha]:2222 {line}\n@cert-authority *.example.com {line}\n"
        f"@revoked bad {line}\n[odd]:22 ssh-new {string('ssh-new').hex()}\nfuture ssh-new AAAAB3NzaC1uZXc=\n"
    )
    return str(path)


def test_destinations_are_read(tmp_path: Path) -> None:
    files = [hosts(tmp_path)]
    to, hop, port, signed = parse_destinations(
        ["ann@alpha", "alpha>*@alpha", "[alpha]:2222", "www.example.com"], files
    )
    assert str(to) == "ann@alpha"
    assert to.target.keys[0].key == AUTHORITY.public
    assert str(hop) == "alpha>*@alpha"
    assert str(port) == "[alpha]:2222"
    assert signed.target.keys[0].is_authority
    assert parse_destinations([]) == ()
    assert parse_destinations(["[alpha]"], files)[0].target.host == "alpha"


@pytest.mark.parametrize(
    "text", ["", "ann@", "ann@alpha>alpha", "alpha>", ">alpha", "nowhere", "bad", "future"]
)
def test_destinations_that_name_nothing_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DestinationError):
        parse_destinations([text], [hosts(tmp_path)])


def test_the_users_known_hosts_are_looked_at(home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh" / "known_hosts").write_text(f"alpha {AUTHORITY.public.to_line()}\n")
    assert parse_destinations(["alpha"])[0].target.host == "alpha"
