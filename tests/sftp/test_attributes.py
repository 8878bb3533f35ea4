"""Attributes say what the wire said, and what os.stat said."""

import os
import stat
from pathlib import Path

import pytest
from sshkit_keys.errors import WireError

from sshkit.sftp.attributes import Attributes


def test_kinds_of_files_are_told_apart() -> None:
    assert Attributes(permissions=0o040755).is_dir
    assert Attributes(permissions=0o100644).is_file
    assert Attributes(permissions=0o120777).is_link
    nothing = Attributes()
    assert [nothing.is_dir, nothing.is_file, nothing.is_link] == [False] * 3
    assert nothing.mode is None
    assert Attributes(permissions=0o104755).mode == 0o4755


def test_what_stat_says_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    os.utime(path, (1000, -5))
    found = Attributes.from_stat(path.stat())
    assert (found.size, found.atime, found.mtime) == (5, 1000, 0)
    assert found.is_file
    back = found.to_stat()
    assert stat.S_ISREG(back.st_mode)
    assert back.st_size == 5
    assert Attributes().to_stat().st_size == 0


def test_half_a_pair_is_filled_with_zero() -> None:
    encoded = Attributes(uid=7, mtime=9).encode()
    found, _ = Attributes.decode_at(memoryview(encoded), 0)
    assert (found.uid, found.gid, found.atime, found.mtime) == (7, 0, 0, 9)


def test_r18_counts_of_extended_attributes_are_bounded() -> None:
    with pytest.raises(WireError, match="at most"):
        Attributes.decode_at(memoryview(b"\x80\0\0\0" + b"\xff" * 4), 0)


def test_attributes_that_end_early_are_refused() -> None:
    encoded = Attributes(1, 2, 3, 4, 5, 6).encode()
    for cut in range(len(encoded)):
        with pytest.raises(WireError, match="early"):
            Attributes.decode_at(memoryview(encoded[:cut]), 0)


def test_attributes_show_what_they_hold() -> None:
    assert repr(Attributes(size=1, permissions=0o644)) == "Attributes(size=1, permissions=0o644)"
    assert Attributes() != 1
