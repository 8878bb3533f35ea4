"""The first packet of an X client, byte by byte, and the words that may stand in a request (R18, R29)."""

import pytest

from sshkit.ssh.channels.x11 import (
    COOKIE_PROTOCOL,
    HEAD,
    CookieExchange,
    NotAnXClient,
    is_cookie,
    is_protocol,
)

FAKE = bytes(range(16))
REAL = bytes(range(100, 116))


def first_packet(
    order: str = "l", cookie: bytes = FAKE, name: bytes = COOKIE_PROTOCOL.encode(), rest: bytes = b""
) -> bytes:
    endian = "little" if order == "l" else "big"

    def number(value: int) -> bytes:
        return value.to_bytes(2, endian)  # type: ignore[arg-type]

    def filled(text: bytes) -> bytes:
        return text + b"\0" * (-len(text) % 4)

    head = order.encode() + b"\0" + number(11) + number(0) + number(len(name)) + number(len(cookie))
    return head + number(0) + filled(name) + filled(cookie) + rest


def exchange(real: bytes = REAL) -> CookieExchange:
    return CookieExchange({FAKE: real}.get)


@pytest.mark.parametrize("order", ["l", "B"])
@pytest.mark.parametrize("step", [1, 5, 12, 1000])
def test_the_false_cookie_becomes_the_real_one_however_the_packet_is_cut(order: str, step: int) -> None:
    packet = first_packet(order)
    cookies = exchange()
    out = b""
    for start in range(0, len(packet), step):
        found = cookies.feed(memoryview(packet)[start : start + step])
        assert (found is None) == (start + step < len(packet))
        out += found or b""
    assert out == first_packet(order, REAL)


def test_what_follows_the_first_packet_goes_with_it() -> None:
    assert exchange().feed(first_packet(rest=b"requests")) == first_packet(cookie=REAL, rest=b"requests")


@pytest.mark.parametrize("size", [0, 1, 24])
def test_the_real_cookie_may_have_another_size(size: int) -> None:
    assert exchange(b"r" * size).feed(first_packet()) == first_packet(cookie=b"r" * size)


def test_nothing_is_nothing_yet() -> None:
    assert exchange().feed(b"") is None


@pytest.mark.parametrize(
    ("packet", "cause"),
    [
        (b"GET / HTTP/1.0\r\n", "first byte is 71"),
        (first_packet(cookie=b"x" * 16), "none that was given away"),
        (first_packet(cookie=b"x" * 15), "a cookie of 15 bytes"),
        (first_packet(cookie=b""), "a cookie of 0 bytes"),
        (first_packet(name=b"MIT-MAGIC-COOKIE-2"), "another protocol"),
        (first_packet(name=b"XDM-AUTHORIZATION-1"), "a protocol of 19"),
        (b"l\0" + b"\xff" * (HEAD - 2), "a protocol of 65535"),
    ],
)
def test_r29_anything_else_is_refused_before_more_is_waited_for(packet: bytes, cause: str) -> None:
    with pytest.raises(NotAnXClient, match=cause):
        exchange().feed(packet)


@pytest.mark.parametrize("name", ["", "a" * 65, "MIT COOKIE", "x;y", "x\n", "x\0", "ä", "$(x)", "a/b"])
def test_r29_a_protocols_name_is_a_plain_word(name: str) -> None:
    assert not is_protocol(name)
    assert is_protocol(COOKIE_PROTOCOL)


@pytest.mark.parametrize("cookie", ["", "abc", "xx", "00 ", "-a", "\n0", "0" * 1026, "\u0660\u0660"])
def test_r29_a_cookie_is_hexadecimal(cookie: str) -> None:
    assert not is_cookie(cookie)
    assert is_cookie("00aAfF")
