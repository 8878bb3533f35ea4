"""Files that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
from sshkit_keys import file_access
from sshkit_keys.file_access import write_all, write_new_file


def test_a_file_that_exists_is_kept_unless_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "id"
    write_new_file(str(path), b"one", 0o600, overwrite=False)
    with pytest.raises(FileExistsError) as caught:
        write_new_file(str(path), b"two", 0o600, overwrite=False)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one"
    write_new_file(str(path), b"two", 0o600, overwrite=True)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["id"]


def test_r22_a_link_in_the_files_place_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "id").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new_file(str(tmp_path / "id"), b"secret", 0o600, overwrite=False)
    write_new_file(str(tmp_path / "id"), b"secret", 0o600, overwrite=True)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "id").is_symlink()


def test_r22_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: (tmp_path / "id").write_bytes(b"theirs"))
    with pytest.raises(FileExistsError) as caught:
        write_new_file(str(tmp_path / "id"), b"ours", 0o600, overwrite=False)
    assert caught.value.filename == str(tmp_path / "id")
    assert (tmp_path / "id").read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["id"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_new_file(str(tmp_path / "id"), b"x", 0o600, overwrite=False)
    assert os.listdir(tmp_path) == []


def test_a_temporary_file_that_vanished_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(descriptor: int) -> None:
        for path in tmp_path.iterdir():
            path.unlink()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", vanish)
    with pytest.raises(OSError, match="Input/output"):
        write_new_file(str(tmp_path / "id"), b"x", 0o600, overwrite=False)


def test_a_stale_temporary_file_is_left_alone(tmp_path: Path) -> None:
    stale = tmp_path / f".id.{os.getpid()}.0"
    stale.write_bytes(b"stale")
    write_new_file(str(tmp_path / "id"), b"x", 0o600, overwrite=False)
    assert stale.read_bytes() == b"stale"
    assert (tmp_path / "id").read_bytes() == b"x"


def test_the_search_for_a_temporary_name_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_access, "_MAX_TRIES", 3)
    for number in range(3):
        (tmp_path / f".id.{os.getpid()}.{number}").touch()
    with pytest.raises(FileExistsError):
        write_new_file(str(tmp_path / "id"), b"x", 0o600, overwrite=False)


def test_a_missing_folder_is_told_by_the_files_own_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_new_file(str(tmp_path / "none" / "id"), b"x", 0o600, overwrite=False)
    assert caught.value.filename == str(tmp_path / "none" / "id")


@pytest.mark.parametrize("appears", [False, True])
def test_a_file_system_without_links_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appears: bool
) -> None:
    def no_links(source: str, target: str, *, follow_symlinks: bool) -> None:
        if appears:
            Path(target).write_bytes(b"theirs")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    if appears:
        with pytest.raises(FileExistsError):
            write_new_file(str(tmp_path / "id"), b"ours", 0o600, overwrite=False)
    else:
        write_new_file(str(tmp_path / "id"), b"ours", 0o600, overwrite=False)
    assert (tmp_path / "id").read_bytes() == (b"theirs" if appears else b"ours")
    assert os.listdir(tmp_path) == ["id"]


def test_another_error_of_a_link_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(source: str, target: str, *, follow_symlinks: bool) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_new_file(str(tmp_path / "id"), b"x", 0o600, overwrite=False)
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def short(descriptor: int, data: memoryview) -> int:
        written.extend(data[:3])
        return min(3, len(data))

    monkeypatch.setattr(os, "write", short)
    write_all(0, b"abcdefgh")
    assert written == b"abcdefgh"
