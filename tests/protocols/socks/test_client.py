"""SOCKS 5 from the client's side, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.protocols.socks.client import SocksClient, SocksRefused

NONE = b"\5\0"
GRANTED = b"\5\0\0\1\x7f\0\0\1\x1f\x90"


@pytest.mark.parametrize(
    ("host", "encoded"),
    [
        ("example.org", b"\3\x0bexample.org"),
        ("192.0.2.1", b"\1\xc0\0\2\1"),
        ("::1", b"\4" + b"\0" * 15 + b"\1"),
        ("bücher.example", b"\3\x15xn--bcher-kva.example"),
    ],
)
def test_the_request_names_the_host_as_it_is(host: str, encoded: bytes) -> None:
    client = SocksClient(host, 80)
    assert client.start() == b"\5\1\0"
    assert client.feed(NONE) == b"\5\1\0" + encoded + b"\0P"
    assert client.feed(GRANTED + b"plain") == b""
    assert client.granted
    assert client.bound == ("127.0.0.1", 8080)
    assert client.rest() == b"plain"
    assert client.rest() == b""


def test_a_password_is_sent_when_the_proxy_asks_for_it() -> None:
    client = SocksClient("h", 1, "ann", "secret")
    assert client.start() == b"\5\2\0\2"
    assert client.feed(b"\5\2") == b"\1\3ann\6secret"
    assert client.feed(b"\1\0") == b"\5\1\0\3\1h\0\1"


@given(
    st.lists(st.integers(1, 5), max_size=20),
    st.sampled_from([b"\1\x7f\0\0\1", b"\3\3abc", b"\4" + b"\0" * 16]),
)
def test_an_answer_in_pieces_is_the_answer(sizes: list[int], bound: bytes) -> None:
    whole = b"\5\2\1\0\5\0\0" + bound + b"\0\1" + b"rest"
    client = SocksClient("h", 1, "ann")
    sent = b""
    at = 0
    for size in [*sizes, len(whole)]:
        sent += client.feed(whole[at : at + size])
        at += size
    assert sent == b"\1\3ann\0\5\1\0\3\1h\0\1"
    assert client.granted
    assert client.rest() == b"rest"


@pytest.mark.parametrize(
    ("answers", "user", "words"),
    [
        (b"\4", None, "no SOCKS 5 proxy"),
        (b"\4\0", None, "no SOCKS 5 proxy"),
        (b"\x1b[2J", None, r"\\x1b\[2J"),
        (b"\5\xff", None, "wants a user name and password"),
        (b"\5\xff", "ann", "takes none of our methods"),
        (b"\5\2", None, "method 2, which was not offered"),
        (b"\5\1", "ann", "method 1, which was not offered"),
        (b"\5\2\1\1", "ann", "refused the user name and password"),
        (b"\5\0\4\0\0\1\0", None, "answered with version 4"),
        (b"\5\0\5\2", None, "its rules do not allow it"),
        (b"\5\0\5\x63\0\1\0", None, "answer 99"),
        (b"\5\0\5\0\0\2\0", None, "an address of kind 2"),
    ],
)
def test_a_proxy_that_refuses_or_is_none_is_named(answers: bytes, user: str | None, words: str) -> None:
    client = SocksClient("h", 1, user, "p")
    client.start()
    with pytest.raises(SocksRefused, match=words):
        client.feed(answers)


def test_half_an_answer_is_waited_for() -> None:
    client = SocksClient("h", 1)
    assert client.feed(b"") == b""
    assert client.feed(b"\5") == b""
    assert client.feed(b"\0\5") != b""
    assert client.feed(b"\0\0\1\0\0") == b""
    assert not client.granted
    assert SocksClient("h", 1, "u").feed(b"\5\2\1") == b"\1\1u\0"


@pytest.mark.parametrize("words", [{"host": "x" * 256}, {"host": ""}, {"host": "h", "user": "u" * 256}])
def test_what_does_not_fit_into_a_length_byte_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(SocksRefused, match="does not fit into SOCKS"):
        SocksClient(words["host"], 1, words.get("user"))
