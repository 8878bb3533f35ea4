"""Cuts at random bytes, hostile names and failing servers: nothing is lost, the next run makes it whole."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost
from sshkit.syncing.outcome import SyncError, SyncResult
from sshkit.syncing.sync import sync
from tests.sftp.client.world import FakeServer, Memory
from tests.syncing.world import Far, assert_equal, make_tree, tree


def cut_sync(source: Path, target: Path, direction: str, after: int | None) -> bool:
    """Sync over a connection that breaks when `after` bytes have moved; tell whether it did all."""
    far = Far()

    async def main(client: SFTPClient) -> bool:
        pair = far.pair
        left = [after or 0]

        def chop() -> int:
            size = min(left[0], 3000)
            left[0] -= size
            if not left[0]:
                far.network.call_soon(pair.cut)
            return size

        if after is not None:
            pair.chop = chop
        try:
            if direction == "there":
                await sync(source, client / os.fspath(target), delete=True)
            else:
                await sync(client / os.fspath(source), target, delete=True)
        except (SFTPConnectionLost, SyncError):
            return False
        return True

    return far.run(main)


@pytest.mark.parametrize("direction", ["there", "back"])
@pytest.mark.parametrize("seed", range(25))
def test_r37_a_sync_that_is_cut_harms_nothing_and_the_next_ones_make_it_equal(
    seed: int, direction: str, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    (source / "huge").write_bytes(chance.randbytes(1_300_000))
    target.mkdir()
    (target / "huge").write_bytes((source / "huge").read_bytes()[:1_200_000])
    (target / "mine").write_text("mine")
    wanted = {name: entry[2] for name, entry in tree(source).items()}
    cuts = 0
    while cuts < 8 and not cut_sync(source, target, direction, chance.randrange(1, 400_000)):
        cuts += 1
        assert (target / "mine").exists()
        for name, entry in tree(target).items():
            hidden = ".sshkit-" in name
            assert hidden or name in ("mine", "huge") or entry[2] == wanted[name]
    assert cut_sync(source, target, direction, None)
    assert_equal(source, target)


class Names(FakeServer):
    """A server whose directory has names of its own."""

    def __init__(self, *names: bytes) -> None:
        super().__init__()
        self.names = names

    def do(self, record: Any) -> bytes:
        if isinstance(record, m.OpenDir) and record.path == b"/tree":
            plain = Attributes(1, 0, 0, 0o100644, 1, 2)
            return self.handle(record.id, [[(name, b"-", plain) for name in self.names]])
        return super().do(record)


@pytest.mark.parametrize("name", [b"../up", b"a/b", b"nul\0", b"", b"/etc/passwd"])
@pytest.mark.parametrize("direction", ["there", "back"])
def test_r35_a_name_that_is_no_component_ends_the_directory_and_nothing_is_deleted(
    name: bytes, direction: str, tmp_path: Path
) -> None:
    server = Names(b"good", name)
    server.folders.add(b"/tree")
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine").write_text("mine")

    async def main(client: SFTPClient) -> SyncResult:
        if direction == "there":
            return await sync(here, client / "/tree", delete=True)
        return await sync(client / "/tree", here, delete=True)

    with pytest.raises(SyncError, match="lists the name"):
        Memory(server).run(main)
    assert os.listdir(tmp_path) == ["here"]
    assert os.listdir(here) == ["mine"]
    assert m.REMOVE not in server.requests


def test_r36_names_with_newlines_and_escapes_arrive_and_are_told_as_they_are(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (source / ("x" * 255)).write_text("long")
    far = Far()

    async def main(client: SFTPClient) -> None:
        await sync(source, client / os.fspath(tmp_path / "one"))
        await sync(client / os.fspath(source), tmp_path / "two")

    far.run(main)
    assert_equal(source, tmp_path / "one")
    assert_equal(source, tmp_path / "two")


class Failing(FakeServer):
    """A server without links or directories that refuses what `refuses` names."""

    refuses: tuple[int, ...] = ()

    def do(self, record: Any) -> bytes:
        kind = next(number for number, made in m.REQUESTS.items() if isinstance(record, made))
        if kind in self.refuses:
            return m.pack_status(record.id, status.FAILURE, b"no \x1b[2J")
        return super().do(record)


def test_what_a_server_refuses_is_collected_and_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "link").symlink_to("x")
    (source / "file").write_text("x")
    (source / "large").write_bytes(bytes(200_000))
    server = Failing()
    server.refuses = (m.MKDIR, m.SETSTAT)

    async def main(client: SFTPClient) -> SyncResult:
        return await sync(source, client / "/")

    with pytest.raises(SyncError) as caught:
        Memory(server).run(main)
    found = {error.path: str(error.error) for error in caught.value.errors}
    assert found.keys() == {"sub", "link", ""}
    assert all("\x1b" not in text for text in found.values())
    assert server.files.keys() == {b"/file", b"/large"}


def test_a_link_that_cannot_get_its_name_leaves_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "link").symlink_to("x")
    far = Far(denied=("posix-rename", "rename"))

    async def main(client: SFTPClient) -> SyncResult:
        return await sync(source, client / os.fspath(target))

    with pytest.raises(SyncError):
        far.run(main)
    assert os.listdir(target) == []


@pytest.mark.parametrize("text", [b"", b"a\0b"])
def test_r35_a_link_that_no_system_makes_is_an_error_of_that_link(text: bytes, tmp_path: Path) -> None:
    server = FakeServer()
    server.folders.add(b"/tree")
    server.files[b"/tree/l"] = bytearray()
    server.files[b"/tree/f"] = bytearray(b"x")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READLINK:
            return m.pack_names(number, [(text, b"", Attributes())])
        if kind == m.OPENDIR and not server.handles:
            link, plain = Attributes(1, 0, 0, 0o120777, 1, 2), Attributes(1, 0, 0, 0o100644, 1, 2)
            return server.handle(number, [[(b"l", b"", link), (b"f", b"", plain)]])
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> SyncResult:
        return await sync(client / "/tree", tmp_path / "here")

    with pytest.raises(SyncError, match="says what no link can"):
        Memory(server).run(main)
    assert os.listdir(tmp_path / "here") == ["f"]


def test_a_server_that_lists_no_kinds_and_times_is_asked_and_copied_from(tmp_path: Path) -> None:
    server = FakeServer()
    server.folders.add(b"/tree")
    server.files[b"/tree/f"] = bytearray(b"x")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.OPENDIR:
            return server.handle(number, [[(b"f", b"", Attributes())]])
        if kind == m.LSTAT:
            return m.pack_attrs(number, Attributes(size=1, permissions=0o100600))
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> SyncResult:
        await sync(client / "/tree", tmp_path / "here", modes=False)
        return await sync(client / "/tree", tmp_path / "here")

    assert Memory(server).run(main).files == 1  # no time: it may be another one
    assert (tmp_path / "here" / "f").read_bytes() == b"x"


def test_hashes_that_are_refused_are_made_by_reading(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    far = Far(denied=("check-file-name",))

    async def main(client: SFTPClient) -> SyncResult:
        await sync(source, client / os.fspath(tmp_path / "target"))
        return await sync(source, client / os.fspath(tmp_path / "target"), checksum=True)

    assert far.run(main).files == 0


def test_a_copy_between_servers_that_is_cut_short_does_not_get_its_name(tmp_path: Path) -> None:
    server = FakeServer()
    server.folders |= {b"/one", b"/two"}
    server.files[b"/one/f"] = bytearray(b"x" * 1000)

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READ and payload[-12:-4] == (10).to_bytes(8, "big"):
            return m.pack_status(number, status.EOF)
        return None

    server.most = 10
    server.twist = twist

    async def main(client: SFTPClient) -> SyncResult:
        return await sync(client / "/one", client / "/two")

    with pytest.raises(SyncError, match="cut short: 10 of 1000"):
        Memory(server).run(main)
    assert [name for name in server.files if name.startswith(b"/two")] == []
