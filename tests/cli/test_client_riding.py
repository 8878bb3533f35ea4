"""sshkit-client as a rider, and as the side of a persisting master that waits, in the test's own process."""

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from sshkit_cli import client_control, client_persist
from sshkit_cli.client_setup import load_target
from sshkit_cli.log import Log
from sshkit_cli.options import parse

from sshkit.client.sharing import messages
from tests.cli.sharing import HOST, Arguments, a_master, ride, wait_until
from tests.cli.user import PATIENCE
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")


@pytest.fixture
def control(tmp_path: Path) -> str:
    return str(tmp_path / "control")


class Forked:
    """Stands for the fork of a persisting master: the child is a program, and says what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: bytes, *words: str) -> None:
        self._ends = os.pipe()
        os.write(self._ends[1], said)
        self.child = subprocess.Popen(words)
        monkeypatch.setattr(os, "pipe", lambda: self._ends)
        monkeypatch.setattr(os, "fork", lambda: self.child.pid)


def hand_over(*words: str) -> int:
    typed = parse(list(words))
    target = load_target(typed)
    assert client_persist.persists(target, typed)

    def never(ready: int) -> int:
        raise AssertionError

    return client_persist.hand_over(typed, target, Log(), never)


def test_the_waiting_side_rides_when_the_other_is_ready(
    to_sshd: Arguments, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    persist = ("-F", "none", "-M", "-o", "ControlPersist=1", "-S", control, "-n", "x")
    with a_master(to_sshd, control), monkeypatch.context() as patch:
        forked = Forked(patch, client_persist.READY, "true")
        status = hand_over(*persist, "exit 3")
    forked.child.wait(PATIENCE)
    assert status == 3
    with monkeypatch.context() as patch:
        forked = Forked(patch, client_persist.READY, "true")
        assert hand_over(*persist, "exit 3") == 255  # it has gone meanwhile
    forked.child.wait(PATIENCE)


def test_the_waiting_side_ends_as_the_other_did(control: str, monkeypatch: pytest.MonkeyPatch) -> None:
    persist = ("-F", "none", "-M", "-o", "ControlPersist=1", "-S", control, "x", "true")
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    killed: list[tuple[int, int]] = []
    before = signal.getsignal(signal.SIGTERM)
    for word, status in (("exit 3", 3), ("kill -TERM $$", 256 - signal.SIGTERM)):
        with monkeypatch.context() as patch:
            forked = Forked(patch, b"", "sh", "-c", word)
            assert hand_over(*persist) == status
            forked.child.returncode = 0  # it was waited for
    assert killed == [(os.getpid(), signal.SIGTERM)]
    signal.signal(signal.SIGTERM, before)


def test_signals_for_the_waiting_side_are_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        before = client_persist._pass_signals_on(child.pid)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            assert child.wait(PATIENCE) == -signal.SIGTERM
            os.kill(os.getpid(), signal.SIGTERM)  # it has gone
        finally:
            for number, handler in before:
                signal.signal(number, handler)


# A rider in this process.


def test_a_signal_is_an_end_in_order(to_sshd: Arguments, control: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def end() -> None:
        wait_until(seen.exists)
        os.kill(os.getpid(), signal.SIGTERM)

    with a_master(to_sshd, control):
        ender = threading.Thread(target=end)
        ender.start()
        outcome = ride(control, "-o", "LogLevel=VERBOSE", "x", f"touch {seen}; sleep 100")
        ender.join()
    assert outcome == (255, b"", f"Killed by signal {int(signal.SIGTERM)}.\n")


def test_n_rides_for_its_forwards_until_the_master_goes(
    to_sshd: Arguments, control: str, sshd: RealSshd, tmp_path: Path
) -> None:
    place = tmp_path / "socket"
    with a_master(to_sshd, control) as master:

        def end() -> None:
            wait_until(place.exists)
            master.terminate()

        ender = threading.Thread(target=end)
        ender.start()
        outcome = ride(control, "-N", "-L", f"{place}:{HOST}:{sshd.port}", "x")
        ender.join()
    assert outcome.status == 255
    assert outcome.err == "sshkit-client: the master of the shared connection has gone\n"


def test_the_background_is_another_process(
    to_sshd: Arguments, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The side of the fork that goes on, without one."""
    left: list[str] = []
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "setsid", lambda: left.append("setsid"))
    with a_master(to_sshd, control):
        assert ride(control, "-f", "x", "exit 3").status == 3
    assert left == ["setsid"]


def test_a_mistake_on_the_command_line_is_told_once(to_sshd: Arguments, control: str) -> None:
    with a_master(to_sshd, control):
        outcome = ride(control, "-s", "x")
        assert outcome.status == 255
        assert outcome.err.count("no subsystem was named") == 1
        outcome = ride(control, "-W", "nonsense", "x")
        assert outcome.status == 255
        assert outcome.err.count("-W: ") == 1


class OddMaster(threading.Thread):
    """A master that opens a session and then says what it likes."""

    def __init__(self, control: str, *last: bytes) -> None:
        super().__init__()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(control)
        self._listener.listen(5)
        self._last = last
        self.start()

    def run(self) -> None:
        sock, _ = self._listener.accept()
        with sock, self._listener:
            sock.settimeout(PATIENCE)
            sock.sendall(messages.hello())
            sock.recv(1000)
            for answer in self._last:
                sock.sendall(answer)
                sock.recv(100_000)
            while len(self._last) > 1 and sock.recv(100_000):
                pass


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ((messages.packet(messages.ALIVE, 0, b"\0\0\0\0"), messages.packet(messages.OK, 1)), "as an answer"),
        ((messages.packet(messages.ALIVE, 0, b"\0\0\0\0"),), "has gone"),
        (
            (
                messages.packet(messages.ALIVE, 0, b"\0\0\0\0"),
                messages.packet(messages.SESSION_OPENED, 1, b"\0\0\0\5") + messages.packet(messages.OK, 7),
            ),
            "during a session",
        ),
    ],
)
def test_r37_a_master_that_makes_no_sense_is_left_with_a_word(
    control: str, last: tuple[bytes, ...], cause: str
) -> None:
    master = OddMaster(control, *last)
    outcome = ride(control, "-p", "1", HOST, "true")
    master.join()
    assert outcome.status == 255
    assert cause in outcome.err


def test_a_riders_pid_that_is_nobodys_is_no_fault(control: str) -> None:
    before = client_control._catch_signals(2**22 + 1)
    os.kill(os.getpid(), signal.SIGWINCH)
    for number, handler in before:
        signal.signal(number, handler)
    assert len(client_control._catch_signals(0)) == 3
    for number, handler in before:
        signal.signal(number, handler)
