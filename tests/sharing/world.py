"""A server of ours on a loopback port, a connection to it, and that connection shared, in one process."""

import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sshkit
from sshkit.client.sharing import messages
from sshkit.client.sharing.master import SharedConnection
from tests.client.world import HOST_KEY, USER_KEY, echo

T = TypeVar("T")
PATIENCE = 20.0


def descriptors() -> set[tuple[str, str]]:
    """Return the descriptors of this process, each with what it is."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that the list was read with
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


async def handler(session: sshkit.Session) -> int:
    """As `echo`, and: "terminal" tells its size, "env NAME" a variable, "wait" waits for the end of input."""
    command = session.command or ""
    if session.subsystem:
        session.stdout.write(f"subsystem {session.subsystem}\n")
        return 0
    if not command:
        session.stdout.write("the shell\n")
        return 0
    if command == "terminal":
        session.stdout.write(f"{session.terminal}\n")
        return 0
    if command == "size":
        async for line in session.stdin:
            size = session.terminal.size if session.terminal is not None else None
            session.stdout.write(f"{line!r} {size}\n")
        return 0
    if command.startswith("env "):
        session.stdout.write(f"{session.environment.get(command[4:])}\n")
        return 0
    if command == "wait":
        session.stdout.write("waiting\n")
        await session.stdin.read()
        return 0
    return await echo(session)


class Shared:
    """What a test has in its hands."""

    def __init__(self, server: sshkit.Server, connection: sshkit.ClientConnection, path: str) -> None:
        self.server = server
        self.connection = connection
        self.path = path
        self.sharing: SharedConnection | None = None

    @property
    def shared(self) -> SharedConnection:
        assert self.sharing is not None
        return self.sharing

    async def ride(self, **options: Any) -> sshkit.ClientConnection:
        """Connect over the shared connection."""
        return await sshkit.connect("me@anywhere", control_path=self.path, **options)


def in_world(
    tmp_path: Path,
    body: Callable[[Shared], Awaitable[T]],
    *,
    serve: Any = handler,
    leaks: bool = False,
    **options: Any,
) -> T:
    """Run `body`; whatever it does, no descriptor is left behind."""

    async def main() -> T:
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                serve,
                host_keys=[HOST_KEY],
                authorized_keys=[USER_KEY.public],
                log=lambda level, text, error: None,
                **options,
            ) as server,
            sshkit.connect(
                f"me@127.0.0.1:{server.address[1]}",
                identities=[USER_KEY],
                host_keys=[HOST_KEY.public],
                agent="",
            ) as connection,
        ):
            place = Shared(server, connection, str(tmp_path / "control"))
            async with sshkit.share(connection, place.path) as place.sharing:
                result = await body(place)
                # The connection is as good as ever, and has nothing open that a test has forgotten.
                assert (await connection.run("exit 4")).exit_status == 4
                return result

    sshkit.run(_warm())
    before = descriptors()
    try:
        return sshkit.run(main())
    finally:
        # What earlier tests have left to the collector may go meanwhile; nothing may have come.
        assert leaks or descriptors() <= before


async def _warm() -> None:
    """Let the first run of a reactor keep what it keeps for ever."""


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call something that blocks."""
    return await sshkit.current_reactor().defer_to_thread(function, *arguments)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that tells nobody."""
    reactor = sshkit.current_reactor()
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "it did not happen"
        turn: sshkit.Deferred[None] = sshkit.Deferred()
        reactor.call_later(0.002, turn.callback, None)
        await turn


class RawPeer:
    """A program at the control socket that says what it likes."""

    def __init__(self, path: str, *, welcome: bool = True) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        if welcome:
            self.sock.sendall(messages.hello())
            self.extensions = messages.read_hello(self.packet())

    def packet(self) -> bytes:
        """Return the next packet of the other side; b"" when it has hung up."""
        head = self._exactly(4)
        return self._exactly(struct.unpack(">I", head)[0]) if head else b""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self.sock.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not piece:
                return b""
            data += piece
        return data

    def ask(self, number: int, body: bytes = b"", request: int = 7) -> tuple[int, int, bytes]:
        """Make a request; returns number, request and body of the answer."""
        self.sock.sendall(messages.packet(number, request, body))
        return self.answer()

    def answer(self) -> tuple[int, int, bytes]:
        payload = self.packet()
        if not payload:
            return 0, 0, b""
        number, request = struct.unpack(">II", payload[:8])
        return number, request, payload[8:]

    def give(self, *fds: int) -> None:
        """Hand descriptors over, one byte with each."""
        for fd in fds:
            socket.send_fds(self.sock, [b"\0"], [fd])

    def is_cut_off(self) -> bool:
        """Wait until the other side has hung up; what it says before does not count."""
        while True:
            try:
                if not self.sock.recv(65536):
                    return True
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextlib.contextmanager
def pipes(count: int = 3) -> Iterator[list[tuple[int, int]]]:
    """Return pairs of ends, all of them closed in the end."""
    pairs = [os.pipe() for _ in range(count)]
    try:
        yield pairs
    finally:
        for pair in pairs:
            for fd in pair:
                with contextlib.suppress(OSError):
                    os.close(fd)
