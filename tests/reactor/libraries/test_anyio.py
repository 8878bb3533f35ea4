"""anyio on our engines: streams, task groups, cancellation, threads, processes and signals."""

import signal
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.text import TextReceiveStream
from anyio.to_thread import run_sync

import sshkit

from ..helpers import Echo, Recorder

Run = Callable[[Any], Any]


def test_its_streams_and_ours_talk_to_each_other(run: Run) -> None:
    async def shout(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data.upper())

    async def main() -> None:
        reactor = sshkit.current_reactor()
        listener = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        async with await anyio.connect_tcp("127.0.0.1", listener.address[1]) as stream:
            await stream.send(bytes(300_000))
            left = 300_000
            while left:
                left -= len(await stream.receive())
        listener.close()

        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as theirs,
            anyio.create_task_group() as group,
        ):
            group.start_soon(theirs.serve, shout)
            port = theirs.extra(anyio.abc.SocketAttribute.local_port)
            ours = await reactor.connect_tcp("127.0.0.1", port, Recorder)
            ours.transport.write(b"hello")
            assert await ours.bytes_received(5) == b"HELLO"
            ours.transport.close()
            await ours.lost
            group.cancel_scope.cancel()

    run(main())


def test_a_task_group_and_its_scopes_hold_deferreds_too(run: Run) -> None:
    async def main() -> None:
        done: list[str] = []

        async def work(name: str, seconds: float) -> None:
            await sshkit.sleep(seconds)
            done.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(work, "one", 0)
            group.start_soon(work, "two", 0)
        assert sorted(done) == ["one", "two"]

        with anyio.move_on_after(0.01) as scope:
            await sshkit.sleep(3600)
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.01):
                await sshkit.Deferred()
        await sshkit.sleep(0)

    run(main())


def test_one_failure_cancels_the_rest_of_its_group(run: Run) -> None:
    async def main() -> None:
        ended: list[str] = []

        async def forever() -> None:
            try:
                await sshkit.Deferred()
            finally:
                with anyio.CancelScope(shield=True):
                    await sshkit.sleep(0)
                ended.append("forever")

        async def fail() -> None:
            await anyio.sleep(0)
            raise ValueError("no")

        async def both() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(forever)
                group.start_soon(fail)

        with pytest.raises(ExceptionGroup) as raised:
            await both()
        assert [str(error) for error in raised.value.exceptions] == ["no"]
        assert ended == ["forever"]

    run(main())


def test_queues_locks_and_threads_of_its_own_work(run: Run) -> None:
    async def main() -> None:
        sending, receiving = anyio.create_memory_object_stream[int](2)
        lock, event = anyio.Lock(), anyio.Event()

        async def produce() -> None:
            async with sending:
                for number in range(10):
                    async with lock:
                        await sending.send(number)
            event.set()

        async def answer() -> int:
            await sshkit.sleep(0)
            return 4

        async with anyio.create_task_group() as group, receiving:
            group.start_soon(produce)
            assert [number async for number in receiving] == list(range(10))
            await event.wait()
        assert await run_sync(sum, (1, 2)) == 3
        assert await run_sync(lambda: anyio.from_thread.run(answer)) == 4

    run(main())


def test_its_processes_and_signals_work(run: Run) -> None:
    async def main() -> None:
        async with await anyio.open_process(["cat"]) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send(b"hello")
            await process.stdin.aclose()
            assert [text async for text in TextReceiveStream(process.stdout)] == ["hello"]
        assert process.returncode == 0
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            signal.raise_signal(signal.SIGUSR1)
            async for number in signals:
                assert number == signal.SIGUSR1
                break

    run(main())
