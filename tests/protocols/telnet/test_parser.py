"""Telnet's stream: data, escapes, commands, chopped anyhow, and what an endless subnegotiation costs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.protocols.telnet.parser import MAX_SUBNEGOTIATION, TelnetParser


class Recorder:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def data(self, data: bytes) -> None:
        if self.events and isinstance(self.events[-1], bytes):
            data = self.events.pop() + data
        self.events.append(data)

    def command(self, code: int) -> None:
        self.events.append(code)

    def negotiate(self, verb: int, option: int) -> None:
        self.events.append((verb, option))

    def subnegotiation(self, option: int, body: bytes) -> None:
        self.events.append((option, body))


def parse(*pieces: bytes, binary: bool = False, newline: bytes = b"\r\n") -> list[Any]:
    recorder = Recorder()
    parser = TelnetParser(recorder, newline)
    parser.binary = binary
    for piece in pieces:
        parser.feed(piece)
    return recorder.events


CASES: list[tuple[bytes, list[Any]]] = [
    (b"hello", [b"hello"]),
    (b"a\r\nb", [b"a\r\nb"]),
    (b"a\r\0b", [b"a\rb"]),
    (b"a\rb", [b"a\rb"]),
    (b"a\r\r\nb", [b"a\r\r\nb"]),
    (b"\xff\xff", [b"\xff"]),
    (b"\r\xff\xff", [b"\r\xff"]),
    (b"a\r\xff\xf1b", [b"a\r", 241, b"b"]),
    (b"\xff\xf4x", [244, b"x"]),
    (b"\xff\xfb\x01\xff\xfe\xff", [(251, 1), (254, 255)]),
    (b"\xff\xfa\x1f\0P\0\x18\xff\xf0x", [(31, b"\0P\0\x18"), b"x"]),
    (b"\xff\xfa\x1f\xff\xff\xff\xff\0\x18\xff\xf0", [(31, b"\xff\xff\0\x18")]),
    (b"\xff\xfa\x18\0vt100\xff\xfb\x01x", [(24, b"\0vt100"), (251, 1), b"x"]),
    (b"\xff\xfa\xff\xf0x", [b"x"]),
]


@pytest.mark.parametrize(("stream", "events"), CASES)
def test_each_part_is_taken_for_what_it_is(stream: bytes, events: list[Any]) -> None:
    assert parse(stream) == events
    assert parse(*(bytes((byte,)) for byte in stream)) == events


def test_binary_data_has_no_line_ends() -> None:
    assert parse(b"a\r\0b\r\n\xff\xff", binary=True) == [b"a\r\0b\r\n\xff"]


def test_a_line_end_becomes_what_the_side_wants() -> None:
    assert parse(b"a\r\nb\r\0c", newline=b"\r") == [b"a\rb\rc"]


@given(st.binary(), st.integers(1, 7))
def test_the_chopping_makes_no_difference_and_nothing_raises(stream: bytes, size: int) -> None:
    stream = stream.replace(b"\x01", b"\xff").replace(b"\x02", b"\r").replace(b"\x03", b"\xff\xfa")
    assert parse(stream) == parse(*(stream[i : i + size] for i in range(0, len(stream), size)))


def test_r18_an_endless_subnegotiation_costs_bounded_memory() -> None:
    recorder = Recorder()
    parser = TelnetParser(recorder, b"\r\n")
    parser.feed(b"\xff\xfa\x18")
    for _ in range(100):
        parser.feed(b"x" * 1000)
        assert len(parser._text) <= MAX_SUBNEGOTIATION
    parser.feed(b"\xff\xf0ok")
    assert recorder.events == [b"ok"]
    assert parser.dropped == 1
