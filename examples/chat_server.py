"""A chat over TCP, TLS and SSH, with one room for everybody; docs/core/tutorial.md builds it step by step.

python examples/chat_server.py tcp:8023:interface=127.0.0.1
python examples/chat_server.py tcp:8023 127.0.0.1:2222 HOST_KEY AUTHORIZED_KEYS
nc 127.0.0.1 8023
ssh -T -p 2222 ann@127.0.0.1
"""

import sys
from collections.abc import Callable
from typing import Any

from sshkit_keys.text import printable

import sshkit
from sshkit.deferred import DeferredQueue, QueueOverflow
from sshkit.interfaces import Clock, Transport
from sshkit.protocols.framing import Lines
from sshkit.reactor.flow import ConnectionLimits

IDLE = 600.0  # seconds that somebody may be silent
BEHIND = 100  # lines that wait for somebody whose connection is slow; more are lost to him
LONGEST = 500  # bytes of a line


class Member:
    """Somebody in the room: what others say waits here until his connection takes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: DeferredQueue[str] = DeferredQueue(size=BEHIND)
        self.lost = 0

    def hear(self, text: str) -> None:
        try:
            self.lines.put(text)
        except QueueOverflow:
            self.lost += 1

    async def show(self, write: Callable[[str], None], drain: Callable[[], Any]) -> None:
        """Write line after line, each when the connection has taken the one before."""
        async for text in self.lines:
            write(text)
            await drain()
            if self.lost:
                lost, self.lost = self.lost, 0
                write(f"* you have missed {lost} lines")


class Room:
    """Everybody who is here, whichever way he came."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.members: dict[str, Member] = {}

    def tell(self, text: str) -> None:
        for member in self.members.values():
            member.hear(text)

    async def visit(
        self, name: str, lines: Any, write: Callable[[str], None], drain: Callable[[], Any]
    ) -> None:
        """Let somebody take part until he has no more lines; `lines` is what he says."""
        if name in self.members or not name.isidentifier():
            write("* that name is taken, or no name")
            return
        self.tell(f"* {name} comes in")
        member = self.members[name] = Member(name)
        write(f"* welcome, {name}; here are {', '.join(self.members)}")
        showing = sshkit.ensure_deferred(member.show(write, drain))
        try:
            while (line := await self.next_line(lines)) is not None:
                self.tell(f"{name}: {said(line)}")
        except TimeoutError:
            write("* you have been silent for too long")
        finally:
            showing.cancel()
            del self.members[name]
            self.tell(f"* {name} has left")

    def next_line(self, lines: Any) -> "sshkit.Deferred[bytes | None]":
        async def take() -> bytes | None:
            return await anext(lines, None)

        return sshkit.ensure_deferred(take()).add_timeout(IDLE, self.clock)


def said(line: bytes) -> str:
    """Return a line as text in which nothing moves the cursor of whoever reads it."""
    return printable(line.decode(errors="replace").strip(), LONGEST)


class Visitor(Lines):
    """A connection over TCP or TLS."""

    delimiter = b"\n"
    max_length = LONGEST

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.room = room

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        sshkit.ensure_deferred(self.talk())

    async def talk(self) -> None:
        try:
            self.write("* your name?")
            name = await self.room.next_line(self)
            if name is not None:
                await self.room.visit(said(name), self, self.write, self.drain)
        except (OSError, sshkit.SSHKitError) as error:
            print("a visitor is gone:", error)
        finally:
            self.close()

    def write(self, text: str) -> None:
        self.send_line(text.encode())


def visitors(room: Room) -> ConnectionLimits:
    """Return what makes a protocol for each connection: at most 1000, and 20 from one address."""
    return ConnectionLimits(lambda: Visitor(room), total=1000, each=20)


def handler(room: Room) -> Callable[[sshkit.Session], Any]:
    """Return what talks to each session over SSH; the login has shown the name."""

    async def talk(session: sshkit.Session) -> None:
        def write(text: str) -> None:
            session.stdout.write(text + "\n")

        await room.visit(session.user, session.stdin, write, session.stdout.drain)

    return talk


async def main(place: str, ssh: str = "", host_key: str = "", authorized_keys: str = "") -> None:
    """Serve until Ctrl-C."""
    room = Room(sshkit.current_reactor())
    listener = await sshkit.server_from_string(place).listen(visitors(room))
    print("chatting at", listener.address)
    if not ssh:
        await sshkit.Deferred[None]()
    async with sshkit.serve(
        ssh, handler(room), host_keys=[host_key], authorized_keys=[authorized_keys]
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(*sys.argv[1:]))
