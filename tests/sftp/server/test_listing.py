"""Lines as of ls -l, with dates old and new."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.messages import unpack_attrs
from sshkit.sftp.server_listing import Listing, pack_attributes, pack_found

NOW = datetime(2024, 6, 15, 12, 0).timestamp()


def listing(backend: MemoryBackend | None = None) -> Listing:
    return Listing(backend or MemoryBackend(), lambda: NOW)


def test_a_line_has_the_columns_of_ls() -> None:
    when = int(datetime(2024, 6, 5, 3, 4).timestamp())
    attributes = Attributes(123, 1000, 99999999, 0o100644, when, when)
    assert listing().line(b"na\xffme", attributes) == (
        b"-rw-r--r--   1 1000     99999999      123 Jun  5 03:04 na\xffme"
    )


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        (datetime(2024, 1, 10, 5, 6), b"Jan 10 05:06"),
        (datetime(2023, 6, 10, 5, 6), b"Jun 10  2023"),
        (datetime(2024, 6, 16, 5, 6), b"Jun 16  2024"),  # to come
    ],
)
def test_the_year_stands_where_the_date_is_not_near(when: datetime, shown: bytes) -> None:
    seconds = int(when.timestamp())
    line = listing().line(b"n", Attributes(1, permissions=0o100644, mtime=seconds))
    assert line.endswith(shown + b" n")


def test_times_that_no_calendar_has_are_numbers() -> None:
    values = list(os.stat("/"))
    values[8] = 1 << 60
    line = listing().line(b"n", os.stat_result(values))
    assert line.endswith(f" {1 << 60} n".encode())


def test_what_is_not_known_is_the_name_alone() -> None:
    assert listing().line(b"n", Attributes()) == b"n"


def test_owners_are_named_and_remembered(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    made = Listing(backend, lambda: NOW)
    assert b" root     root     " in made.line(b"n", os.stat("/"))
    made._owners.update({(number, number): "" for number in range(5000)})
    made.line(b"n", Attributes(1, 7_777_777, 1, 0o100644))
    assert len(made._owners) == 1
    backend.close()


def test_times_outside_of_32_bits_end_at_their_limits() -> None:
    values = list(os.stat("/"))
    values[7], values[8] = -5, 1 << 40
    found = os.stat_result(values)
    attributes = unpack_attrs(memoryview(pack_found(7, found))[4:])
    assert (attributes.atime, attributes.mtime) == (0, (1 << 32) - 1)
    assert pack_attributes(found) == attributes.encode()
    assert pack_attributes(os.stat("/")) == Attributes.from_stat(os.stat("/")).encode()
    assert unpack_attrs(memoryview(pack_found(7, os.stat("/")))[4:]) == Attributes.from_stat(os.stat("/"))
