"""The lines of the legacy protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.scp import messages as m
from sshkit.scp.messages import Complaint, EndFolder, Entry, SCPProtocolError, Times

NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: not set(name) & set(b"/\0\n") and name not in (b".", b"..")
)


@given(folder=st.booleans(), mode=st.integers(0, 0o7777), size=st.integers(0, m.MAX_SIZE), name=NAMES)
def test_an_entry_is_read_as_it_was_written(folder: bool, mode: int, size: int, name: bytes) -> None:
    line = m.format_entry(folder, mode, size, name)
    assert line.endswith(b"\n")
    assert m.parse(line[:-1]) == Entry(folder, mode, size, name)


@given(mtime=st.integers(0, 1 << 60), atime=st.integers(0, 1 << 60))
def test_times_are_read_to_the_microsecond(mtime: int, atime: int) -> None:
    line = m.format_times(mtime, atime)
    assert m.parse(line[:-1]) == Times(mtime // 1000 * 1000, atime // 1000 * 1000)


def test_a_time_before_1970_is_sent_as_1970() -> None:
    assert m.format_times(-5, 10**9) == b"T0 0 1 0\n"


def test_a_newline_in_a_name_is_sent_as_openssh_sends_it() -> None:
    assert m.format_entry(False, 0o644, 3, b"a\nb") == b"C0644 3 a\\^Jb\n"


def test_the_end_of_a_folder_and_complaints_are_read() -> None:
    assert m.parse(b"E") == EndFolder()
    assert m.parse(b"\1scp: no") == Complaint(False, "scp: no")
    assert m.parse(b"\2scp: no") == Complaint(True, "scp: no")


def test_r36_a_complaint_is_shown_without_control_characters() -> None:
    complaint = m.parse(b"\1bad \x1b[31m\x07")
    assert isinstance(complaint, Complaint)
    assert complaint.text == "bad \\x1b[31m\\x07"


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc/passwd", b"a\0b"])
def test_r35_a_name_that_is_no_plain_component_is_refused(name: bytes) -> None:
    with pytest.raises(SCPProtocolError, match="unexpected filename"):
        m.parse(b"C0644 1 " + name)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"Elephant",
        b"C0644",
        b"C0644 1",
        b"C644 1 a",
        b"C06448 1 a",
        b"C0648 1 a",
        b"C-644 1 a",
        b"C0644 -1 a",
        b"C0644 x a",
        b"C0644  a",
        b"C0644 9223372036854775808 a",
        b"C0644 99999999999999999999999 a",
        b"T1 2 3",
        b"T1 2 3 x",
        b"T1 2 3 4 5",
        b"T1 1000000 3 4",
        b"T9999999999999 0 3 4",
    ],
)
def test_r18_a_line_that_says_nothing_is_refused(line: bytes) -> None:
    with pytest.raises(SCPProtocolError):
        m.parse(line)


def test_a_complaint_fits_on_a_line() -> None:
    assert len(m.format_complaint("x" * 100_000)) <= m.MAX_LINE
    assert m.format_complaint("so", fatal=True) == b"\2so\n"
