"""A look at what passes through a session: two reasons to pause, and nothing in the way."""

from typing import Any

import sshkit
from sshkit.server.middleware import chain
from sshkit.server.middleware.tap import Tap, Watcher, take_over, tap
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.server.test_serve import World


class Notes(ChannelProtocol):
    def __init__(self) -> None:
        self.notes: list[Any] = []

    def pause_writing(self) -> None:
        self.notes.append("pause")

    def resume_writing(self) -> None:
        self.notes.append("resume")

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self.notes.append((kind, bytes(data)))


def test_r24_a_session_writes_only_while_neither_the_client_nor_a_watcher_holds_it() -> None:
    inner, session = Notes(), None
    between = Tap(inner, session, Watcher())  # type: ignore[arg-type]
    between.hold()
    between.hold()
    between.pause_writing()
    between.release()
    between.release()
    assert inner.notes == ["pause"]
    between.hold()
    between.resume_writing()
    assert inner.notes == ["pause"]
    between.release()
    assert inner.notes == ["pause", "resume"]
    between.pause_writing()
    between.resume_writing()
    between.extended_data_received(1, memoryview(b"x"))
    assert inner.notes[2:] == ["pause", "resume", (1, b"x")]


def test_a_watcher_that_wants_nothing_is_in_nobodys_way() -> None:
    def watched(handler: Any) -> Any:
        def around(session: sshkit.Session) -> Any:
            tap(session, Watcher())
            return handler(session)

        return around

    async def handler(session: sshkit.Session) -> int:
        session.stdout.write(await session.stdin.read())
        session.stderr.write("oops")
        return 3

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="xterm")
            process.resize(sshkit.TerminalSize(90, 30))
            result = await process.communicate("typed")
            assert (result.exit_status, result.stdout, result.stderr) == (3, b"typed", b"oops")

    World(chain(handler, watched, watched)).run(test)


def test_a_protocol_that_takes_over_stands_behind_all_watchers() -> None:
    seen: list[bytes] = []

    class Counts(Watcher):
        def input_passed(self, data: memoryview) -> None:
            seen.append(bytes(data))

    class Echo(ChannelProtocol):
        def __init__(self, session: sshkit.Session) -> None:
            self.session = session

        def data_received(self, data: memoryview) -> None:
            self.session.channel.write(data)

        def eof_received(self) -> None:
            self.session.exit(4)

        def channel_closed(self, error: BaseException | None) -> None:
            self.session.channel_closed(error)

    async def handler(session: sshkit.Session) -> None:
        tap(session, Counts())
        tap(session, Watcher())
        take_over(session, Echo(session))
        await sshkit.Deferred()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("x", input="typed")
            assert (result.exit_status, result.stdout) == (4, b"typed")

    World(handler).run(test)
    assert seen == [b"typed"]
