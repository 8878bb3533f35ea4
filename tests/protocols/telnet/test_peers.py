"""Our telnet server against clients that others wrote."""

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import Any, cast

import pytest

from sshkit.protocols.telnet.protocol import TelnetProtocol
from sshkit.protocols.telnet.server import TelnetServer

from .pair import Session

#: Only against a peer that hangs.
LONG = 20


class Greeter(Session):
    """Greets once all is negotiated, and ends the session once a line has come too."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def negotiated(self) -> None:
        self.calls.append(("negotiated",))
        assert self.telnet is not None
        self.telnet.write(b"hell\xc3\xb6\r\n")
        self._end_if_done(self.telnet)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        assert self.telnet is not None
        self._end_if_done(self.telnet)

    def _end_if_done(self, telnet: TelnetProtocol) -> None:
        # A client may type before it has answered.
        if b"\r" in self.data and self.named("negotiated"):
            telnet.write(b"bye\r\n")
            telnet.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ended.set()


async def converse(
    program: Callable[[int], list[str]], typed: bytes, terminal: bool
) -> tuple[Session, bytes]:
    """Run a client until its server has hung up; type after the greeting; return what was shown."""
    session = Greeter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: cast("Any", TelnetServer(session)), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
    shown = bytearray()
    greeted = asyncio.Event()

    def readable() -> None:
        try:
            shown.extend(os.read(ours, 4096))
        except OSError:  # the other end is closed
            loop.remove_reader(ours)
        if b"hell\xc3\xb6" in shown:
            greeted.set()

    loop.add_reader(ours, readable)
    environment = {**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        *program(port),
        stdin=theirs if terminal else asyncio.subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    ending = asyncio.ensure_future(session.ended.wait())
    try:
        if terminal:
            await asyncio.wait_for(greeted.wait(), LONG)
            os.write(ours, typed)
        else:
            # curl 7 looks at its server only when it has something to send: type until it has looked.
            assert process.stdin is not None
            for _ in range(100):
                process.stdin.write(typed)
                done, _ = await asyncio.wait((ending,), timeout=LONG / 100)
                if done:
                    break
        await asyncio.wait_for(ending, LONG)
        if process.stdin is not None:
            process.stdin.close()
        await asyncio.wait_for(process.wait(), LONG)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(ours)
        server.close()
        await server.wait_closed()
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return session, bytes(shown)


@pytest.mark.peer("telnet")
def test_the_telnet_command_tells_its_terminal_and_types() -> None:
    session, shown = asyncio.run(
        converse(lambda port: ["telnet", "127.0.0.1", str(port)], "grüße\r".encode(), True)
    )
    assert session.data == "grüße\r".encode()
    assert session.named("terminal_named") == [("xterm",)]
    assert session.named("size_changed") == [(99, 33)]
    assert session.named("negotiated") == [()]
    assert b"bye" in shown
    assert "grüße".encode() not in shown  # the server says that it echoes


@pytest.mark.peer("curl")
def test_curl_types_without_a_terminal() -> None:
    session, shown = asyncio.run(
        converse(lambda port: ["curl", "-sSN", f"telnet://127.0.0.1:{port}"], b"hello\r\n", False)
    )
    assert session.data.startswith(b"hello\r")
    assert session.named("negotiated") == [()]
    assert b"bye" in shown
