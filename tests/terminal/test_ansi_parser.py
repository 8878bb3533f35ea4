"""The parser of a terminal's output: every sequence, chopped anyhow; what a hostile stream costs."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.terminal import ansi_parser
from sshkit.terminal.ansi_parser import MAX_PARAMETERS, MAX_STRING, AnsiParser, number, parse_parameters


class Recorder:
    """Keeps the events; runs of text that follow one another are one."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def print(self, text: str) -> None:
        if self.events and self.events[-1][0] == "print":
            text = self.events.pop()[1] + text
        self.events.append(("print", text))

    def control(self, code: int) -> None:
        self.events.append(("control", code))

    def escape(self, intermediates: str, final: str) -> None:
        self.events.append(("escape", intermediates, final))

    def csi(self, prefix: str, parameters: ansi_parser.Parameters, intermediates: str, final: str) -> None:
        self.events.append(("csi", prefix, parameters, intermediates, final))

    def string(self, kind: str, text: str) -> None:
        self.events.append((kind, text))

    def device(
        self, prefix: str, parameters: ansi_parser.Parameters, intermediates: str, final: str, text: str
    ) -> None:
        self.events.append(("DCS", prefix, parameters, intermediates, final, text))


def parse(*pieces: bytes | str) -> list[tuple[Any, ...]]:
    recorder = Recorder()
    parser = AnsiParser(recorder)
    for piece in pieces:
        parser.feed(piece)
    return recorder.events


CASES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("plain täxt 字", [("print", "plain täxt 字")]),
    ("a\r\nb", [("print", "a"), ("control", 13), ("control", 10), ("print", "b")]),
    ("\x1b[m", [("csi", "", (), "", "m")]),
    ("\x1b[1;31m", [("csi", "", ((1,), (31,)), "", "m")]),
    ("\x1b[;5H", [("csi", "", ((-1,), (5,)), "", "H")]),
    ("\x1b[38:2::1:2:3;4m", [("csi", "", ((38, 2, -1, 1, 2, 3), (4,)), "", "m")]),
    ("\x1b[?25l", [("csi", "?", ((25,),), "", "l")]),
    ("\x1b[4 q", [("csi", "", ((4,),), " ", "q")]),
    ("\x1b[!p", [("csi", "", (), "!", "p")]),
    ("\x9b2J", [("csi", "", ((2,),), "", "J")]),
    ("\x1b[999999999999H", [("csi", "", ((65535,),), "", "H")]),
    ("\x1b[2\n3A", [("control", 10), ("csi", "", ((23,),), "", "A")]),
    ("\x1b[2\x183A", [("control", 0x18), ("print", "3A")]),
    ("\x1b[2\x1b[3A", [("csi", "", ((3,),), "", "A")]),
    ("\x1b[1?5hx", [("print", "x")]),
    ("\x1b[1 5hx", [("print", "x")]),
    ("\x1b[1\n?\n5hx", [("control", 10), ("control", 10), ("print", "x")]),
    ("\x1b[\n A", [("control", 10), ("csi", "", (), " ", "A")]),
    ("\x1b[\nA", [("control", 10), ("csi", "", (), "", "A")]),
    ("\x1b[\n?1A", [("control", 10), ("csi", "?", ((1,),), "", "A")]),
    ("\x1b[1\n 5hx", [("control", 10), ("print", "x")]),
    ("\x1b[5\x7fé2A", [("csi", "", ((52,),), "", "A")]),
    ("\x1b7\x1bM", [("escape", "", "7"), ("escape", "", "M")]),
    ("\x1b(0\x1b#8", [("escape", "(", "0"), ("escape", "#", "8")]),
    ("\x1b(\n0", [("control", 10), ("escape", "(", "0")]),
    ("\x84", [("control", 0x84)]),
    ("\x1b]0;title\x07", [("OSC", "0;title")]),
    ("\x1b]0;títle\x1b\\x", [("OSC", "0;títle"), ("print", "x")]),
    ("\x9d0;t\x9cx", [("OSC", "0;t"), ("print", "x")]),
    ("\x1b]0;a\nb\x07", [("OSC", "0;ab")]),
    ("\x1b]0;lost\x1b[A", [("csi", "", (), "", "A")]),
    ("\x1b]0;lost\x1b(0", [("escape", "(", "0")]),
    ("\x1b]0;lost\x18x", [("print", "x")]),
    ("\x1b]0;lost\x85x", [("control", 0x85), ("print", "x")]),
    ("\x1b_app\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\", [("APC", "app"), ("PM", "pm"), ("SOS", "sos")]),
    ("\x9fapp\x9c\x9epm\x9c\x98sos\x9c", [("APC", "app"), ("PM", "pm"), ("SOS", "sos")]),
    ("\x1bP1$r0m\x1b\\", [("DCS", "", ((1,),), "$", "r", "0m")]),
    ('\x90$q"p\x9c', [("DCS", "", (), "$", "q", '"p')]),
    ("\x1bP>|xterm\x1b\\", [("DCS", ">", (), "", "|", "xterm")]),
    ("\x1bPqa\rb\x07\x1b\\", [("DCS", "", (), "", "q", "a\rb\x07")]),
    ("\x1bP1?2qlost\x1b\\x", [("escape", "", "\\"), ("print", "x")]),
    ("\x1bP1$2qlost\x9cx", [("print", "x")]),
    ("\x1b\x1b[A", [("csi", "", (), "", "A")]),
    ("\x9cx", [("print", "x")]),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_each_sequence_is_taken_for_what_it_is(stream: str, events: list[tuple[Any, ...]]) -> None:
    assert parse(stream) == events
    assert parse(stream.encode()) == events


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_the_chopping_makes_no_difference(stream: str, events: list[tuple[Any, ...]]) -> None:
    assert parse(*stream) == events
    assert parse(*(bytes((byte,)) for byte in stream.encode())) == events


TROUBLE = st.lists(
    st.sampled_from([case[0] for case in CASES])
    | st.text("\x1b[]P;:?1m $\\\x07\x18\x9b\x9cx\né", max_size=8)
    | st.text(max_size=4)
).map("".join)


@given(TROUBLE, st.lists(st.integers(1, 5)))
def test_the_short_cut_and_the_table_are_of_one_mind(stream: str, cuts: list[int]) -> None:
    pieces, position = [], 0
    for cut in cuts:
        pieces.append(stream[position : position + cut])
        position += cut
    pieces.append(stream[position:])
    assert parse(*pieces) == parse(stream) == parse(*stream)


def test_what_is_not_utf_8_becomes_replacement_characters() -> None:
    assert parse(b"a\xff\xe5", b"\xad", b"\x97", b"\xc3\x1b[A") == [
        ("print", "a\ufffd字\ufffd"),
        ("csi", "", (), "", "A"),
    ]


@given(st.binary())
def test_no_stream_of_bytes_makes_it_raise(stream: bytes) -> None:
    parse(stream)


@pytest.mark.parametrize("begin", ["\x1b]0;", "\x1bPq", "\x1b_", "\x1b[", "\x1b(", "\x1b[1 ", "\x1b[?"])
def test_r18_an_endless_sequence_costs_bounded_memory(begin: str) -> None:
    recorder = Recorder()
    parser = AnsiParser(recorder)
    parser.feed(begin)
    filler = " " if begin == "\x1b(" or begin.endswith(" ") else "1"
    for _ in range(50):
        parser.feed(filler * 1000)
        parser.feed(filler)
        kept = sum(sys.getsizeof(part) for part in parser._string) + sys.getsizeof(parser._parameters)
        assert kept + len(parser._intermediates) < 4 * MAX_STRING
    assert not parser.in_ground
    parser.feed("0" if begin == "\x1b(" else "m" if begin.startswith("\x1b[") else "\x1b\\")
    assert parser.in_ground
    assert parser.dropped == 1
    parser.feed("x")
    assert recorder.events == [("print", "x")]


def test_a_device_string_with_an_overlong_head_is_dropped() -> None:
    recorder = Recorder()
    parser = AnsiParser(recorder)
    parser.feed("\x1bP" + "1" * 1000 + "qdata\x1b\\\x1bPqok\x1b\\")
    assert recorder.events == [("DCS", "", (), "", "q", "ok")]
    assert parser.dropped == 1


def test_parameters_are_bounded_in_number() -> None:
    (event,) = parse("\x1b[" + "1;" * 100 + "1m")
    assert len(event[2]) == MAX_PARAMETERS


def test_a_parameter_left_out_has_its_default() -> None:
    parameters = parse_parameters(";5")
    assert [number(parameters, index, 7) for index in range(3)] == [7, 5, 7]
