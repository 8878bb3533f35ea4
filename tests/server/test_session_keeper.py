"""What root keeps behind a session: the PAM session and the login records, closed when the user has gone."""

import os
import pty
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sshkit.server import session_keeper
from sshkit.server.accounts import Account
from sshkit.server.pam import PamFacts
from sshkit.server.pam_library import ECHO_OFF, INFO_TEXT, PamError
from sshkit.server.session_keeper import KeptSession, PamSession, SessionRefused, with_pam_session
from tests.server.pam_world import ROOT_WITH_PAM, PamWorld, make_world

ME = Account("root", os.getuid(), os.getgid(), "/", "/bin/sh")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PamWorld]:
    yield from make_world(tmp_path)


class Records:
    """Writes down what would be written."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def opened(self, account: Account, line: str, pid: int, host: str, when: float) -> bool:
        self.seen.append(("opened", account.name, line, host))
        return True

    def closed(self, line: str, pid: int, when: float) -> bool:
        self.seen.append(("closed", line))
        return True


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper is this process, whose descriptors are needed."""
    monkeypatch.setattr("sshkit.server.workers.forking.close_others", lambda keep: None)


def keep(run: Callable[[KeptSession], int], **more: Any) -> tuple[int, list[tuple[Any, ...]]]:
    """Return the status that the keeper returns, and the records."""
    records = Records()

    def child(kept: KeptSession) -> int:
        status = 99
        try:
            status = run(kept)
        finally:
            os._exit(status)

    status = with_pam_session(child, ME, "192.0.2.7", records=records, **more)  # type: ignore[arg-type]
    return status, records.seen


def test_the_keeper_ends_with_the_status_of_the_session() -> None:
    assert keep(lambda kept: 7) == (7, [])

    def killed(kept: KeptSession) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert keep(killed) == (128 + 9, [])


def test_signals_are_handed_on_and_ours_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run(kept: KeptSession) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        os.kill(os.getppid(), signal.SIGHUP)
        return signal.sigwait({signal.SIGHUP})

    assert keep(run) == (signal.SIGHUP, [])
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_terminals_have_records_which_end_with_the_session() -> None:
    master, slave = pty.openpty()
    other_master, other = pty.openpty()
    name, second = os.ttyname(slave), os.ttyname(other)

    def run(kept: KeptSession) -> int:
        kept.terminal_opened(name)
        kept.terminal_opened(name)
        kept.terminal_closed(name)
        kept.terminal_closed(name)
        kept.terminal_opened(second)
        return 0

    try:
        lines = [path.removeprefix("/dev/") for path in (name, second)]
        expected = [
            ("opened", "root", lines[0], "192.0.2.7"),
            ("closed", lines[0]),
            ("opened", "root", lines[1], "192.0.2.7"),
            ("closed", lines[1]),
        ]
        assert keep(run) == (0, expected)
    finally:
        for fd in (master, slave, other_master, other):
            os.close(fd)


def test_r36_a_user_has_no_records_written_but_of_terminals_that_are_his(tmp_path: Path) -> None:
    def run(kept: KeptSession) -> int:
        for name in ("null", "pts/99999", "../etc/passwd", "pts/\x1b", "", "a" * 100, "tty\n"):
            kept.terminal_opened(name)
        for _ in range(1000):
            kept.notes.send(b"?x")
        kept.notes.send(b"")
        kept.terminal_closed("pts/0")
        return 0

    def full(kept: KeptSession) -> int:
        while True:
            kept.notes.send(b"?" * 60)

    assert keep(run)[1] == [] or os.getuid() == 0  # /dev/null is root's
    assert keep(full) == (99, [])


def test_a_session_without_a_keeper_goes_on() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.close()
    with theirs:
        KeptSession(theirs).terminal_opened("/dev/pts/1")


@ROOT_WITH_PAM
def test_the_modules_open_and_close_the_session_as_root(world: PamWorld) -> None:
    script, seen, file = (world.folder / name for name in ("script", "seen", "environment"))
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE $(id -u) $PAM_USER $FROM" >>{seen}\n')
    script.chmod(0o755)
    file.write_text("COLOUR=green\n")
    world.folder.joinpath("hello").write_text("Welcome\x1b\n")
    service = world.service(
        "auth required pam_permit.so",
        f"session required pam_env.so readenv=1 envfile={file} conffile=/dev/null user_readenv=0",
        f"session optional pam_echo.so file={world.folder}/hello",
        f"session required pam_exec.so quiet {script}",
    )

    def run(kept: KeptSession) -> int:
        assert kept.environment == {"COLOUR": "green", "FROM": "login"}
        assert kept.shown == "Welcome\\x1b"
        assert kept.groups
        seen.open("a").write("the session\n")
        return 5

    facts = PamFacts("root", "192.0.2.7", service)
    assert keep(run, facts=facts, environment={"FROM": "login"}) == (5, [])
    assert seen.read_text().splitlines() == [
        "open_session 0 root login",
        "the session",
        "close_session 0 root login",
    ]


@ROOT_WITH_PAM
def test_limits_of_the_modules_hold_in_the_session_that_they_were_opened_for(world: PamWorld) -> None:
    import resource

    limits = world.folder / "limits"
    limits.write_text(
        "* hard nofile 4000\nroot hard nofile 4000\n* soft nofile 3000\nroot soft nofile 3000\n"
    )
    service = world.service("auth required pam_permit.so", f"session required pam_limits.so conf={limits}")

    def run(kept: KeptSession) -> int:
        return int(resource.getrlimit(resource.RLIMIT_NOFILE) == (3000, 4000))

    pid = os.fork()
    if not pid:  # the limits stay with the process
        try:
            os._exit(keep(run, facts=PamFacts("root", "h", service))[0])
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@ROOT_WITH_PAM
def test_a_session_that_the_modules_refuse_does_not_begin(world: PamWorld) -> None:
    service = world.service("auth required pam_permit.so", "session required pam_deny.so")
    with pytest.raises(SessionRefused, match="pam_open_session"):
        with_pam_session(lambda kept: os._exit(1), ME, "h", PamFacts("root", "h", service))
    with pytest.raises(SessionRefused, match="pam_setcred"):
        with_pam_session(
            lambda kept: os._exit(1),
            ME,
            "h",
            PamFacts("root", "h", world.service("auth required pam_deny.so")),
        )


class FakePam:
    """The library's place."""

    def __init__(self, service: str, user: str, converse: Any) -> None:
        if service == "bad":
            raise PamError(1, "pam_start: broken")
        self.converse = converse
        self.calls: list[str] = []

    def set_item(self, item: int, text: str) -> None:
        self.calls.append(text)

    def putenv(self, name: str, value: str) -> None:
        self.calls.append(f"{name}={value}")

    def call(self, name: str, flags: int = 0) -> None:
        self.calls.append(name)
        if "close" in name:
            raise PamError(1, name)

    def environment(self) -> dict[str, str]:
        return {}

    def close(self, silent: bool = False) -> None:
        self.calls.append(f"end {silent}")


def test_modules_that_fail_at_the_end_or_ask_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_keeper, "Pam", FakePam)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SessionRefused, match="bad: pam_start: broken"):
        PamSession(PamFacts("ann", "h", "bad"), {})
    session = PamSession(PamFacts("ann", "h"), {"A": "b"})
    session.open(ME)
    pam: Any = session.pam
    with pytest.raises(SessionRefused, match="nobody is there"):
        pam.converse([(ECHO_OFF, "Password: ")])
    for _ in range(100):
        assert pam.converse([(INFO_TEXT, "hi\n")]) == [""]
    assert session.shown.count("\n") == session_keeper.MAX_TERMINALS - 1
    session.close()
    session.close()
    expected = [
        "h",
        "ssh",
        "A=b",
        "setcred",
        "open_session",
        "close_session",
        "setcred",
        "end False",
        "end False",
    ]
    assert pam.calls == expected
    pam.calls.clear()
    session.leave()
    assert pam.calls == ["end True"]


def test_the_child_leaves_the_session_to_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the fork returns as in the child."""
    monkeypatch.setattr(session_keeper, "Pam", FakePam)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "fork", lambda: 0)
    kept: list[KeptSession] = []

    def run(session: KeptSession) -> int:
        kept.append(session)
        return 3

    assert with_pam_session(run, ME, "h", PamFacts("ann", "h")) == 3
    assert with_pam_session(run, ME, "h") == 3
    for session in kept:
        session.notes.close()
