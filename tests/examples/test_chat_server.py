"""The chat of the tutorial: one room over TCP and SSH, bounded wherever somebody is slow, silent or rude."""

from collections.abc import Callable
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.protocols.framing import Lines
from sshkit.testing import MemoryReactor
from tests.examples.test_examples import example

chat = example("chat_server")
HOST_KEY, KEY = generate_private_key("ed25519"), generate_private_key("ed25519")


class Caller(Lines):
    """Somebody with nc."""

    delimiter = b"\n"

    async def hears(self, *texts: str) -> None:
        for text in texts:
            assert (await anext(self)).decode() == text

    async def silence(self) -> None:
        with pytest.raises(StopAsyncIteration):
            await anext(self)


class Place:
    """A chat in a network in memory."""

    def __init__(self) -> None:
        self.network: Any = MemoryReactor()
        self.room = chat.Room(self.network)

    async def open(self) -> None:
        await self.network.listen_tcp("chat", 8023, chat.visitors(self.room))

    async def caller(self) -> Caller:
        caller: Caller = await self.network.connect_tcp("chat", 8023, Caller)
        return caller

    async def enter(self, name: str, *others: str) -> Caller:
        caller = await self.caller()
        caller.send_line(name.encode())
        await caller.hears("* your name?", f"* welcome, {name}; here are {', '.join((*others, name))}")
        return caller


def in_memory(test: Callable[[Place], Any]) -> Callable[[], None]:
    """Run a test in a chat of its own."""

    def run() -> None:
        place = Place()

        async def main() -> None:
            await place.open()
            await test(place)
            for pair in place.network.pairs:
                pair.client.close()
            place.network.settle()
            assert not place.room.members

        place.network.run(main())

    run.__name__ = test.__name__
    return run


@in_memory
async def test_everybody_hears_what_one_says(place: Place) -> None:
    ann = await place.enter("ann")
    bob = await place.enter("bob", "ann")
    await ann.hears("* bob comes in")
    bob.send_line(b"hello\r")
    for one in (ann, bob):
        await one.hears("bob: hello")
    bob.close()
    await ann.hears("* bob has left")
    assert list(place.room.members) == ["ann"]


@in_memory
async def test_a_name_is_had_once_and_is_a_word(place: Place) -> None:
    await place.enter("ann")
    for name in ("ann", "an n", ""):
        caller = await place.caller()
        caller.send_line(name.encode())
        await caller.hears("* your name?", "* that name is taken, or no name")
        await caller.silence()


@in_memory
async def test_nobody_moves_the_cursor_of_the_others(place: Place) -> None:
    ann = await place.enter("ann")
    ann.send_line(b"\x1b[2J\xff")
    await ann.hears("ann: \\x1b[2J\ufffd")


@in_memory
async def test_whoever_is_silent_too_long_is_put_out(place: Place) -> None:
    ann = await place.enter("ann")
    stranger = await place.caller()
    await ann.hears("* you have been silent for too long")
    await ann.silence()
    await stranger.hears("* your name?")
    await stranger.silence()
    assert place.network.seconds() == chat.IDLE
    assert not place.room.members


@in_memory
async def test_a_line_too_long_ends_its_connection_and_no_other(place: Place) -> None:
    ann = await place.enter("ann")
    bob = await place.enter("bob", "ann")
    bob.send_line(b"x" * 1000)
    await ann.hears("* bob comes in", "* bob has left")
    with pytest.raises(ConnectionResetError):
        await anext(bob)


@in_memory
async def test_somebody_slow_loses_lines_and_holds_nobody_up(place: Place) -> None:
    ann = await place.enter("ann")
    await place.enter("bob", "ann")
    await ann.hears("* bob comes in")
    bobs = place.network.pairs[1]
    bobs.client.pause_reading()
    said = 400
    for number in range(said):
        ann.send_line(b"%03d " % number + b"x" * 480)
        await ann.hears(f"ann: {number:03} " + "x" * 480)
    bob = place.room.members["bob"]
    assert bobs.server.get_write_buffer_size() < 70_000
    assert bob.lost > 100
    lost = bob.lost
    bobs.client.resume_reading()
    heard = []
    async for line in bobs.client.get_protocol():
        heard.append(line.decode())
        if len(heard) == said - lost + 1:
            break
    assert f"* you have missed {lost} lines" in heard


@in_memory
async def test_one_address_has_twenty_connections(place: Place) -> None:
    callers = [await place.caller() for _ in range(20)]
    one_more = await place.caller()
    with pytest.raises(ConnectionResetError):
        await anext(one_more)
    callers[0].close()
    place.network.settle()
    await (await place.caller()).hears("* your name?")


@in_memory
async def test_people_over_ssh_are_in_the_same_room(place: Place) -> None:
    network = place.network
    ann = await place.enter("ann")
    async with (
        sshkit.serve(
            "chat:22",
            chat.handler(place.room),
            host_keys=[HOST_KEY],
            authorized_keys=[KEY.public],
            reactor=network,
        ),
        sshkit.connect(
            "bob@chat", identities=[KEY], host_keys=[HOST_KEY.public], reactor=network
        ) as connection,
    ):
        bob = await connection.start(None)
        assert await bob.stdout.read_line() == b"* welcome, bob; here are ann, bob\n"
        await ann.hears("* bob comes in")
        bob.stdin.write("hello\n")
        assert await bob.stdout.read_line() == b"bob: hello\n"
        await ann.hears("bob: hello")
        bob.stdin.write_eof()
        await bob.wait()
        assert bob.exit_status == 0
        await ann.hears("* bob has left")


def test_the_program_listens_for_lines_and_for_ssh(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        for more in ((), ("127.0.0.1:0", HOST_KEY, KEY.public)):
            running = sshkit.ensure_deferred(chat.main("tcp:0:interface=127.0.0.1", *more))
            await sshkit.current_reactor().defer_to_thread(str)  # a turn or more: it listens
            while not (told := capsys.readouterr().out):
                await sshkit.sleep(0)
            port = int(told.split()[-1].rstrip(")"))
            caller = await sshkit.client_from_string(f"tcp:127.0.0.1:{port}").connect(Caller)
            await caller.hears("* your name?")
            caller.close()
            running.cancel()
            with pytest.raises(sshkit.CancelledError):
                await running

    sshkit.run(main())
