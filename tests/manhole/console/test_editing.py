"""What keys do: lines, the menu, signatures, documentation, vi; and completers that are slow or broken."""

import asyncio
import threading
from typing import Any

import pytest

from sshkit.manhole import completion
from sshkit.manhole.completion import Candidate, Signature
from sshkit.manhole.console import ConsoleOptions
from sshkit.manhole.console_hints import expression_at, render_signature
from sshkit.manhole.console_indent import backspaces, is_blank_before, is_ready, next_indentation
from sshkit.manhole.console_lexer import MAX_LEXED, lex
from sshkit.manhole.inputs import state
from tests.manhole.console.desk import Desk, at_desk


@pytest.mark.parametrize(
    ("source", "ready"),
    [
        ("1 + 1", True),
        ("", True),
        ("if x:", False),
        ("if x: y", True),
        ("if x:\n    y", False),
        ("if x:\n    y\n", True),
        ("if x:\n    y\n    ", True),
        ("f(1,", False),
        ("f(1,\n  2\n)", True),
        ("f(1,\n  2\n  )", True),
        ("x = '''\n", False),
        ("a\nb", True),
        ("1 +", True),
        ("@decorator", False),
        ("def f():\n    return 1\n\n", True),
        ("f(\n\n\n", False),
        ("%time 1", True),
    ],
)
def test_enter_runs_what_is_complete(source: str, ready: bool) -> None:
    assert is_ready(source, len(source), state) is ready


def test_enter_in_the_middle_of_several_lines_begins_a_line() -> None:
    assert not is_ready("a\nb", 1, state)
    assert is_ready("a + b", 1, state)
    assert not is_ready("f(a", 1, state)


def test_an_interpreter_that_wants_an_empty_line_more_gets_it() -> None:
    def patient(source: str) -> str:
        return "complete" if source.endswith("\n\n") else "incomplete"

    assert is_ready("if x:\n    y\n", 12, patient)


@pytest.mark.parametrize(
    ("line", "indent"),
    [
        ("if x:", 4),
        ("    if x:  # why", 8),
        ("f(", 4),
        ("x = 1", 0),
        ("    x = 1", 4),
        ("    return 1", 0),
        ("        pass", 4),
        ("pass", 0),
    ],
)
def test_a_new_line_is_indented(line: str, indent: int) -> None:
    assert next_indentation(line) == " " * indent


def test_backspace_takes_a_step_of_indentation() -> None:
    assert [backspaces(" " * n) for n in (1, 3, 4, 5, 8)] == [1, 3, 4, 1, 4]
    assert backspaces("  x") == backspaces("") == 1
    assert is_blank_before("  ")
    assert not is_blank_before(" x")


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): # why\n    return 'a' + \"b\" * 0x1F + 1.5e3j\n",
        "@a.b\nclass C: pass",
        "'''open\nand on",
        "'open\nx",
        'f"{x}" rb\'\\\'\' """a"b"""',
        "%time x",
        "match x: case",
        "\x00\x1b[ü日本 $ ?",
        "",
        "#",
        "'\\",
    ],
)
def test_a_lexer_loses_nothing(source: str) -> None:
    assert "".join(fragment[1] for fragment in lex(source)) == source


def test_words_have_the_colours_of_what_they_are() -> None:
    kinds = {text: style for style, text, *_ in lex("def go(self): return len(None) # x")}
    assert kinds["def"] == kinds["return"] == "class:python.keyword"
    assert kinds["go"] == "class:python.definition"
    assert kinds["len"] == "class:python.builtin"
    assert kinds["None"] == kinds["self"] == "class:python.constant"
    assert kinds["# x"] == "class:python.comment"
    assert lex("match x:")[0][0] == "class:python.keyword"
    assert lex("x" * (MAX_LEXED + 1)) == [("", "x" * (MAX_LEXED + 1))]


@pytest.mark.parametrize(
    ("source", "cursor", "found"),
    [
        ("a.b.c", 5, "a.b.c"),
        ("a.b.c", 1, "a"),
        ("f(x, ", 5, "f"),
        ("g(1)(", 5, "g"),
        ("", 0, ""),
        ("(" * 5000, 5000, ""),
    ],
)
def test_the_documentation_is_of_what_stands_at_the_cursor(source: str, cursor: int, found: str) -> None:
    assert expression_at(source, cursor) == found


def test_a_signature_shows_the_parameter_that_is_typed() -> None:
    fragments = render_signature(Signature("f\x07", ("a", "b: int = 1"), 1, "Does it."))
    assert "".join(text for _, text, *_ in fragments) == "f\\x07(a, b: int = 1)  Does it."
    assert ("class:signature.current", "b: int = 1") in fragments
    assert render_signature(Signature("g", (), None, ""))[-1] == ("", ")")


def test_a_block_is_typed_with_its_indentation_and_run_by_an_empty_line() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("for i in (1, 2):\rif i == 2:\rtotal = i * 21\r\r")
        await desk.enter("'total %d' % total")
        await desk.until("total 42")

    at_desk(test)


def test_a_paste_runs_nothing_until_enter() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("\x1b[200~a = 20\r\nb = 22\nprint('su' + 'm', a + b)\x1b[201~")
        await desk.until("...")
        assert "sum" not in desk.everything
        desk.type("\r")
        await desk.until("sum 42")

    at_desk(test)


def test_alt_enter_begins_a_line_and_tab_and_backspace_indent() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("if True:\x1b\rx = 1\r\tx = 9\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x7f\x05\r\r")
        await desk.enter("'x is %d' % x")
        await desk.until("x is 9")
        await desk.prompt()
        desk.type("\t\t\x1b[Z\x7f'lef' + 't'\r")
        await desk.until("left")

    at_desk(test)


def some(*candidates: Candidate) -> Any:
    def complete(source: str, cursor: int, namespace: Any, *, evaluate: bool = False) -> list[Candidate]:
        return list(candidates)

    return complete


def test_tab_shows_a_menu_with_kinds_and_takes_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = (
        Candidate("value_one", 0, "value_one", "attribute", "int"),
        Candidate("value_two", 0, "bell\x07", "function", "(x)\x1b[2J"),
        Candidate("value\x1b[2J", 0, "bad", "function", ""),
        Candidate("value_far", 99, "bad", "function", ""),
    )
    monkeypatch.setattr(completion, "complete", some(*candidates))

    async def test(desk: Desk) -> None:
        desk.namespace.update(value_one="the " + "first", value_two="the " + "second")
        await desk.prompt()
        desk.type("val\t")
        shown = await desk.until("bell\\x07")
        assert "value_one" in shown
        shown = await desk.until("function (x)\\x1b[2J")
        assert "bad" not in shown
        desk.type("\t\t")
        await desk.until("two")
        desk.type("\x1b[Z\r")  # back to the first; the enter takes it
        desk.type("\r")
        await desk.until("the first")

    at_desk(test)


def test_a_completer_that_fails_or_never_answers_does_not_hold_the_echo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, begun = threading.Event(), threading.Event()

    def complete(source: str, cursor: int, namespace: Any, *, evaluate: bool = False) -> list[Candidate]:
        if source.startswith("bad"):
            raise ValueError("no")
        begun.set()
        stuck.wait(20)
        return []

    monkeypatch.setattr(completion, "complete", complete)

    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("bad\t\x15slow\t")
        async with asyncio.timeout(20):
            while not begun.is_set():
                await asyncio.sleep(0)
        desk.type("er\t\x15'go' + 'es on'\r")  # what is stuck answers nothing more
        await desk.until("goes on")
        stuck.set()

    at_desk(test)


def test_a_menu_may_open_while_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "complete", some(Candidate("zebra", 0, "zebra", "name", "str")))

    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("z")
        await desk.until("zebra")

    at_desk(test, options=ConsoleOptions(banner="\n", complete_as_typing=True))


def test_the_signature_stands_below_the_prompt_after_a_bracket(monkeypatch: pytest.MonkeyPatch) -> None:
    def signature(source: str, cursor: int, namespace: Any) -> Signature | None:
        return Signature("f", ("first", "second"), 0, "Do it.") if source.endswith("(") else None

    monkeypatch.setattr(completion, "signature", signature)

    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("f(")
        await desk.until("Do it.")
        desk.type(")\x15'go' + 'ne'\r")
        await desk.until("gone")

    at_desk(test)


def test_documentation_comes_at_f1_and_goes_at_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    def documentation(expression: str, namespace: Any) -> str:
        return f"{expression} is documented\x07\n" + "\n".join(f"line {n}" for n in range(30))

    monkeypatch.setattr(completion, "documentation", documentation)

    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("thing\x1bOP")
        await desk.until("thing is documented\\x07")
        await desk.until("more lines: help(thing) shows them")
        desk.type("\x1bOP")
        await desk.until("\x1b[K")
        desk.type("\x00\x00")
        await desk.until("thing is documented\\x07")
        desk.type("\x1b")
        desk.type("\x15\x1bOP")
        await desk.until("no documentation of this")

    at_desk(test)


def test_vi_keys_are_there_if_asked_and_f4_changes_over() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("'vi' + ' keyz'\x1b1hrs\r")  # back by one, and replace one
        await desk.until("'vi keys'")
        await desk.prompt()
        desk.type("\x1bOS'x'\x01'emacs ' + \x05\r")
        await desk.until("'emacs x'")
        await desk.prompt()
        desk.type("\x1bOS'once' + ' mora'\x1bhre\r")
        await desk.until("once more")

    at_desk(test, options=ConsoleOptions(banner="\n", vi=True))


def test_no_editor_of_the_servers_can_be_started() -> None:
    async def test(desk: Desk) -> None:
        await desk.prompt()
        desk.type("\x18\x05'no' + ' editor'\r")
        await desk.until("no editor")

    at_desk(test)
