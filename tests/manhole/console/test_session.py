"""A console from its banner to its end: what is typed is run, and only then."""

import asyncio
import gc
import os
import re
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.input import typeahead

import sshkit
from sshkit.deferred import Deferred
from sshkit.manhole.console import ConsoleOptions, Screen, banner_of
from tests.manhole.console.desk import Desk, at_desk


def test_an_input_is_run_and_its_value_shown() -> None:
    async def test(desk: Desk) -> None:
        await desk.until("welcome")
        await desk.enter("6 * 7")
        await desk.until("42")
        await desk.enter("_ + 1")
        await desk.until("43")

    at_desk(test)


def test_the_number_of_the_prompt_is_that_of_the_result() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("'one'", "'two'", "_1 + _2")
        await desk.until("onetwo")
        await desk.until("In [4]")

    at_desk(test)


def test_ctrl_d_on_an_empty_line_ends_and_on_a_full_one_does_not() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("x\x04\x7f\x04")
        assert await desk.status() == 0

    at_desk(test)


def test_exit_ends_with_its_code() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("import sys; sys.exit(7)")
        assert await desk.status() == 7

    at_desk(test)


def test_the_end_of_the_input_ends_the_console() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.input.close()
        assert await desk.status() == 0

    at_desk(test)


def test_ctrl_c_at_the_prompt_clears_it_and_runs_nothing() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("ran = 1\x03")
        await desk.enter("'ran' in globals()")
        await desk.until("False")

    at_desk(test)


def test_ctrl_z_is_ignored() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("'a\x1ab'")
        await desk.until("'ab'")

    at_desk(test)


def test_ctrl_l_clears_the_screen() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("\x0c")
        await desk.until("\x1b[2J")

    at_desk(test)


def test_ctrl_c_while_code_waits_cancels_that_and_the_session_goes_on() -> None:
    waited: Deferred[None] = Deferred()

    async def test(desk: Desk) -> None:
        desk.namespace["waited"] = waited
        await desk.enter("print('be' + 'gun'); await waited")
        await desk.until("begun")
        desk.type("\x03")
        await desk.until("^C")
        await desk.until("KeyboardInterrupt")
        await desk.enter("'still ' + 'here'")
        await desk.until("still here")

    at_desk(test)


def test_keys_typed_while_code_runs_are_the_next_prompts() -> None:
    waited: Deferred[None] = Deferred()

    async def test(desk: Desk) -> None:
        desk.namespace["waited"] = waited
        await desk.enter("print('be' + 'gun'); await waited")
        await desk.until("begun")
        desk.type("'ty' + 'ped ahead'\r")
        await asyncio.sleep(0)
        waited.callback(None)
        await desk.until("typed ahead")

    at_desk(test)


def test_keys_typed_in_one_go_run_one_after_the_other_and_ctrl_c_forgets_the_rest() -> None:
    waited: Deferred[None] = Deferred()

    async def test(desk: Desk) -> None:
        desk.namespace["waited"] = waited
        await desk.prompt()
        desk.type("a = 1\ra += 1\rprint('be' + 'gun'); await waited\ra = 9\r")
        await desk.until("begun")
        desk.type("\x03")
        await desk.until("KeyboardInterrupt")
        await desk.enter("f'a is {a}'")
        await desk.until("a is 2")

    at_desk(test)


def test_output_appears_above_the_prompt_and_does_not_harm_what_is_typed() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("'bef' + ")
        await desk.until("+")
        desk.screen.write("from else")
        desk.screen.write("where\n")
        shown = await desk.until("from elsewhere\r\n")
        assert "\x1b[J" in shown  # the prompt went away first
        await desk.until("In [1]")
        desk.type("'ore'\r")
        await desk.until("'before'")

    at_desk(test)


def test_an_unfinished_line_is_shown_above_the_prompt_after_a_moment() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.screen.write("no end")
        await desk.until("no end\r\n")
        await desk.prompt()

    at_desk(test)


def test_a_prompt_begins_in_the_first_column_and_in_its_own_colours() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("print('\\x1b[31mred', end='')")
        await desk.until("\x1b[31mred")
        shown = await desk.prompt()
        assert shown.startswith("\x1b[0m\r\n")

    at_desk(test)


def test_r36_what_code_prints_cannot_do_more_than_colours() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("print('\\a\\x1b]0;title\\x07\\x1b[2J\\x9b\\u202e|')")
        await desk.until("\\x07\\x1b]0;title\\x07\\x1b[2J\\x9b\\u202e|")

    at_desk(test)


def test_no_colours_where_they_are_not_wanted() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("print('\\x1b[31mr' + 'ed')", "import os")
        await desk.until("red")
        await desk.prompt()
        assert not re.search("\x1b\\[[0-9;]*3[0-9]m", desk.everything)

    at_desk(test, options=ConsoleOptions(banner="\n", colours=False))


def test_input_in_a_thread_asks_through_the_console() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("name = input('who are ' + 'you? ')")
        await desk.until("who are you? ")
        desk.type("ann\r")
        await desk.enter("'hello ' + name")
        await desk.until("hello ann")

    at_desk(test, threaded=True)


def test_ctrl_d_at_a_question_is_its_eoferror() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("input('we' + 'll? ')")
        await desk.until("well? ")
        desk.type("\x04")
        await desk.until("EOFError")
        await desk.prompt()

    at_desk(test, threaded=True)


def test_a_question_while_a_prompt_waits_has_nobody_to_answer() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        with pytest.raises(EOFError):
            await desk.screen.read_line("?")

    at_desk(test)
    with pytest.raises(EOFError):
        sshkit.run(_ask(Screen()))


async def _ask(screen: Screen) -> str:
    return await screen.read_line("?")


def test_a_session_where_nobody_types_ends_with_a_message() -> None:
    async def test(desk: Desk) -> None:
        await desk.until("Nothing was typed for 0.05 seconds")
        assert await desk.status() == 0

    for term in ("xterm", "dumb"):
        at_desk(test, options=ConsoleOptions(banner="\n", idle=0.05), term=term)


def test_code_that_runs_is_not_idle() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("import asyncio", "await asyncio.sleep(0.5) or 'slept' + ' well'")
        await desk.until("slept well")
        assert await desk.status() == 0

    at_desk(test, options=ConsoleOptions(banner="\n", idle=0.2))


def test_an_idle_session_sets_no_timer() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("1")
        await desk.prompt()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while [timer for timer in loop._scheduled if not timer.cancelled()][1:]:  # type: ignore[attr-defined]
                await asyncio.sleep(
                    0.05
                )  # prompt_toolkit's, for an escape key; the one left is the test's own

    at_desk(test)


def test_the_history_is_of_the_person_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "history"
    options = ConsoleOptions(banner="\n", history=path)

    async def first(desk: Desk) -> None:
        await desk.enter("'first' + ' input'", " 'not kept'")
        await desk.until("not kept")

    async def second(desk: Desk) -> None:
        await desk.prompt()
        await desk.until("]: ")
        desk.type("\x1b[A\r")
        await desk.until("first input")
        await desk.prompt()
        desk.type("\x12rst' +\r\r")
        await desk.until("first input")

    at_desk(first, options=options)
    assert path.stat().st_mode & 0o777 == 0o600
    at_desk(second, options=options)


def test_a_history_that_cannot_be_used_is_told_and_kept_in_memory(tmp_path: Path) -> None:
    async def test(desk: Desk) -> None:
        await desk.until("kept in memory only")
        await desk.enter("1 + 1")
        await desk.until("2")

    at_desk(test, options=ConsoleOptions(banner="\n", history=tmp_path))


def test_the_banner_names_the_program_and_what_may_be_done() -> None:
    class Fake:
        access = type("Access", (), {"kind": "expressions"})
        threaded = True

    text = banner_of(ConsoleOptions(title="shop\x07"), Fake())  # type: ignore[arg-type]
    assert text.startswith(f"shop\\x07: Python {sys.version.split()[0]} inside process {os.getpid()}")
    assert "in a thread of their own" in text
    assert "change nothing" in text
    assert "%help" in text
    assert banner_of(ConsoleOptions(banner="mine"), Fake()) == "mine\n"  # type: ignore[arg-type]


def test_nothing_of_a_session_is_left_when_it_ends_in_the_middle() -> None:
    kept: list[weakref.ref[Any]] = []

    async def main() -> None:
        before = asyncio.all_tasks()
        for keys, words in (
            ("await waited\r", " waited"),
            ("import asyncio\rasyncio.sl\t", "sl"),
            ("x = 1 +", "+"),
            ("input('q')\r", "q"),
        ):
            waited: Deferred[None] = Deferred()
            async with Desk({"waited": waited}) as desk:
                kept.append(weakref.ref(desk.screen))
                kept.append(weakref.ref(desk.interpreter))
                kept.append(weakref.ref(desk))
                await desk.prompt()
                desk.type(keys)
                await desk.until(words)
            del desk
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    sshkit.run(main())
    gc.collect()
    assert [ref() for ref in kept if ref() is not None] == []
    assert not typeahead._buffer


def test_a_hundred_sessions_run_in_one_process_and_leave_little() -> None:
    async def main() -> None:
        desks = [Desk({"n": number}) for number in range(100)]
        async with asyncio.TaskGroup() as group:
            for desk in desks:
                group.create_task(_converse(desk))

    sshkit.run(main())


async def _converse(desk: Desk) -> None:
    async with desk:
        await desk.enter("'I am %d.' % n")
        shown = await desk.until(f"I am {desk.namespace['n']}.")
        assert "I am" not in shown.replace("I am %d", "").replace(f"I am {desk.namespace['n']}.", "")
        await desk.prompt()
        desk.type("\x04")
        assert await desk.status() == 0
