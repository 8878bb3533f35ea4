"""Forwards over real sockets of this machine: UNIX sockets, resets, a lack of descriptors."""

import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit import ForwardPolicy
from tests.client.world import HOST_KEY, USER_KEY, echo
from tests.forwarding.world import Echo, End

Main = Callable[[sshkit.ClientConnection, Any], Awaitable[Any]]


def with_server(main: Main, forwards: "bool | ForwardPolicy" = True) -> None:
    """Run `main` with a connection over loopback."""

    async def body() -> None:
        reactor = sshkit.current_reactor()
        serving = sshkit.serve(
            "127.0.0.1:0",
            echo,
            host_keys=[HOST_KEY],
            authorized_keys=[USER_KEY.public],
            forwards=forwards,
            log=lambda *words: None,
        )
        async with serving as server:
            where = f"me@127.0.0.1:{server.address[1]}"
            async with sshkit.connect(
                where, identities=[USER_KEY], host_keys=[HOST_KEY.public]
            ) as connection:
                await main(connection, reactor)

    sshkit.run(body())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def answer_of(reactor: Any, address: Any) -> bytes:
    """Say hello to an address, end, and return what comes."""
    done: sshkit.Deferred[bytes] = sshkit.Deferred()

    class Asker(End):
        def connection_lost(self, error: BaseException | None) -> None:
            done.callback(bytes(self.data))

    asker = Asker(b"hello", keep_open=False)
    if isinstance(address, tuple):
        await reactor.connect_tcp(*address, lambda: asker)
    else:
        await reactor.connect_unix(address, lambda: asker)
    asker.transport.write_eof()
    return await done.add_timeout(10, reactor)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_tcp_and_unix_lead_to_tcp_and_unix(tmp_path: Path, kind: str) -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        tcp = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        unix = await reactor.listen_unix(str(tmp_path / "target"), Echo)
        forward_to = connection.forward_local if kind == "local" else connection.forward_remote
        for listen in ("0", str(tmp_path / "listen")):
            for target in (
                ("127.0.0.1", tcp.address[1]),
                f"unix:{tmp_path}/target",
                ("localhost", tcp.address[1]),
            ):
                async with forward_to(listen, target) as forward:
                    assert await answer_of(reactor, forward.address) == b"hello"
                    assert (forward.bytes_in, forward.bytes_out, forward.total) == (5, 5, 1)
                    if forward.place[0] == listen:
                        assert mode_of(tmp_path / "listen") == 0o600
                assert not (tmp_path / "listen").exists()
        tcp.close()
        unix.close()

    with_server(main)


def test_a_unix_socket_may_get_other_permissions_and_take_the_place_of_an_old_one(tmp_path: Path) -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        path = tmp_path / "listen"
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(path))
        old.close()
        with pytest.raises(sshkit.ListenError):
            await connection.forward_local(str(path), "t:1")
        async with connection.forward_local(str(path), "t:1", unlink=True, mask=0o117):
            assert mode_of(path) == 0o660
        path.write_text("precious")
        for opening in (
            connection.forward_local(str(path), "t:1", unlink=True),
            connection.forward_dynamic(str(path), unlink=True),
        ):
            with pytest.raises(sshkit.ListenError):
                await opening
        with pytest.raises(sshkit.ForwardRefused):
            await connection.forward_remote(str(path), "t:1")
        assert path.read_text() == "precious"

    with_server(main, ForwardPolicy(unlink=True))


def test_the_servers_unix_sockets_follow_its_policy(tmp_path: Path) -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        path = tmp_path / "listen"
        old = socket.socket(socket.AF_UNIX)
        old.bind(str(path))
        old.close()
        async with connection.forward_remote(str(path), "t:1"):
            assert mode_of(path) == 0o660
        await connection.forward_remote(str(path), "t:1")
        await connection.close()
        for _ in range(100):  # the server's side ends some turns later
            if not path.exists():
                break
            await connection.wait_closed()
            waiter: sshkit.Deferred[None] = sshkit.Deferred()
            reactor.call_later(0.01, waiter.callback, None)
            await waiter
        assert not path.exists()

    with_server(main, ForwardPolicy(unlink=True, bind_mask=0o117))


def test_a_port_of_every_family_of_the_loopback_is_one_port() -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        tcp = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        async with connection.forward_local("0", ("127.0.0.1", tcp.address[1])) as forward:
            assert forward.address == ("127.0.0.1", forward.port)
            assert await answer_of(reactor, forward.address) == b"hello"
        async with connection.forward_local("0", ("127.0.0.1", tcp.address[1]), gateway=True) as forward:
            assert await answer_of(reactor, ("127.0.0.1", forward.port)) == b"hello"
        tcp.close()

    with_server(main)


def test_nothing_is_lost_of_a_large_stream_in_both_directions() -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        tcp = await reactor.listen_tcp("127.0.0.1", 0, Echo)
        async with connection.forward_local("0", ("127.0.0.1", tcp.address[1])) as forward:
            async with connection.open_connection(("127.0.0.1", forward.port)) as stream:
                sent = bytes(range(256)) * 16384
                stream.write(sent)
                stream.write_eof()
                assert await stream.read() == sent
            assert (forward.bytes_in, forward.bytes_out) == (len(sent), len(sent))
        tcp.close()

    with_server(main)


def test_a_reset_of_the_socket_closes_the_channel() -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        ends: list[End] = []

        def make() -> End:
            ends.append(End())
            return ends[-1]

        tcp = await reactor.listen_tcp("127.0.0.1", 0, make)
        async with connection.forward_local("0", ("127.0.0.1", tcp.address[1])) as forward:
            gone: sshkit.Deferred[None] = sshkit.Deferred()

            class Dialler(End):
                def connection_lost(self, error: BaseException | None) -> None:
                    gone.callback(None)

            dialler = await reactor.connect_tcp("127.0.0.1", forward.port, lambda: Dialler(b"hello", False))
            while not (ends and ends[0].data):
                await _turn(reactor)
            ends[0].transport.abort()
            await gone.add_timeout(10, reactor)
            assert forward.open == 0
            dialler = await reactor.connect_tcp("127.0.0.1", forward.port, lambda: Dialler(b"hello", False))
            gone = sshkit.Deferred()
            while not (len(ends) > 1 and ends[1].data):
                await _turn(reactor)
            dialler.transport.abort()
            while not ends[1].ended:
                await _turn(reactor)
        tcp.close()
        for end in ends:
            end.transport.close()

    with_server(main)


async def _turn(reactor: Any) -> None:
    waiter: sshkit.Deferred[None] = sshkit.Deferred()
    reactor.call_later(0.001, waiter.callback, None)
    await waiter


@pytest.mark.parametrize(
    ("fault", "code"), [(errno.EMFILE, 4), (errno.ENFILE, 4), (errno.ENOBUFS, 4), (errno.EACCES, 2)]
)
def test_r41_without_a_descriptor_a_connection_is_refused_for_a_shortage(
    monkeypatch: pytest.MonkeyPatch, fault: int, code: int
) -> None:
    def fail(*words: Any) -> Any:
        raise OSError(fault, os.strerror(fault))

    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socket", fail)
            with pytest.raises(sshkit.ChannelOpenFailed) as caught:
                await connection.open_connection("127.0.0.1:1")
        assert caught.value.code == code
        assert os.strerror(fault) in str(caught.value)

    with_server(main)


def test_what_cannot_be_connected_to_is_refused_with_the_systems_words(tmp_path: Path) -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        for destination, words in (
            ("127.0.0.1:1", "Connection refused"),
            ("127.nonsense.invalid:1", "the host name is not known"),
            (f"{tmp_path}/none", "No such file or directory"),
            ("/" + "x" * 300, "no connection came about"),
        ):
            with pytest.raises(sshkit.ChannelOpenFailed, match=words) as caught:
                await connection.open_connection(destination)
            assert caught.value.code == 2
            assert str(tmp_path) not in str(caught.value)

    with_server(main)


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    async def main(connection: sshkit.ClientConnection, reactor: Any) -> None:
        path = str(tmp_path / "full")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(0)
            waiting = [await connection.open_connection(path)]
            more = connection.open_connection(path)
            while not more.called:
                accepted, _ = listening.accept()
                await _turn(reactor)
                accepted.close()
            waiting.append(more.result())
            for stream in waiting:
                await stream.close()

    with_server(main)
