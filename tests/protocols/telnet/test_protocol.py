"""Telnet's two sides with one another, and with peers that mean no good."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.protocols.telnet.client import TelnetClient
from sshkit.protocols.telnet.environment import MAX_VARIABLES, format_variables, parse_variables
from sshkit.protocols.telnet.options import (
    BINARY,
    BREAK,
    ECHO,
    ENVIRONMENT,
    SUPPRESS_GO_AHEAD,
    TERMINAL_TYPE,
    WINDOW_SIZE,
)
from sshkit.protocols.telnet.protocol import MAX_ANSWERS, TelnetError
from sshkit.protocols.telnet.server import TelnetServer

from .pair import Session, Wire, connect, exchange


class Pair:
    def __init__(self, **told: object) -> None:
        self.here, self.there = Session(), Session()
        self.server = TelnetServer(self.here)
        self.client = TelnetClient(self.there, **told)  # type: ignore[arg-type]
        self.server_wire, self.client_wire = connect(self.server), connect(self.client)
        self.exchange()

    def exchange(self) -> None:
        exchange(self.server, self.server_wire, self.client, self.client_wire)


FULL = {"terminal": "XTERM-256color", "size": (100, 40), "environment": {"LANG": "de_DE.UTF-8", "HOME": "/x"}}


def test_a_server_learns_all_that_a_client_tells() -> None:
    pair = Pair(**FULL)
    assert pair.here.named("terminal_named") == [("xterm-256color",)]
    assert pair.here.named("size_changed") == [(100, 40)]
    assert pair.here.named("environment_received") == [({"LANG": "de_DE.UTF-8"},)]
    assert pair.here.calls[-1] == ("negotiated",)
    assert pair.there.named("negotiated") == [()]
    for option in (ECHO, SUPPRESS_GO_AHEAD, BINARY):
        assert pair.server.is_on(option, ours=True)
        assert pair.client.is_on(option, ours=False)
    assert ("option_changed", ECHO, False, True) in pair.there.calls


def test_a_client_that_was_told_nothing_tells_nothing() -> None:
    pair = Pair()
    assert pair.here.named("terminal_named") == []
    assert pair.here.named("size_changed") == []
    assert pair.here.named("negotiated") == [()]
    pair.client.resize(10, 10)
    assert pair.client_wire.written == b""


def test_a_server_hears_of_a_new_size() -> None:
    pair = Pair(**FULL)
    pair.client.resize(255, 511)
    pair.exchange()
    assert pair.here.named("size_changed")[1:] == [(255, 511)]
    pair.client.resize(99999, 99999)
    pair.exchange()
    assert pair.here.named("size_changed")[2:] == [(1000, 1000)]


def test_data_passes_in_both_directions_whatever_it_holds() -> None:
    pair = Pair()
    everything = bytes(range(256)) + b"\r\n\r\0\r\xff"
    pair.server.write(everything)
    pair.client.write(everything)
    pair.server.write(b"")
    pair.exchange()
    assert pair.there.data == pair.here.data == everything


@given(st.lists(st.binary(max_size=6).map(lambda part: part.replace(b"\x01", b"\r").replace(b"\x02", b"\n"))))
def test_without_binary_a_carriage_return_alone_is_told_from_a_line_end(parts: list[bytes]) -> None:
    session = Session()
    client = TelnetClient(session)
    connect(client)
    server = TelnetServer(Session())
    wire = Wire()
    server._transport = cast("Any", wire)
    for part in parts:
        server.write(part)
    sent = wire.take()
    client.data_received(sent + (b"\0" if sent.endswith(b"\r") else b""))
    assert session.data == b"".join(parts)


def test_commands_have_names() -> None:
    pair = Pair()
    pair.client.send_command(BREAK)
    pair.server.data_received(b"\xff\xf1\xff\xf6")
    pair.exchange()
    assert pair.here.named("command_received") == [("are-you-there",), ("break",)]


def test_a_server_hides_what_is_typed_by_echoing_itself() -> None:
    pair = Pair()
    pair.server.hide_input(False)
    pair.exchange()
    assert not pair.client.is_on(ECHO, ours=False)
    pair.server.hide_input(True)
    pair.exchange()
    assert pair.client.is_on(ECHO, ours=False)
    assert pair.there.named("option_changed")[-2:] == [(ECHO, False, False), (ECHO, False, True)]


def test_an_option_nobody_knows_is_refused_once() -> None:
    client = TelnetClient(Session())
    wire = connect(client)
    client.data_received(b"\xff\xfb\x63\xff\xfd\x63")
    assert wire.take() == b"\xff\xfe\x63\xff\xfc\x63"
    client.data_received(b"\xff\xfc\x63\xff\xfe\x63")
    assert wire.take() == b""


def test_what_is_said_about_an_option_that_is_off_is_ignored() -> None:
    session = Session()
    server = TelnetServer(session)
    connect(server)
    server.data_received(b"\xff\xfa\x1f\0P\0\x18\xff\xf0\xff\xfa\x18\0vt100\xff\xf0")
    assert session.named("size_changed") == session.named("terminal_named") == []


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xfa\x1f\0\0\0\x18\xff\xf0",
        b"\xff\xfa\x1f\0P\0\xff\xf0",
        b"\xff\xfa\x18\x01vt100\xff\xf0",
        b"\xff\xfa\x18\0../../vt100\xff\xf0",
        b"\xff\xfa\x18\0x\x1b]0;y\xff\xf0",
        b"\xff\xfa\x18\0" + b"x" * 100 + b"\xff\xf0",
        b"\xff\xfa\x27\x01\0LANG\xff\xf0",
        b"\xff\xfa\x03\0\xff\xf0",
    ],
)
def test_r29_a_name_or_size_that_cannot_be_is_ignored(said: bytes) -> None:
    session = Session()
    server = TelnetServer(session)
    connect(server)
    server.data_received(b"\xff\xfb\x1f\xff\xfb\x18\xff\xfb\x27\xff\xfb\x03")
    server.data_received(said)
    names = {call[0] for call in session.calls}
    assert names == {"option_changed"}


def test_r29_only_names_of_the_language_are_taken() -> None:
    told = {
        "LANG": "C",
        "LC_ALL": "x",
        "LD_PRELOAD": "x",
        "LC_\x1b": "x",
        "LC_TIME": "\x1b[A",
        "USER": "root",
    }
    assert parse_variables(format_variables(told)) == {"LANG": "C", "LC_ALL": "x"}
    assert parse_variables(b"junk\x02\x00LANG\x01a\x02\x01b\x00LC_TIME\x03LC_NAME\x01") == {"LC_NAME": ""}
    assert parse_variables(b"\x01x\x00LANG\x01" + b"x" * 300) == {}
    many = b"".join(b"\x03LC_A" + chr(65 + i % 26).encode() * (i // 26 + 1) + b"\x01x" for i in range(99))
    assert len(parse_variables(many)) == MAX_VARIABLES


def test_a_server_that_asks_a_client_again_is_answered_and_one_that_talks_nonsense_is_not() -> None:
    pair = Pair(**FULL)
    pair.client.data_received(b"\xff\xfa\x18\x01\xff\xf0")
    assert pair.client_wire.take() == b"\xff\xfa\x18\0XTERM-256color\xff\xf0"
    pair.client.data_received(b"\xff\xfa\x18\x05\xff\xf0\xff\xfa\x1f\x01\xff\xf0\xff\xfa\x01\x01\xff\xf0")
    assert pair.client_wire.take() == b""


def test_negotiated_waits_for_what_was_agreed_to_and_not_for_what_was_withdrawn() -> None:
    session = Session()
    server = TelnetServer(session)
    connect(server)
    answers = (
        b"\xff\xfd\x01\xff\xfd\x03\xff\xfd\x00\xff\xfb\x03\xff\xfc\x1f\xff\xfb\x18\xff\xfc\x27\xff\xfb\x00"
    )
    server.data_received(answers)
    assert session.named("negotiated") == []
    server.data_received(b"\xff\xfc\x18")
    assert session.named("negotiated") == [()]


def test_r24_a_peer_that_loops_gets_no_endless_answers() -> None:
    session = Session()
    server = TelnetServer(session)
    wire = connect(server)
    wire.take()
    for _ in range(2 * MAX_ANSWERS):
        server.data_received(b"\xff\xfd\x63data")
    assert len(wire.written) == 3 * MAX_ANSWERS
    assert wire.closed == "abort"
    before = list(session.calls), session.data
    server.data_received(b"more\xff\xf4")
    server.connection_lost(None)
    assert (session.calls[:-1], session.data) == before
    name, error = session.calls[-1]
    assert name == "connection_lost"
    assert isinstance(error, TelnetError)


def test_r24_nothing_of_the_piece_that_broke_the_limit_is_used() -> None:
    session = Session()
    server = TelnetServer(session)
    wire = connect(server)
    wire.take()
    size = b"\xff\xfb\x1f\xff\xfa\x1f\0P\0\x18\xff\xf0"
    server.data_received(b"\xff\xfd\x63" * (2 * MAX_ANSWERS) + b"data\xff\xf4\xff\xfd\x63" + size)
    assert session.calls == []
    assert session.data == b""
    assert len(wire.written) == 3 * MAX_ANSWERS


def test_r24_a_client_asked_without_end_closes() -> None:
    pair = Pair(**FULL)
    pair.client.data_received(b"\xff\xfa\x18\x01\xff\xf0" * (2 * MAX_ANSWERS))
    assert pair.client_wire.closed == "abort"


def test_it_has_a_transport_s_words() -> None:
    session = Session()
    server = TelnetServer(session)
    wire = connect(server)
    server.pause_writing()
    server.resume_writing()
    assert session.calls == [("pause_writing",), ("resume_writing",)]
    server.pause_reading()
    assert not wire.reading
    server.resume_reading()
    assert wire.reading
    assert server.get_extra_info("peername") == "peername"
    assert not server.is_closing()
    server.close()
    assert wire.closed == "close"
    assert server.is_closing()
    assert server.eof_received() is None


def test_after_the_end_its_words_do_nothing() -> None:
    server = TelnetServer(Session())
    server.connection_lost(None)
    server.write(b"x")
    server.close()
    server.abort()
    server.pause_reading()
    server.resume_reading()
    assert server.is_closing()
    assert server.get_extra_info("peername", 5) == 5


def test_the_order_of_options_is_the_client_s() -> None:
    pair = Pair(**FULL)
    on = [option for option, ours, _ in pair.here.named("option_changed") if not ours]
    assert on == [SUPPRESS_GO_AHEAD, WINDOW_SIZE, TERMINAL_TYPE, ENVIRONMENT, BINARY]


@given(st.lists(st.binary(max_size=20)), st.booleans())
def test_no_stream_makes_either_side_raise(pieces: list[bytes], server: bool) -> None:
    side = TelnetServer(Session()) if server else TelnetClient(Session(), **FULL)  # type: ignore[arg-type]
    connect(side)
    for piece in pieces:
        side.data_received(piece.replace(b"\x01", b"\xff\xfa").replace(b"\x02", b"\xff\xf0\xff\xfb"))
