"""Dialogues: a device that pages, colours and echoes, and what happens when it does not answer."""

import pytest

import sshkit
from sshkit.client.dialogue import Dialogue, DialogueEnded, DialogueOverflow, DialogueTimeout
from tests.client.world import World, hang

PROMPT = "\x1b[1mrouter\x1b[0m# "


async def router(session: sshkit.Session) -> int:
    """Echo each line, answer some commands, show a prompt."""
    out = session.stdout
    out.write(f"\x1b]0;a title\x07Welcome\r\n{PROMPT}")
    async for raw in session.stdin:
        line = raw.decode().strip()
        out.write(f"{line}\r\n")
        if line == "show long":
            for page in range(3):
                out.write(f"page {page}\r\n--More--")
                await session.stdin.read_exactly(1)
                out.write("\r        \r")
            out.write("end\r\n")
        elif line == "exit":
            return 0
        elif line == "flood":
            out.write("x" * (2 << 20))
        elif line == "slow":
            continue
        elif line:
            out.write(f"{line}: \x1b[31mred\x1b[m gr\u00fc\u00df\r\n")
        out.write(PROMPT)
    return 0


def talk(world: World, main: object, handler: object = router, **options: object) -> None:
    async def body(connection: sshkit.ClientConnection) -> None:
        async with connection.dialogue(**options) as dialogue:  # type: ignore[arg-type]
            await main(dialogue)  # type: ignore[operator]

    world.with_server(body, handler)


def test_the_prompt_is_learned_and_commands_answer_without_echo_and_colour(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        assert await dialogue.learn_prompt() == "router#"
        assert await dialogue.command("version") == "version: red gr\u00fc\u00df\n"
        assert await dialogue.command("clock") == "clock: red gr\u00fc\u00df\n"
        assert dialogue.waiting == ""

    talk(world, main)


def test_a_command_learns_the_prompt_by_itself_and_pagers_are_told_to_go_on(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        text = await dialogue.command("show long")
        assert [line.strip() for line in text.splitlines()] == ["page 0", "page 1", "page 2", "end"]

    talk(world, main)


def test_the_first_match_in_the_text_counts_and_is_taken_away(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        found = await dialogue.expect("# $", "Wel(come)")
        assert (found.which, found.match[1], found.before) == (1, "come", "")
        dialogue.send("say\n")
        found = await dialogue.expect("red")
        assert found.before.endswith("say\nsay: ")
        with pytest.raises(ValueError, match="nothing to expect"):
            dialogue.expect()

    talk(world, main)


def test_silence_is_a_timeout_that_tells_what_came(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        await dialogue.learn_prompt()
        before = world.network.seconds()
        with pytest.raises(
            DialogueTimeout, match="the prompt after 'slow' did not come within 7 seconds"
        ) as caught:
            await dialogue.command("slow", timeout=7)
        assert world.network.seconds() - before == pytest.approx(7)
        assert caught.value.before == "slow\n"
        with pytest.raises(TimeoutError, match="'never' or 'ever' did not come within 2 seconds"):
            await dialogue.expect("never", "ever")
        dialogue.send_line("version")
        assert (await dialogue.expect("red")).before == "slow\nversion\nversion: "

    talk(world, main, timeout=2)


def test_an_end_is_told_with_what_came_before(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        await dialogue.expect("# ")
        dialogue.send_line("exit")
        with pytest.raises(
            DialogueEnded, match=r"it ended before 'more' came; the last that came was 'exit\\n'"
        ):
            await dialogue.expect("more")
        with pytest.raises(DialogueEnded):
            await dialogue.learn_prompt()
        await dialogue.close()

    talk(world, main)


def test_a_flood_that_matches_nothing_ends(world: World) -> None:
    async def main(dialogue: Dialogue) -> None:
        await dialogue.learn_prompt()
        dialogue.send_line("flood")
        with pytest.raises(DialogueOverflow, match="characters came without 'never'"):
            await dialogue.expect("never")

    talk(world, main)


def test_what_shows_no_prompt_is_told(world: World) -> None:
    async def counter(session: sshkit.Session) -> int:
        number = 0
        async for _ in session.stdin:
            number += 1
            session.stdout.write(f"{number}> ")
        return 0

    async def main(dialogue: Dialogue) -> None:
        with pytest.raises(sshkit.SSHKitError, match="no line comes again and again"):
            await dialogue.learn_prompt()

    talk(world, main, counter)


def test_sequences_that_come_in_pieces_are_taken_out_whole(world: World) -> None:
    async def pieces(session: sshkit.Session) -> int:
        for part in (b"a\x1b", b"[3", b"1mb\r", b"\nc\xc3", b"\xbcd\x1b]0;t", b"\x1b\\e"):
            session.stdout.write(part)
            await world.settled()
        await session.stdin.read()
        return 0

    async def main(dialogue: Dialogue) -> None:
        assert (await dialogue.expect("e")).before == "ab\nc\u00fcd"

    talk(world, main, pieces)


def test_opening_fails_where_the_command_cannot_be_started(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.dialogue("x")
        opening.cancel()
        with pytest.raises(sshkit.CancelledError):
            await opening

    world.with_server(main, hang)
