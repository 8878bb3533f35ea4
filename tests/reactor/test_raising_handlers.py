"""Handlers that raise, wherever the loop calls one: that connection ends, logged once, and the others go on.

Each fault comes as an Exception and as a CancelledError, which is none: `Deferred.result` raises that in a
handler as well.
"""

import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, set_unhandled_handler
from sshkit.deferred.periodic import LoopingCall
from sshkit.reactor.tls import TLSClientOptions, TLSServerOptions, connect_tls, listen_tls

from .helpers import BufferedRecorder, Echo, ProcessRecorder, Recorder, connected, later
from .tls.joined import AUTHORITY

Run = Callable[[Any], Any]

FAULTS = (RuntimeError, CancelledError)

#: More than all buffers of a connection hold.
MUCH = bytes(8_000_000)


def faulty(base: type[Any], name: str, fault: type[BaseException]) -> Any:
    """Return a protocol that does as `base`, and then raises in the method `name`."""

    def method(self: Any, *args: Any) -> Any:
        getattr(base, name)(self, *args)
        raise fault("bug")

    return type("Faulty", (base,), {name: method})


class Witness:
    """A connection beside the faulty one, that echoes."""

    def __init__(self, client: Recorder) -> None:
        self._client = client
        self._expected = 0

    @classmethod
    async def on(cls, reactor: Any) -> "Witness":
        _, client = await connected(reactor, Echo)
        return cls(client)

    async def lives(self) -> None:
        self._client.transport.write(b"x")
        self._expected += 1
        assert len(await self._client.bytes_received(self._expected)) == self._expected

    async def end(self) -> None:
        self._client.transport.close()
        await self._client.lost


# -- streams ---------------------------------------------------------------------------------------


async def by_tcp(reactor: Any, folder: Path, server: Any) -> Any:
    listener = await reactor.listen_tcp("127.0.0.1", 0, server)
    return listener, await reactor.connect_tcp(*listener.address, Recorder)


async def by_unix(reactor: Any, folder: Path, server: Any) -> Any:
    listener = await reactor.listen_unix(str(folder / "socket"), server)
    return listener, await reactor.connect_unix(str(folder / "socket"), Recorder)


SERVER = TLSServerOptions(*AUTHORITY.issue("localhost"))
CLIENT = TLSClientOptions("localhost", trust=[AUTHORITY.certificate], session=False)


async def by_tls(reactor: Any, folder: Path, server: Any) -> Any:
    listener = await listen_tls(reactor, "127.0.0.1", 0, server, SERVER)
    return listener, await connect_tls(reactor, "127.0.0.1", listener.address[1], Recorder, CLIENT)


class Nothing:
    def close(self) -> None: ...


async def by_pipes(reactor: Any, folder: Path, server: Any) -> Any:
    (there, here), (back, forth) = os.pipe(), os.pipe()
    peer = Recorder()
    reactor.open_pipes(peer, back, here)
    reactor.open_pipes(server(), there, forth)
    return Nothing(), peer


KINDS: dict[str, Any] = {"tcp": by_tcp, "unix": by_unix, "tls": by_tls, "pipes": by_pipes}


async def send(ours: Any, peer: Recorder) -> None:
    peer.transport.write(b"x")


async def send_end(ours: Any, peer: Recorder) -> None:
    peer.transport.write_eof()


async def fill(ours: Any, peer: Recorder) -> None:
    peer.transport.pause_reading()
    ours.transport.write(MUCH)
    await ours.paused
    peer.transport.resume_reading()


async def part(ours: Any, peer: Recorder) -> None:
    peer.transport.close()


#: Which method raises, of what, and what has it called.
STREAM_METHODS: dict[str, tuple[type[Any], Callable[[Any, Recorder], Awaitable[None]]]] = {
    "data_received": (Recorder, send),
    "get_buffer": (BufferedRecorder, send),
    "buffer_updated": (BufferedRecorder, send),
    "eof_received": (Recorder, send_end),
    "pause_writing": (Recorder, fill),
    "resume_writing": (Recorder, fill),
    "connection_lost": (Recorder, part),
}


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("method", list(STREAM_METHODS))
def test_a_stream_whose_protocol_raises_ends_alone_and_is_logged_once(
    run: Run, reports: list[str], tmp_path: Path, kind: str, method: str
) -> None:
    base, provoke = STREAM_METHODS[method]

    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        for count, fault in enumerate(FAULTS, 1):
            made: Deferred[Any] = Deferred()

            def factory(fault: Any = fault, made: Any = made) -> Any:
                protocol = faulty(base, method, fault)()
                protocol.made.add_callback(lambda _: made.callback(protocol))
                return protocol

            listener, peer = await KINDS[kind](reactor, tmp_path, factory)
            ours = await made
            listener.close()
            await provoke(ours, peer)
            await ours.lost
            await peer.lost
            await later(reactor)  # `lost` fires within `connection_lost`, before that raises
            assert ours.events.count("lost") == 1
            assert len(list(reports)) == count, list(reports)
            await witness.lives()
        await witness.end()

    run(main)
    assert all("bug" in report for report in reports)
    if kind in ("tcp", "unix"):
        assert all(f"{method} of " in report for report in reports)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("where", ["factory", "connection_made"])
def test_a_connection_whose_protocol_cannot_begin_ends_alone_and_is_logged_once(
    run: Run, reports: list[str], tmp_path: Path, kind: str, where: str
) -> None:
    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        for count, fault in enumerate(FAULTS):

            def factory(fault: Any = fault) -> Any:
                if where == "factory":
                    raise fault("bug")
                return faulty(Recorder, "connection_made", fault)()

            listener, peer = await KINDS[kind](reactor, tmp_path, factory)
            await peer.lost
            assert len(list(reports)) == 2 * count + 1, list(reports)
            if kind == "tcp":
                connecting = reactor.connect_tcp(*listener.address, factory)
            else:
                connecting = reactor.connect_unix(listener.address, factory)
            with pytest.raises(fault, match="bug"):
                await connecting
            while len(list(reports)) == 2 * count + 1:  # the listener meets the second one as well
                await later(reactor)
            listener.close()
            await witness.lives()
        await witness.end()

    run(main)


def test_a_taker_of_sockets_that_raises_loses_that_connection_only(run: Run, reports: list[str]) -> None:
    class Taker:
        def __init__(self) -> None:
            self.faults = list(FAULTS)
            self.taken: Deferred[socket.socket] = Deferred()

        def __call__(self) -> Any:
            pytest.fail("a protocol was asked for")

        def take_socket(self, sock: socket.socket, address: Any) -> None:
            if self.faults:
                raise self.faults.pop()("bug")
            self.taken.callback(sock)

    async def main(reactor: Any) -> None:
        taker = Taker()
        listener = await reactor.listen_tcp("127.0.0.1", 0, taker)
        for _ in FAULTS:
            client = await reactor.connect_tcp(*listener.address, Recorder)
            await client.lost
        client = await reactor.connect_tcp(*listener.address, Recorder)
        (await taker.taken).close()
        await client.lost
        listener.close()

    run(main)
    assert list(reports) == ["the taker of a listener's sockets failed: bug"] * len(FAULTS)


# -- datagrams -------------------------------------------------------------------------------------


class Datagrams(Recorder):
    """A datagram protocol."""

    def datagram_received(self, data: bytes, address: Any) -> None: ...

    def error_received(self, error: Exception) -> None: ...


@pytest.mark.parametrize(
    "method", ["connection_made", "datagram_received", "error_received", "connection_lost"]
)
def test_a_datagram_socket_whose_protocol_raises_ends_alone_and_is_logged_once(
    run: Run, reports: list[str], method: str
) -> None:
    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
                gone.bind(("127.0.0.1", 0))
                nobody = gone.getsockname()
            for count, fault in enumerate(FAULTS, 1):
                kind = faulty(Datagrams, method, fault)
                if method == "connection_made":
                    with pytest.raises(fault, match="bug"):
                        await reactor.open_udp(kind, local=("127.0.0.1", 0))
                    continue
                remote = nobody if method == "error_received" else peer.getsockname()
                ours = await reactor.open_udp(kind, remote=remote)
                if method == "connection_lost":
                    ours.transport.close()
                elif method == "error_received":
                    ours.transport.sendto(b"x")
                else:
                    peer.sendto(b"x", ours.transport.get_extra_info("sockname"))
                await ours.lost
                await later(reactor)
                assert len(list(reports)) == count, list(reports)
                await witness.lives()
        await witness.end()

    run(main)


# -- processes -------------------------------------------------------------------------------------


class Child(ProcessRecorder):
    """A process protocol with the methods that one need not have."""

    def input_closed(self) -> None: ...

    def input_refused(self, descriptor: int) -> None: ...


COPY = ["cat"]
#: Closes both its inputs, says so, and waits to be told to end by the end of its output.
DEAF = ["sh", "-c", "exec 0<&- 3<&-; echo deaf; exec sleep 600"]

#: Which method raises, of what program.
PROCESS_METHODS = {
    "output_received": COPY,
    "output_closed": COPY,
    "process_exited": COPY,
    "pause_writing": COPY,
    "resume_writing": COPY,
    "input_closed": DEAF,
    "input_refused": DEAF,
}


@pytest.mark.parametrize("method", list(PROCESS_METHODS))
def test_a_process_whose_protocol_raises_is_reaped_and_logged_once(
    run: Run, reports: list[str], method: str
) -> None:
    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        for count, fault in enumerate(FAULTS, 1):
            protocol = faulty(Child, method, fault)()
            argv = PROCESS_METHODS[method]
            plan = {} if argv is COPY else {3: "input"}
            process = reactor.spawn_process(protocol, argv, descriptors=plan)
            if argv is DEAF:
                await protocol.output_with(b"deaf")
                process.write(b"x", 0 if method == "input_closed" else 3)
                process.send_signal(signal.SIGKILL)
            else:
                process.write(MUCH if method.endswith("writing") else b"x")
                process.write_eof()
            for wait in (protocol.exited, *protocol.closed.values()):
                await wait
            await later(reactor)
            process.close()
            times = 2 if method == "output_closed" else 1  # of each output
            assert len(list(reports)) == times * count, list(reports)
            await witness.lives()
        await witness.end()

    run(main)


# -- calls -----------------------------------------------------------------------------------------


def soon(reactor: Any, call: Callable[[], Any]) -> None:
    reactor.call_soon(call)


def delayed(reactor: Any, call: Callable[[], Any]) -> None:
    reactor.call_later(0.0, call)


def threaded(reactor: Any, call: Callable[[], Any]) -> None:
    reactor.defer_to_thread(reactor.call_from_thread, call)


def signalled(reactor: Any, call: Callable[[], Any]) -> None:
    def once() -> None:
        reactor.remove_signal_handler(signal.SIGUSR1)
        call()

    reactor.add_signal_handler(signal.SIGUSR1, once)
    signal.raise_signal(signal.SIGUSR1)


def watched(reactor: Any, call: Callable[[], Any]) -> None:
    ours, theirs = socket.socketpair()

    def once() -> None:
        reactor.remove_writer(ours.fileno())
        ours.close()
        theirs.close()
        call()

    reactor.add_writer(ours.fileno(), once)


def looped(reactor: Any, call: Callable[[], Any]) -> None:
    LoopingCall(reactor, 1000.0, call).start()


def fired(reactor: Any, call: Callable[[], Any]) -> None:
    deferred: Deferred[None] = Deferred()
    deferred.add_callback(lambda _: call())
    reactor.call_later(0.0, deferred.callback, None)


def computed(reactor: Any, call: Callable[[], Any]) -> None:
    reactor.defer_to_thread(call)


CALLS: dict[str, Callable[[Any, Callable[[], Any]], None]] = {
    "call_soon": soon,
    "call_later": delayed,
    "call_from_thread": threaded,
    "signal handler": signalled,
    "add_writer": watched,
}

#: Their faults are Deferreds' failures, which nobody takes here.
DEFERRED_CALLS: dict[str, Callable[[Any, Callable[[], Any]], None]] = {
    "Deferred": fired,
    "LoopingCall": looped,
    "defer_to_thread": computed,
}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_call_that_raises_is_logged_once_and_the_next_is_made(
    run: Run, reports: list[str], name: str
) -> None:
    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        for count, fault in enumerate(FAULTS, 1):
            came: Deferred[None] = Deferred()

            def call(fault: Any = fault, came: Any = came) -> None:
                came.callback(None)
                raise fault("bug")

            CALLS[name](reactor, call)
            await came
            await later(reactor)
            assert len(list(reports)) == count, list(reports)
            await witness.lives()
        await witness.end()

    run(main)
    assert all("failed: bug" in report for report in reports)


@pytest.mark.parametrize("name", list(DEFERRED_CALLS))
def test_a_failure_that_nobody_takes_is_told_once_and_the_next_call_is_made(run: Run, name: str) -> None:
    failures: list[str] = []

    def call() -> None:
        raise RuntimeError("bug")

    async def main(reactor: Any) -> None:
        witness = await Witness.on(reactor)
        DEFERRED_CALLS[name](reactor, call)
        while not failures:
            await later(reactor)
            gc.collect()
        await witness.lives()
        await witness.end()

    before = set_unhandled_handler(lambda failure, places: failures.append(str(failure.exception)))
    try:
        run(main)
    finally:
        set_unhandled_handler(before)
    assert failures == ["bug"]
