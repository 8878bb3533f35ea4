"""UNIX datagrams on every engine."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.interfaces import IDatagramTransport
from sshkit.reactor import ConnectError, ListenError, socket_files
from sshkit.reactor.transports import datagram

from .datagram_helpers import Datagrams, EchoDatagrams
from .helpers import ENGINES, later

Run = Callable[[Any], Any]


def test_messages_go_between_files_and_abstract_names(run: Run, tmp_path: Path) -> None:
    path, name = str(tmp_path / "server"), f"\0sshkit test {os.getpid()}".encode()

    async def main(reactor: Any) -> None:
        server = await reactor.open_unix_datagram(EchoDatagrams, path, mode=0o600)
        assert verifyObject(IDatagramTransport, server.transport)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        client = await reactor.open_unix_datagram(Datagrams, name, remote=path, mode=0o600)
        client.transport.sendto(b"one")
        client.transport.sendto(b"")
        await client.has_received(2)
        assert client.data == [b"one", b""]
        assert server.received[0][1] == name
        nameless = await reactor.open_unix_datagram(Datagrams)
        other = await reactor.open_unix_datagram(Datagrams, name + b" other")
        nameless.transport.sendto(b"no way back", name + b" other")
        await other.has_received(1)
        assert not other.received[0][1]
        for protocol in (server, client, nameless, other):
            protocol.transport.close()
            await protocol.lost
        assert not os.path.exists(path)

    run(main)


def test_a_missing_receiver_is_told_and_the_socket_lives(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        one = await reactor.open_unix_datagram(Datagrams, str(tmp_path / "one"))
        one.transport.sendto(b"x", str(tmp_path / "nobody"))
        await one.has_failed()
        assert one.errors[0].errno == errno.ENOENT
        one.transport.sendto(b"y", str(tmp_path / "one"))
        await one.has_received(1)
        for bad, text in (("a\0b", "a NUL in a path"), ("", "needs a path"), (None, "needs an address")):
            with pytest.raises(ValueError, match=text):
                one.transport.sendto(b"x", bad)

    run(main)


def test_a_full_receiver_keeps_its_order_and_holds_up_nobody_else(run: Run, tmp_path: Path) -> None:
    slow_path, path = str(tmp_path / "slow"), str(tmp_path / "other")

    async def main(reactor: Any) -> None:
        slow = await reactor.open_unix_datagram(Datagrams, slow_path)
        other = await reactor.open_unix_datagram(Datagrams, path)
        slow.transport.pause_reading()
        client = await reactor.open_unix_datagram(Datagrams)
        count = 0
        while not client.transport.get_write_buffer_size():
            client.transport.sendto(b"%d" % count, slow_path)
            count += 1
        client.transport.sendto(b"%d" % count, slow_path)
        client.transport.sendto(b"passes", path)
        client.transport.sendto(b"nobody", str(tmp_path / "nobody"))
        await other.has_received(1)
        await client.has_failed()
        assert client.transport.get_write_buffer_size() > 0
        client.transport.close()
        slow.transport.resume_reading()
        assert await client.lost is None
        await slow.has_received(count + 1)
        assert slow.data == [b"%d" % number for number in range(count + 1)]
        assert client.transport.dropped == 0

    run(main)


def test_a_connected_sender_waits_for_its_receiver(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "slow")

    async def main(reactor: Any) -> None:
        slow = await reactor.open_unix_datagram(Datagrams, path)
        slow.transport.pause_reading()
        client = await reactor.open_unix_datagram(Datagrams, remote=path)
        count = 0
        while not client.transport.get_write_buffer_size():
            client.transport.sendto(b"x")
            count += 1
        await later(reactor)
        slow.transport.resume_reading()
        await slow.has_received(count)

    run(main)


def test_what_nobody_takes_is_dropped_at_the_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "CLOSE_TIMEOUT", 0.05)
    path = str(tmp_path / "never")

    async def main(reactor: Any) -> None:
        never = await reactor.open_unix_datagram(Datagrams, path)
        never.transport.pause_reading()
        client = await reactor.open_unix_datagram(Datagrams)
        while not client.transport.get_write_buffer_size():
            client.transport.sendto(b"x", path)
        client.transport.close()
        assert await client.lost is None
        assert client.transport.dropped == 1
        never.transport.abort()
        await never.lost

    run(main)


def test_what_cannot_be_opened_is_named(run: Run, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")

    def no_factory() -> Any:
        raise LookupError("factory")

    async def main(reactor: Any) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ListenError, match=f"cannot open a socket at {taken}: Address already in use"):
            await reactor.open_unix_datagram(Datagrams, str(taken))
        with pytest.raises(ListenError, match="a NUL in a path"):
            await reactor.open_unix_datagram(Datagrams, "a\0b")
        with pytest.raises(ConnectError, match=f"cannot connect to {tmp_path}/nobody: No such file"):
            await reactor.open_unix_datagram(
                Datagrams, str(tmp_path / "ours"), remote=str(tmp_path / "nobody")
            )
        with pytest.raises(LookupError):
            await reactor.open_unix_datagram(no_factory, str(tmp_path / "ours"))
        assert os.listdir(tmp_path) == ["taken"]
        assert len(os.listdir("/proc/self/fd")) == before
        with pytest.raises(ListenError, match="a NUL in a path"):
            await reactor.listen_unix("a\0b", Datagrams)

    run(main)
    assert taken.read_text() == "precious"


def test_the_file_of_another_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("")
    file = socket_files.socket_file(str(path))
    path.rename(tmp_path / "moved")
    path.write_text("another's")
    socket_files.remove_socket_file(file)
    assert path.exists()
    path.unlink()
    socket_files.remove_socket_file(file)


@pytest.mark.peer("socat")
def test_socat_talks_to_us(tmp_path: Path) -> None:
    path = str(tmp_path / "ours")

    async def main(reactor: Any) -> None:
        ours = await reactor.open_unix_datagram(EchoDatagrams, path)
        command = ["socat", "-t1", "STDIO", f"UNIX-SENDTO:{path},bind={tmp_path}/socat"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello")
        process.stdin.flush()
        await ours.has_received(1)
        assert process.stdout.read1(100) == b"hello"  # type: ignore[attr-defined]
        process.kill()
        process.communicate()

    ENGINES["native"](main)
