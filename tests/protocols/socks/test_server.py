"""SOCKS from the server's side: every byte of the protocol, whole and in pieces, and what is refused."""

import pytest

from sshkit.protocols.socks.server import (
    CONNECTION_REFUSED,
    NOT_ALLOWED,
    SocksError,
    SocksRequest,
    SocksServer,
    answer_4,
    answer_5,
)

V4 = b"\x04\x01\x00\x50\xc0\x00\x02\x07me\0"
V4A = b"\x04\x01\x00\x50\x00\x00\x00\x01me\0example.org\0"
HELLO = b"\x05\x02\x02\x00"
V5_IPV4 = b"\x05\x01\x00\x01\xc0\x00\x02\x07\x00\x50"
V5_NAME = b"\x05\x01\x00\x03\x0bexample.org\x00\x50"
V5_IPV6 = b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50"

WHOLE = [
    (V4, SocksRequest(4, "192.0.2.7", 80), b""),
    (V4A, SocksRequest(4, "example.org", 80), b""),
    (b"\x04\x01\x00\x50\x00\x00\x00\x00\0", SocksRequest(4, "0.0.0.0", 80), b""),
    (HELLO + V5_IPV4, SocksRequest(5, "192.0.2.7", 80), b"\x05\x00"),
    (HELLO + V5_NAME, SocksRequest(5, "example.org", 80), b"\x05\x00"),
    (HELLO + V5_IPV6, SocksRequest(5, "::1", 80), b"\x05\x00"),
]


@pytest.mark.parametrize(("data", "request_", "answer"), WHOLE)
def test_a_request_is_read_whole_and_what_follows_is_kept(
    data: bytes, request_: SocksRequest, answer: bytes
) -> None:
    socks = SocksServer()
    assert socks.feed(data + b"early") == answer
    assert socks.request == request_
    assert socks.feed(b" data") == b""
    assert socks.rest() == b"early data"
    assert socks.rest() == b""


@pytest.mark.parametrize(("data", "request_", "answer"), WHOLE)
def test_a_request_may_come_byte_by_byte(data: bytes, request_: SocksRequest, answer: bytes) -> None:
    socks = SocksServer()
    answers = b""
    for number in range(len(data)):
        assert socks.request is None
        answers += socks.feed(data[number : number + 1])
    assert (socks.request, answers) == (request_, answer)


def test_each_version_has_its_own_answer() -> None:
    socks = SocksServer()
    assert socks.granted() == b""  # nobody asked yet
    socks.feed(V4)
    assert socks.granted() == b"\0\x5a\0\0\0\0\0\0" == answer_4(0)
    assert socks.refused() == b"\0\x5b\0\0\0\0\0\0"
    socks = SocksServer()
    socks.feed(HELLO + V5_IPV4)
    assert socks.granted() == b"\x05\0\0\x01\0\0\0\0\0\0"
    assert socks.refused(CONNECTION_REFUSED) == answer_5(CONNECTION_REFUSED)
    assert socks.refused(NOT_ALLOWED)[1] == NOT_ALLOWED


REFUSED = [
    (b"\x04\x02" + V4[2:], "BIND is not served, only CONNECT", answer_4(7)),
    (HELLO + b"\x05\x02" + V5_IPV4[2:], "BIND is not served, only CONNECT", answer_5(7)),
    (HELLO + b"\x05\x03" + V5_IPV4[2:], "UDP ASSOCIATE is not served, only CONNECT", answer_5(7)),
    (HELLO + b"\x05\x63" + V5_IPV4[2:], "command 99 is not served, only CONNECT", answer_5(7)),
    (b"\x05\x01\x02", "the client wants to authenticate itself", b"\x05\xff"),
    (b"\x05\x00", "the client wants to authenticate itself", b"\x05\xff"),
    (HELLO + b"\x04\x01\x00\x01\xc0", "version 4 in a request of version 5", answer_5(1)),
    (HELLO + b"\x05\x01\x00\x02\xc0", "address type 2", answer_5(8)),
    (HELLO + V5_IPV4[:-2] + b"\0\0", "port 0 is none to connect to", answer_5(1)),
    (V4[:2] + b"\0\0" + V4[4:], "port 0 is none to connect to", answer_4(1)),
    (b"GET / HTTP/1.0\r\n", "the first byte is 71: neither SOCKS 4 nor SOCKS 5", b""),
]


@pytest.mark.parametrize(("data", "words", "answer"), REFUSED)
def test_what_is_not_served_is_refused_in_words_of_the_protocol(
    data: bytes, words: str, answer: bytes
) -> None:
    with pytest.raises(SocksError) as caught:
        SocksServer().feed(data)
    assert (str(caught.value), caught.value.answer) == (words, answer)


@pytest.mark.parametrize("name", [b"", b"a b", b"-oProxy", b"a\x1b[2J", b"\xc3\xa4", b"a\nb"])
def test_r39_a_host_name_that_can_be_none_is_refused_and_shown_escaped(name: bytes) -> None:
    with pytest.raises(SocksError) as caught:
        SocksServer().feed(HELLO + b"\x05\x01\x00\x03" + bytes((len(name),)) + name + b"\0\x50")
    assert "is not a host name" in str(caught.value)
    assert str(caught.value).isprintable()
    with pytest.raises(SocksError):
        SocksServer().feed(b"\x04\x01\x00\x50\x00\x00\x00\x01me\0" + name + b"\0")


def test_r18_a_text_without_an_end_is_refused_before_it_grows() -> None:
    socks = SocksServer()
    socks.feed(V4[:8] + b"u" * 250)
    with pytest.raises(SocksError, match="a user name of more than 255 bytes"):
        socks.feed(b"u" * 6)
    socks = SocksServer()
    socks.feed(V4A[:11] + b"h" * 255)
    with pytest.raises(SocksError, match="a host name of more than 255 bytes"):
        socks.feed(b"h")


def test_nothing_is_no_request() -> None:
    socks = SocksServer()
    assert socks.feed(b"") == b""
    assert socks.feed(b"\x05") == b""
    assert socks.request is None
