"""What is done to one directory here is undone where it cannot be finished."""

import os
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import ensure_deferred, succeed
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.transfer_local import open_directory
from sshkit.sftp.tree import Folder
from sshkit.syncing import moving, places
from sshkit.syncing.outcome import SyncError, SyncResult
from sshkit.syncing.places import LocalPlace
from sshkit.syncing.sync import sync
from tests.syncing.test_sync import here
from tests.syncing.world import Far


def place_of(folder: Path) -> LocalPlace:
    return LocalPlace(
        Folder(open_directory(os.fsencode(folder))), b"", lambda work, *args: succeed(work(*args))
    )


def test_a_link_that_cannot_take_its_name_is_not_left_by_another(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    place = place_of(tmp_path)
    failed = ensure_deferred(place.symlink(b"x", b"folder"))
    caught: list[Any] = []
    failed.add_errback(caught.append)
    place.release()
    assert isinstance(caught[0].exception, IsADirectoryError)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_name_that_vanishes_while_it_is_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()

    class Entries:
        """A listing in which one name is gone when it is looked at."""

        def __init__(self, descriptor: int) -> None:
            self.real = os.scandir(tmp_path)

        def __enter__(self) -> Any:
            entries = list(self.real)
            (tmp_path / "a").unlink()
            return iter(entries)

        def __exit__(self, *exception: object) -> None:
            self.real.close()

    class System:
        """os with that listing."""

        scandir = Entries

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    monkeypatch.setattr(places, "os", System())
    place = place_of(tmp_path)
    found: list[Any] = []
    ensure_deferred(place.entries()).add_callback(found.append)
    place.release()
    assert found[0].keys() <= {b"a", b"b"}
    assert b"b" in found[0]


@pytest.mark.parametrize("resume", [True, False])
def test_a_small_file_that_vanishes_is_an_error_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    (tmp_path / "source").mkdir()
    for name in ("a", "b"):
        (tmp_path / "source" / name).write_text("x")
    real = moving.SmallUpload.start

    def start(self: moving.SmallUpload) -> None:
        if self.relative == b"a":
            (tmp_path / "source" / "a").unlink()
        real(self)

    monkeypatch.setattr(moving.SmallUpload, "start", start)

    async def main(client: SFTPClient) -> SyncResult:
        return await sync(tmp_path / "source", client / os.fspath(tmp_path / "target"), resume=resume)

    with pytest.raises(SyncError) as caught:
        Far().run(main)
    assert [error.path for error in caught.value.errors] == ["a"]
    assert os.listdir(tmp_path / "target") == ["b"]


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("x")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(moving, "write_all", full)
    with pytest.raises(SyncError, match="No space left"):
        here(tmp_path / "source", tmp_path / "target")
    assert os.listdir(tmp_path / "target") == []


def test_a_copy_between_servers_whose_target_is_gone_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"x" * 300_000)
    far = Far()

    async def main(client: SFTPClient) -> SyncResult:
        async with far.connect().ready as other:
            pair = far.pair
            left = [100_000]

            def chop() -> int:
                size = min(left[0], 3000)
                left[0] -= size
                if not left[0]:
                    far.network.call_soon(pair.cut)
                return size

            pair.chop = chop
            source, target = (os.fspath(tmp_path / name) for name in ("source", "target"))
            return await sync(client / source, other / target)

    with pytest.raises(ConnectionError):
        far.run(main)
    assert not (tmp_path / "target" / "a").exists()


def test_a_file_larger_than_one_request_is_resumed_or_not(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("x")

    async def main(client: SFTPClient) -> SyncResult:
        target = client / os.fspath(tmp_path / "target")
        return await sync(tmp_path / "source", target, resume=False, verify=True)

    assert Far().run(main).files == 1
    assert (tmp_path / "target" / "a").read_text() == "x"
