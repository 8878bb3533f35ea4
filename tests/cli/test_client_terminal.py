"""sshkit-client at a terminal: raw mode, window changes, escapes, and everything put back."""

import os
import signal
import termios
from pathlib import Path

import pytest

from tests.cli.user import PATIENCE, PtyUser, run_at_terminal, run_here, spawn_at_terminal
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")
HOST = "127.0.0.1"
Arguments = tuple[str, ...]
CLOSED = "Connection to 127.0.0.1 closed.\r\n"


def resized(user: PtyUser, columns: int, rows: int) -> None:
    """Change the window; the terminal is not this process's own, so the signal is sent by hand."""
    user.resize(columns, rows)
    os.kill(os.getpid(), signal.SIGWINCH)


def test_a_login_shell_runs_on_a_terminal_of_the_same_size_and_type(
    to_sshd: Arguments, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "vt220")
    user.resize(111, 33)
    before = user.modes

    def script(user: PtyUser) -> None:
        user.type("stty size; echo $TERM:$-\r")
        user.expect("33 111\r\n")
        user.expect("vt220:")
        assert user.is_raw
        resized(user, 99, 44)
        user.type("stty size\r")
        user.expect("44 99\r\n")
        user.type("exit 6\r")
        user.expect(CLOSED)

    assert run_at_terminal(user, *to_sshd, HOST, script=script) == 6
    assert user.modes == before


def test_the_modes_of_the_local_terminal_hold_on_the_other_side(to_sshd: Arguments, user: PtyUser) -> None:
    modes = user.modes
    modes[6][termios.VINTR] = b"\x18"
    modes[3] &= ~termios.ECHOCTL
    termios.tcsetattr(user.slave, termios.TCSANOW, modes)

    def script(user: PtyUser) -> None:
        shown = user.expect(CLOSED)
        assert b"intr = ^X" in shown
        assert b"-echoctl" in shown

    assert run_at_terminal(user, "-t", *to_sshd, HOST, "stty -a", script=script) == 0


def test_every_key_goes_through_and_a_signal_key_reaches_the_command(
    to_sshd: Arguments, user: PtyUser
) -> None:
    def script(user: PtyUser) -> None:
        user.expect("ready")
        user.type("\x03")
        user.expect("caught")
        user.expect(CLOSED)

    command = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    assert run_at_terminal(user, "-t", *to_sshd, HOST, command, script=script) == 9


def test_the_escapes_work_and_the_last_one_ends_the_connection(to_sshd: Arguments, user: PtyUser) -> None:
    before = user.modes

    def script(user: PtyUser) -> None:
        user.expect("ready\r\n")
        user.type("~?")
        assert b"Supported escape sequences:\r\n ~.   - end the connection\r\n" in user.expect("newline.)")
        user.type("~#")
        user.expect("There are no forwarded connections.\r\n")
        user.type("~v")
        user.expect("~v [log level 4]")
        user.type("~V")
        user.expect("~V [log level 3]")
        user.type("~B~R")
        user.type("~~x\r")
        user.expect("~x")
        user.type("~.")
        user.expect("~.\r\n")
        user.expect(CLOSED)

    argv = ("-t", *to_sshd, HOST, "echo ready; cat")
    assert run_at_terminal(user, *argv, script=script) == 255
    assert user.modes == before


def test_the_escape_character_may_be_another_or_none(to_sshd: Arguments, user: PtyUser) -> None:
    def other(user: PtyUser) -> None:
        user.expect("ready\r\n")
        user.type("~.\r")
        user.expect("~.")
        user.type("%.")
        user.expect("%.\r\n")
        user.expect(CLOSED)

    assert run_at_terminal(user, "-t", "-e", "%", *to_sshd, HOST, "echo ready; cat", script=other) == 255

    def none(user: PtyUser) -> None:
        user.expect("ready\r\n")
        user.type("~.\r\x04")
        user.expect("~.")
        user.expect(CLOSED)

    assert run_at_terminal(user, "-t", "-e", "none", *to_sshd, HOST, "echo ready; cat", script=none) == 0


def test_q_says_nothing_at_the_end(to_sshd: Arguments, user: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        user.expect("only this\r\n")

    assert run_at_terminal(user, "-q", "-t", *to_sshd, HOST, "echo only this", script=script) == 0
    assert user.seen == b""


@pytest.mark.parametrize(
    ("flags", "command", "has_terminal"),
    [
        ((), "tty", False),
        (("-t",), "tty", True),
        (("-tt",), "tty", True),
        (("-T",), "tty", False),
        (("-t", "-n"), "tty", False),
        (("-o", "RequestTTY=yes"), "tty", True),
        (("-o", "RequestTTY=force"), "tty", True),
        (("-o", "RequestTTY=no"), "tty", False),
    ],
)
def test_a_terminal_is_asked_for_by_sshs_rules(
    to_sshd: Arguments, user: PtyUser, flags: tuple[str, ...], command: str, has_terminal: bool
) -> None:
    def script(user: PtyUser) -> None:
        user.expect("/dev/pts/" if has_terminal else "not a tty")

    assert run_at_terminal(user, *flags, *to_sshd, HOST, command, script=script) == (0 if has_terminal else 1)


def test_without_a_local_terminal_only_force_asks_for_one(to_sshd: Arguments) -> None:
    outcome = run_here("-tt", *to_sshd, HOST, "tty; stty size", stdin=b"")
    assert outcome.status == 0
    assert outcome.out.startswith(b"/dev/pts/")
    assert outcome.err == "Connection to 127.0.0.1 closed.\n"
    assert run_here("-t", *to_sshd, HOST, "tty").status == 1


def test_a_server_without_terminals_costs_the_terminal_only(
    tmp_path: Path, home: Path, user: PtyUser
) -> None:
    with RealSshd(tmp_path, "PermitTTY no") as server:
        argv = ("-F", "none", "-t", "-p", str(server.port), "-i", str(server.user_key_path))
        known = ("-o", f"UserKnownHostsFile={server.known_hosts}")

        def script(user: PtyUser) -> None:
            user.expect("The server has no terminal for us; going on without one.")
            user.expect("not a tty")

        assert run_at_terminal(user, *argv, *known, HOST, "tty", script=script) == 1
        assert user.echoes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_terminal_is_put_back_after_a_signal(
    to_sshd: Arguments, user: PtyUser, number: signal.Signals
) -> None:
    before = user.modes
    process = spawn_at_terminal(user, "-t", *to_sshd, HOST, "echo ready; cat")
    user.expect("ready\r\n")
    assert user.is_raw
    process.send_signal(number)
    assert process.wait(PATIENCE) == 255
    user.expect(CLOSED)
    assert user.modes == before


def test_the_terminal_is_put_back_when_the_connection_breaks(to_sshd: Arguments, user: PtyUser) -> None:
    before = user.modes
    process = spawn_at_terminal(user, "-t", *to_sshd, HOST, "echo ready; kill -9 $PPID; sleep 30")
    assert process.wait(PATIENCE) == 255
    user.expect("sshkit-client: 127.0.0.1 port")
    assert user.modes == before


def test_the_terminal_is_put_back_after_a_fault_of_ours(
    to_sshd: Arguments, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = user.modes

    def fail(self: object, data: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("sshkit_cli.session.ClientSession.data_received", fail)
    assert run_at_terminal(user, "-t", *to_sshd, HOST, "echo ready", script=lambda user: None) == 255
    assert user.modes == before


def test_suspending_gives_the_terminal_back_for_the_time_being(
    to_sshd: Arguments, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[bool] = []
    kill = os.kill

    def stop(pid: int, number: int) -> None:
        if number == signal.SIGTSTP:
            stopped.append(user.echoes)
        else:
            kill(pid, number)

    monkeypatch.setattr("sshkit_cli.client_run.os.kill", stop)

    def script(user: PtyUser) -> None:
        user.expect("ready\r\n")
        user.type("~\x1a")
        user.expect("~^Z [suspended]\r\n")
        user.wait_until(lambda: bool(stopped) and user.is_raw)
        user.type("after\r\x04")
        user.expect("after")
        user.expect(CLOSED)

    assert run_at_terminal(user, "-t", *to_sshd, HOST, "echo ready; cat", script=script) == 0
    assert stopped == [True]


def test_a_terminal_that_goes_away_is_the_end_of_input(to_sshd: Arguments, user: PtyUser) -> None:
    process = spawn_at_terminal(user, "-T", *to_sshd, HOST, "echo ready; cat")
    user.expect("ready")
    os.close(user.slave)
    os.close(user.master)
    assert process.wait(PATIENCE) in (0, 255)


def test_an_escape_is_heard_while_the_server_reads_nothing(to_sshd: Arguments, user: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        user.expect("ready\n")
        for _ in range(64):
            user.type(b"x" * 1023 + b"\r")
        user.type("~.")
        user.expect(CLOSED)

    command = "stty raw -echo; echo ready; exec sleep 30"
    assert run_at_terminal(user, "-t", *to_sshd, HOST, command, script=script) == 255


def test_a_large_output_arrives_whole_at_a_terminal(to_sshd: Arguments, user: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        shown = user.expect("the end")
        assert shown.count(b"line ") == 20000

    command = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo the end"
    assert run_at_terminal(user, "-t", *to_sshd, HOST, command, script=script) == 0
