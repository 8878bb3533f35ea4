"""Signals and forks in the middle of everything: no event is lost, none comes twice."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sshkit.deferred import Deferred
from sshkit.reactor.files import send_file
from sshkit.reactor.running_programs import run_process

from .helpers import Echo, Recorder, connected, later
from .test_forking import in_child

Run = Callable[[Any], Any]

#: What the storm goes on for: round trips of a connection.
ROUNDS = 150

STORM = (signal.SIGUSR1, signal.SIGALRM, signal.SIGUSR2)


class Storm:
    """A thread that sends this process one signal after the other, each as soon as the last was handled."""

    def __init__(self) -> None:
        self.sent: dict[int, int] = dict.fromkeys(STORM, 0)
        self.seen: dict[int, int] = dict.fromkeys(STORM, 0)
        self._handled = threading.Semaphore(0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._blow, daemon=True)

    def _blow(self) -> None:
        while not self._over.is_set():
            for number in STORM:
                self.sent[number] += 1
                os.kill(os.getpid(), number)
                self._handled.acquire()

    def note(self, number: int) -> None:
        """The handler of all."""
        self.seen[number] += 1
        self._handled.release()

    async def blow(self, reactor: Any) -> None:
        """Begin, and come back when each has come often."""
        for number in STORM:
            reactor.add_signal_handler(number, partial(self.note, number))
        self._thread.start()
        while min(self.seen.values()) < 3:
            await later(reactor)

    async def end(self, reactor: Any) -> None:
        """End it; nothing is on its way any more."""
        self._over.set()
        while self._thread.is_alive():
            await later(reactor)
        for number in STORM:
            assert reactor.remove_signal_handler(number)


def test_a_storm_of_signals_disturbs_no_connection_file_timer_or_child(run: Run, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    path = tmp_path / "file"
    path.write_bytes(content)

    async def main(reactor: Any) -> None:
        storm = Storm()
        server, client = await connected(reactor, Echo)
        other, receiver = await connected(reactor)
        ticks: list[int] = []

        def tick(number: int) -> None:
            ticks.append(number)
            if number < ROUNDS:
                reactor.call_later(0.0, tick, number + 1)

        await storm.blow(reactor)
        tick(1)
        with path.open("rb") as file:
            sending = send_file(other.transport, file)
            child = run_process(["cat"], input=content)
            thread = reactor.defer_to_thread(sum, range(1000))
            for number in range(ROUNDS):
                client.transport.write(number.to_bytes(4, "big"))
                await client.bytes_received(4 * (number + 1))
            assert await sending == len(content)
        assert await receiver.bytes_received(len(content)) == content
        assert (await child).stdout == content
        assert await thread == 499500
        while len(ticks) < ROUNDS:
            await later(reactor)
        await storm.end(reactor)
        assert storm.seen == storm.sent
        assert ticks == list(range(1, ROUNDS + 1))
        assert client.received == b"".join(number.to_bytes(4, "big") for number in range(ROUNDS))
        for protocol in (client, receiver):
            protocol.transport.close()
            await protocol.lost
        await server.lost
        await other.lost

    run(main)


def test_many_children_that_end_at_once_are_each_told_once(run: Run) -> None:
    async def main(reactor: Any) -> None:
        programs = [run_process(["sh", "-c", f"exit {number}"]) for number in range(24)]
        for number, program in enumerate(programs):
            assert (await program).exit_status.code == number

    run(main)


def test_forks_in_the_middle_lose_and_double_nothing(run: Run) -> None:
    """Each child does as it likes with its copy of the reactor."""

    async def main(reactor: Any) -> None:
        server, client = await connected(reactor, Echo)
        fired: list[int] = []
        expected = b""
        for number in range(8):
            soon: Deferred[None] = Deferred()
            reactor.call_soon(lambda soon=soon: soon.callback(None))
            reactor.call_later(0.0, fired.append, number)
            piece = bytes([number]) * 50_000
            expected += piece
            client.transport.write(piece)

            def child() -> bool:
                reactor.call_soon(os._exit)
                reactor.forget(client.transport._fd, client.transport)
                client.transport._socket.close()
                return True

            assert in_child(child) == 0
            await soon
            assert await client.bytes_received(len(expected)) == expected
        while len(fired) < 8:
            await later(reactor)
        assert fired == list(range(8))
        client.transport.close()
        assert await client.lost is None
        assert server.received == expected

    run(main)


def test_a_child_runs_a_reactor_of_its_own_while_its_parents_connections_go_on(run: Run) -> None:
    from sshkit.reactor import new_reactor

    def own() -> bool:
        reactor = new_reactor("native")

        async def main() -> bytes:
            _, client = await connected(reactor, Echo)
            client.transport.write(b"child")
            answer: bytes = await client.bytes_received(5)
            return answer

        return reactor.run_until(main()) == b"child"

    async def main(reactor: Any) -> None:
        _, client = await connected(reactor, Echo, Recorder)
        client.transport.write(b"parent")
        assert in_child(lambda: outside_asyncio(own)) == 0
        assert await client.bytes_received(6) == b"parent"
        client.transport.close()
        await client.lost

    run(main)


def outside_asyncio(work: Callable[[], bool]) -> bool:
    """Do `work` in a child of a program that was inside an asyncio loop, which is the parent's."""
    import asyncio

    asyncio._set_running_loop(None)
    return work()
