"""Files over connections: whole, in turn, with an end in any case."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import CancelledError
from sshkit.reactor import FileSendError, new_reactor
from sshkit.reactor.files import send_file
from sshkit.reactor.transports.tcp import Special
from sshkit.testing.reactor import MemoryReactor
from sshkit.testing.transport import connect_in_memory

from .helpers import Recorder, connected, later, socket_pair

Run = Callable[[Any], Any]
DATA = os.urandom(1 << 20) * 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(DATA)
    return tmp_path / "file"


@pytest.mark.parametrize("how", ["sendfile", "refused", "absent", "memory"])
def test_a_file_goes_whole_and_in_turn(
    run: Run, path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> int:
        raise OSError(errno.EINVAL, "not for this one")

    if how == "refused":
        monkeypatch.setattr(os, "sendfile", refuse)
    elif how == "absent":
        monkeypatch.delattr(os, "sendfile")

    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        with io.BytesIO(DATA) if how == "memory" else path.open("rb") as file:
            client.transport.write(b"before ")
            first = client.transport.send_file(file)
            client.transport.write(b" between ")
            second = client.transport.send_file(file, 10, 20)
            client.transport.write(b" after")
            client.transport.close()
            assert await first == len(DATA)
            assert await second == 20
        expected = b"before " + DATA + b" between " + DATA[10:30] + b" after"
        assert await server.lost is None
        assert server.received == expected

    run(main)


def test_a_file_that_has_become_shorter_is_an_error_and_the_connection_lives(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        with path.open("rb") as file:
            for _ in range(2):
                with pytest.raises(FileSendError, match=r"file has become shorter: 3145728 of 3145729 bytes"):
                    await client.transport.send_file(file, 0, len(DATA) + 1)
                monkeypatch.delattr(os, "sendfile", raising=False)
            assert await client.transport.send_file(file, len(DATA) + 5) == 0
        client.transport.write(b"alive")
        assert (await server.bytes_received(2 * len(DATA) + 5)).endswith(b"alive")

    run(main)


def test_what_is_no_part_of_a_file_is_refused(run: Run, path: Path) -> None:
    async def main(reactor: Any) -> None:
        _server, client = await connected(reactor)
        with path.open("rb") as file:
            for part in ((-1, None), (0, -1)):
                with pytest.raises(ValueError, match="a file has no part"):
                    await client.transport.send_file(file, *part)
                with pytest.raises(ValueError, match="a file has no part"):
                    await send_file(object(), file, *part)
            assert await send_file(client.transport, file, 0, 5) == 5
        client.transport.close()
        with path.open("rb") as file, pytest.raises(ConnectionAbortedError):
            await client.transport.send_file(file)

    run(main)


def test_cancelling_stops_and_what_follows_is_sent(run: Run, path: Path) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        server.transport.pause_reading()
        with path.open("rb") as file:
            running = client.transport.send_file(file)
            waiting = client.transport.send_file(file)
            await later(reactor)
            client.transport.write(b"the end")
            for sending in (waiting, running):
                sending.cancel()
                with pytest.raises(CancelledError):
                    await sending
            server.transport.resume_reading()
            client.transport.close()
            await server.lost
        assert server.received.endswith(b"the end")
        assert len(server.received) < len(DATA)
        assert DATA.startswith(bytes(server.received[:-7]))

    run(main)


def test_the_end_of_the_connection_ends_the_sending(run: Run, path: Path) -> None:
    async def main(reactor: Any) -> None:
        with path.open("rb") as file:
            server, client = await connected(reactor)
            server.transport.pause_reading()
            sending = client.transport.send_file(file)
            client.transport.abort()
            with pytest.raises(ConnectionAbortedError):
                await sending
            server, client = await connected(reactor)
            server.transport.pause_reading()
            sending = client.transport.send_file(file)
            server.transport.abort()
            with pytest.raises(ConnectionError):
                await sending

    run(main)


def test_the_end_of_the_reactor_ends_the_sending(path: Path) -> None:
    reactor = new_reactor("native")
    sender, theirs = socket_pair(reactor, Recorder())
    with path.open("rb") as file:
        sending = sender.transport.send_file(file)

        class Broken(Special):
            def dropped(self, error: BaseException) -> None:
                raise LookupError("logged")

        sender.transport.send_in_turn(Broken())
        with pytest.raises(NotImplementedError):
            Broken().send(theirs)
        reactor.close()
        assert sending.called
        with pytest.raises(Exception, match="was closed"):
            sending.result()
    theirs.close()


def test_a_file_that_cannot_be_read_fails_alone(run: Run) -> None:
    class Torn(io.BytesIO):
        def read(self, size: Any = -1) -> bytes:
            raise LookupError("torn")

    async def main(reactor: Any) -> None:
        server, client = await connected(reactor)
        with pytest.raises(LookupError, match="torn"):
            await client.transport.send_file(Torn(b"x"))
        client.transport.write(b"alive")
        assert await server.bytes_received(5) == b"alive"

    run(main)


def test_a_transport_without_the_call_is_written_to_with_back_pressure(path: Path) -> None:
    reactor = MemoryReactor()

    async def main() -> None:
        client, server = Recorder(), Recorder()
        reactor.pairs.append(connect_in_memory(client, server, reactor))
        assert not hasattr(client.transport, "send_file")
        with path.open("rb") as file:
            assert await send_file(client.transport, file) == len(DATA)
            assert client.transport.get_protocol() is client
            with pytest.raises(FileSendError):
                await send_file(client.transport, file, 0, len(DATA) + 1)
            await server.bytes_received(2 * len(DATA))
            assert server.received == DATA + DATA
            sending = send_file(client.transport, file)
            sending.cancel()
            with pytest.raises(CancelledError):
                await sending
            assert client.transport.get_protocol() is client

    reactor.run(main())


def test_a_stream_that_only_reads_is_sent_to_its_end() -> None:
    class Stream:
        def __init__(self) -> None:
            self.pieces = [b"one ", b"two"]

        def read(self, size: int) -> bytes:
            return self.pieces.pop(0) if self.pieces else b""

    reactor = new_reactor("native")

    async def main() -> None:
        server, client = await connected(reactor)
        assert await client.transport.send_file(Stream()) == 7
        with pytest.raises(AttributeError):
            await client.transport.send_file(Stream(), 5)
        assert await server.bytes_received(7) == b"one two"

    reactor.run_until(main())
    reactor.close()


class Narrow:
    """A transport that pauses its protocol at each write."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.set_protocol = lambda protocol: setattr(self, "protocol", protocol)

    def get_protocol(self) -> Any:
        return self.protocol

    def write(self, data: bytes) -> None:
        self.protocol.pause_writing()


def test_a_connection_that_ends_under_a_pumped_file_ends_the_sending(path: Path) -> None:
    client = Recorder()
    transport = Narrow(client)
    with path.open("rb") as file:
        sending = send_file(transport, file)
        assert not sending.called
        assert transport.protocol.events is client.events  # it stands in for the protocol
        transport.protocol.connection_lost(None)
    with pytest.raises(ConnectionAbortedError, match="the connection was closed"):
        sending.result()
    assert client.events == ["pause", "lost"]
