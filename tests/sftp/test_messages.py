"""The hand-packed forms of hot messages are those of the declared ones; broken ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys.errors import WireError

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes

U32 = st.integers(0, 0xFFFFFFFF)
OFFSET = st.integers(0, m.MAX_OFFSET)
HANDLES = st.binary(min_size=1, max_size=256)
BYTES = st.binary(max_size=300)


def optional(strategy: "st.SearchStrategy[int]") -> "st.SearchStrategy[int | None]":
    return st.none() | strategy


@st.composite
def attributes(draw: st.DrawFn) -> Attributes:
    found = Attributes(size=draw(optional(OFFSET)), permissions=draw(optional(U32)))
    if draw(st.booleans()):
        found.uid, found.gid = draw(U32), draw(U32)
    if draw(st.booleans()):
        found.atime, found.mtime = draw(U32), draw(U32)
    found.extended = tuple(draw(st.lists(st.tuples(BYTES, BYTES), max_size=3)))
    return found


@given(U32, HANDLES, OFFSET, U32)
def test_read_packed_by_hand_is_the_declared_one(number: int, handle: bytes, offset: int, size: int) -> None:
    packed = m.pack_read(m.read_packer(handle), number, handle, offset, size)
    assert packed == m.frame(m.Read(number, handle, offset, size).encode())


@given(U32, HANDLES, OFFSET, BYTES, st.integers(0, 40))
def test_write_packed_by_hand_is_the_declared_one(
    number: int, handle: bytes, offset: int, data: bytes, start: int
) -> None:
    layout = m.write_header(handle)
    buffer = bytearray(start + layout.size)
    m.pack_write_header(layout, buffer, start, number, handle, offset, len(data))
    assert bytes(buffer[start:]) + data == m.frame(m.Write(number, handle, offset, data).encode())


@given(U32, BYTES)
def test_strings_packed_by_hand_are_the_declared_ones(number: int, value: bytes) -> None:
    for kind in (m.Close, m.Stat, m.LStat, m.OpenDir, m.ReadDir, m.Handle, m.Data):
        packed = m.pack_string(kind.number, number, value)
        assert packed == m.frame(kind(number, value).encode())  # type: ignore[call-arg]
        assert m.unpack_string(memoryview(packed)[4:]) == value
    buffer = bytearray(m.DATA_HEADER)
    m.pack_data_header(buffer, 0, number, len(value))
    assert bytes(buffer) + value == m.pack_string(m.DATA, number, value)


@given(U32, U32, BYTES, BYTES)
def test_status_by_hand_is_the_declared_one(number: int, code: int, text: bytes, language: bytes) -> None:
    packed = m.pack_status(number, code, text, language)
    assert packed == m.frame(m.Status(number, code, text, language).encode())
    assert m.unpack_status(memoryview(packed)[4:]) == (code, text)


@given(U32, attributes())
def test_attrs_by_hand_are_the_declared_ones(number: int, found: Attributes) -> None:
    packed = m.pack_attrs(number, found)
    assert packed == m.frame(m.AttrsAnswer(number, found).encode())
    assert m.unpack_attrs(memoryview(packed)[4:]) == found
    assert m.AttrsAnswer.decode(packed[4:]).attributes == found


@given(U32, st.lists(st.tuples(BYTES, BYTES, attributes()), max_size=5))
def test_names_by_hand_come_back(number: int, entries: list[m.Entry]) -> None:
    packed = m.pack_names(number, entries)
    assert m.unpack_names(memoryview(packed)[4:]) == entries
    declared = m.Name.decode(packed[4:])
    assert (declared.id, declared.count) == (number, len(entries))
    assert m.frame(declared.encode()) == packed


@given(st.binary(max_size=200))
def test_r37_no_bytes_make_the_readers_raise_anything_but_wire_errors(data: bytes) -> None:
    for read in (m.unpack_names, m.unpack_attrs, m.unpack_status, m.unpack_string):
        try:
            read(memoryview(data))
        except WireError:
            pass


def test_r37_a_count_of_names_beyond_the_packet_is_refused() -> None:
    packed = bytearray(m.pack_names(1, [(b"a", b"", Attributes())])[4:])
    packed[8] = 200
    with pytest.raises(WireError, match="200 names"):
        m.unpack_names(memoryview(packed))
    packed[8] = 0
    with pytest.raises(WireError, match="left over"):
        m.unpack_names(memoryview(packed))


def test_a_name_that_ends_early_is_refused() -> None:
    packed = bytearray(m.pack_names(1, [(b"a" * 40, b"", Attributes())])[4:])
    packed[12] = 255
    with pytest.raises(WireError, match="ends early"):
        m.unpack_names(memoryview(packed))
    strange = m.pack_names(1, [(b"a", b"", Attributes())])[4:-4] + b"\0\0\1\0"
    with pytest.raises(WireError, match="version 3 does not have"):
        m.unpack_names(memoryview(strange))


def test_a_status_without_words_is_taken_from_old_servers() -> None:
    assert m.unpack_status(memoryview(b"\x65\0\0\0\1\0\0\0\4")) == (4, b"")
    assert m.unpack_status(memoryview(b"\x65\0\0\0\1\0\0\0\4\0\0\0\1x")) == (4, b"x")


def test_leftovers_behind_attributes_are_refused() -> None:
    with pytest.raises(WireError, match="left over"):
        m.unpack_attrs(memoryview(m.pack_attrs(1, Attributes())[4:] + b"x"))


def test_names_keep_bytes_that_are_not_utf8() -> None:
    raw = b"caf\xe9\n\x1b[31m"
    assert m.to_wire(m.from_wire(raw)) == raw
    assert m.to_wire(raw) == raw
    with pytest.raises(ValueError, match="NUL"):
        m.to_wire("a\0b")


def test_extensions_come_back_and_are_bounded() -> None:
    pairs = {"a@b": b"1", "c": b""}
    assert m.unpack_extensions(m.pack_extensions(pairs)) == pairs
    with pytest.raises(WireError, match="more than 256"):
        m.unpack_extensions(m.pack_extensions({f"e{i}": b"" for i in range(300)}))


def test_every_request_is_in_the_table_once() -> None:
    assert set(m.REQUESTS) == {*range(3, 21), 200}
