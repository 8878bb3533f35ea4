"""Signals are events of the loop."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sshkit.deferred import Deferred
from sshkit.reactor import ReactorError, new_reactor

Run = Callable[[Any], Any]


def test_r41_a_signal_handler_only_queues_and_the_callback_runs_in_a_turn(run: Run) -> None:
    async def main(reactor: Any) -> None:
        got: Deferred[str] = Deferred()
        reactor.add_signal_handler(signal.SIGUSR1, lambda: pytest.fail("replaced"))
        reactor.add_signal_handler(signal.SIGUSR1, lambda: got.callback("in a turn"))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not got.called
        assert await got == "in a turn"
        assert reactor.remove_signal_handler(signal.SIGUSR1)
        assert not reactor.remove_signal_handler(signal.SIGUSR1)

    before = signal.getsignal(signal.SIGUSR1)
    run(main)
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_signal_that_cannot_be_handled_is_an_error(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ReactorError, match="signal 9 cannot be handled here"):
            reactor.add_signal_handler(signal.SIGKILL, lambda: None)
        reactor.add_signal_handler(signal.SIGUSR1, lambda: None)
        with pytest.raises(ReactorError, match="signal 9"):
            reactor.add_signal_handler(signal.SIGKILL, lambda: None)
        reactor.remove_signal_handler(signal.SIGUSR1)

    run(main)


@pytest.mark.parametrize("engine", ["native", "direct"])
def test_closing_puts_the_old_handlers_back(engine: str) -> None:
    reactor = new_reactor(engine)
    before = signal.getsignal(signal.SIGUSR2)
    reactor.add_signal_handler(signal.SIGUSR2, lambda: None)
    assert signal.getsignal(signal.SIGUSR2) != before
    reactor._signals._on_signal(signal.SIGTERM, None)  # not ours: nothing happens
    reactor.close()
    assert signal.getsignal(signal.SIGUSR2) == before


def test_a_handler_that_python_did_not_install_becomes_the_default() -> None:
    reactor = new_reactor("native")
    reactor.add_signal_handler(signal.SIGUSR2, lambda: None)
    reactor._signals._previous[signal.SIGUSR2] = None
    reactor._signals._old_wakeup = 10_000
    reactor.close()
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL
    signal.set_wakeup_fd(-1)


def test_signals_belong_to_the_main_thread() -> None:
    caught: list[str] = []

    def work() -> None:
        reactor = new_reactor("native")
        try:
            reactor.add_signal_handler(signal.SIGUSR1, lambda: None)
        except ReactorError as error:
            caught.append(str(error))
        reactor.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in caught[0]
