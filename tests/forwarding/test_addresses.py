"""Addresses of forwards, and lists of permitted ones."""

from typing import Any

import pytest

import sshkit
from sshkit.forwarding.addresses import TcpPlace, UnixPlace, parse_address, path_bytes, tcp_place
from sshkit.forwarding.permits import parse_permits, permits, permits_listen, permits_open

DESTINATIONS = [
    ("host:80", TcpPlace("host", 80)),
    ("[2001:db8::1]:80", TcpPlace("2001:db8::1", 80)),
    (("host", 80), TcpPlace("host", 80)),
    ("/run/x", UnixPlace("/run/x")),
    ("./x:1", UnixPlace("./x:1")),
    ("../x", UnixPlace("../x")),
    ("unix:x", UnixPlace("x")),
]
LISTENING = [
    ("80", TcpPlace("localhost", 80)),
    ("0", TcpPlace("localhost", 0)),
    (":80", TcpPlace("", 80)),
    ("*:80", TcpPlace("", 80)),
    ("192.0.2.1:0", TcpPlace("192.0.2.1", 0)),
    (("", 0), TcpPlace("", 0)),
    ("/run/x", UnixPlace("/run/x")),
]
WRONG: list[tuple[Any, str]] = [
    ("", "not host:port"),
    ("host", "not host:port"),
    ("host:", "is not a port"),
    ("host:http", "is not a port"),
    ("host:0", "port 0"),
    ("host:65536", "is not a port"),
    ("host:100000", "is not a port"),
    ("host:\u0661", "is not a port"),
    (":80", "a host is missing"),
    ("::1:80", "in brackets"),
    ("a b:80", "is not a host"),
    ("-x:80", "is not a host"),
    ("a\x1b[2Jb:80", r"a\\x1b\[2Jb"),
    ("x" * 1026 + ":80", "is not a host"),
    (("host", 70000), "is not a port"),
    (("host", -1), "is not a port"),
    ("unix:", "not the path of a socket"),
    ("/a\0b", "not the path of a socket"),
]


@pytest.mark.parametrize(("text", "place"), DESTINATIONS)
def test_a_destination_is_a_port_or_a_path(text: Any, place: Any) -> None:
    assert parse_address(text) == place


@pytest.mark.parametrize(("text", "place"), LISTENING)
def test_r28_to_listen_at_a_port_alone_is_one_of_the_loopback(text: Any, place: Any) -> None:
    assert parse_address(text, listening=True) == place


def test_a_gateway_listens_at_all_addresses_where_none_is_named() -> None:
    assert parse_address("80", True, default="") == TcpPlace("", 80)
    assert parse_address("localhost:80", True, default="") == TcpPlace("localhost", 80)


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_r39_what_is_no_address_is_named_escaped(text: Any, words: str) -> None:
    with pytest.raises(sshkit.InvalidAddress, match=words) as caught:
        parse_address(text)
    assert str(caught.value).isprintable()


def test_places_are_written_as_they_are_read() -> None:
    for place in (TcpPlace("host", 80), TcpPlace("::1", 80), TcpPlace("", 80), UnixPlace("/run/x")):
        assert parse_address(str(place), True) == place
    assert path_bytes(UnixPlace("/\udcff")) == b"/\xff"
    assert tcp_place("*", 0, True) == TcpPlace("", 0)


def test_lists_name_hosts_as_they_are_written_and_any_by_a_star() -> None:
    assert parse_permits(["any"]) is None
    assert parse_permits(["None"]) == ()
    listed = parse_permits(["host:80", "*:25", "[::1]:*"])
    assert listed == (("host", 80), ("*", 25), ("::1", None))
    assert permits_open(listed, "host", 80)
    assert permits_open(listed, "anywhere", 25)
    assert permits_open(listed, "::1", 9)
    assert not permits_open(listed, "host", 81)
    assert not permits_open(listed, "HOST", 80)
    assert permits_open(None, "host", 80)
    with pytest.raises(sshkit.InvalidAddress):
        parse_permits(["host"])


def test_lists_of_listening_places_are_patterns_in_any_case() -> None:
    assert permits_listen((("Local*", 80),), "localhost", 80)
    assert not permits_listen((("local*", 80),), "127.0.0.1", 80)
    assert not permits_listen((("*", 80),), "localhost", 81)
    assert permits_listen(None, "localhost", 81)
    assert permits(None)(TcpPlace("host", 1))
    assert not permits(["none"])(TcpPlace("host", 1))
