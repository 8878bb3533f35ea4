"""Directories go there and come here with all that is in them, and what fails is told by name."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError, SFTPProtocolError
from sshkit.sftp.progress import TransferError, TreeError
from tests.sftp.client.conftest import Run
from tests.sftp.client.world import FakeServer, Memory, contents, names_below
from tests.syncing.world import Far

NAMES = {
    "a": 0,
    "b": 1,
    "sub/c": 4096,
    "sub/d": 70_000,
    "sub/deep/e": 300_000,
    "sub/deep/f": 65_535,
    "g": 65_536,
}


def make_tree(folder: Path) -> None:
    for name, size in NAMES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents(size))
    (folder / "empty").mkdir()


def same_trees(one: Path, other: Path) -> bool:
    names = names_below(one)
    return names == names_below(other) and all(
        (one / n).read_bytes() == (other / n).read_bytes() for n in names if (one / n).is_file()
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"parallel": 1}, {"resume": True}, {"verify": True}, {"atomic": False}, {"preserve": True}],
)
def test_a_tree_comes_and_goes(real: Run, tmp_path: Path, options: dict[str, Any]) -> None:
    make_tree(tmp_path / "t")
    (tmp_path / "t" / "b").chmod(0o440)
    os.utime(tmp_path / "t" / "b", (5, 6))

    async def main(client: SFTPClient) -> None:
        for _ in range(2):  # the second time over what is there
            got = await client.get("t", tmp_path / "got", recursive=True, **options)
            assert (got.files, got.size) == (10, sum(NAMES.values()))
            put = await client.put(tmp_path / "t", "put", recursive=True, **options)
            assert put.files in (10, 11)

    real(main)
    assert same_trees(tmp_path / "t", tmp_path / "got")
    assert same_trees(tmp_path / "t", tmp_path / "put")
    if options.get("preserve"):
        for where in ("got", "put"):
            found = (tmp_path / where / "b").stat()
            assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o440, 6)


def test_both_servers_take_and_give_trees(both: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "t")

    async def main(client: SFTPClient) -> None:
        seen: list[int] = []
        await client.get("t", tmp_path / "got", recursive=True, progress=lambda now: seen.append(now.files))
        assert seen == sorted(seen)
        await client.put(tmp_path / "got", "put", recursive=True)

    both(main)
    assert same_trees(tmp_path / "t", tmp_path / "put")


def test_links_are_followed_or_kept(real: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "t")
    os.symlink("b", tmp_path / "t" / "link")
    os.symlink("sub", tmp_path / "t" / "folder")

    async def main(client: SFTPClient) -> None:
        await client.get("t", tmp_path / "followed", recursive=True)
        await client.get("t", tmp_path / "kept", recursive=True, follow_symlinks=False)
        await client.put(tmp_path / "t", "put", recursive=True)
        await client.put(tmp_path / "t", "putkept", recursive=True, follow_symlinks=False)

    real(main)
    for where in ("followed", "put"):
        assert not (tmp_path / where / "link").is_symlink()
        assert (tmp_path / where / "folder" / "c").is_file()
        assert not (tmp_path / where / "folder").is_symlink()
    for where in ("kept", "putkept"):
        assert os.readlink(tmp_path / where / "link") == "b"
        assert os.readlink(tmp_path / where / "folder") == "sub"


def test_r35_links_that_lead_round_are_told_and_the_rest_comes(real: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "t")
    os.symlink("..", tmp_path / "t" / "sub" / "loop")
    os.mkfifo(tmp_path / "t" / "pipe")
    os.symlink("nowhere", tmp_path / "t" / "dangling")

    async def main(client: SFTPClient) -> None:
        for transfer in (
            client.get("t", tmp_path / "got", recursive=True),
            client.put(tmp_path / "t", "put", recursive=True),
        ):
            with pytest.raises(TreeError, match="3 of") as caught:
                await transfer
            assert sorted(os.path.basename(error.path) for error in caught.value.errors) == [
                "dangling",
                "loop",
                "pipe",
            ]
            assert caught.value.result.files >= 10

    real(main)
    for where in ("got", "put"):
        assert (tmp_path / where / "sub" / "deep" / "e").is_file()
        assert not (tmp_path / where / "sub" / "loop").exists()


def test_the_first_error_ends_it_when_asked(real: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "t")
    os.mkfifo(tmp_path / "t" / "pipe")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TransferError, match="not a regular file"):
            await client.get("t", tmp_path / "got", recursive=True, errors="raise")
        with pytest.raises(TransferError, match="not a regular file"):
            await client.put(tmp_path / "t", "put", recursive=True, errors="raise")
        with pytest.raises(TransferError, match="not a directory"):
            await client.get("t/b", tmp_path / "x", recursive=True)
        with pytest.raises(NotADirectoryError):
            await client.put(tmp_path / "t" / "b", "x", recursive=True)
        with pytest.raises(TransferError, match="more than 2 files"):
            await client.get("t", tmp_path / "few", recursive=True, max_files=2)

    real(main)


def test_r35_depth_is_bounded(real: Run, tmp_path: Path) -> None:
    (tmp_path / "t" / "1" / "2" / "3").mkdir(parents=True)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError, match="more than 2 directories"):
            await client.get("t", tmp_path / "got", recursive=True, max_depth=2)
        with pytest.raises(TreeError, match="more than 2 directories"):
            await client.put(tmp_path / "t", "put", recursive=True, max_depth=2)

    real(main)


def test_r35_a_link_swapped_in_for_a_target_directory_is_not_gone_through(real: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "t")
    (tmp_path / "got").mkdir()
    (tmp_path / "victim").mkdir()
    os.symlink(tmp_path / "victim", tmp_path / "got" / "sub")
    (tmp_path / "mine").write_bytes(b"mine")
    os.symlink(tmp_path / "mine", tmp_path / "got" / "b")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError, match="1 of"):
            await client.get("t", tmp_path / "got", recursive=True)

    real(main)
    assert os.listdir(tmp_path / "victim") == []
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "got" / "b").is_symlink()


def tree_server() -> FakeServer:
    server = FakeServer()
    server.folders |= {b"/t", b"/t/s"}
    for number in range(20):
        server.files[b"/t/f%d" % number] = bytearray(contents(number + 1))
        server.files[b"/t/s/g%d" % number] = bytearray(contents(70_000 + number))
    return server


def test_a_listing_that_lies_about_sizes_does_no_harm(tmp_path: Path) -> None:
    server = tree_server()
    plain = server.answer

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        packet = plain(kind, number, payload)
        if kind == m.READDIR and packet[4] == m.NAME:
            entries = m.unpack_names(memoryview(packet)[4:])
            for _, _, found in entries:
                if found.is_file and found.size is not None and found.size < 100:
                    found.size += 5
            return m.pack_names(number, entries)
        return packet

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        result = await client.get("/t", tmp_path / "t", recursive=True)
        assert result.files == 41

    Memory(server).run(main)
    for name, data in server.files.items():
        assert (tmp_path / "t" / os.fsdecode(name[3:])).read_bytes() == data


@pytest.mark.parametrize("kind", [m.OPEN, m.READ, m.WRITE, m.CLOSE, m.MKDIR, m.OPENDIR])
def test_refusals_are_collected_and_all_else_goes(tmp_path: Path, kind: int) -> None:
    server = tree_server()
    counts = [0]

    def twist(asked: int, number: int, payload: bytes) -> bytes | None:
        if asked == kind:
            counts[0] += 1
            if counts[0] == 2:
                return m.pack_status(number, 3, b"no")
        return None

    server.twist = twist
    make_tree(tmp_path / "up")

    async def main(client: SFTPClient) -> None:
        for transfer in (
            client.get("/t", tmp_path / "t", recursive=True),
            client.put(tmp_path / "up", "/up", recursive=True),
        ):
            with suppress(TreeError, PermissionError):
                await transfer
        assert not [name for name in server.files if b"sshkit" in name]

    Memory(server).run(main)
    assert not [name for name in names_below(tmp_path) if "sshkit" in name]


@pytest.mark.parametrize("kind", [m.OPEN, m.READ, m.WRITE, m.CLOSE, m.EXTENDED])
@pytest.mark.parametrize(
    "lie",
    [
        lambda number: m.pack_attrs(number, Attributes()),
        lambda number: m.pack_status(number, 0),
        lambda number: m.pack_string(m.DATA, number, bytes(9999)),
    ],
    ids=["attrs", "ok", "data"],
)
def test_r37_lies_end_a_tree_with_nothing_left_behind(tmp_path: Path, kind: int, lie: object) -> None:
    server = tree_server()

    def twist(asked: int, number: int, payload: bytes) -> bytes | None:
        limits = asked == m.EXTENDED and b"limits" in payload
        return lie(number) if asked == kind and not limits else None  # type: ignore[operator, no-any-return]

    server.twist = twist
    make_tree(tmp_path / "up")

    async def main(client: SFTPClient) -> None:
        for transfer in (
            client.get("/t", tmp_path / "t", recursive=True),
            client.put(tmp_path / "up", "/up", recursive=True),
        ):
            with suppress(SFTPError, SFTPProtocolError):
                await transfer

    Memory(server).run(main)
    assert not [name for name in names_below(tmp_path) if "sshkit" in name]


@pytest.mark.parametrize("after", [200, 2000, 20_000, 400_000])
@pytest.mark.parametrize("way", ["get", "put"])
def test_r37_a_cut_ends_a_tree_and_no_file_looks_whole_that_is_not(
    tmp_path: Path, after: int, way: str
) -> None:
    server = tree_server()
    memory = Memory(server)
    make_tree(tmp_path / "up")

    async def main() -> None:
        client = memory.connect()
        await client.ready
        pair = memory.pair
        assert pair is not None
        left = [after]

        def chop() -> int:
            size = min(left[0], 3000)
            left[0] -= size
            if not left[0]:
                memory.network.call_soon(pair.cut)
            return size

        pair.chop = chop
        if way == "get":
            transfer = client.get("/t", tmp_path / "t", recursive=True)
        else:
            transfer = client.put(tmp_path / "up", "/up", recursive=True)
        with pytest.raises(SFTPConnectionLost):
            await transfer

    memory.network.run(main())
    for name in names_below(tmp_path / "t") if way == "get" else []:
        path = tmp_path / "t" / name
        assert "sshkit" not in name
        assert path.is_dir() or path.read_bytes() == server.files[b"/t/" + os.fsencode(name)]
    for remote, data in server.files.items():
        if remote.startswith(b"/up/") and b"sshkit" not in remote:
            assert data == (tmp_path / os.fsdecode(remote[1:])).read_bytes()


def test_files_renamed_without_posix_rename(tmp_path: Path) -> None:
    server = tree_server()
    server.extensions = {}
    make_tree(tmp_path / "up")

    async def main(client: SFTPClient) -> None:
        for _ in range(2):
            await client.put(tmp_path / "up", "/up", recursive=True)

    Memory(server).run(main)
    for name, size in NAMES.items():
        assert server.files[b"/up/" + name.encode()] == contents(size)


def test_a_file_that_changes_while_it_is_sent_is_told(tmp_path: Path) -> None:
    server = tree_server()
    make_tree(tmp_path / "up")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.OPEN:
            (tmp_path / "up" / "sub" / "c").write_bytes(b"")
            (tmp_path / "up" / "g").unlink(missing_ok=True)
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError):
            await client.put(tmp_path / "up", "/up", recursive=True)
        assert not [name for name in server.files if b"sshkit" in name]

    Memory(server).run(main)


def test_a_cancelled_tree_stops(tmp_path: Path) -> None:
    server = tree_server()
    memory = Memory(server)

    async def main(client: SFTPClient) -> None:
        def stop(now: object) -> None:
            memory.network.call_soon(transfer.cancel)

        transfer = client.get("/t", tmp_path / "t", recursive=True, progress=stop, parallel=2)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - asyncio's CancelledError is no Exception
            await transfer
        for _ in range(4):
            await client.stat("/t")
        assert server.handles == {}

    memory.run(main)
    assert not [name for name in names_below(tmp_path) if "sshkit" in name]


def test_directories_keep_their_times_and_modes_whatever_is_in_them(real: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("a", "a/b", "c"):
        (source / name).mkdir(parents=True)
        (source / name / "large").write_bytes(contents(300_000))
        (source / name / "small").write_bytes(contents(300))
        (source / name / "link").symlink_to("small")
    (source / "c").chmod(0o555)
    for number, folder in enumerate((source / "a" / "b", source / "a", source / "c", source)):
        os.utime(folder, (1_000_000 + number, 2_000_000 + number))

    async def main(client: SFTPClient) -> None:
        for resume in (False, True):
            options: dict[str, Any] = {"preserve": True, "follow_symlinks": False, "resume": resume}
            for _ in range(1 + resume):  # a second time, over what is there
                await client.put(source, f"up{resume}", recursive=True, **options)
                await client.get("source", tmp_path / f"down{resume}", recursive=True, **options)

    real(main)
    for copy in ("upFalse", "upTrue", "downFalse", "downTrue"):
        for part in (".", "a", "a/b", "c"):
            found, wanted = (tmp_path / copy / part).stat(), (source / part).stat()
            assert (found.st_mtime, found.st_mode) == (wanted.st_mtime, wanted.st_mode)


@pytest.mark.parametrize("resume", [False, True])
def test_files_of_a_tree_that_replace_others_keep_those_modes(
    real: Run, tmp_path: Path, resume: bool
) -> None:
    for folder, mode in (("source", 0o600), ("there", 0o666), ("here", 0o466)):
        (tmp_path / folder).mkdir()
        for name, size in (("small", 100), ("large", 300_000), ("same", 10)):
            (tmp_path / folder / name).write_bytes(contents(size + (folder == "source")))
            (tmp_path / folder / name).chmod(0o600 if name == "same" else mode)
    (tmp_path / "source" / "new").write_bytes(b"new")
    (tmp_path / "there" / "other").symlink_to("nowhere")

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "source", "there", recursive=True, resume=resume)
        await client.get("source", tmp_path / "here", recursive=True, resume=resume)

    real(main)
    for folder, mode in (("there", 0o666), ("here", 0o466)):
        for name in ("small", "large"):
            path = tmp_path / folder / name
            assert path.read_bytes() == (tmp_path / "source" / name).read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert stat.S_IMODE((tmp_path / folder / "same").stat().st_mode) == 0o600


def test_a_link_gives_way_to_a_link_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("link", "file"):
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / name).symlink_to(f"to {name}")
    far = tmp_path / "far"
    far.mkdir()
    (far / "link").symlink_to("elsewhere")
    (far / "file").write_text("mine")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError, match="1 of 2"):
            await client.put(tmp_path / "t", far, recursive=True, follow_symlinks=False)

    Far().run(main)
    assert os.readlink(far / "link") == "to link"
    assert (far / "file").read_text() == "mine"
    (far / "link").unlink()
    (far / "link").symlink_to("elsewhere")
    Far(denied=["posix-rename", "rename"]).run(lambda client: _fails(client, tmp_path))
    assert sorted(os.listdir(far)) == ["file", "link"]


async def _fails(client: SFTPClient, folder: Path) -> None:
    with pytest.raises(TreeError, match="2 of 2"):
        await client.put(folder / "t", folder / "far", recursive=True, follow_symlinks=False)
