"""The line editor, with our screen as its terminal: what is edited, and that the terminal shows just that."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.terminal import line_editor
from sshkit.terminal.history import MAX_LINES, History
from sshkit.terminal.keystrokes import Key, KeyDecoder
from sshkit.terminal.line_editor import BINDINGS, MAX_LINE, MAX_WAITING, Entered, Event, LineEditor
from sshkit.terminal.screen import Screen

NAMES = {"C-": "ctrl-", "M-": "alt-"}


def key(spelled: str) -> Key:
    for short, name in NAMES.items():
        if spelled.startswith(short) and len(spelled) > 2:
            return Key(name + spelled[2:])
    return Key(spelled, spelled) if len(spelled) == 1 else Key(spelled, " " if spelled == "space" else "")


def typed(text: str) -> list[Key]:
    return KeyDecoder().feed(text)


def keys(spelled: str) -> list[Key]:
    """Words are keys ("C-a"); what stands in quotes is typed."""
    found: list[Key] = []
    for index, part in enumerate(spelled.split("'")):
        found += typed(part) if index % 2 else [key(word) for word in part.split()]
    return found


def edited(spelled: str, *, history: Sequence[str] = ()) -> tuple[str, str]:
    """Return the text before and after the cursor."""
    editor = LineEditor(history=History(history))
    editor.begin("> ")
    assert editor.feed(keys(spelled)) is None
    return editor.text[: editor.cursor], editor.text[editor.cursor :]


CASES = {
    "'abc'": ("abc", ""),
    "'abc' C-a 'x'": ("x", "abc"),
    "'abc' home right C-f left C-b end C-e": ("abc", ""),
    "'abc' left left left left": ("", "abc"),
    "'one two_2 3' M-b M-b": ("one ", "two_2 3"),
    "'one two' home M-f": ("one", " two"),
    "'one two' home C-right M-right": ("one two", ""),
    "'one two' C-left M-left": ("", "one two"),
    "'abc' backspace C-h": ("a", ""),
    "'abc' home delete C-d": ("", "c"),
    "backspace delete C-k": ("", ""),
    "'é' 'e\u0301x' left left": ("é", "e\u0301x"),
    "'e\u0301x' left backspace": ("", "x"),
    "'xe\u0301y' home right delete": ("x", "y"),
    "'e\u0301 f' M-b M-b": ("", "e\u0301 f"),
    "'one two' home M-f C-k": ("one", ""),
    "'one two' M-b C-u": ("", "two"),
    "'one two' home M-d": ("", " two"),
    "'one two' M-backspace": ("one ", ""),
    "'one -two- ' C-w": ("one ", ""),
    "'one' C-w C-y C-y": ("oneone", ""),
    "'a b c' C-w C-w C-y": ("a b c", ""),
    "'a b' home M-d M-d C-y": ("a b", ""),
    "'a' C-u 'b' C-u C-y M-y": ("a", ""),
    "'a' C-u 'b' C-u C-y M-y M-y": ("b", ""),
    "'a' M-y C-y": ("a", ""),
    "'abc' C-t": ("acb", ""),
    "'abc' left left C-t": ("ba", "c"),
    "'a' C-t": ("a", ""),
    "'abc' home C-t": ("", "abc"),
    "'one, two' M-t": ("two, one", ""),
    "'one' M-t": ("one", ""),
    "'one two' home M-u M-c": ("ONE Two", ""),
    "'ONE' home M-l": ("one", ""),
    "'abc' C-_": ("", ""),
    "'abc' left 'd' C-w C-_": ("abd", "c"),
    "C-_": ("", ""),
    "C-v C-a C-q tab C-v x": ("\x01\tx", ""),
    "C-v escape C-v enter C-v backspace C-v up": ("\x1b\r\x7f", ""),
    "up": ("new", ""),
    "C-p up": ("old", ""),
    "up up up": ("old", ""),
    "'draft' up down": ("draft", ""),
    "down": ("", ""),
    "M-<": ("old", ""),
    "M-< C-n M->": ("", ""),
    "up C-_": ("", ""),
    "C-r 'o' C-a": ("", "old"),
    "C-r 'n' C-e": ("new", ""),
    "C-r 'ne' backspace 'e' escape": ("", "new"),
    "C-r 'e' C-r C-r C-s escape": ("n", "ew"),
    "C-r 'zz' C-h backspace 'l' right": ("ol", "d"),
    "'x' C-r 'n' C-g": ("x", ""),
    "C-r C-r escape": ("", ""),
    "f5 M-x escape unknown answer": ("", ""),
    "'space' space": ("space ", ""),
}


@pytest.mark.parametrize(("spelled", "text"), CASES.items())
def test_each_key_does_what_it_does_in_emacs(spelled: str, text: tuple[str, str]) -> None:
    assert edited(spelled, history=["old", "new"]) == text


def test_a_paste_is_one_line_and_nothing_in_it_acts() -> None:
    editor = LineEditor()
    editor.begin()
    assert editor.feed([Key("paste", "rm\t-rf\n\x03\x1b[A/\n")]) is None
    assert editor.text == "rm -rf [A/ "


@pytest.mark.parametrize(
    ("name", "event"), [("C-c", Event.INTERRUPT), ("C-d", Event.END), ("enter", Event.LINE)]
)
def test_ends_are_told(name: str, event: Event) -> None:
    editor = LineEditor()
    assert editor.begin("> ") is None
    assert editor.feed(keys(name)) == Entered(event)
    assert editor.take_output() == b"> \r\n"


def test_keys_of_the_next_line_wait_for_it() -> None:
    editor = LineEditor()
    editor.begin()
    assert editor.feed(typed("one\rtwo\rthr")) == Entered(Event.LINE, "one")
    assert editor.begin() == Entered(Event.LINE, "two")
    assert editor.begin() is None
    assert editor.text == "thr"
    assert editor.history.lines == ["one", "two"]


def test_r18_what_is_typed_without_end_costs_bounded_memory() -> None:
    editor = LineEditor()
    assert editor.feed(typed("x" * (MAX_WAITING + 10))) is None
    editor.begin()
    assert len(editor.text) == MAX_WAITING
    editor.feed([Key("paste", "y" * MAX_LINE)])
    assert len(editor.text) == MAX_WAITING
    for _ in range(line_editor.MAX_UNDO + 5):
        editor.feed(keys("'a' C-w C-y"))
    assert len(editor._undo) <= line_editor.MAX_UNDO
    for _ in range(line_editor.MAX_KILLS + 5):
        editor.feed(keys("'a' C-u 'b' left delete"))
    assert len(editor._kills) <= line_editor.MAX_KILLS
    history = History(map(str, range(2 * MAX_LINES)))
    for index in range(MAX_LINES):
        history.add(f"line {index}")
    assert len(history.lines) == MAX_LINES


def test_r43_a_password_is_neither_shown_nor_remembered() -> None:
    editor = LineEditor(history=History(["old"]), complete=lambda text, cursor: [(0, "x")])
    editor.begin("Password: ", echo=False)
    assert editor.feed(keys("'wrong' C-u up C-r tab 's3cret' C-w 's3cret' enter")) == Entered(
        Event.LINE, "s3cret"
    )
    assert editor.take_output().replace(b"\a", b"") == b"Password: \r\n"
    assert editor.history.lines == ["old"]
    assert editor.text == ""
    editor.begin()
    editor.feed(keys("C-y C-_"))
    assert editor.text == ""


def test_completion_inserts_what_is_common_and_then_lists() -> None:
    names = ["print", "property", "pr\x1bx", *(f"zz{index}" for index in range(150))]
    editor = LineEditor(
        complete=lambda text, cursor: [(0, name) for name in names if name.startswith(text[:cursor])]
    )
    screen = Screen(40, 60)

    def press(spelled: str) -> None:
        editor.feed(keys(spelled))
        screen.feed(editor.take_output())

    editor.begin("> ")
    press("'p' tab")
    assert editor.text == "pr"
    press("tab")
    assert screen.text.split("\n") == ["print     property  pr^[x", "> pr"]
    press("'i' tab")
    assert editor.text == "print"
    bells = screen.bells
    press("tab")
    press("'?' tab")
    assert screen.bells == bells + 2
    press("C-u 'zz' tab tab")
    assert "and 50 more" in screen.text
    press("C-u tab")
    assert editor.text == ""


def test_a_completion_that_fails_is_a_bell() -> None:
    def fail(text: str, cursor: int) -> list[tuple[int, str]]:
        raise ValueError

    for complete in (fail, None, lambda text, cursor: [(7, "x"), (-1, "y")]):
        editor = LineEditor(complete=complete)
        editor.begin()
        editor.feed(keys("tab"))
        assert editor.text == ""
        assert editor.take_output() == b"\a"


def test_completions_may_begin_at_different_places() -> None:
    editor = LineEditor(complete=lambda text, cursor: [(0, "a.bcd"), (2, "bce")])
    editor.begin()
    editor.feed(keys("'a.b' tab"))
    assert editor.text == "a.bc"


@pytest.mark.parametrize("dumb", [False, True])
def test_what_a_program_prints_stands_above_the_line(dumb: bool) -> None:
    editor, screen = LineEditor(columns=20, dumb=dumb), Screen(20, 6)
    editor.begin("> ")
    editor.feed(typed("abc"))
    editor.print("hello\nyou")
    editor.print("there\r\n")
    editor.feed(keys("C-a 'x' enter"))
    editor.print("end\n")
    screen.feed(editor.take_output())
    assert screen.text == "hello\nyou\nthere\n> xabc\nend"


def test_a_search_is_shown() -> None:
    editor, screen = LineEditor(history=History(["first"])), Screen()
    editor.begin("> ")
    editor.feed(keys("C-r 'ir'"))
    screen.feed(editor.take_output())
    assert screen.text == "(search: ir) first"
    editor.feed(keys("'x'"))
    screen.feed(editor.take_output())
    assert screen.text == "(nothing for: irx) first"
    assert editor.feed(keys("enter")) == Entered(Event.LINE, "first")
    screen.feed(editor.take_output())
    assert screen.text == "> first"


@pytest.mark.parametrize("dumb", [False, True])
def test_the_screen_is_cleared_on_request(dumb: bool) -> None:
    editor, screen = LineEditor(columns=20, dumb=dumb), Screen(20, 3)
    screen.feed("before\r\n")
    editor.begin("> ")
    editor.feed(keys("'abc' C-l"))
    screen.feed(editor.take_output())
    assert screen.text.split("\n")[-1] == "> abc"
    assert ("before" in screen.text) == dumb


def test_a_dumb_terminal_gets_no_escape_sequence() -> None:
    editor = LineEditor(columns=10, dumb=True, history=History(["old " * 9]))
    editor.begin("\x1b[31m\x9b> ")
    for name in BINDINGS:
        if name not in ("enter", "ctrl-j", "ctrl-m", "ctrl-c", "ctrl-d"):
            editor.feed([*typed("a b 字"), Key(name)])
    editor.resize(1)
    assert b"\x1b" not in editor.take_output()


def test_a_new_width_shows_the_line_anew() -> None:
    editor, screen = LineEditor(columns=10), Screen(10, 8)
    editor.begin("> ")
    editor.feed(typed("abcdefghijklmnop"))
    screen.feed(editor.take_output())
    assert screen.text == "> abcdefgh\nijklmnop"
    editor.resize(20)
    assert editor.take_output()
    editor.feed(keys("enter"))
    editor.resize(10)
    assert editor.take_output().endswith(b"\r\n")


ACTIONS = sorted(set(BINDINGS) - {"enter", "ctrl-j", "ctrl-m", "ctrl-c", "ctrl-d", "ctrl-l", "tab", "ctrl-i"})


@given(
    st.lists(
        st.sampled_from(ACTIONS).map(Key)
        | st.sampled_from("ab 字é\u0301\x01").map(lambda character: Key(character, character))
        | st.text("ab 字e\u0301", min_size=1, max_size=12).map(lambda text: Key("paste", text)),
        max_size=25,
    ),
    st.integers(4, 12),
    st.booleans(),
)
def test_the_terminal_shows_what_is_edited(pressed: list[Key], columns: int, dumb: bool) -> None:
    editor, screen = LineEditor(columns=columns, dumb=dumb), Screen(columns, 150)
    editor.begin("> ")
    screen.feed(editor.take_output())
    for one in pressed:
        editor.feed([one])
        screen.feed(editor.take_output())
    again, fresh = LineEditor(columns=columns, dumb=dumb), Screen(columns, 150)
    again._search, again.text, again.cursor = editor._search, editor.text, editor.cursor
    again._prompt, again._reading = "> ", True
    again.feed([])
    fresh.feed(again.take_output())
    if not dumb:
        assert screen.text == fresh.text
        assert screen.cursor == fresh.cursor
    else:
        assert screen.cursor.row == 0
        assert screen.text.count("\n") == 0
