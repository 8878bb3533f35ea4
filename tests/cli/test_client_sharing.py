"""sshkit-client shares its connection, and rides those of others: -M, -S, -O, ControlPersist."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sshkit_cli import client_persist, client_sharing
from sshkit_cli.client_control import printable_lines

from tests.cli.sharing import HOST, PROGRAM, Arguments, a_master, beside, master_here, ride, wait_until
from tests.cli.user import PATIENCE, PtyUser, run_at_terminal, run_here
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")


@pytest.fixture
def control(tmp_path: Path) -> str:
    return str(tmp_path / "control")


def test_a_session_rides_and_is_as_one_of_its_own(to_sshd: Arguments, control: str) -> None:
    with a_master(to_sshd, control) as master:
        outcome = ride(control, "x", "cat; echo err >&2; exit 9", stdin=b"hello")
        assert outcome == (9, b"hello", "err\n")
        assert ride(control, "-n", "x", "cat") == (0, b"", "")
        assert ride(control, "-s", "x", "echo", stdin=b"abc") == (0, b"abc", "")
        assert ride(control, "-s", "x", "nonsense").status == 255
        assert ride(control, "-o", "SetEnv=LC_X=1", "x", "echo $LC_X") == (0, b"1\n", "")
        assert ride(control, "x", stdin=b"exit 4\n").status == 4
        outcome = ride(control, "x", "kill -9 $$")
        assert outcome == (255, b"", "The session has ended without an exit status.\n")
        assert ride(control, "-O", "check", "x") == (0, b"", f"Master running (pid={master.pid})\r\n")
        assert ride(control, "-O", "exit", "x") == (0, b"", "Exit request sent.\r\n")
        assert master.wait(PATIENCE) == 0
    assert not os.path.exists(control)


def test_proxy_mode_is_a_session_too(to_sshd: Arguments, control: str) -> None:
    data = os.urandom(3_000_000)
    with a_master(to_sshd, control):
        assert ride(control, "-O", "proxy", "x", "cat; exit 9", stdin=data) == (9, data, "")
    outcome = ride(control, "-O", "proxy", "x", "true")
    assert outcome.status == 255
    assert "No such file" in outcome.err


def test_w_rides(to_sshd: Arguments, control: str, sshd: RealSshd) -> None:
    with a_master(to_sshd, control):
        outcome = ride(control, "-W", f"{HOST}:{sshd.port}", "x", stdin=b"hello\r\n")
        assert outcome.status == 0
        assert outcome.out.startswith(b"SSH-2.0-")
        outcome = ride(control, "-W", f"{HOST}:1", "x")
        assert outcome.status == 255
        assert "refused" in outcome.err


def test_forwards_are_begun_and_cancelled_by_o(
    to_sshd: Arguments, control: str, sshd: RealSshd, tmp_path: Path
) -> None:
    place = str(tmp_path / "socket")
    target = f"{HOST}:{sshd.port}"
    with a_master(to_sshd, control):
        outcome = ride(control, "-O", "forward", "-L", f"{place}:{target}", "-R", f"0:{target}", "x")
        assert (outcome.status, outcome.err) == (0, "")
        port = int(outcome.out)
        again = ride(control, "-v", "-O", "forward", "-R", f"0:{target}", "x")
        assert int(again.out) == port
        assert "Allocated port" in again.err
        for family, address in ((socket.AF_UNIX, place), (socket.AF_INET, (HOST, port))):
            with socket.socket(family) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(address)
                assert sock.recv(4) == b"SSH-"
        channels = ride(control, "-O", "channels", "x")
        assert channels.status == 0
        assert b"channel" in channels.out
        info = ride(control, "-O", "conninfo", "x")
        assert b"algorithms: " in info.out
        assert b"host key: ssh-ed25519" in info.out
        assert ride(control, "-O", "cancel", "-L", f"{place}:{target}", "-R", f"0:{target}", "x").err == ""
        outcome = ride(control, "-O", "cancel", "-L", f"{place}:{target}", "x")
        assert outcome.status == 0
        assert "port not forwarded" in outcome.err
        outcome = ride(control, "-O", "forward", "-L", f"/no/such/x:{target}", "x")
        assert outcome.status == 255
        assert "refused" in outcome.err
        assert ride(control, "-O", "forward", "-o", "ClearAllForwardings=yes", "-L", f"1:{target}", "x") == (
            *(0, b""),
            "",
        )


def test_forwards_of_a_riding_session_are_the_masters(
    to_sshd: Arguments, control: str, sshd: RealSshd, tmp_path: Path
) -> None:
    with a_master(to_sshd, control):
        place = str(tmp_path / "socket")
        assert ride(control, "-L", f"{place}:{HOST}:{sshd.port}", "x", "exit 3").status == 3
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(place)
            assert sock.recv(4) == b"SSH-"
        # A master that does not begin all of them is left alone; here there is no other way either.
        outcome = ride(control, "-p", "1", "-L", f"/no/such/x:{HOST}:1", HOST, "true")
        assert outcome.status == 255
        assert "going on without it" in outcome.err


def test_stop_lets_those_finish_who_ride(to_sshd: Arguments, control: str, tmp_path: Path) -> None:
    with a_master(to_sshd, control) as master:
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "read x; exit 5"], stdin=subprocess.PIPE
        )
        wait_until(lambda: b"session" in ride(control, "-O", "channels", "x").out)
        assert ride(control, "-O", "stop", "x") == (0, b"", "Stop listening request sent.\r\n")
        assert not os.path.exists(control)
        assert master.poll() is None
        riding.communicate(b"\n", timeout=PATIENCE)
        assert riding.returncode == 5
        assert master.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("-O", "nonsense"), "-O: nonsense is none of"),
        (("-O", "check"), "No such file"),
        (("-S", "none", "-O", "check"), "no ControlPath"),
        (("-S", "/dev/null", "-O", "check"), "not a socket"),
    ],
)
def test_a_word_of_o_that_cannot_be_obeyed_is_an_error(control: str, words: Arguments, cause: str) -> None:
    where = () if "-S" in words else ("-S", control)
    outcome = run_here("-F", "none", *where, *words, "x")
    assert outcome.status == 255
    assert cause in outcome.err
    assert run_here("-F", "none", "-O", "check", "x").status == 255


def test_without_a_master_the_command_goes_its_own_way(to_sshd: Arguments, control: str) -> None:
    assert run_here(*to_sshd, "-S", control, HOST, "exit 3") == (3, b"", "")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(control)
    sock.close()
    outcome = run_here(*to_sshd, "-S", control, HOST, "exit 3")
    assert outcome.status == 3
    assert "going on without it" in outcome.err
    auto = ("-o", "ControlMaster=auto")
    outcome = run_here(*to_sshd, "-v", "-S", control, *auto, HOST, "exit 3")
    assert outcome.status == 3
    assert "removed" in outcome.err
    assert not os.path.exists(control)


def test_a_path_that_is_taken_costs_the_sharing_only(to_sshd: Arguments, control: str) -> None:
    Path(control).write_text("")
    outcome = run_here(*to_sshd, "-M", "-S", control, HOST, "exit 3")
    assert outcome.status == 3
    assert "exists already" in outcome.err


def test_a_master_waits_for_those_who_ride(to_sshd: Arguments, control: str) -> None:
    with a_master(to_sshd, control, command="exit 6") as master:
        pass
    with a_master(to_sshd, control, command="read x; sleep 0.1; exit 6") as master:
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "read x; exit 5"], stdin=subprocess.PIPE
        )
        wait_until(lambda: ride(control, "-O", "channels", "x").out.count(b"session") > 1 or master.poll())
        riding.communicate(b"\n", timeout=PATIENCE)
        assert riding.returncode == 5
        assert master.wait(PATIENCE) == 6
    assert not os.path.exists(control)


def test_a_lost_master_is_255_and_said(to_sshd: Arguments, control: str) -> None:
    with a_master(to_sshd, control) as master:
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "echo on; sleep 100"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert riding.stdout is not None
        assert riding.stdout.read(3) == b"on\n"
        master.kill()
        _, err = riding.communicate(timeout=PATIENCE)
        assert riding.returncode == 255
        assert err == b"sshkit-client: the master of the shared connection has gone\n"


def test_a_signal_ends_a_riding_session_and_its_command(
    to_sshd: Arguments, control: str, tmp_path: Path
) -> None:
    with a_master(to_sshd, control):
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "echo on; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert riding.stdin is not None
        assert riding.stdout is not None
        riding.stdout.readline()
        riding.send_signal(signal.SIGTERM)
        assert riding.wait(PATIENCE) == 255
        riding.stdout.close()
        riding.stdin.close()
        wait_until(lambda: b"no channels" in ride(control, "-O", "channels", "x").out)


def test_f_rides_in_the_background(to_sshd: Arguments, control: str, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with a_master(to_sshd, control):
        command = [PROGRAM, "-F", "none", "-S", control, "-f", "x", f"sleep 0.2; touch {done}"]
        assert subprocess.run(command, check=False, timeout=PATIENCE).returncode == 0
        wait_until(done.exists)
        command = [PROGRAM, "-F", "none", "-S", control, "-N", "-f", "x"]
        assert subprocess.run(command, check=False, timeout=PATIENCE).returncode == 0


def test_a_persisting_master_stays_as_long_as_it_is_told(to_sshd: Arguments, control: str) -> None:
    persist = ("-o", "ControlMaster=auto", "-o", "ControlPersist=1", "-S", control)
    command = [PROGRAM, *to_sshd, *persist, HOST, "cat; exit 5"]
    for _ in range(2):
        done = subprocess.run(command, input=b"data", capture_output=True, check=False, timeout=PATIENCE)
        assert (done.returncode, done.stdout, done.stderr) == (5, b"data", b"")
    assert ride(control, "-O", "check", "x").status == 0
    wait_until(lambda: not os.path.exists(control))


def test_a_persisting_master_without_a_session_goes_to_the_background(
    to_sshd: Arguments, control: str
) -> None:
    persist = ("-o", "ControlMaster=yes", "-o", "ControlPersist=yes", "-S", control)
    command = [PROGRAM, *to_sshd, *persist, "-N", HOST]
    assert subprocess.run(command, check=False, timeout=PATIENCE).returncode == 0
    assert ride(control, "x", "exit 3").status == 3
    assert ride(control, "-O", "exit", "x").status == 0
    wait_until(lambda: not os.path.exists(control))


def test_what_fails_in_a_persisting_master_is_the_commands_own_failure(
    to_sshd: Arguments, control: str
) -> None:
    persist = ("-o", "ControlMaster=auto", "-o", "ControlPersist=1", "-S", control)
    command = [PROGRAM, *to_sshd, *persist, "-o", "IdentityFile=none", "-o", "BatchMode=yes"]
    done = subprocess.run(
        [*command, "-l", "nobody-here", HOST, "true"], capture_output=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 255
    assert done.stderr.count(b"sshkit-client: ") == 1
    # Where it cannot share, the session is run all the same.
    Path(control).write_text("")
    done = subprocess.run(
        [PROGRAM, *to_sshd, "-M", "-o", "ControlPersist=1", "-S", control, HOST, "exit 7"],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 7
    assert b"exists already" in done.stderr


def test_a_signal_while_a_persisting_master_logs_in_ends_both(
    to_sshd: Arguments, control: str, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as silent:
        persist = ("-o", "ControlMaster=auto", "-o", "ControlPersist=1", "-S", control)
        command = [PROGRAM, *persist, "-F", "none", "-p", str(silent.getsockname()[1]), HOST, "true"]
        starting = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        accepted, _ = silent.accept()
        with accepted:
            accepted.recv(100)
            starting.send_signal(signal.SIGTERM)
            assert starting.wait(PATIENCE) == -signal.SIGTERM
            accepted.settimeout(PATIENCE)
            while accepted.recv(10000):
                pass


def test_the_child_of_a_persisting_master_never_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side of the fork, without one."""
    left: list[int] = []

    class Left(BaseException):
        pass

    def leave(status: int) -> None:
        left.append(status)
        raise Left

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "_exit", leave)

    def interrupted(fd: int) -> int:
        raise KeyboardInterrupt

    def connected(fd: int) -> int:
        os.close(fd)
        return 3

    for connect in (connected, interrupted):
        with pytest.raises(Left):
            client_persist.hand_over(None, None, None, connect)  # type: ignore[arg-type]
    assert left == [3, 130]


# At a terminal.


def test_a_terminal_rides_with_its_size_its_escapes_and_its_end(
    to_sshd: Arguments, control: str, user: PtyUser
) -> None:
    user.resize(111, 33)
    before = user.modes

    def script(user: PtyUser) -> None:
        user.type("stty size; echo $-\r")
        user.expect("33 111\r\n")
        user.expect("i")
        assert user.is_raw
        user.resize(99, 44)
        os.kill(os.getpid(), signal.SIGWINCH)
        user.type("stty size\r")
        user.expect("44 99\r\n")
        user.type("\r~?")
        user.expect("Supported escape sequences")
        user.type("\r~#")
        user.expect("There are no forwarded connections.")
        user.type("\r~B")
        user.expect("[sent BREAK]")
        user.type("\r~R~~x\r")
        user.expect("~x")
        user.type("exit 6\r")
        user.expect("Shared connection to x closed.\r\n")

    with a_master(to_sshd, control):
        assert run_at_terminal(user, "-F", "none", "-S", control, "x", script=script) == 6
        assert user.modes == before

        def end(user: PtyUser) -> None:
            user.type("echo on\r")
            user.expect("on\r\n")
            user.type("\r~.")
            user.expect("Shared connection to x closed.\r\n")

        assert run_at_terminal(user, "-F", "none", "-S", control, "-e", "~", "x", script=end) == 255
    assert user.modes == before


def test_a_server_without_terminals_lets_the_terminal_be(
    to_sshd: Arguments, control: str, user: PtyUser, tmp_path: Path
) -> None:
    sshd = RealSshd(tmp_path, "PermitTTY no")
    arguments = (
        *("-F", "none", "-p", str(sshd.port), "-i", str(sshd.user_key_path)),
        *("-o", f"UserKnownHostsFile={sshd.known_hosts}"),
    )

    def script(user: PtyUser) -> None:
        user.expect("no terminal for us")
        user.wait_until(lambda: not user.is_raw)
        user.type("\r")

    with sshd, a_master(arguments, control):
        words = ("-F", "none", "-S", control, "-t", "x", "read x; exit 3")
        assert run_at_terminal(user, *words, script=script) == 3


# What the user is asked.


@pytest.fixture
def askpass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that notes the question; "answer" in the folder is what it says."""
    program = tmp_path / "askpass"
    program.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/asked\nexec cat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("DISPLAY", ":0")
    return tmp_path


def test_ask_asks_for_everything(to_sshd: Arguments, control: str, askpass: Path) -> None:
    with a_master(to_sshd, control, "-M"):
        (askpass / "answer").write_text("yes\n")
        assert ride(control, "x", "exit 3").status == 3
        (askpass / "answer").write_text("no\n")
        outcome = ride(control, "-p", "1", HOST, "exit 3")
        assert outcome.status == 255
        assert "Permission denied; going on without it" in outcome.err
        for word in ("exit", "stop"):
            outcome = ride(control, "-O", word, "x")
            assert outcome.status == 255
            assert "Permission denied" in outcome.err
        assert ride(control, "-O", "check", "x").status == 0
    asked = (askpass / "asked").read_text()
    assert asked.count("Allow shared connection to 127.0.0.1? ") == 2
    assert "Terminate shared connection to 127.0.0.1? " in asked


def test_ask_means_no_where_nobody_can_be_asked(to_sshd: Arguments, control: str) -> None:
    with a_master(to_sshd, control, "-M"):
        outcome = ride(control, "-p", "1", HOST, "exit 3")
        assert outcome.status == 255
        assert "Permission denied" in outcome.err


# A master in this process, and those who ride it beside it.


def test_a_master_serves_everything_that_is_asked_of_it(
    to_sshd: Arguments, control: str, real_agent: Path, monkeypatch: pytest.MonkeyPatch, sshd: RealSshd
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))
    monkeypatch.setenv("DISPLAY", "")
    target = f"{HOST}:{sshd.port}"

    def script() -> None:
        assert beside(control, "x", "cat; exit 4", stdin=b"data").stdout == b"data"
        assert beside(control, "-A", "x", "ssh-add -l").returncode == 1
        assert beside(control, "-X", "x", "exit 5").returncode == 5
        port = int(beside(control, "-O", "forward", "-R", f"0:{target}", "x").stdout)
        assert int(beside(control, "-O", "forward", "-R", f"0:{target}", "x").stdout) == port
        assert beside(control, "-O", "cancel", "-R", f"0:{target}", "x").stderr == b""
        assert b"port not forwarded" in beside(control, "-O", "cancel", "-R", f"0:{target}", "x").stderr
        assert b"algorithms" in beside(control, "-O", "conninfo", "x").stdout

    words = (*to_sshd, "-A", "-X", "-M", "-S", control, "-N", HOST)
    assert master_here(control, words, script).status == 0


def test_a_persisting_master_ends_when_it_was_unused_for_its_time(
    to_sshd: Arguments, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sshkit_cli.client_run import Run

    def stay(run: Run, master: client_sharing.Master) -> None:
        master.persist()

    monkeypatch.setattr(Run, "_stay_behind", stay)
    held: list[subprocess.Popen[bytes]] = []

    def script() -> None:
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "read x; exit 5"], stdin=subprocess.PIPE
        )
        held.append(riding)
        wait_until(lambda: b"session" in beside(control, "-O", "channels", "x").stdout)
        riding.communicate(b"\n", timeout=PATIENCE)
        wait_until(lambda: not os.path.exists(control))

    words = (*to_sshd, "-M", "-o", "ControlPersist=1", "-S", control, "-N", HOST)
    assert master_here(control, words, script).status == 0
    assert held[0].returncode == 5


def test_a_stopped_master_ends_with_the_last_who_rides(to_sshd: Arguments, control: str) -> None:
    def script() -> None:
        riding = subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "x", "read x; exit 5"], stdin=subprocess.PIPE
        )
        wait_until(lambda: b"session" in beside(control, "-O", "channels", "x").stdout)
        assert beside(control, "-O", "stop", "x").returncode == 0
        riding.communicate(b"\n", timeout=PATIENCE)
        assert riding.returncode == 5

    words = (*to_sshd, "-M", "-S", control, "-N", HOST)
    assert master_here(control, words, script).status == 0


def test_a_master_asks_its_user(to_sshd: Arguments, control: str, askpass: Path) -> None:
    def script() -> None:
        (askpass / "answer").write_text("\n")
        assert beside(control, "x", "exit 5").returncode == 5
        (askpass / "answer").write_text("no\n")
        assert b"Permission denied" in beside(control, "-O", "stop", "x").stderr
        (askpass / "answer").write_text("yes\n")

    words = (*to_sshd, "-M", "-M", "-S", control, "-N", HOST)
    assert master_here(control, words, script).status == 0


def test_a_master_without_anybody_to_ask_says_no_and_why(to_sshd: Arguments, control: str) -> None:
    def script() -> None:
        assert b"Permission denied" in beside(control, "-p", "1", HOST, "true").stderr
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        words = (*to_sshd, "-M", "-M", "-S", control, HOST, "sleep 100")
        outcome = master_here(control, words, script)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert outcome.status == 255
    assert "no SSH_ASKPASS to ask with" in outcome.err


def test_escapes_of_a_session_that_rides_are_its_own(to_sshd: Arguments, control: str, user: PtyUser) -> None:
    def script() -> None:
        with subprocess.Popen(
            [PROGRAM, "-F", "none", "-S", control, "-tt", "x"],
            stdin=user.slave,
            stdout=user.slave,
            stderr=user.slave,
        ) as riding:
            user.type("echo on\r")
            user.expect("on\r\n")
            user.resize(99, 44)
            riding.send_signal(signal.SIGWINCH)
            user.type("stty size\r")
            user.expect("44 99\r\n")
            user.type("\r~?")
            user.expect("Supported escape sequences")
            user.type("\r~#")
            user.expect("There are no forwarded connections.")
            user.type("\r~B")
            user.expect("[sent BREAK]")
            user.type("\r~R~.")
            user.expect("closed.\r\n")
            assert riding.wait(PATIENCE) == 255

    words = (*to_sshd, "-M", "-S", control, "-N", HOST)
    assert master_here(control, words, script).status == 0


# The agent.


def test_an_agent_is_forwarded_to_who_rides_and_asks(
    to_sshd: Arguments, control: str, real_agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))
    with a_master((*to_sshd, "-A"), control):
        assert ride(control, "x", "echo $SSH_AUTH_SOCK").out == b"\n"
        outcome = ride(control, "-A", "x", "ssh-add -l")
        assert outcome == (1, b"The agent has no identities.\n", "")


def test_r36_what_a_master_says_is_shown_without_what_a_terminal_obeys() -> None:
    assert printable_lines("a\x1b[2J\nb") == "a\\x1b[2J\nb\n"


def test_nothing_of_this_is_loaded_where_nobody_shares(to_sshd: Arguments) -> None:
    program = (
        "import sys; from sshkit_cli.client import main; status = main(sys.argv[1:]);"
        "WORDS = ('sharing', 'control', 'persist');"
        "sys.modules.pop('sshkit.reactor.transports.flow_control');"  # every transport's own: another control
        "print([name for name in sys.modules if any(each in name for each in WORDS)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *to_sshd, HOST, "true"], capture_output=True, check=False, timeout=60
    )
    assert done.stdout == b"[]\n"
    assert client_sharing.ASKING == ("ask", "autoask")
