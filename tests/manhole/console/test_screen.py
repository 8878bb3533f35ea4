"""What code prints on its way to a terminal: harmless, in order, bounded, and never in the way of ctrl-C."""

import asyncio
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred, fail, succeed
from sshkit.manhole import console_screen
from sshkit.manhole.console import ConsoleOptions, Screen
from sshkit.manhole.console_text import OutputFilter
from tests.manhole.console.desk import Desk, at_desk


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["plain\ttext\r\n"], "plain\ttext\r\n"),
        (["\x1b[1;38;5;208mx\x1b[0m"], "\x1b[1;38;5;208mx\x1b[0m"),
        (["\x1b[38:2::1:2:3mx\x1b[m"], "\x1b[38:2::1:2:3mx\x1b[m"),
        (["\x1b[3", "1mred", "\x1b", "[0m"], "\x1b[31mred\x1b[0m"),
        (["\x1b[2J", "\x1b]52;c;eA==\x07"], "\\x1b[2J\\x1b]52;c;eA==\\x07"),
        (["\x1b[?1049h\x1b[6n\x1bc"], "\\x1b[?1049h\\x1b[6n\\x1bc"),
        (["\x08\x7f\x9b\x00"], "\\x08\\x7f\\x9b\\x00"),
        (["\u202eevil\u2066", "\ud800"], "\\u202eevil\\u2066\\ud800"),
        (["日本 👩\u200d💻 ü\u0301"], "日本 👩\u200d💻 ü\u0301"),
        (["\x1b[" + "1;" * 40 + "m"], "\\x1b[" + "1;" * 40 + "m"),
    ],
)
def test_r36_text_is_harmless_in_whatever_pieces_it_comes(pieces: list[str], shown: str) -> None:
    output = OutputFilter()
    assert "".join(output.feed(piece) for piece in pieces) + output.finish() == shown


def test_a_rendition_that_is_left_on_is_ended_and_one_that_is_unfinished_is_shown() -> None:
    output = OutputFilter()
    assert output.feed("\x1b[31mred\x1b[") == "\x1b[31mred"
    assert output.finish() == "\\x1b[\x1b[0m"
    assert output.finish() == ""
    plain = OutputFilter(colours=False)
    assert plain.feed("\x1b[31mred") + plain.finish() == "red"


class Terminal:
    """A terminal that takes text when it likes."""

    def __init__(self) -> None:
        self.text = ""
        self.slow = False
        self.waiting: Deferred[None] = Deferred()

    def put(self, text: str) -> None:
        self.text += text

    def drain(self) -> Deferred[None]:
        if not self.slow:
            return succeed(None)
        self.waiting = Deferred()
        return self.waiting


async def nobody(prompt: str) -> str:
    raise EOFError


def attached(terminal: Terminal) -> Screen:
    screen = Screen(drain=terminal.drain)
    loop: Any = type("Loop", (), {"call_soon": lambda self, function: None})()
    screen.attach(loop, terminal.put, nobody)
    return screen


def test_text_that_came_before_the_console_is_shown_first() -> None:
    terminal = Terminal()
    screen = Screen(drain=terminal.drain)
    screen.write("early\n")
    screen.attach(None, terminal.put, nobody)  # type: ignore[arg-type]
    screen.write("late\n")
    assert terminal.text == "early\r\nlate\r\n"
    assert screen.drained() is None


def test_r24_a_slow_terminal_makes_the_interpreter_wait_and_keeps_the_order() -> None:
    terminal = Terminal()
    screen = attached(terminal)
    terminal.slow = True
    screen.write("1\n")
    screen.write("2\n" * console_screen.BURST)
    waiting = screen.drained()
    assert waiting is not None
    assert terminal.text == "1\r\n"
    terminal.waiting.callback(None)
    assert not waiting.called
    terminal.slow = False
    terminal.waiting.callback(None)
    assert waiting.called
    assert terminal.text == "1\r\n" + "2\r\n" * console_screen.BURST
    assert screen.drained() is None


def test_r24_what_a_flood_is_too_much_for_is_counted_and_not_kept() -> None:
    terminal = Terminal()
    screen = attached(terminal)
    terminal.slow = True
    for _ in range(40):
        screen.write("x" * 100_000)
    terminal.slow = False
    terminal.waiting.callback(None)
    shown = terminal.text.count("x")
    assert shown == console_screen.MAX_PENDING + console_screen.BURST
    notice = f"\r\n[{4_000_000 - shown} characters are not shown: the terminal is too slow for them]\r\n"
    assert terminal.text.endswith(notice)


def test_ctrl_c_forgets_what_waits() -> None:
    terminal = Terminal()
    screen = attached(terminal)
    terminal.slow = True
    screen.write("first\n")
    screen.write("second\n")
    screen.discard()
    terminal.waiting.callback(None)
    assert terminal.text == "first\r\n"


def test_a_terminal_that_has_gone_takes_nothing_and_nobody_waits() -> None:
    terminal = Terminal()
    screen = attached(terminal)
    terminal.slow = True
    screen.write("first\n")
    screen.write("x" * console_screen.PAUSE_AT)
    waiting, cancelled = screen.drained(), screen.drained()
    assert waiting is not None
    assert cancelled is not None
    cancelled.add_errback(lambda failure: None)
    cancelled.cancel()
    terminal.waiting.errback(ConnectionError("gone"))
    assert waiting.called
    screen.write("never")
    assert terminal.text == "first\r\n"
    assert screen.drained() is None


def test_a_terminal_that_cannot_be_asked_is_gone_too() -> None:
    screen = Screen(drain=lambda: fail(ConnectionError("gone")))
    screen.attach(None, lambda text: None, nobody)  # type: ignore[arg-type]
    screen.write("x")
    assert screen.drained() is None


def test_text_above_a_prompt_waits_for_a_slow_terminal() -> None:
    async def main() -> None:
        terminal = Terminal()
        screen = Screen(drain=terminal.drain)
        screen.attach(asyncio.get_running_loop(), terminal.put, nobody)
        screen.write("before")
        screen.editing(terminal.put)
        terminal.slow = True
        screen.write("one\ntwo")
        await asyncio.sleep(0)
        assert terminal.text == "before\r\none\r\n"
        screen.write(" and a half\n")
        await asyncio.sleep(0)
        assert terminal.text == "before\r\none\r\n"
        terminal.slow = False
        terminal.waiting.callback(None)
        assert terminal.text == "before\r\none\r\ntwo and a half\r\n"
        screen.write("three")
        await asyncio.sleep(0)
        screen.running()
        screen.write("!\n")
        assert terminal.text.endswith("three!\r\n")
        screen.editing(terminal.put)
        screen.write("four")
        await asyncio.sleep(0)
        screen.close()

    sshkit.run(main())


def test_ctrl_c_works_during_a_flood_to_a_slow_terminal() -> None:
    terminal = Terminal()

    async def test(desk: Desk) -> None:
        await desk.prompt()
        await desk.until("]: ")
        terminal.slow = True
        desk.type("import asyncio\rwhile True:\rprint('flood ' * 1000); await asyncio.sleep(0)\r\r")
        await desk.until("flood flood")
        desk.type("\x03")
        async with asyncio.timeout(20):
            while desk.interpreter.busy:
                await asyncio.sleep(0)
        terminal.slow = False
        terminal.waiting.callback(None)
        await desk.until("KeyboardInterrupt")
        await desk.enter("'al' + 'ive'")
        await desk.until("alive")
        assert desk.everything.count("flood") < 2_000_000

    at_desk(test, options=ConsoleOptions(banner="\n"), drain=terminal.drain)


def test_output_of_threads_is_in_order_and_whole() -> None:
    async def test(desk: Desk) -> None:
        await desk.enter("import threading", "f = lambda: [print('line', n) for n in range(200)]")
        await desk.enter("t = threading.Thread(target=f); t.start(); t.join()")
        await desk.until("line 199")
        lines = [line for line in desk.everything.replace("\r", "").split("\n") if line.startswith("line ")]
        assert lines[:198] == [f"line {n}" for n in range(1, 199)]

    at_desk(test)
