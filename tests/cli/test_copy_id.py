"""sshkit-copy-id: its command line, what it asks, what it says, and how it ends."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import copy_id_run, copy_id_script
from sshkit_cli.copy_id import Options, UsageError, main, parse
from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

import sshkit
from sshkit import blocking
from sshkit.deferred import succeed
from tests.cli.user import PATIENCE, PtyUser, descriptors
from tests.peers import RealSshd

HOST = "127.0.0.1"
USER = getpass.getuser()


def make_key(folder: Path, name: str, comment: str = "", passphrase: bytes | None = None) -> PrivateKey:
    key = generate_private_key("ed25519", None, comment or name)
    write_private_key(folder / name, key.to_openssh(passphrase, rounds=1, random_bytes=os.urandom))
    write_public_key(folder / f"{name}.pub", key.public)
    return key


class Outcome:
    """What a run left."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err
        assert "Traceback" not in err
        assert "\x1b" not in out + err


Copy = Callable[..., Outcome]


@pytest.fixture
def copy(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Run the command, without an agent and with nobody at the terminal."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def run(*argv: str) -> Outcome:
        capfd.readouterr()
        with open(os.devnull) as nothing, descriptors(nothing.fileno(), 1, 2):
            status = main(list(argv))
        return Outcome(status, *capfd.readouterr())

    return run


# The command line.


def test_options_are_read() -> None:
    options = parse(
        [
            *("-i", "id", "-p", "22", "-F", "none", "-o", "A=b", "-t", "x/y", "-f", "-n", "-x"),
            "me@host",
        ]
    )
    assert options == Options(
        host="me@host",
        client=("-p", "22", "-F", "none", "-o", "A=b"),
        identity="id",
        target="x/y",
        force=True,
        dry_run=True,
        debug=True,
    )
    assert parse(["host"]) == Options("host")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "no hostname"),
        (["a", "b\x1b"], "too many arguments; one hostname is expected, got: a b\\x1b"),
        (["-i", "a", "-i", "b", "host"], "-i option must not be specified more than once"),
        (["-z", "host"], "option -z not recognized"),
        (["-i"], "option -i requires argument"),
        (["-h"], ""),
        (["-?", "host"], ""),
    ],
)
def test_a_wrong_command_line_is_usage_and_status_1(argv: list[str], text: str, copy: Copy) -> None:
    with pytest.raises(UsageError):
        parse(argv)
    outcome = copy(*argv)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith(f"sshkit-copy-id: ERROR: {text}\n\nusage: " if text else "usage: ")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-s", "host"], "option -s: keys are not copied by sftp yet"),
        (["-p", "x", "host"], "command line"),
        (["-o", "Nonsense=1", "host"], "command line"),
        (["-F", "/nosuch", "host"], "/nosuch"),
        (["--", "-oProxyCommand=x"], "'-oProxyCommand=x'"),
        (["a;b"], "'a;b': not a host name or address"),
        (["host"], "No identities found"),
        ([""], "no destination"),
        (["-i", "", "host"], "No identities found"),
        (["-i", "/no/id\x1b", "host"], "failed to open ID file '/no/id\\x1b.pub': No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_told_and_status_1(argv: list[str], text: str, copy: Copy) -> None:
    outcome = copy(*argv)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("\nsshkit-copy-id: ERROR: ")
    assert text in outcome.err


# Servers of a test's own.


class Host:
    """A server by password in this process; what is run goes to a real shell with a home of its own."""

    def __init__(self, folder: Path, before: bytes = b"", shell: str = "sh") -> None:
        self.home = folder
        self.before = before
        self.commands: list[str] = []
        self.shell = shell

    async def handle(self, session: Any) -> int:
        self.commands.append(session.command)
        script = await session.stdin.read()
        done = subprocess.run(
            [self.shell],
            input=script,
            capture_output=True,
            check=False,
            cwd="/",
            timeout=PATIENCE,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )
        session.stdout.write(self.before + done.stdout)
        session.stderr.write(done.stderr)
        return done.returncode


@pytest.fixture
def askpass(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that answers every question, and notes it."""
    program, asked = home / "askpass", home / "asked"
    program.write_text(
        f'#!/bin/sh\necho "$1" >> {asked}\ncase "$1" in *yes/no*) echo yes ;; *) echo secret ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    return asked


@contextlib.contextmanager
def serving(host: Host, **options: Any) -> Iterator[int]:
    options.setdefault("passwords", {USER: "secret"})
    key = generate_private_key("ed25519")
    with blocking.serve(f"{HOST}:0", host.handle, host_keys=[key], **options) as server:
        yield server.address[1]


def place(port: int, home: Path) -> tuple[str, ...]:
    return (
        "-F",
        "none",
        "-p",
        str(port),
        "-o",
        f"UserKnownHostsFile={home}/known",
        "-o",
        "GlobalKnownHostsFile=none",
    )


def test_the_host_key_is_asked_about_once_and_the_password_as_ssh_does(
    copy: Copy, home: Path, tmp_path: Path, askpass: Path
) -> None:
    key = make_key(home, "new")
    host = Host(tmp_path / "remote", b"Welcome \x1b]0;x\x07\n" * 30)
    host.home.mkdir()
    with serving(host) as port:
        outcome = copy("-i", str(home / "new"), *place(port, home), f"{USER}@{HOST}")
    assert outcome.status == 0, outcome.err
    asked = askpass.read_text()
    assert asked.count("yes/no") == 1
    assert asked.count("Password: ") == 1
    assert host.commands == ["exec sh"]
    assert (host.home / ".ssh" / "authorized_keys").read_text() == key.public.to_line() + "\n"
    assert f"{HOST}: Welcome \\x1b]0;x\\x07\n" in outcome.err
    assert outcome.err.count("Welcome") == 20
    assert f"{HOST}: (10 more lines)\n" in outcome.err


@pytest.mark.parametrize(("shell", "end"), [("true", "with status 0"), ("false", "with status 1")])
def test_a_host_that_does_not_run_the_script_is_told_and_status_1(
    shell: str, end: str, copy: Copy, home: Path, tmp_path: Path, askpass: Path
) -> None:
    make_key(home, "new")
    with serving(Host(tmp_path, b"This account is not available.\n", shell)) as port:
        outcome = copy("-f", "-i", str(home / "new"), *place(port, home), HOST)
    assert (outcome.status, outcome.out) == (1, "")
    assert f"{HOST}: This account is not available.\n" in outcome.err
    assert f"the keys were not installed: the script on the host ended {end}" in outcome.err


def test_a_script_that_a_signal_ends_is_told(copy: Copy, home: Path, tmp_path: Path, askpass: Path) -> None:
    make_key(home, "new")

    class Killed(Host):
        async def handle(self, session: Any) -> Any:
            session.exit_by_signal("KILL")

    with serving(Killed(tmp_path)) as port:
        outcome = copy("-f", "-i", str(home / "new"), *place(port, home), HOST)
    assert outcome.status == 1
    assert "the script on the host ended" in outcome.err


def test_r38_an_unknown_host_gets_nothing_in_batch_mode(copy: Copy, home: Path, tmp_path: Path) -> None:
    make_key(home, "new")
    with serving(Host(tmp_path)) as port:
        outcome = copy("-i", str(home / "new"), "-o", "BatchMode=yes", *place(port, home), HOST)
    assert outcome.status == 1
    assert "ERROR: " in outcome.err
    assert "unknown host key" in outcome.err
    assert not (home / "known").exists()


def test_a_password_that_is_refused_is_status_1(
    copy: Copy, home: Path, tmp_path: Path, askpass: Path
) -> None:
    make_key(home, "new")
    with serving(Host(tmp_path), passwords={USER: "another"}) as port:
        outcome = copy("-i", str(home / "new"), *place(port, home), HOST)
    assert outcome.status == 1
    assert "authentication failures" in outcome.err
    assert "secret" not in outcome.err


def test_r12_no_password_is_asked_for_where_the_host_key_changed(
    copy: Copy, home: Path, tmp_path: Path, askpass: Path
) -> None:
    make_key(home, "new")
    with serving(Host(tmp_path)) as port:
        (home / "known").write_text(f"[{HOST}]:{port} {generate_private_key('ed25519').public.to_line()}\n")
        lax = ("-o", "StrictHostKeyChecking=no", *place(port, home), HOST)
        outcome = copy("-i", str(home / "new"), *lax)
    assert outcome.status == 1
    assert not askpass.exists()


def test_a_host_that_is_not_there_is_status_1(copy: Copy, home: Path) -> None:
    make_key(home, "new")
    outcome = copy("-i", str(home / "new"), "-F", "none", "-p", "1", HOST)
    assert outcome.status == 1
    assert "Connection refused" in outcome.err


@pytest.mark.peer("sshd")
def test_a_host_that_ends_after_each_try_is_asked_again(copy: Copy, home: Path, tmp_path: Path) -> None:
    keys = [make_key(home, f"k{number}") for number in range(3)]
    (home / "all.pub").write_text("".join(f"{key.public.to_line()}\n" for key in keys))
    with RealSshd(tmp_path, "MaxAuthTries 1") as server:
        server.authorized.write_text(keys[1].public.to_line() + "\n")
        known = ("-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "GlobalKnownHostsFile=none")
        outcome = copy("-n", "-i", str(home / "all"), "-F", "none", "-p", str(server.port), *known, HOST)
    assert outcome.status == 0, outcome.err
    assert "INFO: 2 key(s) remain" in outcome.err
    assert keys[1].public.to_line() not in outcome.out


def test_a_host_that_lets_in_whoever_comes_needs_no_key(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(home, "new")
    monkeypatch.setattr(copy_id_run.Run, "_opened", lambda self, connection: succeed(connection))
    outcome = copy("-i", str(home / "new"), "-F", "none", HOST)
    assert outcome.status == 0
    assert "All keys were skipped" in outcome.err


def test_nothing_is_said_where_the_log_level_is_quiet(copy: Copy, home: Path) -> None:
    make_key(home, "new")
    outcome = copy("-i", str(home / "new"), "-F", "none", "-p", "1", "-o", "LogLevel=QUIET", HOST)
    assert (outcome.status, outcome.out, outcome.err) == (1, "", "")


def test_a_host_that_hangs_up_before_any_key_was_tried_is_status_1(copy: Copy, home: Path) -> None:
    make_key(home, "new")
    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        outcome = copy("-i", str(home / "new"), "-F", "none", "-p", str(listener.getsockname()[1]), HOST)
        thread.join(PATIENCE)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("ERROR: ") == 1


def test_a_file_without_a_key_is_told(copy: Copy, home: Path) -> None:
    (home / "empty.pub").write_text("# nothing\n")
    outcome = copy("-i", str(home / "empty"), HOST)
    assert outcome.status == 1
    assert "empty.pub: there is no key in it" in outcome.err


# The process.


def test_a_password_is_typed_at_the_terminal_and_a_signal_puts_it_back(
    home: Path, tmp_path: Path, user: PtyUser
) -> None:
    make_key(home, "new")
    host = Host(tmp_path)
    with serving(host) as port:
        lax = ("-o", "StrictHostKeyChecking=accept-new", *place(port, home), f"{USER}@{HOST}")
        process = spawn(user, "-f", "-i", str(home / "new"), *lax)
        user.expect("assword: ")
        user.wait_until(lambda: not user.echoes)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == -signal.SIGTERM
        assert user.echoes
        process = spawn(user, "-f", "-i", str(home / "new"), *lax)
        user.expect("assword: ")
        user.wait_until(lambda: not user.echoes)
        user.type("secret\n")
        user.expect("Number of key(s) added: 1")
        assert process.wait(PATIENCE) == 0


def test_a_signal_is_delivered_once_more_when_all_is_put_back(
    copy: Copy, home: Path, tmp_path: Path, askpass: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(home, "new")
    kill, delivered = os.kill, []

    class Ending(Host):
        async def handle(self, session: Any) -> Any:
            kill(os.getpid(), signal.SIGHUP)
            await sshkit.Deferred()

    monkeypatch.setattr(os, "kill", lambda pid, number: delivered.append((pid, number)))
    before = {number: signal.getsignal(number) for number in copy_id_run.ENDING_SIGNALS}
    try:
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as nohup(1) does with another
        with serving(Ending(tmp_path)) as port:
            outcome = copy("-f", "-i", str(home / "new"), *place(port, home), HOST)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (outcome.status, outcome.out) == (1, "")
    assert delivered == [(os.getpid(), signal.SIGHUP)]


def spawn(user: PtyUser, *argv: str) -> "subprocess.Popen[bytes]":
    code = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'sshkit_cli.copy_id', *sys.argv[1:]])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *argv], stdin=user.slave, stdout=user.slave, stderr=user.slave
    )


def test_an_interrupt_ends_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def interrupted(self: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(copy_id_run.Run, "run", interrupted)
    assert main(["-F", "none", "host"]) == 130


def test_an_error_of_the_system_is_told(
    monkeypatch: pytest.MonkeyPatch, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for error, text in (
        (OSError(5, "broken"), "broken"),
        (FileNotFoundError(2, "gone", "/a\x1b"), "/a\\x1b: gone"),
    ):

        def failing(self: Any, error: OSError = error) -> int:
            raise error

        monkeypatch.setattr(copy_id_run.Run, "run", failing)
        assert main(["-F", "none", "host"]) == 1
        assert capfd.readouterr().err == f"\nsshkit-copy-id: ERROR: {text}\n\n"
    assert copy_id_script.COMMAND == "exec sh"
