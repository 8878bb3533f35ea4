"""The screen model: where text goes, what sequences change, what is answered."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.terminal.cells import BLANK, Cell, Style, is_wide
from sshkit.terminal.screen import MAX_ANSWERS, MAX_COMBINING, MAX_TITLE, Screen


def shown(stream: str, columns: int = 6, rows: int = 3) -> list[str]:
    screen = Screen(columns, rows)
    screen.feed(stream)
    return screen.text.split("\n")


CASES = [
    ("hello\r\nyou", ["hello", "you"]),
    ("abcdefgh", ["abcdef", "gh"]),
    ("abcdef\rx", ["xbcdef"]),
    ("abcdef\bx", ["abcdxf"]),
    ("\x1b[?7labcdefgh", ["abcdeh"]),
    ("\x1b[?7labcde字", ["abcd字"]),
    ("abcde字", ["abcde", "字"]),
    ("1\n2\n3\n4", [" 2", "  3", "   4"]),
    ("\x1b[20h1\n2\x1b[20l\n3", ["1", "2", " 3"]),
    ("a\x1bEb\x85c", ["a", "b", "c"]),
    ("a\x84b\x8dc\x1bMd", ["   d", "a c", " b"]),
    ("\tx\x1b[Zy\x1b[5g", ["y    x"]),
    ("\x1b[2;3r\x1bMx", ["x"]),
    ("\x1b[3g\x1b[3G\x1bH\r\tx\x1b[3G\x1b[g\r\tz", ["  x  z"]),
    ("\x1b[2I\x1b[1gx", ["     x"]),
    ("abc\x1b[2D\x1b[@x", ["axbc"]),
    ("abcdef\x1b[1;2H\x1b[2P", ["adef"]),
    ("abcdef\x1b[1;2H\x1b[2X", ["a  def"]),
    ("abcdef\x1b[1;3H\x1b[K", ["ab"]),
    ("abcdef\x1b[1;3H\x1b[1K", ["   def"]),
    ("abcdef\x1b[2K\x1b[5K", [""]),
    ("a\r\nb\r\nc\x1b[2;1H\x1b[J", ["a"]),
    ("a\r\nb\r\nc\x1b[2;1H\x1b[1J", ["", "", "c"]),
    ("a\r\nb\r\nc\x1b[2J\x1b[7J", [""]),
    ("a\r\nb\r\nc\x1b[2;1H\x1b[L", ["a", "", "b"]),
    ("a\r\nb\r\nc\x1b[2;1H\x1b[M", ["a", "c"]),
    ("a\r\nb\r\nc\x1b[2;3r\x1b[1;1H\x1b[L\x1b[M", ["a", "b", "c"]),
    ("a\r\nb\r\nc\x1b[S", ["b", "c"]),
    ("a\r\nb\r\nc\x1b[9T", [""]),
    ("a\r\nb\r\nc\x1b[1;2r\x1b[2;1H\nd", ["b", "d", "c"]),
    ("a\r\nb\r\nc\x1b[2;3r\x1b[?6hx\x1b[9Ay\x1b[9;1Hz", ["a", "xy", "z"]),
    ("\x1b[2;3r\x1b[1;1H\x1b[Ax\x1b[3;1H\x1b[9By\x1b[2;2r", ["x", "", "y"]),
    ("\x1b[1;2r\x1b[3;1H\x1b[Bx\n\ny\x1bM\x1bM\x1bM\x1bMz", ["  z", "", "xy"]),
    ("\x1b[2;1Hb\x1b[Ac\x1b[Ed\x1b[Fe\x1b[2dg\x1b[4`h\x1b[aj", ["ec", "dg h j"]),
    ("\x1b[C\x1b[eq\x1b[2;6Hx\x1b[fy", ["y", " q   x"]),
    ("\x1b[4hbc\ra\x1b[4lx", ["axc"]),
    ("bcdefg\x1b[4h\ra字", ["a字bcd"]),
    ("字\rx", ["x"]),
    ("字\x1b[2Gx", [" x"]),
    ("a字\x1b[1;3H\x1b[K", ["a"]),
    ("a字b\x1b[1;3H\x1b[P", ["a b"]),
    ("abcd字\r\x1b[@", [" abcd"]),
    ("字\x1b[2G\x1b[@", [""]),
    ("e\u0301x", ["e\u0301x"]),
    ("abcdee\u0301", ["abcdee\u0301"]),
    ("字\u0301x", ["字\u0301x"]),
    ("\u0301x", ["x"]),
    ("\x1b(0lqk\x1b(Blqk\x1b)0\x0eq\x0fq", ["┌─┐lqk", "─q"]),
    ("ab\x1b7\x1b[2;1Hc\x1b8d", ["abd", "c"]),
    ("ab\x1b[s\x1b[2;1Hc\x1b[ud", ["abd", "c"]),
    ("ab\x1b[?1048h\x1b[2;1Hc\x1b[?1048ld", ["abd", "c"]),
    ("abcdef\x1b7\rX\x1b8g", ["Xbcdef", "g"]),
    ("\x1b[?6h\x1b7\x1b[?6l\x1b8x", ["x"]),
    ("a\x1b[?1049hb\x1b[?1049lc", ["ac"]),
    ("a\x1b[?47hb\x1b[?47lc", ["a c"]),
    ("a\x1b[?1049h\x1b[2;2Hb", ["", " b"]),
    ("abc\x1bcx", ["x"]),
    ("abcdef\x1b[?7l\x1b[!pgh", ["abcdeg", "h"]),
    ("\x1b#8", ["EEEEEE"] * 3),
    ("a\x1b[?9999h\x1b[99zb\x1b[?9999l\x01\x1bzc\x1b]7;x\x07\x1b_x\x1b\\", ["abc"]),
]


@pytest.mark.parametrize(("stream", "rows"), CASES)
def test_each_sequence_does_what_a_terminal_does(stream: str, rows: list[str]) -> None:
    assert shown(stream) == rows


STYLES = [
    ("1;3;4;5;7;8;9", Style(None, None, True, False, True, 1, True, True, True, True)),
    ("2;21", Style(faint=True, underline=2)),
    ("1;2;3;4;5;7;8;9;22;23;24;25;27;28;29", Style()),
    ("31;44", Style(1, 4)),
    ("31;44;39;49", Style()),
    ("91;104", Style(9, 12)),
    ("38;5;100;48;5;200", Style(100, 200)),
    ("38;2;1;2;3;48:2:4:5:6", Style((1, 2, 3), (4, 5, 6))),
    ("38:2::1:2:3;48:5:7", Style((1, 2, 3), 7)),
    ("4:3;58:5:1;58;5;9", Style(underline=3)),
    ("4:9", Style(underline=1)),
    ("38", Style()),
    ("38;7;1", Style(bold=True)),
    ("38;5", Style()),
    ("38;2;1;2", Style()),
    ("38;5;999;1", Style(bold=True)),
    ("1;0", Style()),
    ("1;", Style()),
    ("77;1", Style(bold=True)),
]


@pytest.mark.parametrize(("parameters", "style"), STYLES)
def test_each_colour_and_style_is_kept_with_the_character(parameters: str, style: Style) -> None:
    screen = Screen()
    screen.feed(f"\x1b[{parameters}mx\x1b[my")
    assert screen.cell(0, 0) == Cell("x", style)
    assert screen.cell(0, 1) == Cell("y")


def test_what_is_erased_keeps_the_background_only() -> None:
    screen = Screen(4, 2)
    screen.feed("abcd\x1b[1;31;42m\x1b[1;2H\x1b[K")
    assert screen.cell(0, 1) == Cell(" ", Style(background=2))
    assert screen.cell(1, 0) == BLANK


def test_questions_are_answered() -> None:
    screen = Screen(10, 5)
    screen.feed("\x1b[2;3H\x1b[6n\x1b[5n\x1b[c\x1b[>c\x1b[?7$p\x1b[?1000$p\x1b[?9999$p\x1bP$qm\x1b\\")
    assert screen.take_answers() == (
        b"\x1b[2;3R\x1b[0n\x1b[?62;22c\x1b[>1;0;0c\x1b[?7;1$y\x1b[?1000;2$y\x1b[?9999;0$y\x1bP0$r\x1b\\"
    )
    screen.feed("\x1b[2;4r\x1b[?6h\x1b[6n\x1b[7n\x1b[1c\x1b[>1c\x1bPq#\x1b\\")
    assert screen.take_answers() == b"\x1b[1;1R"


def test_titles_bells_and_wishes_are_told() -> None:
    screen = Screen()
    screen.feed("\x1b]0;both\x07\a\a")
    assert (screen.title, screen.icon, screen.bells) == ("both", "both", 2)
    screen.feed("\x1b]2;title\x07\x1b]1;icon\x07\x1b[?2004;1002h")
    assert (screen.title, screen.icon) == ("title", "icon")
    assert screen.wants_mouse
    assert screen.wants_paste_marks
    screen.feed("\x1b[?2004;1002l\x1b[?1049h\x1b[?1049h")
    assert not screen.wants_mouse
    assert not screen.wants_paste_marks
    assert screen.is_alternate


def test_the_cursor_waits_in_the_last_column() -> None:
    screen = Screen(4, 2)
    screen.feed("abcd")
    assert screen.cursor == (0, 3)
    screen.feed("e")
    assert screen.cursor == (1, 1)


def test_a_new_size_keeps_what_has_room() -> None:
    screen = Screen(6, 3)
    screen.feed("abc字f\r\nsecond\r\nthird")
    screen.resize(4, 2)
    assert screen.display == ["seco", "thir"]
    assert screen.cursor == (1, 3)
    screen.resize(20, 4)
    assert screen.display[1].rstrip() == "thir"
    screen.feed("\r\t\tx")
    assert screen.display[1].rstrip() == "thir            x"
    screen.feed("\x1b[Habc字")
    screen.resize(4, 4)
    assert screen.display[0] == "abc "
    screen.resize(0, 0)
    assert (screen.columns, screen.rows) == (2, 1)


def test_r18_a_hostile_stream_costs_bounded_memory() -> None:
    screen = Screen(10, 3)
    screen.feed("e" + "\u0301" * 10000 + "\x1b]0;" + "x" * 10000 + "\x07" + "\x1b[6n" * 10000 + "\x1b[99999@")
    screen.feed("\x1b[65535L\x1b[65535S\x1b[65535T\x1b[65535b\x1b[65535I\x1b[65535Z\x1b[65535;65535H")
    assert len(screen.title) <= MAX_TITLE
    assert len(screen.take_answers()) <= MAX_ANSWERS
    assert max(len(cell.text) for row in screen._rows for cell in row) <= MAX_COMBINING + 1
    assert sys.getsizeof(screen._rows) < 1000


@given(
    st.lists(
        st.text(max_size=6)
        | st.text("字é\u0301ab \r\n\t\b", max_size=12)
        | st.builds(
            lambda prefix, one, two, final: f"\x1b[{prefix}{one};{two}{final}",
            st.sampled_from(["", "", "?"]),
            st.integers(0, 9),
            st.sampled_from(["", 3, 6, 7, 1049]),
            st.sampled_from("@ABCDEFGHIJKLMPSTXZ`acdefghlmnrsu"),
        )
    ),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), max_size=3),
)
def test_the_screen_is_whole_whatever_comes(pieces: list[str], sizes: list[tuple[int, int]]) -> None:
    screen = Screen(7, 4)
    for index, piece in enumerate(pieces):
        screen.feed(piece)
        if index < len(sizes):
            screen.resize(*sizes[index])
    assert len(screen._rows) == len(screen._other) == screen.rows
    assert {len(row) for row in screen._rows + screen._other} == {screen.columns}
    assert 0 <= screen.cursor.row < screen.rows
    assert 0 <= screen.cursor.column < screen.columns
    for row in screen._rows:
        for left, right in zip([BLANK, *row], [*row, BLANK], strict=True):
            # A wide character and the place behind it go together.
            assert (right.text == "") == is_wide(left)
