"""The direct engine is a running asyncio loop."""

import asyncio
import selectors
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sshkit.deferred import Deferred
from sshkit.reactor import ReactorError, new_reactor, run
from sshkit.reactor.current import current
from sshkit.reactor.engines.direct import DirectReactor, LoopSelector

from .helpers import Recorder, connected, later


@pytest.fixture
def reactor() -> Iterator[Any]:
    made = new_reactor("direct")
    yield made
    made.close()


def test_asyncios_own_calls_work_inside() -> None:
    async def child(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        assert loop is current().loop  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            answer = await loop.run_in_executor(None, lambda: 3)
        return [*await asyncio.gather(child(1), asyncio.create_task(child(2))), answer]

    assert run(main()) == [1, 2, 3]


def test_asyncios_streams_and_ours_talk_to_each_other(reactor: Any) -> None:
    async def main() -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        _, writer = await asyncio.open_connection(*listener.address)
        writer.close()
        await writer.wait_closed()
        listener.close()

        async def serve(reader: Any, writer: Any) -> None:
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = await reactor.connect_tcp(*server.sockets[0].getsockname(), Recorder)
        client.transport.write(b"hello\n")
        assert await client.lost is None
        assert client.received == b"HELLO\n"
        server.close()
        await server.wait_closed()

    reactor.run_until(main())


def test_what_our_handlers_schedule_on_asyncio_is_done_at_once(reactor: Any) -> None:
    """asyncio computed its time-out before our handlers ran; it must not be waited for."""

    async def main() -> None:
        future = reactor.loop.create_future()
        reactor.loop.call_later(1000, lambda: None)
        reactor.call_soon(lambda: reactor.loop.call_soon(future.set_result, 1))
        assert await future == 1
        server, client = await connected(reactor)
        second = reactor.loop.create_future()
        server.bytes_received(1).add_callback(lambda data: reactor.loop.call_soon(second.set_result, data))
        client.transport.write(b"x")
        assert await second == b"x"
        client.transport.close()
        await server.lost

    reactor.run_until(main())


def test_asyncio_tasks_end_in_order_when_the_reactor_closes() -> None:
    order: list[str] = []

    async def task() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            order.append("cancelled")
            assert isinstance(current(), DirectReactor)
            await asyncio.sleep(0)
            order.append("cleaned up")

    async def generator() -> Any:
        try:
            yield 1
        finally:
            order.append("generator closed")

    tasks: list[Any] = []
    generators: list[Any] = []

    async def main() -> None:
        tasks.append(asyncio.create_task(task()))
        generators.append(generator())
        await anext(generators[0])
        await asyncio.sleep(0)

    run(main())
    assert order == ["cancelled", "cleaned up", "generator closed"]


def test_a_reactor_may_be_closed_inside_another_loop() -> None:
    reactor = new_reactor("direct")

    async def main() -> None:
        await later(reactor)

    reactor.run_until(main())

    async def elsewhere() -> None:
        reactor.close()

    asyncio.run(elsewhere())
    assert reactor.closed


def test_closing_inside_another_run_leaves_that_one_current() -> None:
    inner = new_reactor("direct")

    async def main() -> None:
        inner.close()
        await Deferred().add_timeout(0.001, current(), lambda *_: None)
        assert current().name == "native"

    run(main(), "native")


def test_running_inside_an_asyncio_program_says_what_to_do() -> None:
    async def nothing() -> None:
        pytest.fail("started")

    async def main() -> None:
        for engine in ("direct", "native"):
            with pytest.raises(ReactorError, match="an asyncio loop runs in this thread; await"):
                run(nothing(), engine)

    asyncio.run(main())


def test_a_descriptor_belongs_to_one_of_the_two(reactor: Any) -> None:
    ours, theirs = socket.socketpair()
    reactor.add_reader(ours.fileno(), lambda: None)
    with pytest.raises(ReactorError, match="belongs to"):
        reactor.loop.add_reader(ours, lambda: None)
    reactor.loop.add_reader(theirs, lambda: None)
    with pytest.raises(ReactorError, match="belongs to"):
        reactor.add_reader(theirs.fileno(), lambda: None)
    reactor.loop.remove_reader(theirs)
    reactor.remove_reader(ours.fileno())
    ours.close()
    theirs.close()


def test_asyncio_may_watch_both_directions_of_a_descriptor(reactor: Any) -> None:
    ours, theirs = socket.socketpair()
    theirs.send(b"x")

    async def main() -> None:
        loop, seen = reactor.loop, set[str]()
        loop.add_reader(ours, seen.add, "read")
        loop.add_writer(ours, seen.add, "write")
        while len(seen) < 2:
            await asyncio.sleep(0)
        loop.remove_writer(ours)
        seen.clear()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == {"read"}
        loop.remove_reader(ours)

    reactor.run_until(main())
    ours.close()
    theirs.close()


def test_the_selector_keeps_the_rules_of_selectors(reactor: Any) -> None:
    selector = LoopSelector(reactor)
    ours, theirs = socket.socketpair()
    key = selector.register(ours, selectors.EVENT_READ, "data")
    assert selector.get_key(ours) is key
    assert dict(selector.get_map()) == {ours.fileno(): key}
    assert len(selector.get_map()) == 1
    assert selector.get_map().get(ours) is key  # asyncio 3.13 asks so
    assert selector.get_map().get(0) is None
    with pytest.raises(KeyError):
        selector.register(ours, selectors.EVENT_READ)
    with pytest.raises(KeyError):
        selector.get_key(theirs)
    with pytest.raises(ValueError, match="invalid events"):
        selector.register(theirs, 0)
    assert selector.modify(ours, selectors.EVENT_WRITE, "new").data == "new"
    assert selector.unregister(ours).data == "new"
    selector.close()
    ours.close()
    theirs.close()


def test_descriptors_of_asyncios_are_left_to_it_when_the_reactor_closes() -> None:
    reactor = new_reactor("direct")
    ours, theirs = socket.socketpair()
    reactor.loop.add_reader(ours, lambda: None)  # type: ignore[attr-defined]
    reactor.close()
    assert ours.fileno() >= 0
    ours.close()
    theirs.close()


def test_add_reader_and_add_writer_watch_plain_descriptors() -> None:
    from .helpers import ENGINES

    async def main(reactor: Any) -> None:
        ours, theirs = socket.socketpair()
        fd = ours.fileno()
        readable: Deferred[None] = Deferred()
        writable: Deferred[None] = Deferred()

        def can_read() -> None:
            ours.recv(10)
            readable.callback(None)

        def can_write() -> None:
            assert reactor.remove_writer(fd)
            writable.callback(None)

        reactor.add_reader(fd, can_read)
        reactor.add_writer(fd, can_write)
        await writable
        theirs.send(b"x")
        await readable
        assert reactor.remove_reader(fd)
        assert not reactor.remove_reader(fd)
        assert not reactor.remove_writer(fd)
        protocol = reactor.adopt_socket(ours, Recorder)
        with pytest.raises(ReactorError, match="belongs to"):
            reactor.add_reader(fd, can_read)
        protocol.transport.close()
        await protocol.lost
        theirs.close()

    for name in ENGINES:
        ENGINES[name](main)


def test_r41_a_watch_whose_callback_fails_is_reported(reports: list[str]) -> None:
    from .helpers import ENGINES

    async def main(reactor: Any) -> None:
        ours, theirs = socket.socketpair()
        theirs.send(b"x")

        def fail() -> None:
            reactor.remove_reader(ours.fileno())
            raise RuntimeError("bug")

        reactor.add_reader(ours.fileno(), fail)
        await later(reactor, 0.001)
        ours.close()
        theirs.close()

    for name in ENGINES:
        ENGINES[name](main)
    assert len(list(reports)) == len(ENGINES)


def test_a_descriptor_closed_behind_our_back_is_forgotten(reactor: Any) -> None:
    ours, theirs = socket.socketpair()
    fd = ours.fileno()
    reactor.add_reader(fd, lambda: None)
    ours.close()
    assert reactor.remove_reader(fd)
    theirs.close()


def test_r41_a_pollable_that_fails_is_reported_and_the_reactor_goes_on(
    reactor: Any, reports: list[str]
) -> None:
    class Broken:
        interest = 0

        def read_ready(self) -> None:
            reactor.forget(ours.fileno(), self)
            raise RuntimeError("bug")

        def write_ready(self) -> None: ...

        def reactor_closed(self, error: BaseException) -> None:
            raise RuntimeError("worse")

    ours, theirs = socket.socketpair()
    theirs.send(b"x")
    reactor.set_interest(ours.fileno(), Broken(), 1)
    reactor.set_interest(theirs.fileno(), Broken(), 1)

    async def main() -> None:
        await later(reactor, 0.001)

    reactor.run_until(main())
    assert "failed: bug" in next(iter(reports))
    reactor.close()
    assert list(reports)[-1] == "closing a descriptor failed: worse"
    ours.close()
    theirs.close()


def test_one_handler_may_close_the_descriptor_of_another_that_is_ready_too() -> None:
    from .helpers import ENGINES

    async def main(reactor: Any) -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        served: list[int] = []

        def serve(index: int) -> None:
            served.append(index)
            for ours, _ in pairs:
                reactor.remove_reader(ours.fileno())

        for index, (ours, theirs) in enumerate(pairs):
            reactor.add_reader(ours.fileno(), lambda index=index: serve(index))
            theirs.send(b"x")
        await later(reactor, 0.001)
        assert len(served) == 1
        for pair in pairs:
            for sock in pair:
                sock.close()

    for name in ENGINES:
        ENGINES[name](main)


def test_the_native_engine_loads_no_asyncio() -> None:
    import subprocess

    script = """
import sys
import sshkit.reactor
from sshkit.reactor import run
from sshkit.reactor.current import current

class Protocol:
    def connection_made(self, transport): transport.close()
    def connection_lost(self, exc): pass

async def main():
    reactor = current()
    listener = await reactor.listen_tcp("localhost", 0, Protocol)
    await reactor.connect_tcp("127.0.0.1", listener.address[1], Protocol)
    await reactor.defer_to_thread(int)

run(main(), "native")
heavy = {"asyncio", "logging", "subprocess", "concurrent", "inspect", "dataclasses", "ctypes", "mmap"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "['logging']\n"  # by the listener
