"""Connecting and listening at each kind of place, on every engine."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.interfaces.endpoint import IListener
from sshkit.reactor import ConnectError, ConnectTimeout
from sshkit.reactor.endpoints import EndpointError, client_from_string, server_from_string
from sshkit.reactor.endpoints.base import ClientPlace, Place, SingleListener
from sshkit.reactor.endpoints.process import ProcessEnded
from sshkit.reactor.endpoints.systemd import descriptor_of

from ..helpers import BufferedRecorder, Echo, HalfOpen, Hang, Recorder

Run = Callable[[Any], Any]
PYTHON = sys.executable


async def echoed(client: ClientPlace, protocol: Callable[[], Any] = Recorder) -> bytes:
    """Connect, send a word, and return what comes back."""
    ours = await client.connect(protocol)
    ours.transport.write(b"hello")
    answer: bytes = await ours.bytes_received(5)
    ours.transport.close()
    await ours.lost
    return answer


def test_tcp_endpoints_reach_each_other(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await server_from_string("tcp:0:interface=127.0.0.1", reactor).listen(Echo)
        client = client_from_string(f"tcp:127.0.0.1:{listener.address[1]}:local=127.0.0.1")
        assert await echoed(client) == b"hello"
        listener.close()
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1"):
            await client.connect(Recorder)

    run(main)


def test_unix_endpoints_reach_each_other(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        path = tmp_path / "socket"
        listener = await server_from_string(f"unix:{path}:mode=600", reactor).listen(Echo)
        assert path.stat().st_mode & 0o777 == 0o600
        assert await echoed(client_from_string(f"unix:{path}", reactor)) == b"hello"
        listener.close()
        assert not path.exists()

    run(main)


def test_fd_endpoints_take_what_the_program_was_given(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        listener = await server_from_string(f"fd:{listening.detach()}", reactor).listen(Echo)
        connected = socket.create_connection(address)
        assert await echoed(client_from_string(f"fd:{connected.detach()}", reactor)) == b"hello"
        listener.close()
        reads, writes = os.pipe()
        reader = await client_from_string(f"fd:{reads}", reactor).connect(Recorder)
        writer = await client_from_string(f"fd:{writes}", reactor).connect(HalfOpen)
        writer.transport.write(b"by pipe")
        assert await reader.bytes_received(7) == b"by pipe"
        writer.transport.close()
        assert await reader.lost is None

    run(main)


def test_fd_endpoints_refuse_what_does_not_fit(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one, other = socket.socketpair()
        reads, writes = os.pipe()
        for make, fd, words in (
            (client_from_string, listening.fileno(), "listens, and is no connection"),
            (server_from_string, one.fileno(), "does not listen"),
            (server_from_string, datagrams.fileno(), "is no stream socket"),
            (server_from_string, reads, "is no socket"),
            (client_from_string, 1000, "Bad file descriptor"),
        ):
            place: Any = make(f"fd:{fd}", reactor)
            with pytest.raises(EndpointError, match=words):
                await (place.connect if make is client_from_string else place.listen)(Recorder)
        for sock in (listening, datagrams, one, other):
            sock.close()  # none was taken
        os.close(reads)
        os.close(writes)

    run(main)


def test_systemd_names_and_numbers_lead_to_descriptors() -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:shell:more"}
    assert descriptor_of("web", environment) == 3
    assert descriptor_of("shell", environment) == 4
    assert descriptor_of("1", environment) == 4
    for which in ("2", "more", "x\x1b"):
        with pytest.raises(EndpointError, match="but 2: web, shell"):
            descriptor_of(which, environment)
    for broken in ({"LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}):
        with pytest.raises(EndpointError, match="gave this process no sockets"):
            descriptor_of("web", {**environment, **broken})


def test_a_systemd_text_is_a_server_of_its_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert server_from_string("systemd:0").shown == "fd:3"


def test_stdio_endpoints_are_one_connection(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(reactor: Any) -> None:
        protocols: list[Any] = []
        monkeypatch.setattr(type(reactor), "open_stdio", lambda self, protocol: protocols.append(protocol))
        assert await client_from_string("stdio:", reactor).connect(Recorder) is protocols[0]
        listener = await server_from_string("stdio:", reactor).listen(Recorder)
        assert len(protocols) == 2
        assert listener.address == "stdio:"

    run(main)


def test_the_listener_of_one_connection_does_as_listeners_do() -> None:
    listener = SingleListener("stdio:")
    assert verifyObject(IListener, listener)
    assert listener.addresses == ("stdio:",)
    for act in (listener.pause, listener.resume, listener.close):
        act()


def test_a_process_is_talked_with(run: Run) -> None:
    async def main(reactor: Any) -> None:
        client = client_from_string("process:cat", reactor)
        assert await echoed(client) == b"hello"
        assert await echoed(client, BufferedRecorder) == b"hello"
        ours = await client.connect(HalfOpen)
        transport = ours.transport
        assert transport.get_extra_info("peername") == "cat"
        assert transport.get_extra_info("pid") == transport.get_extra_info("process").pid
        assert transport.get_extra_info("socket", 7) == 7
        assert transport.can_write_eof()
        assert not transport.is_closing()
        transport.set_write_buffer_limits(1000)
        transport.pause_reading()
        transport.writelines([b"by", b"e"])
        assert transport.get_write_buffer_size() == 0
        transport.resume_reading()
        assert await ours.bytes_received(3) == b"bye"
        transport.set_protocol(ours)
        assert transport.get_protocol() is ours
        transport.write_eof()
        await ours.ended
        transport.close()
        transport.close()
        transport.write(b"dropped")
        assert await ours.lost is None
        transport.abort()
        for act in (transport.write_eof, transport.pause_reading, transport.resume_reading):
            act()
        assert transport.get_write_buffer_size() == 0

    run(main)


def test_a_process_that_fails_says_so_to_the_protocol(run: Run, reports: list[str]) -> None:
    async def main(reactor: Any) -> None:
        ours = await client_from_string("process:sh -c 'echo oops >&2; exit 3'", reactor).connect(Recorder)
        error = await ours.lost
        assert isinstance(error, ProcessEnded)
        assert str(error) == "sh ended with status 3"
        ours = await client_from_string("process:sh -c 'kill -9 $$'", reactor).connect(Recorder)
        assert str(await ours.lost) == "sh ended with signal 9"

    run(main)
    assert list(reports) == ["sh says: oops"]


def test_a_process_that_does_not_exist_is_an_error_with_its_name(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(OSError, match="/no/such/program"):
            await client_from_string("process:/no/such/program", reactor).connect(Recorder)

    run(main)


def test_a_process_that_ignores_its_end_is_hung_up_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.reactor.endpoints.process.PATIENCE", 0.01)

    async def main(reactor: Any) -> None:
        ours = await client_from_string(
            "process:sh -c 'trap \"\" HUP; echo up; exec sleep 60'", reactor
        ).connect(Recorder)
        await ours.bytes_received(3)
        ours.transport.close()
        assert await ours.lost is None

    run(main)


def test_a_protocol_that_raises_ends_its_process_only(run: Run, reports: list[str]) -> None:
    class Raises(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ValueError("bad data")

    class RaisesAtEnd(Recorder):
        def eof_received(self) -> bool:
            raise ValueError("bad end")

    class RaisesLast(Recorder):
        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            raise ValueError("bad loss")

    async def main(reactor: Any) -> None:
        for kind, words in ((Raises, "bad data"), (RaisesAtEnd, "bad end"), (RaisesLast, None)):
            ours = await client_from_string("process:echo x", reactor).connect(kind)
            error = await ours.lost
            assert (error is None) if words is None else str(error) == words

    run(main)
    assert len(reports) == 3


def test_a_slow_process_holds_its_writer_up(run: Run) -> None:
    async def main(reactor: Any) -> None:
        client = client_from_string(f"process:{PYTHON} -c 'input(); import sys; sys.stdin.read()'", reactor)
        ours = await client.connect(Recorder)
        ours.transport.write(b"x" * 1_000_000)
        await ours.paused
        ours.transport.write(b"\n")
        await ours.resumed
        ours.transport.close()
        await ours.lost

    run(main)


def test_a_place_without_a_reactor_takes_the_running_one(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await server_from_string("tcp:0:interface=127.0.0.1").listen(Echo)
        assert await echoed(client_from_string(f"tcp:127.0.0.1:{listener.address[1]}")) == b"hello"
        listener.close()

    run(main)


def test_connecting_ends_at_the_deadline_of_the_text_or_the_call(run: Run, hang: Hang) -> None:
    async def main(reactor: Any) -> None:
        host, port = hang.address
        for text, timeout in ((f"tcp:{host}:{port}:timeout=0.01", None), (f"tcp:{host}:{port}", 0.01)):
            with pytest.raises(ConnectTimeout, match=r"within 0\.01 seconds"):
                await client_from_string(text, reactor).connect(Recorder, timeout)

    run(main)


def test_a_kind_that_is_not_finished_says_so() -> None:
    for act in (
        lambda: Place(None).shown,
        lambda: ClientPlace(None).connect(Recorder),
    ):
        with pytest.raises(NotImplementedError):
            act()
