"""A terminal that cannot move its cursor has a console of lines."""

import pytest

from sshkit.deferred import Deferred
from sshkit.manhole import console_plain
from sshkit.manhole.console import ConsoleOptions
from tests.manhole.console.desk import Desk, at_desk


def test_a_dumb_terminal_gets_lines_and_no_sequences() -> None:
    async def test(desk: Desk) -> None:
        await desk.until("welcome")
        await desk.enter("6 * 77\x7f\x7f7", "'日x\x7f本'", "print('\\x1b[31mred')")
        await desk.until("red")
        await desk.prompt()
        assert "42" in desk.everything
        assert "'日本'" in desk.everything
        desk.type("x\x04\x7f\x7f\x04")
        assert await desk.status() == 0
        assert "\x1b" not in desk.everything.replace("\\x1b", "").replace("\x1b[?12l\x1b[?25h", "")

    at_desk(test, term="dumb", options=ConsoleOptions(banner="welcome\n", colours=False))


def test_blocks_pastes_and_ctrl_u_work_on_it() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("for i in (1, 2):\r    print('at', i)\r\r")
        await desk.until("at 2")
        await desk.prompt()
        desk.type("wrong\x15\x1b[A'ri' + 'ght'\r")
        await desk.until("'right'")
        await desk.prompt()
        desk.type("\x1b[200~a = 1\r\nb = 2\nprint('su\x07m', a + b)\x1b[201~")
        await desk.until("b)")
        assert "sum 3" not in desk.everything
        desk.type("\r")
        await desk.until("sum 3")

    at_desk(test, term="dumb")


def test_ctrl_c_clears_the_line_or_interrupts_what_runs() -> None:
    waited: Deferred[None] = Deferred()

    async def test(desk: Desk) -> None:
        desk.namespace["waited"] = waited
        await desk.prompt()
        desk.type("1/0\x03")
        await desk.until("^C")
        await desk.enter("print('be' + 'gun'); await waited\r'ahe' + 'ad'\r")
        await desk.until("begun")
        desk.type("\x03")
        await desk.until("KeyboardInterrupt")
        await desk.enter("'go' + 'es on'")
        await desk.until("goes on")
        assert "ZeroDivisionError" not in desk.everything

    at_desk(test, term="dumb")


def test_text_that_comes_breaks_in_and_the_line_is_shown_again() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("'bef' +")
        await desk.until("+")
        desk.screen.write("news\n")
        await desk.until("\r\nnews\r\nIn [1]: 'bef' +")
        desk.type(" 'ore'\r")
        await desk.until("before")
        await desk.prompt()
        desk.input.close()
        assert await desk.status() == 0

    at_desk(test, term="dumb")


def test_questions_are_asked_and_keys_typed_ahead_answer_them() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("name = input('who? ')\rann\r'hello ' + name\r")
        await desk.until("hello ann")

    at_desk(test, term="dumb", threaded=True)


def test_r24_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_plain, "MAX_LINE", 100)

    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("x" * 300 + "\x15" + "7 * 7\r")
        await desk.until("49")
        assert desk.everything.count("x") == 100

    at_desk(test, term="dumb")
