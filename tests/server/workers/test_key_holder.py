"""The process that holds the host keys: what it finds, what it says, and what happens when it dies."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import load_private_key
from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.wire import boolean, string, uint32

from sshkit.deferred import Deferred
from sshkit.reactor import reaper
from sshkit.server.workers import key_holder
from sshkit.server.workers.key_holder import HeldKey, KeyHolder, _answer, _hold
from sshkit.server.workers.link import LinkBroken, pair
from tests.server.workers.parts import HandReactor, make_key

ALGORITHM = "ssh-ed25519"


@pytest.fixture
def reaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The processes that somebody waits for: the test does, in the end."""
    pids: list[int] = []

    def watch(reactor: Any, pid: int, callback: Callable[[Any], object]) -> None:
        pids.append(pid)
        callback(None)

    monkeypatch.setattr(reaper, "watch_exit", watch)
    yield pids
    for pid in pids:
        os.waitpid(pid, 0)


def outcome(answer: "Deferred[bytes]") -> list[Any]:
    got: list[Any] = []
    answer.add_callbacks(got.append, lambda failure: got.append(failure.exception))
    return got


def test_keys_are_found_and_what_is_wrong_with_each_is_told(tmp_path: Path, reaped: list[int]) -> None:
    key = make_key(tmp_path, "good")
    (tmp_path / "damaged").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n")
    (tmp_path / "damaged").chmod(0o600)
    reactor: Any = HandReactor()
    holder = KeyHolder()
    good, damaged, missing, folder = holder.load(
        [str(tmp_path / name) for name in ("good", "damaged", "missing", ".")]
    )
    assert isinstance(good, HeldKey)
    assert good.public == key.public
    assert repr(good) == f"<HeldKey {ALGORITHM} {key.public.fingerprint()}>"
    assert isinstance(damaged, KeyFileError)
    assert str(tmp_path / "damaged") in str(damaged)
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(folder, OSError)
    holder.attach(reactor)
    got = outcome(good.sign(ALGORITHM, b"data"))
    reactor.until(lambda: got)
    key.public.verify(ALGORITHM, b"data", got[0])
    got = outcome(holder.sign(1, ALGORITHM, b"data"))
    reactor.until(lambda: got)
    assert str(got[0]) == "there is no such key"
    got = outcome(good.sign("ssh-rsa", b"data"))
    reactor.until(lambda: got)
    assert isinstance(got[0], SSHKitError)
    holder.close()
    holder.close()
    assert reaped == [holder.pid]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone cannot be kept from reading a file otherwise")
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    make_key(tmp_path, "host")
    holder = KeyHolder()
    (tmp_path / "link").symlink_to("/proc/self/mem")
    (found,) = holder.load([str(tmp_path / "link")])
    assert isinstance(found, OSError | KeyFileError)
    holder.close()


def test_a_holder_that_is_killed_fails_what_waits_and_what_comes(tmp_path: Path, reaped: list[int]) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor)
    os.kill(holder.pid, signal.SIGSTOP)
    got = outcome(key.sign(ALGORITHM, b"data"))
    os.kill(holder.pid, signal.SIGKILL)
    reactor.until(lambda: got)
    assert isinstance(got[0], LinkBroken)
    (error,) = outcome(key.sign(ALGORITHM, b"data"))
    assert str(error) == "the process that holds the host keys has gone"
    holder.close()


def test_a_holder_that_was_killed_is_started_again(tmp_path: Path, reaped: list[int]) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    log: list[str] = []
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor, lambda level, text, error: log.append(f"{level}: {text}"))
    first = holder.pid
    os.kill(first, signal.SIGKILL)
    reactor.until(lambda: log)
    assert log == [f"error: the process {first} that holds the host keys has ended; it is started again"]
    reactor.advance(key_holder.PAUSE)
    assert holder.pid != first
    got = outcome(key.sign(ALGORITHM, b"data"))
    reactor.until(lambda: got)
    key.public.verify(ALGORITHM, b"data", got[0])
    os.kill(holder.pid, signal.SIGKILL)
    reactor.until(lambda: len(log) == 2)
    holder.close()
    reactor.advance(key_holder.LONGEST_PAUSE)  # nobody is started for a server that has ended
    assert len(log) == 2


def test_one_that_does_not_find_the_same_keys_is_tried_again_later(tmp_path: Path, reaped: list[int]) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    log: list[str] = []
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor, lambda level, text, error: log.append(text))
    (tmp_path / "host").rename(tmp_path / "away")
    os.kill(holder.pid, signal.SIGKILL)
    reactor.until(lambda: log)
    reactor.advance(key_holder.PAUSE)
    assert log[1:] == [
        "the host keys are not there: the files have other keys than before: have the server read them again"
    ]
    (tmp_path / "away").rename(tmp_path / "host")
    reactor.advance(2 * key_holder.PAUSE)
    got = outcome(key.sign(ALGORITHM, b"data"))
    reactor.until(lambda: got)
    key.public.verify(ALGORITHM, b"data", got[0])
    holder.close()


def test_where_there_is_no_process_for_it_it_is_tried_again_later(
    tmp_path: Path, reaped: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    log: list[str] = []
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor, lambda level, text, error: log.append(text))
    os.kill(holder.pid, signal.SIGKILL)
    reactor.until(lambda: log)

    def none_left(*_: Any) -> int:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(key_holder, "fork", none_left)
        reactor.advance(key_holder.PAUSE)
    assert "Resource temporarily unavailable" in log[-1]
    reactor.advance(2 * key_holder.PAUSE)
    got = outcome(key.sign(ALGORITHM, b"data"))
    reactor.until(lambda: got)
    key.public.verify(ALGORITHM, b"data", got[0])
    holder.close()


def test_what_waits_fails_when_the_server_ends(tmp_path: Path, reaped: list[int]) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor)
    got = outcome(key.sign(ALGORITHM, b"data"))
    holder.close()
    assert str(got[0]) == "the server ends"


def test_a_holder_that_was_never_asked_leaves_no_process_behind(tmp_path: Path) -> None:
    make_key(tmp_path, "host")
    holder = KeyHolder()
    holder.load([str(tmp_path / "host")])
    holder.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(holder.pid, os.WNOHANG)
    key_holder._end(holder.pid)  # somebody else may have taken it


def test_a_holder_that_was_never_started_has_nothing_to_close() -> None:
    holder = KeyHolder()
    holder.close()
    (error,) = outcome(holder.sign(0, ALGORITHM, b"data"))
    assert str(error) == "the process that holds the host keys has gone"


def test_a_holder_that_ends_before_it_has_read_the_keys_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_holder, "_hold", lambda *_: 0)
    holder = KeyHolder()
    with pytest.raises(LinkBroken, match="has ended before it had read them"):
        holder.load(["x"])
    holder.close()


def test_a_holder_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(sock: socket.socket, *_: object) -> int:
        signal.pause()
        return 0

    monkeypatch.setattr(key_holder, "_hold", silent)
    monkeypatch.setattr(key_holder, "START_TIMEOUT", 0.01)
    holder = KeyHolder()
    with pytest.raises(LinkBroken, match="does not answer"):
        holder.load(["x"])
    holder.close()


def test_an_answer_that_nobody_waits_for_is_dropped(tmp_path: Path, reaped: list[int]) -> None:
    make_key(tmp_path, "host")
    reactor: Any = HandReactor()
    holder = KeyHolder()
    (key,) = holder.load([str(tmp_path / "host")])
    holder.attach(reactor)
    holder._received(uint32(99) + boolean(True) + string(b"signature"), [])
    got = outcome(key.sign(ALGORITHM, b"data"))
    reactor.until(lambda: got)
    assert isinstance(got[0], bytes)
    holder.close()


def test_requests_are_answered_from_the_keys(tmp_path: Path) -> None:
    key = make_key(tmp_path, "host")
    request = uint32(5) + uint32(0) + string(ALGORITHM) + string(b"data")
    answer = _answer(request, [key])
    assert answer[:5] == uint32(5) + boolean(True)
    assert _answer(request, [None]) == uint32(5) + boolean(False) + string("there is no such key")


def test_a_holder_signs_until_the_monitor_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its main function, in a thread: it must not touch this process' rights or descriptors."""
    from sshkit.server import privileges
    from sshkit.server.accounts import own_account

    done: list[Any] = []
    monkeypatch.setattr(privileges, "confine", lambda: done.append("confined"))
    monkeypatch.setattr(privileges, "become", lambda account: done.append(account.name))
    monkeypatch.setattr(privileges, "hide", lambda: done.append("hidden"))
    monkeypatch.setattr(os, "dup2", lambda fd, other: done.append(other))
    key = make_key(tmp_path, "host")
    (tmp_path / "damaged").write_text("nonsense")
    (tmp_path / "damaged").chmod(0o600)
    ours, theirs = pair()
    ours.setblocking(True)
    paths = [str(tmp_path / name) for name in ("host", "damaged", "missing")]
    statuses: list[int] = []
    account = own_account()
    thread = threading.Thread(target=lambda: statuses.append(_hold(theirs, paths, account)))
    thread.start()
    kinds = [ours.recv(10_000)[0] for _ in paths]
    ours.send(uint32(1) + uint32(0) + string(ALGORITHM) + string(b"data"))
    assert ours.recv(10_000)[4] == 1
    ours.close()
    thread.join()
    theirs.close()
    assert kinds == [0, 1, 2]
    assert statuses == [0]
    assert done == [0, 1, 2, "confined", account.name, "hidden"]
    assert load_private_key(tmp_path / "host").public == key.public
