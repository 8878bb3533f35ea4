"""Work in a child with other rights: its answer, its end, and what it cannot do to its parent."""

import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError, Deferred
from sshkit.reactor.engines.native import NativeReactor
from sshkit.server.accounts import Account, find_account
from sshkit.server.in_child import Child, ChildFailed, ChildSocket, answer, enter, in_child

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives rights away")


def run(main: Callable[[Any], Deferred[Any]]) -> Any:
    reactor: Any = NativeReactor()
    try:
        return reactor.run_until(main(reactor))
    finally:
        reactor.close()


def failure(main: Callable[[Any], Deferred[Any]]) -> str:
    with pytest.raises(ChildFailed) as caught:
        run(main)
    return str(caught.value)


def wait_forever() -> bytes:
    while True:
        signal.pause()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_work_returns_in_the_child_is_the_answer() -> None:
    def work() -> bytes:
        return f"{os.getpid()} {os.getsid(0)}".encode()

    pid, session = run(lambda reactor: in_child(reactor, work)).split()
    assert pid == session != str(os.getpid()).encode()
    assert not is_there(int(pid))


@ROOT_ONLY
def test_the_child_has_the_rights_of_the_account() -> None:
    nobody = find_account("nobody")
    assert nobody is not None
    found = run(
        lambda reactor: in_child(
            reactor, lambda: repr((os.getresuid(), os.getresgid())).encode(), account=nobody
        )
    )
    assert found == repr(((nobody.uid,) * 3, (nobody.gid,) * 3)).encode()


def test_an_account_that_the_process_cannot_become_runs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    account = Account("nobody", os.getuid() + 1, os.getgid(), "/", "/bin/sh")
    if os.geteuid() == 0:
        account = account._replace(uid=2**32 - 1)
    assert (
        failure(lambda reactor: in_child(reactor, lambda: b"", account=account))
        == "child ended with status 70"
    )
    assert "become" in capfd.readouterr().err


def test_errors_of_the_work_come_back_in_words() -> None:
    def named() -> bytes:
        raise SSHKitError("no key at all")

    def missing() -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "/no\nfile")

    def plain() -> bytes:
        raise BrokenPipeError(32, "Broken pipe")

    assert failure(lambda reactor: in_child(reactor, named)) == "no key at all"
    assert failure(lambda reactor: in_child(reactor, missing)) == "/no\\nfile: No such file or directory"
    assert failure(lambda reactor: in_child(reactor, plain)) == "Broken pipe"


def test_r41_an_error_that_nobody_expected_harms_the_child_only(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> bytes:
        raise RuntimeError("oops")

    assert (
        failure(lambda reactor: in_child(reactor, work, name="the checker"))
        == "the checker ended with status 70"
    )
    assert capfd.readouterr().err == "sshkit-server: the checker: RuntimeError: oops\n"


def test_a_child_that_dies_by_a_signal_says_nothing() -> None:
    def work() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b"never"

    assert failure(lambda reactor: in_child(reactor, work)) == "child was ended by signal 9"


def test_a_child_that_is_too_slow_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    path = tmp_path / "pid"

    def work() -> bytes:
        grandchild = os.fork()
        if not grandchild:
            wait_forever()
        path.write_text(f"{os.getpid()}")
        return wait_forever()

    try:
        text = failure(lambda reactor: in_child(reactor, work, timeout=0.5, name="the checker"))
        assert text == "the checker was not done after 0.5 seconds"
        assert not is_there(int(path.read_text()))
    finally:
        os.close(reading)
        os.close(writing)


def test_r24_a_child_that_says_too_much_is_killed() -> None:
    assert failure(lambda reactor: in_child(reactor, lambda: b"x" * 70_000)) == "child says too much"
    assert run(lambda reactor: in_child(reactor, lambda: b"x" * 60_000)) == b"x" * 60_000
    assert run(lambda reactor: in_child(reactor, lambda: b"x" * 10, limit=10)) == b"x" * 10
    assert "too much" in failure(lambda reactor: in_child(reactor, lambda: b"x" * 11, limit=10))


def test_a_child_without_an_answer_is_a_failure() -> None:
    def work() -> bytes:
        os._exit(0)

    assert failure(lambda reactor: in_child(reactor, work)) == "child gave no answer"


def test_cancelling_kills_the_child() -> None:
    reactor: Any = NativeReactor()
    before = len(reactor.pollables)

    async def main() -> None:
        waiting = in_child(reactor, wait_forever)
        reactor.call_soon(waiting.cancel)
        with pytest.raises(CancelledError):
            await waiting

    try:
        reactor.run_until(main())
        while len(reactor.pollables) > before:  # its end is awaited
            reactor.run_until(_turn(reactor))
    finally:
        reactor.close()


def _turn(reactor: Any) -> Deferred[None]:
    turned: Deferred[None] = Deferred()
    reactor.call_later(0.001, turned.callback, None)
    return turned


def test_a_socket_that_breaks_is_the_end_of_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def fileno(self) -> int:
            return -1

        def recv(self, size: int) -> bytes:
            raise ConnectionResetError(104, "Connection reset by peer")

        def send(self, data: bytes) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    reactor: Any = NativeReactor()
    ends: list[ChildFailed | None] = []
    child = Child(reactor, lambda sock: len(wait_forever()), lambda frame: None, ends.append)
    own, other = child._sock, Broken()
    child._sock = other  # type: ignore[assignment]
    monkeypatch.setattr(reactor, "set_interest", lambda *_: None)
    child.read_ready()
    child.send(b"x")
    child._sock = own
    monkeypatch.undo()
    reactor.close()
    assert [str(end) for end in ends] == ["child does not read"]


def test_closing_the_reactor_ends_the_child() -> None:
    reactor: Any = NativeReactor()
    ends: list[ChildFailed | None] = []
    child = Child(reactor, lambda sock: len(wait_forever()), lambda frame: None, ends.append)
    reactor.close()
    assert [str(end) for end in ends] == ["the server ends"]
    child.kill("too late")
    child.write_ready()


def conversation(work: Callable[[ChildSocket], int], *frames: bytes) -> list[bytes | str]:
    """Return the frames of a child to which these are sent, and its end."""
    reactor: Any = NativeReactor()
    seen: list[bytes | str] = []
    done: Deferred[None] = Deferred()

    def ended(fault: ChildFailed | None) -> None:
        seen.append(str(fault))
        done.callback(None)

    child = Child(reactor, work, seen.append, ended, name="child")
    for frame in frames:
        child.send(frame)
    try:
        reactor.run_until(done)
    finally:
        reactor.close()
    return seen


def test_frames_go_both_ways() -> None:
    def echo(sock: ChildSocket) -> int:
        for _ in range(2):
            sock.send(sock.receive().upper())
        return 3

    assert conversation(echo, b"one", b"") == [b"ONE", b"", "child ended with status 3"]


def test_a_child_that_reads_nothing_is_killed_not_waited_for() -> None:
    assert conversation(lambda sock: len(wait_forever()), b"x" * 8_000_000) == ["child does not read"]


def test_half_a_frame_is_no_frame() -> None:
    def cut(sock: ChildSocket) -> int:
        sock._sock.sendall(struct.pack(">I", 9) + b"half")
        return 0

    assert conversation(cut) == ["None"]


def test_the_child_takes_no_frame_larger_than_its_limit_and_none_from_nobody() -> None:
    ours, theirs = socket.socketpair()
    child = ChildSocket(theirs, 100)
    ours.sendall(struct.pack(">I", 101))
    with pytest.raises(ChildFailed, match="a frame of 101 bytes"):
        child.receive()
    ours.close()
    with pytest.raises(ChildFailed, match="does not want"):
        child.receive()
    theirs.close()


def test_the_answer_is_one_frame_with_its_kind() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert answer(ChildSocket(theirs), lambda: b"fine") == 0
        assert ours.recv(100) == struct.pack(">I", 5) + b"\0fine"

        def work() -> bytes:
            raise ChildFailed("bad")

        assert answer(ChildSocket(theirs), work) == 0
        assert ours.recv(100) == struct.pack(">I", 4) + b"\1bad"

        def missing() -> bytes:
            raise FileNotFoundError(2, "No such file", "/no\n")

        def broken() -> bytes:
            raise BrokenPipeError(32, "Broken pipe")

        for failing, text in ((missing, b"/no\\n: No such file"), (broken, b"Broken pipe")):
            assert answer(ChildSocket(theirs), failing) == 0
            assert ours.recv(100)[5:] == text
        ChildSocket(theirs).send(b"x")
        ours.sendall(ours.recv(100))
        assert ChildSocket(theirs).receive() == b"x"


def test_what_a_child_gives_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here without a fork: a session, standard input and output, rights."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "setsid", lambda: calls.append("setsid"))
    monkeypatch.setattr(os, "dup2", lambda old, new: calls.append(new))
    monkeypatch.setattr("sshkit.server.privileges.become", calls.append)
    account = Account("a", 1, 1, "/", "/bin/sh")
    enter(account)
    enter(None)
    assert calls == ["setsid", 0, 1, account, "setsid", 0, 1]


def test_a_fork_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork(*_: Any) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("sshkit.server.workers.forking.fork", fork)
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    with pytest.raises(BlockingIOError):
        in_child(None, lambda: b"")  # type: ignore[arg-type]
    assert before == (os.listdir("/proc/self/fd") if before else [])
