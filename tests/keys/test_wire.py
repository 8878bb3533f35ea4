"""The SSH data types (RFC 4251 section 5)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import wire
from sshkit_keys.errors import SSHKitError, WireError
from sshkit_keys.wire import WireReader

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1)
UINT32 = st.integers(0, 2**32 - 1)
UINT64 = st.integers(0, 2**64 - 1)
MPINT = st.integers(-(2**600), 2**600) | st.sampled_from([2**wire.MAX_MPINT_BITS - 1, -128, -129, 127, 128])

Encode = Callable[[Any], bytes]
Decode = Callable[[WireReader], Any]

TYPES: list[tuple[st.SearchStrategy[Any], Encode, Decode]] = [
    (st.integers(0, 255), wire.byte, WireReader.byte),
    (st.booleans(), wire.boolean, WireReader.boolean),
    (UINT32, wire.uint32, WireReader.uint32),
    (UINT64, wire.uint64, WireReader.uint64),
    (st.binary(), wire.string, WireReader.string),
    (st.binary(), wire.string, WireReader.view),
    (st.text(st.characters(codec="utf-8")), wire.string, WireReader.text),
    (MPINT, wire.mpint, WireReader.mpint),
    (st.lists(NAMES).map(tuple), wire.name_list, WireReader.name_list),
]
IDS = [decode.__name__ for _, _, decode in TYPES]


@pytest.mark.parametrize(("values", "encode", "decode"), TYPES, ids=IDS)
@given(data=st.data())
def test_what_was_encoded_is_decoded_and_every_proper_prefix_is_refused(
    values: st.SearchStrategy[Any], encode: Encode, decode: Decode, data: st.DataObject
) -> None:
    value = data.draw(values)
    encoded = encode(value)
    reader = WireReader(encoded)
    assert decode(reader) == value
    reader.finish()
    for size in {0, 1, len(encoded) // 2, len(encoded) - 1} - {len(encoded)}:
        reader = WireReader(encoded[:size])
        with pytest.raises(WireError):
            decode(reader)
        assert reader.position == 0


@pytest.mark.parametrize("decode", [decode for _, _, decode in TYPES], ids=IDS)
@given(garbage=st.binary())
def test_garbage_raises_nothing_but_our_own_errors(decode: Decode, garbage: bytes) -> None:
    try:
        decode(WireReader(garbage))
    except SSHKitError:
        pass


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00000000"),
        (0x9A378F9B2E332A7, "0000000809a378f9b2e332a7"),
        (0x80, "000000020080"),
        (-0x1234, "00000002edcc"),
        (-0xDEADBEEF, "00000005ff21524111"),
        (-1, "00000001ff"),
    ],
)
def test_an_mpint_has_the_form_of_the_rfc(value: int, encoded: str) -> None:
    assert wire.mpint(value).hex() == encoded
    assert WireReader(bytes.fromhex(encoded)).mpint() == value


@pytest.mark.parametrize("body", ["00", "0001", "0000", "ffff", "ff80", "00" + "01" * 255, "ff" + "80" * 255])
def test_an_mpint_that_is_not_in_its_shortest_form_is_refused(body: str) -> None:
    reader = WireReader(wire.string(bytes.fromhex(body)))
    with pytest.raises(WireError, match="n: not in its shortest form"):
        reader.mpint("n")
    assert reader.position == 0


def test_r18_a_string_longer_than_the_packet_is_refused() -> None:
    reader = WireReader(b"\xff\xff\xff\xffabc")
    with pytest.raises(WireError, match=r"host: 4294967295 bytes wanted, 3 available at offset 0"):
        reader.string("host")


@pytest.mark.parametrize("value", [b"\x01" + bytes(2048), b"\x7f" * 2050, b"\xfe" + bytes(2048)])
def test_r18_an_mpint_of_more_than_16384_bits_is_refused(value: bytes) -> None:
    with pytest.raises(WireError, match="at most"):
        WireReader(wire.string(value)).mpint()


def test_r18_an_mpint_of_more_than_16384_bits_is_not_written() -> None:
    with pytest.raises(WireError, match="16385 bits, at most 16384 allowed"):
        wire.mpint(1 << 16384)


def test_r18_a_name_list_of_more_than_1024_names_is_refused() -> None:
    names = ("a",) * 1024
    assert WireReader(wire.name_list(names)).name_list() == names
    with pytest.raises(WireError, match="1025 names, at most 1024 allowed"):
        WireReader(wire.name_list((*names, "a"))).name_list()


def test_r18_a_name_list_of_more_than_65536_bytes_is_refused() -> None:
    with pytest.raises(WireError, match="65537 bytes, at most 65536 allowed"):
        WireReader(wire.string(b"a" * 65537)).name_list()


@pytest.mark.parametrize("text", ["a,,b", ",a", "a,", ","])
def test_a_name_list_with_an_empty_name_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="empty name"):
        WireReader(wire.string(text)).name_list()


@pytest.mark.parametrize("text", ["a b", "a\nb", "é", "a\x7f"])
def test_a_name_list_that_is_not_printable_ascii_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="not printable ASCII"):
        WireReader(wire.string(text)).name_list()


@pytest.mark.parametrize("name", ["", "a,b", "a b", "é", "\n"])
def test_what_cannot_be_a_name_is_not_written(name: str) -> None:
    with pytest.raises(WireError, match="cannot be a name"):
        wire.name_list([name])


def test_every_boolean_but_zero_is_true() -> None:
    assert WireReader(b"\x7f").boolean() is True


def test_text_that_is_not_utf8_is_refused_and_the_position_kept() -> None:
    reader = WireReader(wire.string(b"ab\xff"))
    with pytest.raises(WireError, match="user: not UTF-8 at its byte 2"):
        reader.text("user")
    assert reader.string() == b"ab\xff"


def test_what_is_left_over_is_an_error() -> None:
    reader = WireReader(memoryview(b"\x01\x02\x03"))
    reader.byte()
    with pytest.raises(WireError, match="key: 2 bytes left over at offset 1"):
        reader.finish("key")
    assert reader.rest() == b"\x02\x03"
    reader.finish()


def test_r43_a_reader_shows_where_it_stands_and_not_what_it_holds() -> None:
    assert repr(WireReader(b"secret")) == "<WireReader at 0 of 6>"
