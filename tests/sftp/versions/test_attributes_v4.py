"""Attributes of versions 4 to 6: what is written is read again, and hostile bytes end in a WireError."""

import stat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys.errors import WireError

from sshkit.sftp import attributes_v4 as v4
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.attributes_v4 import V4, V5, V6, AttributeForm, FullAttributes, kind_of
from sshkit.sftp.dialect_v4 import DIALECTS, WANTED

FORMS = [V4, V5, V6]
U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
TIME = st.integers(-(1 << 63), (1 << 63) - 1)
FRACTION = st.integers(0, 999_999_999)
NAME = st.text(min_size=1, max_size=20).filter(lambda name: not name.isdecimal() and max(name) < "\ud800")


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


@st.composite
def all_attributes(draw: st.DrawFn, form: AttributeForm) -> FullAttributes:
    """Return attributes that this version can tell, as they are after reading."""
    mode = draw(maybe(st.integers(0, 0o7777)))
    kind = draw(st.integers(1, 5 if form is V4 else 9))
    found = FullAttributes(kind=kind, size=draw(maybe(U64)))
    if mode is not None:
        formats = {
            1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFLNK, 6: stat.S_IFSOCK, 7: stat.S_IFCHR,
            8: stat.S_IFBLK, 9: stat.S_IFIFO,
        }  # fmt: skip
        found.permissions = mode | formats.get(kind, 0)
    found.owner, found.group = draw(maybe(NAME)), draw(maybe(NAME))
    fractions = draw(st.booleans())
    for name in ("atime", "created", "mtime", *(("ctime",) if form is V6 else ())):
        time = draw(maybe(TIME))
        setattr(found, name, time)
        if fractions and time is not None:
            setattr(found, f"{name}_ns", draw(FRACTION))
    found.acl = draw(maybe(st.binary(max_size=20)))
    found.extended = tuple(
        draw(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3))
    )
    if form is not V4:
        found.bits = draw(maybe(U32))
    if form is V6:
        found.bits_valid = None if found.bits is None else draw(U32)
        found.allocated = draw(maybe(U64))
        found.links = draw(maybe(U32))
        found.text_hint = draw(maybe(st.integers(0, 255)))
        found.mime_type = draw(maybe(st.binary(max_size=20)))
        found.untranslated = draw(maybe(st.binary(max_size=20)))
    return found


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"v{form.version}")
@given(data=st.data())
def test_what_is_written_is_read_again(form: AttributeForm, data: st.DataObject) -> None:
    wanted = data.draw(all_attributes(form))
    packed = form.encode(wanted)
    found, end = form.decode_at(memoryview(b"ab" + packed + b"cd"), 2)
    assert end == 2 + len(packed)
    assert found == wanted
    for cut in range(len(packed)):
        with pytest.raises(WireError):
            form.decode_at(memoryview(packed[:cut]), 0)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"v{form.version}")
@given(data=st.binary(max_size=200))
def test_r18_any_bytes_are_attributes_or_a_wire_error(form: AttributeForm, data: bytes) -> None:
    try:
        _, end = form.decode_at(memoryview(data), 0)
    except WireError:
        return
    assert end <= len(data)


@pytest.mark.parametrize("version", [4, 5, 6])
@given(data=st.binary(max_size=200))
def test_r18_any_bytes_are_an_answer_or_a_wire_error(version: int, data: bytes) -> None:
    dialect = DIALECTS[version]
    for read in (dialect.unpack_attrs, dialect.unpack_names):
        try:
            read(memoryview(b"h\0\0\0\1" + data))
        except WireError:
            pass
    for kind in range(256):
        assert len(dialect.known_part(kind, memoryview(b"h\0\0\0\1" + data))) <= 5 + len(data)


def test_fields_of_later_versions_are_left_out_in_earlier_ones() -> None:
    found = FullAttributes(1, kind=v4.PIPE, ctime=5, ctime_ns=6, bits=7, links=8, allocated=9, text_hint=1)
    assert V4.decode_at(memoryview(V4.encode(found)), 0)[0] == FullAttributes(1, kind=v4.OTHER)
    five = V5.decode_at(memoryview(V5.encode(found)), 0)[0]
    assert five == FullAttributes(1, kind=v4.PIPE, bits=7)
    six = V6.decode_at(memoryview(V6.encode(found)), 0)[0]
    assert (six.ctime, six.ctime_ns, six.bits, six.bits_valid, six.links) == (5, 6, 7, 7, 8)


@pytest.mark.parametrize("flags", [1 << bit for bit in range(31)])
def test_a_flag_that_the_version_does_not_have_is_refused(flags: int) -> None:
    for form, known in ((V4, 0x1FD), (V5, 0x3FD), (V6, 0xFFFD)):
        if not flags & known:
            with pytest.raises(WireError, match=f"version {form.version} does not have"):
                form.decode_at(memoryview(flags.to_bytes(4, "big") + bytes(100)), 0)


def test_r18_counts_and_lengths_are_compared_with_what_is_there() -> None:
    many = (0x80000000).to_bytes(4, "big") + b"\5" + b"\xff" * 4
    with pytest.raises(WireError, match="4294967295 extended attributes, at most 64 are taken"):
        V6.decode_at(memoryview(many), 0)
    long = (0x80).to_bytes(4, "big") + b"\5" + b"\x7f\xff\xff\xff" + b"x"
    with pytest.raises(WireError, match="up to byte 2147483656 of 10"):
        V4.decode_at(memoryview(long), 0)
    late = (0x108).to_bytes(4, "big") + b"\5" + bytes(8) + (1_000_000_000).to_bytes(4, "big")
    with pytest.raises(WireError, match="atime with 1000000000 nanoseconds"):
        V4.decode_at(memoryview(late), 0)


def test_owners_that_are_numbers_are_numbers() -> None:
    packed = V4.encode(Attributes(uid=0, gid=4294967295))
    found = V4.decode_at(memoryview(packed), 0)[0]
    assert (found.owner, found.uid, found.group, found.gid) == ("0", 0, "4294967295", 4294967295)
    for name in ("4294967296", "99999999999", "-1", "\uff11", "007x"):
        found = V4.decode_at(memoryview(V4.encode(FullAttributes(owner=name, uid=5))), 0)[0]
        assert (found.owner, found.uid, found.group, found.gid) == (name, None, None, None)
    found = V4.decode_at(memoryview(V4.encode(FullAttributes(group="a\udc80"))), 0)[0]
    assert found.group == "a\udc80"


def test_kinds_are_told_with_and_without_permissions() -> None:
    for kind, is_dir, is_file, is_link in ((1, 0, 1, 0), (2, 1, 0, 0), (3, 0, 0, 1), (5, 0, 0, 0)):
        for permissions in (None, 0o644):
            packed = V6.encode(FullAttributes(kind=kind, permissions=permissions))
            found = V6.decode_at(memoryview(packed), 0)[0]
            assert (found.is_dir, found.is_file, found.is_link) == (is_dir, is_file, is_link)
    packed = V6.encode(Attributes(permissions=0o100755))
    assert packed[4] == v4.REGULAR
    assert packed[5:] == (0o755).to_bytes(4, "big")  # the kind has a place of its own
    assert kind_of(stat.S_IFSOCK) == v4.SOCKET
    assert kind_of(0) == v4.UNKNOWN


def test_attributes_of_all_versions_compare() -> None:
    assert FullAttributes() == Attributes() == FullAttributes()
    assert FullAttributes(1) == Attributes(1)
    assert Attributes(1) != FullAttributes(1, owner="joe")
    assert FullAttributes() != 5
    assert Attributes().owner is None
    text = repr(FullAttributes(5, permissions=0o644, owner="j\x1b[2J"))
    assert text == "FullAttributes(size=5, permissions=0o644, owner='j\\x1b[2J')"


def test_times_are_told_in_nanoseconds() -> None:
    assert Attributes(atime=5).times_ns is None
    assert Attributes(mtime=6).times_ns == (6_000_000_000, 6_000_000_000)
    found = FullAttributes(atime=-1, atime_ns=999_999_999, mtime=2, mtime_ns=3)
    assert found.times_ns == (-1, 2_000_000_003)
    times = DIALECTS[4].times(-1, 2_000_000_003)
    assert times == found
    assert DIALECTS[3].times(-1, 2_000_000_003, permissions=5) == Attributes(permissions=5, atime=0, mtime=2)
    assert DIALECTS[3].times(1 << 70, 0).atime == 0xFFFFFFFF


def test_what_is_asked_for_is_what_the_version_has() -> None:
    assert WANTED & ~0x1FD == 0
    assert [DIALECTS[version].stat_tail.hex() for version in (3, 4, 5, 6)] == [
        "", "000001ad", "000003ad", "0000a7ad",
    ]  # fmt: skip
