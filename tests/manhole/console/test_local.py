"""The console on this process' own terminal: ctrl-C is a signal while code runs."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from sshkit_cli import manhole

import sshkit
from sshkit.manhole.interpreter import guarded
from sshkit.manhole.local import Interrupts, run_local, runs_guarded_code, wants_colours
from sshkit.ssh.errors import LocalProtocolError
from tests.cli.user import PtyUser


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[PtyUser]:
    """A person before a terminal that is this process' standard input and output."""
    user = PtyUser()
    user.resize(80, 24)
    monkeypatch.setenv("TERM", "xterm")
    yield user
    user.close()


def at_terminal(user: PtyUser, script: Callable[[], None], *argv: str) -> int:
    """Run the command while `script` plays the person; return its exit status."""
    failures: list[BaseException] = []

    def play() -> None:
        try:
            script()
        except BaseException as error:
            failures.append(error)
            user.type("\x03\x03\x15exit(99)\r")

    player = threading.Thread(target=play)
    player.start()
    with (
        pytest.MonkeyPatch.context() as patch,
        open(user.slave, closefd=False) as stdin,
        open(user.slave, "w", closefd=False) as stdout,
    ):
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stdout", stdout)
        try:
            status = manhole.main(list(argv))
        finally:
            player.join()
    if failures:
        raise failures[0]
    return status


def test_what_computes_and_what_waits_is_interrupted_and_the_terminal_is_as_before(person: PtyUser) -> None:
    before, handler = person.modes, signal.getsignal(signal.SIGINT)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def script() -> None:
        person.expect("In [1]")
        person.type("while print('tur' + 'ning') is None: pass\r")
        person.expect("turning")
        interrupt()
        person.expect("KeyboardInterrupt")
        person.expect("In [2]")
        person.type("import asyncio; print('wai' + 'ting'); await asyncio.sleep(1000)\r")
        person.expect("waiting")
        interrupt()
        person.expect("KeyboardInterrupt")
        person.expect("In [3]")
        person.type("exit(6)\r")

    assert at_terminal(person, script, "-q") == 6
    assert person.modes == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_without_a_terminal_there_is_no_console(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(LocalProtocolError, match="needs a terminal"):
            sshkit.run(run_local({}))


def test_colours_are_not_wanted_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colours()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colours()


def test_a_signal_outside_of_the_persons_code_raises_nothing() -> None:
    assert not runs_guarded_code(sys._getframe())


def test_an_interruption_that_comes_while_text_is_shown_waits_until_it_is() -> None:
    shown = []

    class Swallowing:
        def write(self, text: str) -> None:
            try:
                interrupts.interrupt(2, sys._getframe())
            except BaseException:  # as prompt_toolkit does
                return
            shown.append(text)

    async def code() -> None:
        interrupts.write("text")
        shown.append("went on")

    interrupts = Interrupts(cast("Any", Swallowing()))
    interrupts.elsewhere = lambda: shown.append("elsewhere")
    with pytest.raises(StopIteration) as stopped:
        guarded(code()).send(None)
    assert isinstance(stopped.value.value.error, KeyboardInterrupt)
    assert shown == ["text"]
    interrupts.write("no code")
    assert shown == ["text", "no code", "elsewhere"]
