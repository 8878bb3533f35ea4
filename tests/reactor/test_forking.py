"""A fork in a running program: what the child does to its copy, the parent does not feel."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sshkit.deferred import Deferred
from sshkit.reactor import new_reactor, socket_files
from sshkit.reactor.current import running_reactors
from sshkit.reactor.pollers import Poll

from .datagram_helpers import Datagrams
from .helpers import Echo, Recorder, later

Run = Callable[[Any], Any]


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; return its exit status: 0 when it returned something true."""
    pid = os.fork()
    if not pid:
        status = 9
        try:
            signal.alarm(10)
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_that_closes_everything_harms_nobody(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_unix(path, Echo)
        client = await reactor.connect_unix(path, Recorder)
        datagrams = await reactor.open_unix_datagram(Datagrams, path + "-datagrams")
        client.transport.write(b"before ")
        await client.bytes_received(7)

        def close_all() -> bool:
            for fd, pollable in tuple(reactor.pollables.items()):
                reactor.forget(fd, pollable)
            listener.close()
            datagrams.transport.reactor_closed(OSError())
            client.transport._socket.close()
            return True

        assert in_child(close_all) == 0
        assert os.path.exists(path)
        assert os.path.exists(path + "-datagrams")
        client.transport.write(b"after")
        assert await client.bytes_received(12) == b"before after"
        again = await reactor.connect_unix(path, Recorder)
        again.transport.write(b"new")
        assert await again.bytes_received(3) == b"new"
        again.transport.abort()
        listener.close()
        datagrams.transport.close()
        await datagrams.lost
        assert not os.path.exists(path)

    run(main)


def test_a_child_may_run_a_reactor_of_its_own() -> None:
    def own() -> bool:
        reactor = new_reactor("native")

        async def main() -> bytes:
            listener = await reactor.listen_tcp("127.0.0.1", 0, Echo)
            client: Recorder = await reactor.connect_tcp("127.0.0.1", listener.address[1], Recorder)
            client.transport.write(b"child")
            return bytes(await client.bytes_received(5))

        result = reactor.run_until(main())
        reactor.close()
        return result == b"child"

    reactor = new_reactor("native")

    async def main() -> None:
        assert in_child(own) == 0
        await later(reactor)

    reactor.run_until(main())
    reactor.close()


def test_a_signal_to_the_child_does_not_reach_the_parent() -> None:
    reactor = new_reactor("native")
    got: list[int] = []

    def signalled() -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        return True

    async def main() -> None:
        reactor.add_signal_handler(signal.SIGUSR1, lambda: got.append(1))
        woken: Deferred[None] = Deferred()
        assert in_child(signalled) == 0
        await later(reactor)
        assert not got
        reactor.add_signal_handler(signal.SIGUSR1, lambda: woken.callback(None))
        os.kill(os.getpid(), signal.SIGUSR1)
        await woken

    reactor.run_until(main())
    reactor.close()


def test_a_child_may_go_on_with_the_reactor_in_place_of_its_parent(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    def serve() -> bool:
        reactor = new_reactor("native")
        ready_read, ready_write = socket.socketpair()

        async def main() -> bool:
            listener = await reactor.listen_unix(path, Echo)
            client = await reactor.connect_unix(path, Recorder)
            pid = os.fork()
            if pid:
                ready_read.recv(1)  # the child is done
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            status = 9
            try:
                signal.alarm(10)
                assert reactor.of_parent
                reactor.forked()
                assert list(running_reactors.values()) == [reactor]
                client.transport.write(b"still here")
                assert await client.bytes_received(10) == b"still here"
                listener.close()
                assert not os.path.exists(path)
                status = 0
            finally:
                ready_write.send(b"x")
                os._exit(status)

        return reactor.run_until(main())

    assert in_child(serve) == 0
    assert not socket_files._inherited


def test_a_closed_reactor_has_nothing_to_give_up() -> None:
    reactor = new_reactor("native")
    reactor.close()
    reactor.after_fork()


def test_a_poller_that_a_child_does_not_inherit_is_no_error() -> None:
    reactor = new_reactor("native")
    reactor.poller.close()

    class Lost(Poll):
        def close(self) -> None:
            raise OSError

    reactor.poller = Lost()
    reactor.after_fork()
    reactor.poller.close = lambda: None  # type: ignore[method-assign]
    reactor.close()


def test_a_child_knows_nothing_of_reactors_in_threads_that_it_does_not_have() -> None:
    reactor = new_reactor("native")
    running_reactors[-1] = reactor  # of another thread
    try:
        assert in_child(lambda: -1 not in running_reactors) == 0
        assert running_reactors[-1] is reactor
    finally:
        del running_reactors[-1]
        reactor.close()
