"""A manhole with clients of our own: what the tests of its doors have in common."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import sshkit
from sshkit import manhole
from tests.server.test_serve import HOST_KEY, KEY

WAIT = 20.0  #: seconds for anything
FINGERPRINT = KEY.public.fingerprint()


class App:
    """Something to look at."""

    def __init__(self) -> None:
        self.users = ["ann", "bob"]


class Said(NamedTuple):
    """What a command said."""

    stdout: str
    stderr: str
    exit_status: int | None


class Visitor:
    """A connection whose results are text."""

    def __init__(self, connection: sshkit.ClientConnection) -> None:
        self.connection = connection
        self.start = connection.start
        self.subsystem = connection.subsystem

    async def run(self, command: str | None = None, input: str | bytes | None = None) -> Said:
        result = await self.connection.run(command, input=input, timeout=WAIT)
        return Said(result.stdout.decode(), result.stderr.decode(), result.exit_status)


@asynccontextmanager
async def login(port: int, user: str = "ann") -> AsyncIterator[Visitor]:
    """Connect to a manhole."""
    async with sshkit.connect(
        f"{user}@127.0.0.1:{port}", identities=[KEY], host_keys=[HOST_KEY.public]
    ) as connection:
        yield Visitor(connection)


def opened(
    program: dict[str, Any], test: Callable[[Any, Visitor], Awaitable[None]], **settings: Any
) -> list[str]:
    """Run ``test(manhole, connection)``; returns what the server logged as an error."""
    log: list[str] = []

    async def main() -> None:
        async with (
            manhole.serve(
                program,
                authorized_keys=[KEY.public],
                host_key=HOST_KEY,
                log=lambda level, text, error: log.append(f"{level}: {text}"),
                **settings,
            ) as door,
            login(door.port) as connection,
        ):
            await test(door, connection)

    sshkit.run(main())
    return [line for line in log if line.startswith("error")]


async def until(stream: Any, words: str) -> str:
    """Read until `words` have come; returns all."""
    seen = ""
    while words not in seen:
        data = await stream.read(65536).add_timeout(WAIT, sshkit.current_reactor())
        assert data, seen
        seen += data.decode()
    return seen


def terminal() -> dict[str, Any]:
    """Return what asks for a terminal."""
    return {"terminal": "xterm-256color", "size": sshkit.TerminalSize(80, 24)}
