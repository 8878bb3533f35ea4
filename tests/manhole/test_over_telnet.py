"""The console over telnet: the password, the terminal, the end."""

import asyncio
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit import manhole
from sshkit.ssh.errors import LocalProtocolError
from tests.manhole.rooms import WAIT

IAC, WILL, DO, SB, SE = 255, 251, 253, 250, 240
NAWS = bytes((IAC, WILL, 31, IAC, SB, 31, 0, 100, 0, 30, IAC, SE))
TERMINAL = bytes((IAC, WILL, 24, IAC, SB, 24, 0)) + b"XTERM" + bytes((IAC, SE))
AGREED = (
    bytes((IAC, DO, 1, IAC, DO, 3, IAC, WILL, 3, IAC, DO, 0, IAC, WILL, 0, IAC, 252, 39)) + NAWS + TERMINAL
)


class Client:
    """A telnet client on a raw socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.seen = b""

    async def until(self, words: bytes) -> bytes:
        while words not in self.seen:
            loop = asyncio.get_running_loop()
            data = await asyncio.wait_for(loop.sock_recv(self.sock, 65536), WAIT)
            assert data, self.seen
            self.seen += data
        before, _, self.seen = self.seen.partition(words)
        return before

    async def ended(self) -> bytes:
        loop = asyncio.get_running_loop()
        while data := await asyncio.wait_for(loop.sock_recv(self.sock, 65536), WAIT):
            self.seen += data
        return self.seen

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)


def with_client(test: Callable[[Any, Client], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with manhole.serve_telnet({"app": [1, 2]}, **settings) as door:
            family = socket.AF_UNIX if isinstance(door.address, str) else socket.AF_INET
            with socket.socket(family) as sock:
                sock.connect(door.address)
                await test(door, Client(sock))

    sshkit.run(main())


def test_a_password_leads_to_a_console_of_the_clients_size() -> None:
    async def test(door: Any, client: Client) -> None:
        client.say(AGREED)
        await client.until(b"password: ")
        client.say(b"secrex\x7ft\r\0")
        await client.until(b"In [1]")
        client.say(b"len(app)\r\0")
        await client.until(b"2")
        client.say(b"import os; exit()\r\0")
        await client.ended()
        assert door.sessions.open == 0

    with_client(test, password="secret")


def test_three_wrong_passwords_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.over_telnet.PAUSE", 0.0)

    async def test(door: Any, client: Client) -> None:
        client.say(AGREED + b"a\rb\nc" + b"x" * 5000 + b"\r")
        assert (await client.ended()).count(b"that is not the password") == 3

    with_client(test, password="secret")


def test_who_says_nothing_is_waited_for_with_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.over_telnet.NEGOTIATION", 0.01)
    monkeypatch.setattr("sshkit.manhole.over_telnet.LOGIN_TIME", 0.05)

    async def test(door: Any, client: Client) -> None:
        assert b"password" in await client.ended()

    with_client(test, password="secret")


def test_a_unix_socket_asks_for_no_password(tmp_path: Path) -> None:
    path = tmp_path / "telnet"

    async def test(door: Any, client: Client) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client.say(AGREED)
        await client.until(b"In [1]")
        client.say(bytes((IAC, 246)))  # are you there
        await client.until(b"[yes]")
        client.say(b"await __import__('asyncio').sleep(1000)\r\0")
        await client.until(b"sleep")
        while not client.seen.endswith(b"\n"):
            await client.until(b"\r\n")
            break
        client.say(bytes((IAC, 244)))  # interrupt process
        await client.until(b"KeyboardInterrupt")

    with_client(test, path=path)
    assert not path.exists()


def test_the_console_follows_the_window_and_says_its_colours() -> None:
    async def test(door: Any, client: Client) -> None:
        client.say(AGREED + b"secret\r\0")
        await client.until(b"In [1]")
        client.say(bytes((IAC, SB, 31, 0, 60, 0, 20, IAC, SE)))
        client.say(b"a" * 100)
        await client.until(b"\x1b[59C")  # where the line is broken now

    with_client(test, password="secret")


def test_a_client_that_goes_while_it_logs_in_leaves_nothing_behind() -> None:
    async def test(door: Any, client: Client) -> None:
        client.say(AGREED)
        await client.until(b"password: ")
        client.sock.close()
        while door.server.open:
            await asyncio.sleep(0)

    with_client(test, password="secret")


def test_closing_the_manhole_ends_its_sessions() -> None:
    async def test(door: Any, client: Client) -> None:
        client.say(AGREED)
        await client.until(b"password: ")
        await door.close()
        await client.ended()

    with_client(test, password="secret")


def test_too_many_sessions_are_told_so() -> None:
    async def test(door: Any, client: Client) -> None:
        client.say(AGREED + b"secret\r")
        assert b"0 sessions are open: no more are taken" in await client.ended()

    with_client(test, password="secret", max_sessions=0)


def test_without_encryption_only_the_loopback_is_served() -> None:
    with pytest.raises(LocalProtocolError, match="not of the loopback"):
        manhole.serve_telnet({}, "192.0.2.1", password="secret")
    with pytest.raises(LocalProtocolError, match="needs a password="):
        manhole.serve_telnet({})


@pytest.mark.peer("telnet")
def test_the_systems_telnet_gets_a_console() -> None:
    async def test(door: Any, client: Client) -> None:
        port = str(door.port)
        process = await asyncio.create_subprocess_exec(
            "telnet",
            "127.0.0.1",
            port,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""

        async def until(words: bytes) -> None:
            nonlocal seen
            while words not in seen:
                assert process.stdout is not None
                data = await asyncio.wait_for(process.stdout.read(65536), WAIT)
                assert data, seen
                seen += data

        await until(b"password: ")
        process.stdin.write(b"secret\n")
        await until(b"In [1]")
        process.stdin.write(b"6 * 7\n")
        await until(b"42")
        process.stdin.close()
        process.terminate()
        await process.wait()

    with_client(test, password="secret")
