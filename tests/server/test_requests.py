"""What a logged-in client may ask for, and what becomes of the rest: in memory."""

from collections.abc import Callable
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.wire import boolean, string, uint32

import sshkit
from sshkit.client.connection import ClientConnection
from sshkit.server.connection import ServerConnection
from sshkit.server.server import Server
from sshkit.server.session import MAX_COMMAND, MAX_VARIABLE, MAX_VARIABLES
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.testing import MemoryReactor

HOST_KEY = generate_private_key("ed25519")


class Client:
    """A logged-in client that sends what it likes."""

    def __init__(self, connection: ClientConnection, server: Server, log: list[str]) -> None:
        self.connection = connection
        self.server = server
        self.log = log

    @property
    def side(self) -> ServerConnection:
        """The server's side."""
        return next(iter(self.server.connections))

    async def session(self) -> Channel:
        raw = self.connection._connection
        assert raw is not None
        return await raw.open_channel("session", b"", ChannelProtocol())


def with_client(test: Callable[[Client], Any], **settings: Any) -> None:
    """Run a test with a client on a server whose handler waits for the end of input."""
    reactor: Any = MemoryReactor()
    log: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        await session.stdin.read()
        return 0

    async def main() -> None:
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                handler,
                host_keys=[HOST_KEY],
                passwords={"ann": "secret"},
                settings=sshkit.Settings(**settings),
                log=lambda level, text, error: log.append(f"{level}: {text}"),
                reactor=reactor,
            ) as server,
            sshkit.connect(
                "ann@127.0.0.1",
                port=server.address[1],
                password="secret",
                identities=[],
                host_keys=[HOST_KEY.public],
                reactor=reactor,
            ) as connection,
        ):
            await test(Client(connection, server, log))

    reactor.run(main())


async def works(channel: Channel, kind: str, body: bytes) -> bool:
    try:
        await channel.request(kind, body)
    except sshkit.ChannelRequestFailed:
        return False
    return True


def test_r29_a_command_with_a_nul_or_without_end_is_refused() -> None:
    async def test(client: Client) -> None:
        for command in (b"true\0; evil", b"x" * (MAX_COMMAND + 1)):
            channel = await client.session()
            assert not await works(channel, "exec", string(command))
            channel.close()
        assert await works(await client.session(), "exec", string(b"\xff not UTF-8"))

    with_client(test)


def test_r29_variables_with_impossible_names_or_values_are_refused() -> None:
    async def test(client: Client) -> None:
        channel = await client.session()
        for name, value in (
            (b"", b"x"),
            (b"LC_A=B", b"x"),
            (b"LC_\0", b"x"),
            (b"LC_\xc3\xa4", b"x"),
            (b"LC_A", b"x\0y"),
            (b"LD_PRELOAD", b"x"),
            (b"LC_A", b"x" * MAX_VARIABLE),
        ):
            assert not await works(channel, "env", string(name) + string(value))
        assert await works(channel, "env", string(b"LC_A") + string(b"fine"))
        for _ in range(MAX_VARIABLES):
            answer = await works(channel, "env", string(b"LC_A") + string(b"fine"))
        assert not answer

    with_client(test)


def test_r25_one_program_a_channel() -> None:
    async def test(client: Client) -> None:
        channel = await client.session()
        assert await works(channel, "exec", string(b"one"))
        for kind, body in (("exec", string(b"two")), ("shell", b""), ("subsystem", string(b"x"))):
            assert not await works(channel, kind, body)
        assert not await works(channel, "pty-req", PTY)

    with_client(test)


PTY = string(b"xterm") + uint32(80) + uint32(24) + uint32(0) + uint32(0) + string(b"\0")


def test_a_terminal_is_asked_for_once_and_has_a_plain_name() -> None:
    async def test(client: Client) -> None:
        channel = await client.session()
        for name in (b"x\x1b[31m", b"x" * 65, b"\xc3\xa4"):
            assert not await works(channel, "pty-req", string(name) + PTY[9:])
        assert not await works(channel, "window-change", uint32(1) * 4)
        assert await works(channel, "pty-req", PTY)
        assert not await works(channel, "pty-req", PTY)
        assert await works(channel, "window-change", uint32(0xFFFFFFFF) * 4)
        assert await works(channel, "shell", b"")
        assert await works(channel, "window-change", uint32(50) * 4)

    with_client(test)


def test_unknown_requests_are_refused_and_change_nothing() -> None:
    async def test(client: Client) -> None:
        channel = await client.session()
        channel.write(b"dropped: nothing runs yet")
        for kind, body in (
            ("x11-req", b""),
            ("auth-agent-req@openssh.com", b""),
            ("shell", b"x"),
            ("no", b""),
        ):
            assert not await works(channel, kind, body)
        assert await works(channel, "shell", b"")
        assert not await works(channel, "signal", string(b"NOSUCH"))
        assert await works(channel, "signal", string(b"INT"))

    with_client(test)


@pytest.mark.parametrize("kind", ["exec", "env", "pty-req", "subsystem", "signal", "window-change"])
def test_r30_a_malformed_request_ends_its_connection_and_no_other(kind: str) -> None:
    async def test(client: Client) -> None:
        channel = await client.session()
        if kind in ("signal", "window-change"):
            await works(channel, "pty-req", PTY)
            await works(channel, "shell", b"")
        with pytest.raises(sshkit.ConnectionLost):
            await channel.request(kind, b"\xff\xff\xff\xff")
        assert not client.server.connections
        assert any("ended: a damaged message" in line for line in client.log)
        assert not any(line.startswith("error") for line in client.log)

    with_client(test)


def test_r26_sessions_are_limited_and_nothing_stays_of_a_refused_one() -> None:
    async def test(client: Client) -> None:
        channels = [await client.session() for _ in range(2)]
        for _ in range(3):
            with pytest.raises(sshkit.ChannelOpenFailed, match="2 sessions are open"):
                await client.session()
        assert len(client.side._connection.channels) == 2  # type: ignore[union-attr]
        await works(channels[0], "shell", b"")
        channels[0].write_eof()
        while len(client.side._connection.channels) == 2:  # type: ignore[union-attr]
            await client.connection._connection.global_request("x").add_both(lambda _: None)  # type: ignore[union-attr]
        await client.session()

    with_client(test, max_sessions=2)


@pytest.mark.parametrize(
    ("kind", "code"), [("direct-tcpip", 1), ("x11", 3), ("session\x1b", 3), ("forwarded-tcpip", 3)]
)
def test_r26_other_kinds_of_channels_are_refused(kind: str, code: int) -> None:
    async def test(client: Client) -> None:
        raw = client.connection._connection
        assert raw is not None
        body = string(b"host") + uint32(80) + string(b"o") + uint32(1)
        with pytest.raises(sshkit.ChannelOpenFailed, match="is not offered") as caught:
            await raw.open_channel(kind, body, ChannelProtocol())
        assert caught.value.code == code
        assert client.side._connection.channels == {}  # type: ignore[union-attr]

    with_client(test)


def test_r26_global_requests_are_refused() -> None:
    async def test(client: Client) -> None:
        raw = client.connection._connection
        assert raw is not None
        for kind in ("tcpip-forward", "no-more-sessions@openssh.com", "keepalive@openssh.com"):
            with pytest.raises(sshkit.ChannelRequestFailed):
                await raw.global_request(kind, string(b"") + uint32(0) + boolean(False))

    with_client(test)


def test_r41_a_handler_that_raises_ends_its_session_only() -> None:
    reactor: Any = MemoryReactor()
    log: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        if session.command == "bad":
            raise RuntimeError("a fault of ours")
        session.stdout.write(b"fine")
        return 0

    async def main() -> None:
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                handler,
                host_keys=[HOST_KEY],
                passwords={"ann": "secret"},
                log=lambda level, text, error: log.append(f"{level}: {text}"),
                reactor=reactor,
            ) as server,
            sshkit.connect(
                "ann@127.0.0.1",
                port=server.address[1],
                password="secret",
                identities=[],
                host_keys=[HOST_KEY.public],
                reactor=reactor,
            ) as connection,
        ):
            bad = await connection.run("bad")
            assert (bad.exit_status, bad.stdout, bad.stderr) == (1, b"", b"")
            assert (await connection.run("good")).stdout == b"fine"

    reactor.run(main())
    assert any("the handler of 'bad' failed: RuntimeError: a fault of ours" in line for line in log)
