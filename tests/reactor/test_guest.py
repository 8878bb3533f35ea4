"""The guest engine: ours on somebody else's loop, and gone with it."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from sshkit.deferred import Deferred
from sshkit.reactor import ReactorClosed, ReactorError
from sshkit.reactor.current import current
from sshkit.reactor.engines import guest as guest_module
from sshkit.reactor.engines.guest import GuestReactor, guest_of

from .helpers import Recorder, connected, later

Runner = Callable[[Any], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_loop_has_one_guest(runner: Runner) -> None:
    async def main() -> Any:
        first: Any = current()
        assert first is current()
        assert first is guest_of(asyncio.get_running_loop())
        assert first.loop is asyncio.get_running_loop()
        return first

    first = runner(main())
    assert first.closed
    assert runner(main()) is not first


def test_a_guest_ends_with_its_loop(runner: Runner) -> None:
    async def main() -> list[Recorder]:
        server, client = await connected(current())
        return [server, client]

    for protocol in runner(main()):
        assert isinstance(protocol.lost.result(), ReactorClosed)
        with pytest.raises(ReactorClosed):
            protocol.transport._reactor.call_from_thread(lambda: None)


def test_shutdown_triggers_come_when_the_loop_ends(runner: Runner) -> None:
    order: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.001)
        order.append("before")

    async def main() -> None:
        reactor = current()
        reactor.add_system_event_trigger("before", "shutdown", slow)
        reactor.add_system_event_trigger("after", "shutdown", order.append, "after")

    runner(main())
    assert order == ["before", "after"]


def test_a_trigger_that_never_answers_does_not_keep_the_loop(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, reports: list[str]
) -> None:
    monkeypatch.setattr(guest_module, "SHUTDOWN_TIMEOUT", 0.001)

    async def main() -> None:
        current().add_system_event_trigger("before", "shutdown", Deferred)

    runner(main())
    assert len(list(reports)) == 1


def test_stop_closes_the_guest_and_leaves_the_loop(runner: Runner) -> None:
    async def main() -> None:
        reactor: Any = current()
        assert reactor.running
        _, client = await connected(reactor)
        reactor.call_later(0.001, lambda: pytest.fail("called"))
        reactor.stop()
        reactor.stop()
        await asyncio.sleep(0.002)
        assert reactor.closed
        assert not reactor.running
        reactor.close()
        assert isinstance(client.lost.result(), ReactorClosed)
        with pytest.raises(ReactorClosed):
            reactor.call_soon(lambda: None)
        assert current() is not reactor

    runner(main())


def test_only_the_host_runs_it(runner: Runner) -> None:
    async def nothing() -> None: ...

    async def main() -> None:
        reactor: Any = current()
        with pytest.raises(ReactorError, match="the asyncio loop that it is on runs it"):
            reactor.run()
        coroutine = nothing()
        with pytest.raises(ReactorError, match="await here"):
            reactor.run_until(coroutine)
        coroutine.close()

    runner(main())


def test_a_guest_keeps_no_loop_alive() -> None:
    async def main() -> Any:
        await later(current())
        return weakref.ref(asyncio.get_running_loop()), current()

    reference, reactor = asyncio.run(main())
    gc.collect()
    assert reference() is None
    with pytest.raises(ReactorClosed):
        reactor.loop  # noqa: B018
    assert not reactor.running
    assert guest_module._guests == {}


def test_guests_of_loops_that_were_closed_without_ceremony_are_closed_with_the_next() -> None:
    async def main() -> Any:
        return current()

    loop = asyncio.new_event_loop()
    reactor = loop.run_until_complete(main())
    loop.close()
    assert not reactor.closed
    with pytest.raises(ReactorClosed):
        reactor.call_from_thread(lambda: None)
    asyncio.run(main())
    assert reactor.closed


def test_a_guest_whose_loop_was_freed_can_be_closed() -> None:
    reactors: list[Any] = []
    loop = asyncio.new_event_loop()

    async def main() -> None:
        reactors.append(GuestReactor(asyncio.get_running_loop()))

    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    reactor = reactors[0]
    assert reactor.closed
    reactor._serve()
    reactor.close()
    loop.close()


def test_a_callback_that_closes_the_guest_ends_its_turn(runner: Runner) -> None:
    async def main() -> None:
        reactor: Any = current()
        reactor.call_later(0, reactor.close)
        await asyncio.sleep(0.002)
        assert reactor.closed
        second: Any = current()
        second.call_soon(second.close)
        second.call_soon(lambda: None)
        await asyncio.sleep(0.002)
        assert second.closed

    runner(main())


def test_guests_in_two_threads_do_not_meet() -> None:
    found: list[Any] = []

    async def main() -> None:
        found.append(current())
        await later(current())

    workers = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(map(id, found))) == 2
