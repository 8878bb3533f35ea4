"""Running: as often as one likes, in any thread, with triggers, and with Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import CancelledError, Deferred, fail, succeed
from sshkit.interfaces import IReactor
from sshkit.reactor import ENGINES, ReactorClosed, ReactorError, life, new_reactor, run
from sshkit.reactor.current import current

from .helpers import connected, later

OWN = list(ENGINES)
Run = Callable[[Any], Any]


@pytest.fixture(params=OWN)
def reactor(request: pytest.FixtureRequest) -> Any:
    made = new_reactor(request.param)
    yield made
    made.close()
    made.close()


def test_every_engine_has_the_whole_interface(run: Run) -> None:
    async def main(reactor: Any) -> None:
        assert verifyObject(IReactor, reactor)
        assert reactor.running
        assert reactor.in_own_thread()

    run(main)


def test_the_reactor_says_what_engines_there_are() -> None:
    with pytest.raises(ReactorError, match="no engine 'quick'; there are direct, native"):
        new_reactor("quick")

    async def main() -> None:
        pytest.fail("started")

    with pytest.raises(ReactorError):
        run(main(), engine="quick")


@pytest.mark.parametrize("engine", OWN)
def test_run_returns_the_result_or_raises_the_error(engine: str) -> None:
    async def result() -> int:
        await later(current())
        return 7

    async def error() -> None:
        await later(current())
        raise ZeroDivisionError

    assert run(result(), engine) == 7
    assert run(succeed(8), engine) == 8
    with pytest.raises(ZeroDivisionError):
        run(error(), engine)
    with pytest.raises(KeyError):
        run(fail(KeyError("x")), engine)
    with pytest.raises(TypeError):
        run(5, engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", OWN)
def test_anything_that_can_be_awaited_can_be_run(engine: str) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            return later(current()).__await__()

    assert run(Awaitable(), engine) is None


@pytest.mark.parametrize("engine", OWN)
def test_a_coroutine_may_yield_its_turn(engine: str) -> None:
    import asyncio

    async def main() -> int:
        for _ in range(200):
            await asyncio.sleep(0)
        return 1

    assert run(main(), engine) == 1


def test_one_reactor_runs_again_and_again(reactor: Any) -> None:
    for number in range(5):

        async def main(number: int = number) -> int:
            server, client = await connected(reactor)
            client.transport.close()
            await client.lost
            await server.lost
            return number

        assert reactor.run_until(main()) == number
        assert not reactor.running


def test_what_was_begun_in_one_run_goes_on_in_the_next(reactor: Any) -> None:
    made: list[int] = []
    reactor.call_later(0.001, made.append, 1)

    async def nothing() -> None:
        assert made == []

    reactor.run_until(nothing())

    async def wait() -> None:
        await later(reactor, 0.002)

    reactor.run_until(wait())
    assert made == [1]


@pytest.mark.parametrize("engine", OWN)
def test_reactors_run_in_two_threads_at_the_same_time(engine: str) -> None:
    barrier = threading.Barrier(2, timeout=30)
    results: list[Any] = []

    async def main() -> Any:
        reactor: Any = current()
        await reactor.defer_to_thread(barrier.wait)
        server, client = await connected(reactor)
        client.transport.write(b"x")
        await server.bytes_received(1)
        await reactor.defer_to_thread(barrier.wait)
        return reactor

    def work() -> None:
        results.append(run(main(), engine))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({id(result) for result in results}) == 2


def test_running_inside_a_run_is_an_error_that_says_what_to_do(reactor: Any) -> None:
    async def nothing() -> None:
        pytest.fail("started")

    async def main() -> None:
        with pytest.raises(ReactorError, match="runs already"):
            reactor.run_until(nothing())
        with pytest.raises(ReactorError, match="another reactor runs in this thread"):
            run(nothing())
        with pytest.raises(ReactorClosed, match="stop it first"):
            reactor.close()

    reactor.run_until(main())


def test_a_closed_reactor_takes_no_more_work(reactor: Any) -> None:
    reactor.close()
    for call in (
        reactor.run,
        lambda: reactor.connect_tcp("127.0.0.1", 1, object),
        lambda: reactor.listen_tcp("127.0.0.1", 1, object),
        lambda: reactor.spawn_process(object(), ["true"]),
    ):
        with pytest.raises(ReactorClosed):
            call()


@pytest.mark.parametrize("where", ["call_soon", "call_later", "reader", "startup"])
def test_stop_works_from_every_kind_of_callback(reactor: Any, where: str) -> None:
    if where == "call_soon":
        reactor.call_soon(reactor.stop)
    elif where == "call_later":
        reactor.call_later(0.001, reactor.stop)
    elif where == "startup":
        reactor.add_system_event_trigger("before", "startup", reactor.stop)
    else:
        read_fd, write_fd = os.pipe()
        os.write(write_fd, b"x")
        reactor.add_reader(read_fd, reactor.stop)
    reactor.run()
    assert not reactor.running
    if where == "reader":
        assert reactor.remove_reader(read_fd)
        os.close(read_fd)
        os.close(write_fd)


def test_stop_works_from_a_thread_and_twice(reactor: Any) -> None:
    thread = threading.Thread(target=reactor.call_from_thread, args=(reactor.stop,))
    reactor.call_soon(thread.start)
    reactor.add_system_event_trigger("before", "shutdown", reactor.stop)
    reactor.run()
    thread.join()
    with pytest.raises(ReactorError, match="does not run"):
        reactor.stop()


def test_a_stop_before_the_result_is_an_error(reactor: Any) -> None:
    waiting: Deferred[None] = Deferred()
    reactor.call_soon(reactor.stop)
    with pytest.raises(ReactorError, match="stopped before"):
        reactor.run_until(waiting)
    waiting.callback(None)

    async def nothing() -> None: ...

    assert reactor.run_until(nothing()) is None


# -- triggers --------------------------------------------------------------------------------------


def test_triggers_come_in_phases_and_in_order_at_each_run(reactor: Any) -> None:
    order: list[str] = []
    for event in ("startup", "shutdown"):
        for phase in ("after", "during", "before"):
            for number in (1, 2):
                reactor.add_system_event_trigger(phase, event, order.append, f"{phase} {event} {number}")

    async def main() -> None:
        order.append("main")

    expected = [f"{phase} startup {n}" for phase in ("before", "during", "after") for n in (1, 2)]
    expected += ["main"]
    expected += [f"{phase} shutdown {n}" for phase in ("before", "during", "after") for n in (1, 2)]
    reactor.run_until(main())
    assert order == expected
    reactor.run_until(main())
    assert order == expected * 2


def test_what_a_before_trigger_returns_is_waited_for(reactor: Any) -> None:
    order: list[str] = []

    async def slow(text: str) -> None:
        await later(reactor, 0.001)
        order.append(text)

    reactor.add_system_event_trigger("before", "startup", slow, "started")
    reactor.add_system_event_trigger("before", "shutdown", slow, "stopped")
    reactor.add_system_event_trigger("during", "shutdown", order.append, "during")
    reactor.call_later(0.002, reactor.stop)
    reactor.run()
    assert order == ["started", "stopped", "during"]


def test_a_trigger_that_fails_is_reported_and_the_others_come(reactor: Any, reports: list[str]) -> None:
    order: list[str] = []

    async def fails() -> None:
        raise ValueError("slowly")

    def fails_at_once() -> None:
        raise ValueError("at once")

    reactor.add_system_event_trigger("before", "shutdown", fails)
    reactor.add_system_event_trigger("before", "shutdown", fails_at_once)
    reactor.add_system_event_trigger("before", "shutdown", order.append, "done")
    reactor.call_soon(reactor.stop)
    reactor.run()
    assert order == ["done"]
    assert list(reports) == ["trigger before shutdown failed: at once"]


def test_a_trigger_that_never_answers_does_not_keep_the_reactor(
    reactor: Any, monkeypatch: pytest.MonkeyPatch, reports: list[str]
) -> None:
    monkeypatch.setattr(life, "SHUTDOWN_TIMEOUT", 0.001)
    reactor.add_system_event_trigger("before", "shutdown", Deferred)
    reactor.call_soon(reactor.stop)
    reactor.run()
    assert "waiting for a trigger failed" in next(iter(reports))


def test_a_stop_while_startup_waits_skips_the_rest_of_startup(reactor: Any) -> None:
    order: list[str] = []
    reactor.add_system_event_trigger("before", "startup", lambda: later(reactor, 0.002))
    reactor.add_system_event_trigger("during", "startup", order.append, "started")
    reactor.add_system_event_trigger("before", "shutdown", lambda: later(reactor, 0.005))
    reactor.call_later(0.001, reactor.stop)
    reactor.run()
    assert order == []


def test_a_removed_trigger_does_not_come(reactor: Any) -> None:
    handle = reactor.add_system_event_trigger("before", "startup", pytest.fail, "came")
    reactor.remove_system_event_trigger(handle)
    reactor.remove_system_event_trigger(handle)
    reactor.remove_system_event_trigger(object())
    reactor.call_soon(reactor.stop)
    reactor.run()


def test_a_trigger_with_an_unknown_name_is_refused(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ReactorError, match="phases are before, during, after"):
            reactor.add_system_event_trigger("before", "shutdwon", lambda: None)

    run(main)


# -- exits and interrupts --------------------------------------------------------------------------


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_cancels_the_main_coroutine_and_lets_it_clean_up(reactor: Any) -> None:
    cleaned: list[str] = []

    async def main() -> None:
        reactor.call_soon(interrupt)
        try:
            await Deferred()
        except CancelledError:
            await later(reactor, 0.001)
            cleaned.append("up")
            raise

    with pytest.raises(KeyboardInterrupt):
        reactor.run_until(main())
    assert cleaned == ["up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_stops_a_reactor_without_main_in_order(reactor: Any) -> None:
    order: list[str] = []
    reactor.add_system_event_trigger("during", "shutdown", order.append, "down")
    reactor.call_later(0.001, interrupt)
    with pytest.raises(KeyboardInterrupt):
        reactor.run()
    assert order == ["down"]


def test_a_second_ctrl_c_interrupts_at_once_and_still_shuts_down(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    reactor.add_system_event_trigger("during", "shutdown", order.append, "down")

    async def main() -> None:
        def twice() -> None:
            interrupt()
            interrupt()

        reactor.call_soon(twice)
        await Deferred()

    with pytest.raises(KeyboardInterrupt):
        reactor.run_until(main())
    assert order == ["down"]


def test_a_main_that_ignores_an_exit_is_left_after_a_while(
    reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "SHUTDOWN_TIMEOUT", 0.001)
    stubborn: Deferred[None] = Deferred()

    async def main() -> None:
        reactor.call_soon(lambda: sys.exit(3))
        while True:
            try:
                await stubborn
            except CancelledError:
                await Deferred()

    with pytest.raises(SystemExit):
        reactor.run_until(main())


def test_an_exit_leaves_a_reactor_that_can_run_again(reactor: Any) -> None:
    async def leave() -> None:
        sys.exit(4)

    with pytest.raises(SystemExit) as caught:
        reactor.run_until(leave())
    assert caught.value.code == 4

    async def main() -> int:
        await later(reactor)
        return 1

    assert reactor.run_until(main()) == 1


def test_another_programs_interrupt_handler_is_left_alone(reactor: Any) -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    try:

        async def main() -> None:
            interrupt()
            await later(reactor)

        reactor.run_until(main())
    finally:
        signal.signal(signal.SIGINT, before)
    assert got == [signal.SIGINT]


def test_a_handler_that_was_installed_meanwhile_stays(reactor: Any) -> None:
    def handler(number: int, frame: Any) -> None: ...

    async def main() -> None:
        signal.signal(signal.SIGINT, handler)

    try:
        reactor.run_until(main())
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# -- which reactor ---------------------------------------------------------------------------------


def test_the_current_reactor_is_the_one_that_runs_here(run: Run) -> None:
    async def main(reactor: Any) -> None:
        assert current() is reactor
        await later(reactor)
        assert current() is reactor

        def elsewhere() -> None:
            with pytest.raises(ReactorError, match=r"sshkit.run\(main\(\)\)"):
                current()

        await reactor.defer_to_thread(elsewhere)

    run(main)


def test_without_a_loop_the_error_says_what_to_do() -> None:
    with pytest.raises(ReactorError, match=r"asyncio.run\(main\(\)\), or use sshkit.blocking"):
        current()
