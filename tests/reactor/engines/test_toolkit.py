"""What is particular to a reactor on a toolkit's loop: attaching, dialogs, ending; the same on each."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from zope.interface.verify import verifyObject

import sshkit
from sshkit.deferred import CancelledError, Deferred, NoSchedulerError, ensure_deferred, gather
from sshkit.interfaces.reactor import IReactor
from sshkit.reactor import ReactorClosed, ReactorError
from sshkit.reactor.current import current, running_reactors
from sshkit.reactor.engines import glib, hosted, qt, tk
from sshkit.sftp.backends.memory import MemoryBackend

from ..helpers import Echo, Recorder, connected, later
from ..test_forking import in_child
from .hosts import InnerLoop

Run = Callable[[Any], Any]
Inner = Callable[[], InnerLoop]

#: Milliseconds of a dialog that nobody answers: enough for the loop to look at everything many times.
DIALOG = 20
ATTACH: dict[str, Callable[[], Any]] = {"qt": qt.attach, "tk": tk.attach, "glib": glib.attach}


def test_it_is_the_reactor_of_its_thread_and_there_is_one(run: Run, toolkit_name: str) -> None:
    async def main(reactor: Any) -> Any:
        assert verifyObject(IReactor, reactor)
        assert reactor.name == toolkit_name
        assert reactor.running
        assert current() is reactor
        assert ATTACH[toolkit_name]() is reactor
        return reactor

    reactor = run(main)
    assert reactor.closed
    assert not reactor.running
    assert threading.get_ident() not in running_reactors
    assert run(main) is not reactor


def test_only_the_toolkit_runs_it(run: Run) -> None:
    async def nothing() -> None: ...

    async def main(reactor: Any) -> None:
        with pytest.raises(ReactorError, match=r"this reactor is a guest: .* runs it"):
            reactor.run()
        coroutine = nothing()
        with pytest.raises(ReactorError, match=r"give coroutines to reactor\.start"):
            reactor.run_until(coroutine)
        coroutine.close()
        coroutine = nothing()
        with pytest.raises(ReactorError, match="another reactor runs in this thread"):
            sshkit.run(coroutine)

    run(main)


def test_two_toolkits_and_a_running_reactor_do_not_share_a_thread(run: Run, toolkit_name: str) -> None:
    async def main(reactor: Any) -> None:
        for name, attach in ATTACH.items():
            if name != toolkit_name:
                with pytest.raises(
                    ReactorError, match=f"the {toolkit_name} reactor runs in this thread: the {name}"
                ):
                    attach()

    run(main)

    async def other() -> None:
        with pytest.raises(ReactorError, match="the native reactor runs in this thread"):
            ATTACH[toolkit_name]()

    sshkit.run(other(), engine="native")


def test_nothing_is_left_behind(run: Run) -> None:
    async def main(reactor: Any) -> list[Any]:
        await reactor.defer_to_thread(int)
        return list(await connected(reactor, Echo))

    run(main)
    before = len(os.listdir("/proc/self/fd"))
    for protocol in run(main):
        assert isinstance(protocol.lost.result(), ReactorClosed)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_closed_one_takes_nothing_more_and_may_be_closed_again(run: Run) -> None:
    async def nothing() -> None: ...

    async def main(reactor: Any) -> Any:
        return reactor

    reactor = run(main)
    reactor.close()
    reactor.finish()
    reactor._serve()
    reactor.call_soon(pytest.fail)
    with pytest.raises(ReactorClosed):
        reactor.defer_to_host(int)
    with pytest.raises(ReactorClosed):
        reactor.start(nothing())
    with pytest.raises(ReactorClosed):
        reactor.call_from_thread(int)


def test_a_handler_that_raises_is_reported_once_and_the_program_goes_on(run: Run, reports: list[str]) -> None:
    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError("bug")

    async def main(reactor: Any) -> str:
        server, client = await connected(reactor, Broken)
        client.transport.write(b"x")
        await gather(server.lost, client.lost)
        server, client = await connected(reactor, Echo)
        client.transport.write(b"again")
        assert await client.bytes_received(5) == b"again"
        return "went on"

    assert run(main) == "went on"
    assert len([report for report in reports if "bug" in report]) == 1


def test_a_dialog_of_the_program_keeps_nothing_of_ours_waiting(run: Run, inner: Inner) -> None:
    """The dialog waits for an answer that comes over a connection: without us it would never end."""

    async def main(reactor: Any) -> str:
        loop = inner()
        _, client = await connected(reactor, Echo)

        def ask() -> str:
            answered = client.bytes_received(5)
            answered.add_callback(lambda _: reactor.call_later(0.001, loop.end))
            client.transport.write(b"hello")
            loop.run()
            return "answered"

        answer: str = await reactor.defer_to_host(ask)
        return answer

    assert run(main) == "answered"


def test_a_dialog_inside_a_handler_finds_us_quiet_and_all_goes_on_after_it(
    run: Run, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    async def main(reactor: Any) -> None:
        loop = inner()
        visits: list[None] = []
        serve = reactor._serve

        def visited() -> None:
            visits.append(None)
            serve()

        monkeypatch.setattr(reactor, "_serve", visited)
        reactor._host.unwatch()
        reactor._host.watch(reactor.poller.fileno(), visited)
        server, client = await connected(reactor, Echo)
        received = client.bytes_received(5)
        received.add_callback(lambda _: order.append("data"))
        timer = later(reactor)
        timer.add_callback(lambda _: order.append("timer"))
        thread = reactor.defer_to_thread(lambda: client.transport.get_extra_info("socket").fileno())
        server.transport.write(b"hello")
        loop.after(DIALOG, loop.end)
        order.append("opens")
        before = len(visits)
        loop.run()
        order.append("closes")
        assert len(visits) - before <= 3  # it does not find us ready again and again
        await gather(received, timer, thread)

    run(main)
    assert order[:2] == ["opens", "closes"]
    assert sorted(order[2:]) == ["data", "timer"]


def test_what_the_toolkit_calls_may_fail_or_be_cancelled(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ZeroDivisionError):
            await reactor.defer_to_host(divmod, 1, 0)
        refused = reactor.defer_to_host(pytest.fail, "called")
        refused.cancel()
        with pytest.raises(CancelledError):
            await refused
        assert await reactor.defer_to_host(divmod, 7, 2) == (3, 1)
        reactor.defer_to_host(pytest.fail, "called after the end")

    run(main)


def test_a_coroutine_that_was_started_is_cancelled_and_waited_for_at_the_end(
    run: Run, reports: list[str]
) -> None:
    order: list[str] = []

    async def work(reactor: Any) -> None:
        order.append("began")
        try:
            await Deferred[None]()
        finally:
            await later(reactor, 0.002)
            await reactor.defer_to_thread(order.append, "cleaned up")

    async def main(reactor: Any) -> None:
        assert await reactor.start(quick()) == "quick"
        reactor.start(work(reactor))
        assert order == []
        await later(reactor)
        assert order == ["began"]

    async def quick() -> str:
        return "quick"

    run(main)
    assert order == ["began", "cleaned up"]
    assert reports == []


def test_stop_ends_it_and_the_program_goes_on(toolkit_name: str, inner: Inner) -> None:
    order: list[str] = []
    loop = inner()
    reactor = ATTACH[toolkit_name]()

    async def slow() -> None:
        await later(reactor, 0.001)
        order.append("before")

    reactor.add_system_event_trigger("before", "shutdown", slow)
    reactor.add_system_event_trigger("after", "shutdown", order.append, "after")
    reactor.add_system_event_trigger("after", "shutdown", loop.after, 1, loop.end)
    reactor.stop()
    reactor.stop()
    loop.run()
    assert order == ["before", "after"]
    assert reactor.closed


def test_a_program_that_ends_while_it_stops_waits_for_that(toolkit_name: str, inner: Inner) -> None:
    order: list[str] = []
    loop = inner()

    async def slow() -> None:
        loop.end()
        await later(reactor, 0.001)
        order.append("before")

    with ATTACH[toolkit_name]() as reactor:
        reactor.add_system_event_trigger("before", "shutdown", slow)
        reactor.stop()
        loop.run()
        assert not reactor.closed
    assert order == ["before"]
    assert reactor.closed


def test_a_trigger_that_never_answers_does_not_keep_the_program(
    run: Run, monkeypatch: pytest.MonkeyPatch, reports: list[str]
) -> None:
    monkeypatch.setattr(hosted.HostedReactor, "_patience", lambda _: 0.001)

    async def main(reactor: Any) -> None:
        reactor.add_system_event_trigger("before", "shutdown", Deferred)

    run(main)
    assert len(list(reports)) == 1


def test_callbacks_that_add_themselves_do_not_keep_the_toolkit_waiting(run: Run, inner: Inner) -> None:
    async def main(reactor: Any) -> int:
        count = 0
        done: Deferred[None] = Deferred()

        def again() -> None:
            nonlocal count
            count += 1
            if not done.called:
                reactor.call_soon(again)

        reactor.call_soon(again)
        inner().after(2, lambda: reactor.call_from_thread(done.callback, None))
        await done
        return count

    assert run(main) > 1


@pytest.mark.parametrize("how", ["call_soon", "call_later"])
def test_a_callback_may_close_it(toolkit_name: str, inner: Inner, how: str) -> None:
    loop = inner()
    reactor = ATTACH[toolkit_name]()

    def close() -> None:
        reactor.close()
        loop.end()

    if how == "call_soon":
        reactor.call_soon(close)
    else:
        reactor.call_later(0, close)
    reactor.call_soon(lambda: None)
    loop.run()
    assert reactor.closed


def test_it_may_be_closed_in_another_context(toolkit_name: str, inner: Inner) -> None:
    inner()
    reactor = ATTACH[toolkit_name]()
    contextvars.copy_context().run(reactor.close)
    assert reactor.closed
    with ATTACH[toolkit_name]() as second:
        assert second is not reactor
    reactor.finish()
    with pytest.raises(NoSchedulerError):
        ensure_deferred(yielding()).result()


async def yielding() -> None:
    """Give the turn away once."""
    await asyncio.sleep(0)


def test_a_callback_may_end_the_program_and_is_cleaned_up(toolkit_name: str, inner: Inner) -> None:
    order: list[str] = []
    loop = inner()
    reactor = ATTACH[toolkit_name]()

    async def work() -> None:
        try:
            reactor.finish()  # as when it destroys the window
            loop.end()
            order.append("goes on")
            await Deferred[None]()
        finally:
            order.append("cleaned up")

    reactor.start(work())
    loop.run()
    assert order == ["goes on", "cleaned up"]
    assert reactor.closed


def test_a_child_process_lets_the_toolkit_be(run: Run) -> None:
    async def main(reactor: Any) -> None:
        await later(reactor)

        def child() -> bool:
            reactor.close()
            return bool(reactor.closed)

        assert in_child(child) == 0
        assert await reactor.defer_to_thread(int) == 0

    run(main)


def test_a_connection_to_an_ssh_server_runs_commands_and_moves_files(run: Run) -> None:
    async def handler(session: sshkit.Session) -> int:
        session.stdout.write("one\ntwo\n")
        return 3

    async def main(reactor: Any) -> None:
        key = generate_private_key("ed25519")
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                handler,
                host_keys=[key],
                authorized_keys=[key.public],
                sftp=MemoryBackend({"/letter.txt": b"a letter"}),
            ) as server,
            sshkit.connect(
                f"me@127.0.0.1:{server.address[1]}", host_keys=[key.public], identities=[key]
            ) as connection,
        ):
            process = await connection.start("list")
            assert [line async for line in process.stdout] == [b"one\n", b"two\n"]
            assert (await process.wait()).exit_status == 3
            async with connection.sftp() as sftp:
                assert await sftp.listdir("/") == ["letter.txt"]

    run(main)
