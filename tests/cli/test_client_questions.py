"""What sshkit-client asks: passwords, passphrases, a server's questions, unknown host keys; SSH_ASKPASS."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli.prompts import NobodyToAsk, askpass_rules
from sshkit_keys import PrivateKey, generate_private_key

import sshkit
from sshkit import blocking
from tests.cli.user import PATIENCE, PtyUser, run_at_terminal, run_here, spawn_at_terminal
from tests.peers import RealSshd

HOST = "127.0.0.1"
Arguments = tuple[str, ...]


async def answer_with_the_users_name(session: Any) -> int:
    session.stdout.write(f"hello {session.user}\n".encode())
    return 0


@pytest.fixture(scope="module")
def host_key() -> PrivateKey:
    return generate_private_key("ed25519", None, "host")


@pytest.fixture(scope="module")
def server(host_key: PrivateKey) -> Iterator[blocking.BlockingServer]:
    """A server that lets in by password."""
    passwords = {"ann": "secret word", "bob": "pässwort"}
    with blocking.serve(
        "127.0.0.1:0", answer_with_the_users_name, host_keys=[host_key], passwords=passwords
    ) as running:
        yield running


@pytest.fixture
def to_server(server: blocking.BlockingServer, host_key: PrivateKey, home: Path) -> Arguments:
    """Arguments that lead to the server with passwords, up to and without the host."""
    known = home / "known"
    port = server.address[1]
    known.write_text(f"[127.0.0.1]:{port} {host_key.public.to_line()}\n")
    return (
        *("-F", "none", "-p", str(port), "-o", f"UserKnownHostsFile={known}"),
        *("-o", "GlobalKnownHostsFile=none"),
    )


@pytest.fixture
def own_terminal(user: PtyUser, monkeypatch: pytest.MonkeyPatch) -> PtyUser:
    """Make the user's terminal what /dev/tty is for this process."""

    def opened() -> int:
        return os.open(user.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)

    monkeypatch.setattr("sshkit_cli.prompts._controlling_terminal", opened)
    return user


BY_PASSWORD = ("-o", "PreferredAuthentications=password")
BY_DIALOGUE = ("-o", "PreferredAuthentications=keyboard-interactive")


def test_a_password_is_asked_for_without_echo(to_server: Arguments, own_terminal: PtyUser) -> None:
    before = own_terminal.modes

    def script(user: PtyUser) -> None:
        user.expect("ann@127.0.0.1's password: ")
        assert not user.echoes
        user.type("secret word\n")
        user.expect("hello ann")

    assert run_at_terminal(own_terminal, *BY_PASSWORD, *to_server, "ann@127.0.0.1", script=script) == 0
    assert own_terminal.modes == before
    assert b"secret" not in own_terminal.everything


def test_a_wrong_password_may_be_corrected_as_often_as_the_setting_says(
    to_server: Arguments, own_terminal: PtyUser
) -> None:
    def corrected(user: PtyUser) -> None:
        user.expect("password: ")
        user.type("wrong\n")
        user.expect("Permission denied, please try again.\r\n")
        user.expect("password: ")
        user.type("pässwort\n")
        user.expect("hello bob")

    argv = (*BY_PASSWORD, *to_server, "bob@127.0.0.1", "true")
    assert run_at_terminal(own_terminal, *argv, script=corrected) == 0

    def never(user: PtyUser) -> None:
        for _ in range(2):
            user.expect("password: ")
            user.type("wrong\n")
        user.expect("permission denied")

    two = ("-o", "NumberOfPasswordPrompts=2")
    assert run_at_terminal(own_terminal, *two, *argv, script=never) == 255
    assert own_terminal.everything.count(b"please try again") == 2


def test_the_questions_of_a_server_name_who_asks(to_server: Arguments, own_terminal: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        user.expect("(ann@127.0.0.1) Password: ")
        user.type("secret word\n")
        user.expect("hello ann")

    argv = (*BY_DIALOGUE, *to_server, "-T", "ann@127.0.0.1", "true")
    assert run_at_terminal(own_terminal, *argv, script=script) == 0


def test_the_end_of_input_is_no_password(to_server: Arguments, own_terminal: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        user.expect("password: ")
        user.type("\x04")
        user.expect("permission denied")

    argv = (*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true")
    assert run_at_terminal(own_terminal, *argv, script=script) == 255


def test_batch_mode_asks_nothing(to_server: Arguments) -> None:
    outcome = run_here("-o", "BatchMode=yes", *to_server, "ann@127.0.0.1", "true")
    assert outcome.status == 255
    assert "permission denied (password, keyboard-interactive)" in outcome.err


def test_without_a_terminal_nobody_is_asked_and_the_error_says_so(
    to_server: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("sshkit_cli.prompts._controlling_terminal", none)
    monkeypatch.setattr("sshkit_cli.prompts._DEFAULT_ASKPASS", ())
    outcome = run_here(*to_server, "ann@127.0.0.1", "true")
    assert outcome.status == 255
    assert "there is no terminal to ask on" in outcome.err
    assert "please try again" not in outcome.err


def test_control_c_at_a_question_puts_the_echo_back_and_kills(to_server: Arguments, user: PtyUser) -> None:
    before = user.modes
    process = spawn_at_terminal(user, *BY_PASSWORD, *to_server, "ann@127.0.0.1")
    user.expect("password: ")
    user.type("\x03")
    assert process.wait(PATIENCE) == -signal.SIGINT
    assert user.modes == before


def test_a_server_that_gives_up_is_heard_during_the_question(
    host_key: PrivateKey, home: Path, own_terminal: PtyUser
) -> None:
    settings = sshkit.Settings(grace_time=1.0)
    with blocking.serve(
        "127.0.0.1:0",
        answer_with_the_users_name,
        host_keys=[host_key],
        passwords={"ann": "x"},
        settings=settings,
    ) as server:
        port = server.address[1]

        def script(user: PtyUser) -> None:
            user.expect("password: ")
            user.expect(f"127.0.0.1 port {port}: ")

        argv = ("-F", "none", "-p", str(port), "-o", "StrictHostKeyChecking=no", *BY_PASSWORD)
        assert run_at_terminal(own_terminal, *argv, "ann@127.0.0.1", script=script) == 255
    assert own_terminal.echoes


def askpass(folder: Path, body: str) -> str:
    """Write a program for SSH_ASKPASS; returns its path."""
    path = folder / "askpass"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return str(path)


def test_ssh_askpass_is_asked_where_it_is_forced(
    to_server: Arguments, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f'echo "$1" >> {home}/questions; echo noise >&2; echo secret word; echo more'
    monkeypatch.setenv("SSH_ASKPASS", askpass(home, body))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    outcome = run_here(*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true")
    assert (outcome.status, outcome.out) == (0, b"hello ann\n")
    assert (home / "questions").read_text() == "ann@127.0.0.1's password: \n"


def test_ssh_askpass_serves_where_there_is_a_display_and_no_terminal(
    to_server: Arguments, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("sshkit_cli.prompts._controlling_terminal", none)
    monkeypatch.setenv("SSH_ASKPASS", askpass(home, "echo secret word"))
    monkeypatch.setenv("DISPLAY", ":0")
    assert run_here(*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true").status == 0


@pytest.mark.parametrize("body", ["exit 1", "kill -9 $$"])
def test_an_ssh_askpass_that_fails_gives_no_answer(
    to_server: Arguments, home: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv("SSH_ASKPASS", askpass(home, body))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    outcome = run_here(*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true")
    assert outcome.status == 255
    assert "permission denied" in outcome.err


def test_an_ssh_askpass_that_cannot_be_run_is_told(
    to_server: Arguments, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setattr("sshkit_cli.prompts._DEFAULT_ASKPASS", ())
    argv = (*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true")
    assert "SSH_ASKPASS names no program" in run_here(*argv).err
    monkeypatch.setenv("SSH_ASKPASS", str(home / "none"))
    assert "cannot be run" in run_here(*argv).err


@pytest.mark.parametrize(
    ("environment", "rules"),
    [
        ({}, (False, False, False)),
        ({"DISPLAY": ":0"}, (True, False, False)),
        ({"WAYLAND_DISPLAY": "w"}, (True, False, False)),
        ({"DISPLAY": ""}, (False, False, False)),
        ({"SSH_ASKPASS_REQUIRE": "force"}, (True, True, True)),
        ({"SSH_ASKPASS_REQUIRE": "prefer"}, (False, False, False)),
        ({"SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, (True, True, False)),
        ({"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ":0"}, (False, False, False)),
    ],
)
def test_the_rules_for_ssh_askpass_are_sshs(
    environment: dict[str, str], rules: tuple[bool, bool, bool]
) -> None:
    assert askpass_rules(environment) == rules


def test_a_terminal_that_cannot_be_set_is_nobody_to_ask(
    to_server: Arguments, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "sshkit_cli.prompts._controlling_terminal",
        lambda: os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT),
    )
    outcome = run_here(*BY_PASSWORD, *to_server, "ann@127.0.0.1", "true")
    assert outcome.status == 255
    assert "the terminal cannot be used" in outcome.err
    assert issubclass(NobodyToAsk, sshkit.SSHKitError)


# A real sshd: keys with passphrases, and host keys that are not known yet.


@pytest.fixture
def locked_key(sshd: RealSshd) -> str:
    """A key with a passphrase, that sshd lets in."""
    path = sshd.folder / "locked"
    if not path.exists():
        key = sshd.make_key("locked", b"open sesame")
        with sshd.authorized.open("a") as file:
            file.write(key.public.to_line() + "\n")
    return str(path)


@pytest.mark.peer("sshd")
def test_a_passphrase_is_asked_for_when_the_server_wants_the_key(
    sshd: RealSshd, to_sshd: Arguments, locked_key: str, own_terminal: PtyUser
) -> None:
    argv = [word.replace(str(sshd.user_key_path), locked_key) for word in to_sshd]

    def corrected(user: PtyUser) -> None:
        for answer in ("wrong", "open sesame"):
            user.expect(f"Enter passphrase for key '{locked_key}': ")
            assert not user.echoes
            user.type(f"{answer}\n")
        user.expect("in\r\n")

    assert run_at_terminal(own_terminal, *argv, HOST, "echo in", script=corrected) == 0

    def given_up(user: PtyUser) -> None:
        user.expect("Enter passphrase")
        user.type("\n")
        user.expect("permission denied")

    only = ("-o", "PreferredAuthentications=publickey")
    assert run_at_terminal(own_terminal, *argv, *only, HOST, "true", script=given_up) == 255


@pytest.mark.peer("sshd")
def test_batch_mode_asks_for_no_passphrase(sshd: RealSshd, to_sshd: Arguments, locked_key: str) -> None:
    argv = [word.replace(str(sshd.user_key_path), locked_key) for word in to_sshd]
    outcome = run_here("-o", "BatchMode=yes", *argv, HOST, "true")
    assert outcome.status == 255
    assert f"{locked_key}): the private key could not be read" in outcome.err


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("answer", ["yes", "fingerprint"])
def test_an_unknown_host_key_is_asked_about_and_written_down(
    sshd: RealSshd, to_sshd: Arguments, tmp_path: Path, own_terminal: PtyUser, answer: str
) -> None:
    known = tmp_path / "known"
    fingerprint = sshd.host_key.public.fingerprint()

    def script(user: PtyUser) -> None:
        user.expect("The authenticity of host 'localhost (127.0.0.1)' can't be established.\r\n")
        user.expect(f"ED25519 key fingerprint is {fingerprint}.\r\n")
        user.expect("+--[ED25519 256]--+")
        user.expect("This key is not known by any other names.\r\n")
        user.expect("Are you sure you want to continue connecting (yes/no/[fingerprint])? ")
        assert user.echoes
        user.type("maybe\n")
        user.expect("Please type 'yes', 'no' or the fingerprint: ")
        user.type(f"{fingerprint if answer == 'fingerprint' else answer}\n")
        user.expect(f"Warning: added [localhost]:{sshd.port} (ssh-ed25519) to {known}")
        user.expect("in\r\n")

    more = ("-4", "-o", f"UserKnownHostsFile={known}", "-o", "VisualHostKey=yes")
    assert run_at_terminal(own_terminal, *more, *to_sshd, "localhost", "echo in", script=script) == 0
    assert known.read_text() == sshd.known_line(sshd.host_key).replace(HOST, "localhost")


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("answers", [["no"], ["\x04"], ["x"] * 5])
def test_a_host_key_that_nobody_confirms_is_refused(
    sshd: RealSshd, to_sshd: Arguments, tmp_path: Path, own_terminal: PtyUser, answers: list[str]
) -> None:
    known = tmp_path / "known"
    known.write_text(f"other.example {sshd.host_key.public.to_line()}\n")

    def script(user: PtyUser) -> None:
        user.expect("The authenticity of host '127.0.0.1' can't")
        user.expect(f"{known}:1: other.example\r\n")
        for answer in answers:
            user.expect("fingerprint")
            user.expect(" ")
            user.type(answer if answer == "\x04" else f"{answer}\n")
        user.expect("was not accepted")

    more = ("-o", f"UserKnownHostsFile={known}", "-o", "FingerprintHash=md5")
    assert run_at_terminal(own_terminal, *more, *to_sshd, HOST, "true", script=script) == 255
    assert len(known.read_text().splitlines()) == 1


# A password that has run out, and yes or no.


class Expired(sshkit.Users):
    """Ann's password has run out; the new one has to be long."""

    def __init__(self) -> None:
        super().__init__({"ann": "old one"})
        self.changed: list[tuple[str, str, str]] = []

    def methods(self) -> tuple[str, ...]:
        return ("password",)

    def check_password(self, user: str, password: str) -> Any:
        right = super().check_password(user, password)
        return sshkit.PasswordExpired("Your password has run out\x1b[2J.") if right else False

    def change_password(self, user: str, old: str, new: str) -> Any:
        if not super().check_password(user, old):
            return False
        if len(new) < 5:
            return sshkit.PasswordExpired("Longer, please.")
        self.changed.append((user, old, new))
        return True


@pytest.fixture
def expired(host_key: PrivateKey, home: Path) -> Iterator[tuple[Expired, Arguments]]:
    users = Expired()
    with blocking.serve(
        "127.0.0.1:0", answer_with_the_users_name, host_keys=[host_key], users=users
    ) as running:
        known = home / "known"
        port = running.address[1]
        known.write_text(f"[127.0.0.1]:{port} {host_key.public.to_line()}\n")
        options = ("-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none")
        yield users, ("-F", "none", "-p", str(port), *options)


def test_a_new_password_is_asked_for_twice(
    expired: tuple[Expired, Arguments], own_terminal: PtyUser, capfd: pytest.CaptureFixture[str]
) -> None:
    users, arguments = expired

    def script(user: PtyUser) -> None:
        user.expect("ann@127.0.0.1's password: ")
        user.type("old one\n")
        # A mismatch is asked again for the new one only; a refusal by the server for everything.
        for with_old, new, again in ((True, "abc", "xyz"), (False, "abc", "abc"), (True, "abcdef", "abcdef")):
            if with_old:
                user.expect("ann@127.0.0.1's old password: ")
                user.type("old one\n")
            user.expect("Enter ann@127.0.0.1's new password: ")
            user.type(f"{new}\n")
            user.expect("Retype ann@127.0.0.1's new password: ")
            user.type(f"{again}\n")
        user.expect("hello ann")

    assert run_at_terminal(own_terminal, *arguments, "ann@127.0.0.1", script=script) == 0
    assert users.changed == [("ann", "old one", "abcdef")]
    said = capfd.readouterr().err + own_terminal.everything.decode()
    assert "run out\\x1b[2J." in said
    assert "Mismatch; try again, EOF to quit." in said
    assert "Longer, please." in said
    assert "abcdef" not in said


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_whoever_gives_no_new_password_is_not_let_in(
    expired: tuple[Expired, Arguments], own_terminal: PtyUser, answers: int
) -> None:
    users, arguments = expired

    def script(user: PtyUser) -> None:
        user.expect("'s password: ")
        user.type("old one\n")
        for question in ("old password: ", "Enter", "Retype")[:answers]:
            user.expect(question)
            user.type("something\n")
        user.expect(("old password: ", "Enter", "Retype")[answers])
        user.type("\x04")

    assert run_at_terminal(own_terminal, *arguments, "ann@127.0.0.1", script=script) == 255
    assert users.changed == []


@pytest.mark.parametrize(
    ("body", "yes"),
    [("echo yes", True), ("exit 0", True), ("echo no", False), ("exit 1", False)],
)
def test_a_yes_may_come_from_a_program(home: Path, body: str, yes: bool) -> None:
    from sshkit_cli.log import Log
    from sshkit_cli.prompts import Prompter
    from sshkit_cli.questions import Questions

    from sshkit.client.target import load_target
    from sshkit.reactor.engines.native import NativeReactor

    reactor: Any = NativeReactor()
    program = askpass(home, f'test "$SSH_ASKPASS_PROMPT" = confirm || exit 3\n{body}')
    environment = {**os.environ, "SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "force"}
    questions = Questions(load_target("host", files=[]), Prompter(reactor, print, environment), Log())
    try:
        assert reactor.run_until(questions.confirm("Shall it be?")) is yes
    finally:
        reactor.close()
