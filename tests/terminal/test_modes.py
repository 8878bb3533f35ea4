"""Terminal modes on the wire."""

import os
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys.errors import WireError

from sshkit.terminal.modes import CHARACTERS, FLAGS, apply_modes, decode_modes, encode_modes


@pytest.fixture
def terminals() -> Iterator[tuple[int, int]]:
    """Two terminals."""
    pairs = [os.openpty(), os.openpty()]
    yield pairs[0][1], pairs[1][1]
    for pair in pairs:
        for fd in pair:
            os.close(fd)


def mode(opcode: int, number: int) -> bytes:
    return bytes((opcode,)) + number.to_bytes(4, "big")


def test_what_one_terminal_encodes_another_becomes(terminals: tuple[int, int]) -> None:
    one, two = terminals
    attributes = termios.tcgetattr(one)
    attributes[0] |= termios.IXANY | 0x4000
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~(termios.ECHO | termios.ICANON)
    attributes[4] = attributes[5] = termios.B9600
    attributes[6][termios.VINTR] = b"\x01"
    attributes[6][termios.VQUIT] = b"\x00"
    attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 1, 0
    termios.tcsetattr(one, termios.TCSANOW, attributes)
    encoded = encode_modes(one)
    assert encode_modes(two) != encoded
    apply_modes(two, encoded)
    assert encode_modes(two) == encoded
    assert termios.tcgetattr(two)[:4] == termios.tcgetattr(one)[:4]


def test_the_encoding_is_that_of_the_rfc(terminals: tuple[int, int]) -> None:
    modes = decode_modes(encode_modes(terminals[0]))
    assert modes[1] == 3  # VINTR is ^C
    assert modes[5] == 4  # VEOF is ^D
    assert modes[53] == 1  # ECHO
    assert modes[129] == modes[128] == 38400
    assert modes[91] == 1
    assert set(modes) <= {*CHARACTERS, *FLAGS, 128, 129}
    assert encode_modes(terminals[0]).endswith(b"\0")


def test_a_switched_off_character_is_255_on_the_wire(terminals: tuple[int, int]) -> None:
    apply_modes(terminals[0], mode(1, 255) + b"\0")
    assert termios.tcgetattr(terminals[0])[6][termios.VINTR] == b"\0"
    assert decode_modes(encode_modes(terminals[0]))[1] == 255


def test_eight_bits_win_over_seven(terminals: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    control: list[int] = []  # a pseudo terminal itself always has eight bits
    monkeypatch.setattr(termios, "tcsetattr", lambda fd, when, attributes: control.append(attributes[2]))
    apply_modes(terminals[0], mode(90, 1) + mode(91, 0) + b"\0")
    apply_modes(terminals[0], mode(90, 1) + mode(91, 1) + b"\0")
    assert [flags & termios.CSIZE for flags in control] == [termios.CS7, termios.CS8]


def test_modes_of_a_raw_terminal_are_applied_to_a_raw_terminal(terminals: tuple[int, int]) -> None:
    apply_modes(terminals[0], mode(51, 0) + b"\0")
    apply_modes(terminals[0], mode(53, 0) + mode(128, 9600) + b"\0")
    attributes = termios.tcgetattr(terminals[0])
    assert not attributes[3] & (termios.ICANON | termios.ECHO)
    assert attributes[6][termios.VMIN] == 1


def test_what_the_system_does_not_know_is_skipped(terminals: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminals[0])
    unknown = mode(11, 7) + mode(17, 7) + mode(99, 1) + mode(62, 0) + mode(52, 0) + mode(129, 12345)
    apply_modes(terminals[0], unknown + mode(1, 0x107) + b"\0")
    after = termios.tcgetattr(terminals[0])
    assert after[6][termios.VINTR] == b"\x07"
    before[6][termios.VINTR] = b"\x07"
    assert after == before


def test_reading_stops_at_the_end_mark_and_where_no_length_is_known() -> None:
    assert decode_modes(b"") == {}
    assert decode_modes(b"\0") == {}
    assert decode_modes(mode(1, 2) + b"\0\x01") == {1: 2}
    assert decode_modes(mode(1, 2) + bytes((160, 1))) == {1: 2}
    assert decode_modes(mode(1, 2) + mode(1, 3)) == {1: 3}


def test_r18_a_number_that_is_cut_is_damage() -> None:
    for size in range(1, 5):
        with pytest.raises(WireError, match="terminal mode 1: 4 bytes wanted"):
            decode_modes(mode(1, 2)[:size])


@given(st.binary(max_size=64))
def test_r30_no_bytes_of_a_peer_raise_anything_but_a_wire_error(data: bytes) -> None:
    try:
        modes = decode_modes(data)
    except WireError:
        return
    assert all(0 < opcode < 160 and 0 <= number < 1 << 32 for opcode, number in modes.items())


def test_what_is_no_terminal_has_no_modes() -> None:
    read_end, write_end = os.pipe()
    assert encode_modes(read_end) == b"\0"
    apply_modes(write_end, mode(1, 2) + b"\0")
    os.close(read_end)
    os.close(write_end)


def test_a_terminal_that_refuses_is_left_as_it_is(
    terminals: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(termios, "tcsetattr", refuse)
    apply_modes(terminals[0], mode(1, 2) + b"\0")


def test_a_flag_that_the_system_lacks_is_neither_encoded_nor_applied(
    terminals: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = termios.tcgetattr(terminals[0])
    monkeypatch.delattr(termios, "IUCLC")
    assert 37 not in decode_modes(encode_modes(terminals[0]))
    apply_modes(terminals[0], mode(37, 1) + b"\0")
    assert termios.tcgetattr(terminals[0]) == before
