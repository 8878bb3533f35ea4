"""Logins by PAM, with the system's own modules and services made for the test."""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.wire import boolean, string, uint32

from sshkit.reactor.engines.native import NativeReactor
from sshkit.server import pam, pam_library
from sshkit.server.in_child import ChildFailed, ChildSocket
from sshkit.server.pam import PamFacts, PamLogin, PamResult, decide, fake
from sshkit.server.pam_library import ECHO_OFF, ECHO_ON, INFO_TEXT, Pam, PamError, PamUnavailable
from sshkit.server.users import Refusal
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import PasswordExpired
from tests.server.pam_world import PASSWORD, ROOT_WITH_PAM, PamWorld, make_world

pytestmark = ROOT_WITH_PAM
NEW = "battery staple 7"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PamWorld]:
    yield from make_world(tmp_path)


@pytest.fixture
def reactor() -> Iterator[Any]:
    reactor = NativeReactor()
    yield reactor
    reactor.close()


def login(reactor: Any, service: str, user: str, refusal: str | None = None, **more: Any) -> PamLogin:
    return PamLogin(reactor, PamFacts(user, "192.0.2.7", service), refusal, **more)


def reason(answer: Any) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.reason


def test_a_dialogue_asks_what_the_modules_ask(world: PamWorld, reactor: Any) -> None:
    world.folder.joinpath("hello").write_text("Hello %u from %H\n")
    service = world.unix(f"auth optional pam_echo.so file={world.folder}/hello")
    attempt = login(reactor, service, world.account())
    asked = reactor.run_until(attempt.ask(None))
    assert isinstance(asked, Questions)
    assert asked.prompts == (("Password: ", False),)
    assert asked.instruction == f"Hello {world.user} from 192.0.2.7"
    assert reactor.run_until(attempt.ask([PASSWORD])) is True
    assert attempt.account_passed
    asked = reactor.run_until(attempt.ask(None))
    assert "Authentication failure" in reason(reactor.run_until(attempt.ask(["wrong"])))
    assert "no dialogue" in reason(reactor.run_until(attempt.ask([PASSWORD])))


def test_passwords_are_checked_with_the_account(world: PamWorld, reactor: Any) -> None:
    user, service = world.account(), world.unix()
    attempt = login(reactor, service, user)
    assert reactor.run_until(attempt.check_password(PASSWORD)) is True
    for wrong in ("wrong", "", PASSWORD + " ", "x" * 600):
        assert reason(reactor.run_until(attempt.check_password(wrong)))
    subprocess.run(["chage", "-E", "1", user], check=True)
    assert "expired" in reason(reactor.run_until(attempt.check_password(PASSWORD)))
    assert "expired" in reason(reactor.run_until(attempt.check_account()))


def test_r10_a_password_that_is_too_long_or_has_a_nul_reaches_no_module(reactor: Any) -> None:
    attempt = login(reactor, "no-such-service", "root")
    for text in ("x" * 1025, "a\0b"):
        assert "too long" in reason(reactor.run_until(attempt.check_password(text)))
        assert "too long" in reason(reactor.run_until(attempt.change_password("old", text)))


def test_r09_who_may_not_log_in_has_the_same_dialogue_and_never_succeeds(
    world: PamWorld, reactor: Any
) -> None:
    service = world.unix()
    for user in (world.account(), f"{world.user}x"):
        attempt = login(reactor, service, user, "DenyUsers has him")
        asked = reactor.run_until(attempt.ask(None))
        assert asked.prompts == (("Password: ", False),)
        assert reason(reactor.run_until(attempt.ask([PASSWORD]))) == "DenyUsers has him"
        assert reason(reactor.run_until(attempt.check_password(PASSWORD))) == "DenyUsers has him"
        assert reason(reactor.run_until(attempt.check_account())) == "DenyUsers has him"
    open_to_all = world.service(*(f"{kind} required pam_permit.so" for kind in ("auth", "account")))
    attempt = login(reactor, open_to_all, world.user, "no")
    assert reason(reactor.run_until(attempt.check_password("any"))) == "no"


def test_a_refusal_comes_at_a_full_step_whatever_the_work_was(world: PamWorld, reactor: Any) -> None:
    delays: list[float] = []
    later = reactor.call_later

    def call_later(seconds: float, function: Any, *arguments: Any) -> Any:
        if function is pam._fire:
            delays.append(seconds)
        return later(0 if function is pam._fire else seconds, function, *arguments)

    reactor.call_later = call_later
    attempt = login(reactor, world.service("auth required pam_deny.so"), "root")
    reason(reactor.run_until(attempt.check_password("any")))
    assert len(delays) == 1
    assert 0 < delays[0] <= pam.REFUSAL_STEP


def test_an_expired_password_is_changed_by_dialogue(world: PamWorld, reactor: Any) -> None:
    user, service = world.account(), world.unix()
    world.expire_password()
    attempt = login(reactor, service, user)
    reactor.run_until(attempt.ask(None))
    answers, seen = [PASSWORD, PASSWORD, NEW, NEW], []
    answer = reactor.run_until(attempt.ask([answers.pop(0)]))
    while isinstance(answer, Questions):
        seen.append((answer.instruction, answer.prompts[0][0]))
        answer = reactor.run_until(attempt.ask([answers.pop(0)]))
    assert answer is True
    assert [prompt for _, prompt in seen] == ["Current password: ", "New password: ", "Retype new password: "]
    assert "required to change your password" in seen[0][0]
    assert reactor.run_until(attempt.check_password(NEW)) is True


def test_an_expired_password_is_changed_with_the_method_password(world: PamWorld, reactor: Any) -> None:
    user, service = world.account(), world.unix()
    world.expire_password()
    attempt = login(reactor, service, user)
    answer = reactor.run_until(attempt.check_password(PASSWORD))
    assert isinstance(answer, PasswordExpired)
    assert "change your password" in answer.prompt
    assert isinstance(reactor.run_until(attempt.check_account()), PasswordExpired)
    assert reason(reactor.run_until(attempt.change_password("wrong", NEW)))
    same = reactor.run_until(attempt.change_password(PASSWORD, ""))
    assert isinstance(same, PasswordExpired)
    assert reactor.run_until(attempt.change_password(PASSWORD, NEW)) is True
    assert reactor.run_until(attempt.check_password(NEW)) is True
    assert reactor.run_until(attempt.change_password(NEW, "ignored")) is True  # it was not expired any more


def test_the_account_step_alone_asks_nothing(world: PamWorld, reactor: Any) -> None:
    attempt = login(reactor, world.service("account required pam_permit.so"), "root")
    assert reactor.run_until(attempt.check_account()) is True
    attempt = login(reactor, world.service("account required pam_deny.so"), "root")
    assert "pam_acct_mgmt" in reason(reactor.run_until(attempt.check_account()))


def test_a_module_is_told_who_comes_from_where(world: PamWorld, reactor: Any) -> None:
    script, seen = world.folder / "script", world.folder / "seen"
    script.write_text(f'#!/bin/sh\necho "$PAM_USER $PAM_RHOST $PAM_TTY $PAM_SERVICE $PAM_TYPE" >>{seen}\n')
    script.chmod(0o755)
    lines = (f"{kind} required pam_exec.so quiet {script}" for kind in ("auth", "account"))
    service = world.service(*lines)
    assert reactor.run_until(login(reactor, service, "root").check_password("any")) is True
    assert seen.read_text() == f"root 192.0.2.7 ssh {service} auth\nroot 192.0.2.7 ssh {service} account\n"


def slow_service(world: PamWorld) -> tuple[str, Path]:
    script, fifo = world.folder / "slow", world.folder / "fifo"
    os.mkfifo(fifo)
    script.write_text(f"#!/bin/sh\necho >{fifo}\nexec sleep 100\n")
    script.chmod(0o755)
    return world.service(f"auth required pam_exec.so quiet {script}"), fifo


def test_r42_a_module_that_does_not_end_is_killed(world: PamWorld, reactor: Any) -> None:
    service, fifo = slow_service(world)
    with open(os.open(fifo, os.O_RDWR), "rb"):
        attempt = login(reactor, service, "root", timeout=0.3)
        assert "not done after 0.3 seconds" in reason(reactor.run_until(attempt.check_password("any")))


def test_when_the_client_goes_the_child_goes(world: PamWorld, reactor: Any) -> None:
    attempt = login(reactor, world.unix(), world.account())
    reactor.run_until(attempt.ask(None))
    assert attempt._child is not None
    pid = attempt._child.pid
    attempt.close()
    attempt.close()
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            break
        turned = reactor.defer_to_thread(lambda: None)
        reactor.run_until(turned)
    waiting = attempt.ask(None)
    waiting.cancel()
    waiting.add_errback(lambda failure: None)
    assert attempt._child is None


def test_a_service_that_does_not_exist_and_a_missing_library_refuse(
    world: PamWorld, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.service("auth required pam_no_such_module.so")
    assert "pam_authenticate" in reason(
        reactor.run_until(login(reactor, service, "root").check_password("x"))
    )
    monkeypatch.setattr(pam_library, "LIBRARY", "libno-such-pam.so")
    with pytest.raises(PamUnavailable, match="there is no PAM library"):
        Pam("x", "root", lambda messages: [])
    assert "no PAM library" in decide(PamFacts("root", "h"), None, None).reason


# The same without a fork.


def test_what_a_hidden_prompt_is_answered_with() -> None:
    converse = pam._Passwords("old", "new")
    assert converse([(ECHO_OFF, "Password: "), (INFO_TEXT, "hi")]) == ["old", ""]
    converse.changing = True
    prompts = [
        (ECHO_OFF, text) for text in ("Current password: ", "(old password)", "New password: ", "Retype")
    ]
    assert converse(prompts) == ["old", "old", "new", "new"]
    with pytest.raises(ChildFailed, match="more than a password"):
        converse([(ECHO_ON, "Token: ")])
    assert pam._silent([(INFO_TEXT, "hi")]) == [""]
    with pytest.raises(ChildFailed, match="nobody is there"):
        pam._silent([(ECHO_OFF, "Password: ")])


def frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def test_a_round_has_all_prompts_of_one_call_and_what_was_said_before() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        dialogue = pam._Dialogue(ChildSocket(theirs), None)
        assert dialogue([(INFO_TEXT, "one\x1b\n"), (INFO_TEXT, "two")]) == ["", ""]
        ours.sendall(frame(uint32(2) + string("a") + string("b")))
        asked = [(ECHO_OFF, "P: "), (INFO_TEXT, "three"), (ECHO_ON, "T: ")]
        assert dialogue(asked) == ["a", "", "b"]
        prompts = string("P: ") + boolean(False) + string("T: ") + boolean(True)
        assert ours.recv(1000) == frame(b"Q" + string("one\\x1b\ntwo\nthree") + uint32(2) + prompts)
        ours.sendall(frame(uint32(1) + string("a")))
        with pytest.raises(ChildFailed, match="1 answers to 2 questions"):
            dialogue(asked)
        refused = pam._Dialogue(ChildSocket(theirs), "no")
        ours.sendall(frame(uint32(1) + string("password")))
        assert refused([(ECHO_OFF, "P: ")]) == [fake("password")]


def test_what_is_never_right_is_as_long_as_the_answer() -> None:
    for text in ("", "a", "password", "x" * 100):
        assert len(fake(text)) == max(len(text), 1)
        assert fake(text) != text


class FakePam:
    """The library's place, with errors to order."""

    errors: dict[str, int] = {}  # noqa: RUF012
    name = "ann"

    def __init__(self, service: str, user: str, converse: Any) -> None:
        self.calls: list[str] = []

    def set_item(self, item: int, text: str) -> None:
        self.calls.append(f"{item} {text}")

    def user(self) -> str:
        return self.name

    def environment(self) -> dict[str, str]:
        return {"A": "b\udcff"}

    def call(self, name: str, flags: int = 0) -> None:
        if name in self.errors:
            raise PamError(self.errors[name], f"pam_{name}: said no")

    def close(self, silent: bool = False) -> None:
        self.calls.append("close")


def decided(
    monkeypatch: pytest.MonkeyPatch, converse: Any, refusal: str | None = None, **errors: int
) -> PamResult:
    monkeypatch.setattr(pam, "Pam", FakePam)
    monkeypatch.setattr(FakePam, "errors", errors)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert (
            pam._serve(ChildSocket(theirs), PamFacts("ann", "h", permit_empty=True), converse, refusal) == 0
        )
        data = ours.recv(5000)
    assert data[4:5] == b"R"
    return PamResult.decode(data[5:])


def test_each_step_may_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dialogue(pam._Dialogue):
        def __init__(self) -> None:
            self.shown = ["said"]

    ok = PamResult(0, "", "said", (("A", "b\udcff"),))
    new = pam_library.NEW_AUTHTOK_REQUIRED
    assert decided(monkeypatch, Dialogue()) == ok
    assert decided(monkeypatch, Dialogue(), "no") == PamResult(1, "no")
    assert decided(monkeypatch, Dialogue(), authenticate=7)[:3] == (
        1,
        "sshd: pam_authenticate: said no",
        "said",
    )
    assert decided(monkeypatch, None, acct_mgmt=6)[:2] == (1, "sshd: pam_acct_mgmt: said no")
    assert decided(monkeypatch, None, acct_mgmt=new).outcome == 2
    assert decided(monkeypatch, Dialogue(), acct_mgmt=new) == ok
    assert decided(monkeypatch, Dialogue(), acct_mgmt=new, chauthtok=20).outcome == 1
    assert decided(monkeypatch, pam._Passwords("a", None), acct_mgmt=new).outcome == 2
    assert decided(monkeypatch, pam._Passwords("a", "b"), acct_mgmt=new).outcome == 0
    assert decided(monkeypatch, pam._Passwords("a", "b"), acct_mgmt=new, chauthtok=20)[:2] == (
        2,
        "pam_chauthtok: said no",
    )
    monkeypatch.setattr(FakePam, "name", "root")
    assert decided(monkeypatch, Dialogue()) == PamResult(1, "PAM makes root of the user")


def test_what_a_broken_child_says_refuses(
    world: PamWorld, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(sock: ChildSocket, *_: Any) -> int:
        sock.send(b"R\x09")
        sock.receive()
        return 0

    monkeypatch.setattr(pam, "_serve", broken)
    assert reason(reactor.run_until(login(reactor, "x", "root").check_password("x"))).startswith("PAM: ")

    def talkative(sock: ChildSocket, *_: Any) -> int:
        sock.send(b"Q" + string("") + uint32(0))
        sock.send(b"Q" + string("") + uint32(0))
        return 0

    monkeypatch.setattr(pam, "_serve", talkative)
    assert isinstance(reactor.run_until(login(reactor, "x", "root").ask(None)), Questions)
    monkeypatch.setattr(pam, "_serve", lambda *_: 0)
    assert reason(reactor.run_until(login(reactor, "x", "root").ask(None))) == "PAM gave no answer"


def test_the_library_takes_no_more_than_it_can_hold(world: PamWorld) -> None:
    answers: list[Sequence[str]] = [["x" * 512], ["a\0b"], ["one", "two"], [], [PASSWORD]]
    results = []
    transaction: Any = None
    for answer in answers:
        transaction = Pam(world.unix(), world.account(), lambda _: answer)  # noqa: B023
        try:
            transaction.call("authenticate")
            results.append(0)
        except PamError as error:
            results.append(error.code)
        transaction.close()
        transaction.close()
    assert all(results[:4])
    assert results[4] == 0
    assert transaction._called(0, None, None, None) == pam_library.CONVERSATION_ERROR

    def fail(messages: Any) -> Any:
        raise ChildFailed("gone")

    transaction = Pam(world.unix(), world.user, fail)
    with pytest.raises(PamError):
        transaction.call("authenticate")
    transaction.putenv("COLOUR", "red")
    assert transaction.environment() == {"COLOUR": "red"}
    assert transaction.user() == world.user
    transaction.set_item(pam_library.TTY, "pts/1")
    with pytest.raises(PamError, match="pam_set_item"):
        transaction.set_item(99, "x")
    transaction.close(silent=True)
