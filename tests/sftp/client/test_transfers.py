"""Files go there and come here whole, or not at all; resumed, verified, sparse, with progress."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.sftp import messages as m
from sshkit.sftp import progress, status, transfer_put
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPNoSpace
from sshkit.sftp.progress import Progress, TransferError
from tests.sftp.client.conftest import Run
from tests.sftp.client.world import FakeServer, Memory, contents, names_below

SIZES = (0, 1, 32768, 261120, 261121, 522240, 3_000_001)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_comes_and_goes(real: Run, tmp_path: Path, size: int) -> None:
    data = contents(size)
    (tmp_path / "f").write_bytes(data)

    async def main(client: SFTPClient) -> None:
        got = await client.get("f", tmp_path / "g")
        assert (got.size, got.files, got.resumed) == (size, 1, 0)
        put = await client.put(tmp_path / "g", "h")
        assert (put.size, put.files) == (size, 1)

    real(main)
    assert (tmp_path / "g").read_bytes() == data
    assert (tmp_path / "h").read_bytes() == data
    assert names_below(tmp_path) == ["f", "g", "h"]


def test_both_servers_take_and_give(both: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(contents(700_000))

    async def main(client: SFTPClient) -> None:
        await client.get("f", tmp_path / "g", verify="full")
        await client.put(tmp_path / "g", "h", verify=True)

    both(main)
    assert (tmp_path / "h").read_bytes() == contents(700_000)


def test_a_target_may_be_a_directory_or_be_left_out(
    real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    async def main(client: SFTPClient) -> None:
        await client.get("f")
        await client.put("f", "there")
        await client.put("f", "there")
        await client.chdir("there")
        await client.get("f", tmp_path / "here")
        with pytest.raises(ValueError, match="no name of its own"):
            client.get("..")
        with pytest.raises(TransferError, match="not a regular file"):
            await client.get("../here", tmp_path / "x")
        with pytest.raises(IsADirectoryError):
            await client.put(tmp_path / "here", "x")
        with pytest.raises(FileNotFoundError):
            await client.put(tmp_path / "none", "x")
        with pytest.raises(FileNotFoundError):
            await client.get("none", tmp_path / "x")
        with pytest.raises(TransferError, match="not a regular file"):
            await client.put("/dev/null", "x")
        with pytest.raises(TransferError, match="target is not"):
            await client.put(tmp_path / "f", "/dev/null")

    real(main)
    assert names_below(tmp_path) == ["f", "here", "here/f", "there", "there/f"]


def test_times_and_modes_are_preserved_when_asked(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    os.utime(tmp_path / "f", (1000, 2000))
    (tmp_path / "f").chmod(0o4751)

    async def main(client: SFTPClient) -> None:
        await client.get("f", tmp_path / "g", preserve=True)
        await client.put(tmp_path / "f", "h", preserve=True)

    real(main)
    for name in ("g", "h"):
        found = (tmp_path / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o751, 2000), name


def test_a_file_that_is_replaced_keeps_its_mode_and_its_links(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    for name in ("g", "h"):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(0o600)
        os.symlink(name, tmp_path / f"{name}.link")

    async def main(client: SFTPClient) -> None:
        await client.get("f", tmp_path / "g.link")
        await client.put(tmp_path / "f", "h.link")

    real(main)
    for name in ("g", "h"):
        assert (tmp_path / name).read_bytes() == b"data"
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert (tmp_path / f"{name}.link").is_symlink()


def test_a_file_without_write_permission_goes_too(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "f").chmod(0o444)

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "f", "h")

    real(main)
    assert stat.S_IMODE((tmp_path / "h").stat().st_mode) == 0o444


def test_in_place_writes_to_the_file_that_is_there(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    for name in ("g", "h"):
        (tmp_path / name).write_bytes(b"older and longer")
        os.link(tmp_path / name, tmp_path / f"{name}2")

    async def main(client: SFTPClient) -> None:
        await client.get("f", tmp_path / "g", atomic=False)
        await client.put(tmp_path / "f", "h", atomic=False)
        await client.get("f", "/dev/null")

    real(main)
    assert (tmp_path / "g2").read_bytes() == b"data"
    assert (tmp_path / "h2").read_bytes() == b"data"


def test_r35_nothing_is_written_through_a_link_that_appeared(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "victim").write_bytes(b"mine")
    os.symlink("victim", tmp_path / ".g.sshkit-part")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(OSError, match="symbolic link"):
            await client.get("f", tmp_path / "g", resume=True)

    real(main)
    assert (tmp_path / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("part", [1, 1000, 1_500_000, 2_999_999])
@pytest.mark.parametrize("full", [False, True])
def test_a_transfer_resumes_where_it_was_cut(real: Run, tmp_path: Path, part: int, full: bool) -> None:
    data = contents(3_000_000)
    (tmp_path / "f").write_bytes(data)
    for name in ("g", "h"):
        (tmp_path / f".{name}.sshkit-part").write_bytes(data[:part])

    async def main(client: SFTPClient) -> None:
        verify: Any = "full" if full else False
        got = await client.get("f", tmp_path / "g", resume=True, verify=verify)
        put = await client.put(tmp_path / "f", "h", resume=True, verify=verify)
        for result in (got, put):
            assert (result.resumed, result.size) == (part, len(data))
            assert result.verified == ("contents" if full else "")

    real(main)
    assert (tmp_path / "g").read_bytes() == data
    assert (tmp_path / "h").read_bytes() == data
    assert names_below(tmp_path) == ["f", "g", "h"]


@pytest.mark.parametrize("wrong", [b"x" * 1000, b"x" * 4_000_000])
def test_a_part_that_is_not_the_same_is_begun_again(real: Run, tmp_path: Path, wrong: bytes) -> None:
    data = contents(3_000_000)
    (tmp_path / "f").write_bytes(data)
    for name in ("g", "h"):
        (tmp_path / f".{name}.sshkit-part").write_bytes(wrong)

    async def main(client: SFTPClient) -> None:
        assert (await client.get("f", tmp_path / "g", resume=True)).resumed == 0
        assert (await client.put(tmp_path / "f", "h", resume=True)).resumed == 0

    real(main)
    assert (tmp_path / "g").read_bytes() == data
    assert (tmp_path / "h").read_bytes() == data


def test_holes_are_left_out(real: Run, tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.write(b"begin")
        file.seek(5 << 30)
        file.write(b"end")
        file.truncate((5 << 30) + (1 << 20))

    async def main(client: SFTPClient) -> None:
        result = await client.put(tmp_path / "f", "h")
        assert result.size < 1 << 20

    real(main)
    found = (tmp_path / "h").stat()
    assert found.st_size == (5 << 30) + (1 << 20)
    assert found.st_blocks * 512 < 10 << 20
    with (tmp_path / "h").open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek(5 << 30)
        assert file.read(3) == b"end"


def test_zeros_are_left_out_when_asked(real: Run, tmp_path: Path) -> None:
    data = bytes(4 << 20) + b"x" + bytes(1 << 20)
    (tmp_path / "f").write_bytes(data)

    async def main(client: SFTPClient) -> None:
        await client.get("f", tmp_path / "g", sparse=True)
        await client.put(tmp_path / "f", "h", sparse=True)

    real(main)
    assert (tmp_path / "g").read_bytes() == data
    assert (tmp_path / "g").stat().st_blocks * 512 < 2 << 20
    assert (tmp_path / "h").read_bytes() == data


def test_progress_is_told_to_a_callback_and_to_a_loop(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(contents(3_000_000))
    seen: list[int] = []

    async def main(client: SFTPClient) -> list[Progress]:
        transfer = client.get("f", tmp_path / "g", progress=lambda now: seen.append(now.done))
        events = [event async for event in transfer.events()]
        assert (await transfer).size == 3_000_000
        assert [event async for event in transfer.events()] == []
        return events

    events = real(main)
    assert seen[-1] == 3_000_000
    assert seen == sorted(seen)
    last = events[-1]
    assert last.done == last.total == 3_000_000
    assert last.path.endswith("f")
    assert last.rate > 0
    assert last.remaining == 0
    assert "3000000" in repr(last)
    assert progress.Progress("x", 0.0).remaining is None
    assert "?" in repr(progress.Progress("x", 0.0))


def test_a_callback_that_raises_ends_the_transfer(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(contents(3_000_000))

    def fault(now: Progress) -> None:
        raise RuntimeError("mine")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(RuntimeError, match="mine"):
            await client.get("f", tmp_path / "g", progress=fault)

    real(main)
    assert names_below(tmp_path) == ["f"]


@pytest.mark.parametrize("way", ["get", "put"])
def test_a_cancelled_transfer_leaves_nothing(tmp_path: Path, way: str) -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(500_000))
    (tmp_path / "f").write_bytes(contents(500_000))
    memory = Memory(server)

    async def main(client: SFTPClient) -> None:
        def stop(now: Progress) -> None:
            transfer.cancel()

        if way == "get":
            transfer = client.get("/f", tmp_path / "g", progress=stop)
        else:
            transfer = client.put(tmp_path / "f", "/g", progress=stop)
        with pytest.raises(sshkit.CancelledError):
            await transfer
        for _ in range(3):
            await client.stat("/f")
        assert server.handles == {}
        assert list(server.files) == [b"/f"]
        assert client.session.transfers == 0

    memory.run(main)
    assert names_below(tmp_path) == ["f"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    server = FakeServer(lambda kind, number, payload: m.pack_status(number, 14) if kind == m.WRITE else None)
    (tmp_path / "f").write_bytes(contents(500_000))

    async def main(client: SFTPClient) -> None:
        with pytest.raises(OSError, match="No space"):
            await client.put(tmp_path / "f", "/g")
        await client.stat("/")
        assert server.files == {}

    Memory(server).run(main)


@pytest.mark.parametrize("most", [1, 1000, 40_000])
def test_short_reads_are_asked_for_again(tmp_path: Path, most: int) -> None:
    data = contents(3000 if most == 1 else 300_000)
    server = FakeServer()
    server.files[b"/f"] = bytearray(data)
    server.most = most

    async def main(client: SFTPClient) -> None:
        await client.get("/f", tmp_path / "f")
        assert await client.read_bytes("/f") == data
        async with client.open("/f") as file:
            assert await file.pread(len(data), 0) == data

    Memory(server).run(main)
    assert (tmp_path / "f").read_bytes() == data


@pytest.mark.parametrize(
    ("said", "real_size"), [(None, 700_000), (0, 700_000), (100_000, 700_000), (700_000, 100_000)]
)
def test_a_file_that_is_not_as_large_as_was_said_comes_whole(
    tmp_path: Path, said: int | None, real_size: int
) -> None:
    server = FakeServer()
    data = contents(real_size)
    server.files[b"/f"] = bytearray(data)
    plain = server.attributes
    asked: list[bytes] = []

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.STAT:
            found = plain(b"/f")
            found.size = said
            asked.append(payload)
            return m.pack_attrs(number, found)
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        await client.get("/f", tmp_path / "f")

    Memory(server).run(main)
    assert (tmp_path / "f").read_bytes() == data


def test_verifying_tells_a_file_that_arrived_wrong(tmp_path: Path) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(contents(100_000))
    (tmp_path / "up").write_bytes(contents(5000))
    reads = [0]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READ:
            reads[0] += 1
            if reads[0] == 1:
                return m.pack_string(m.DATA, number, bytes(100_000))
        if kind == m.WRITE:
            return m.pack_status(number, 0)
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TransferError, match=r"not the same \(contents\)"):
            await client.get("/f", tmp_path / "f", verify="full")
        with pytest.raises(TransferError, match=r"not the same \(size\)"):
            await client.put(tmp_path / "up", "/up", verify=True)

    Memory(server).run(main)
    assert names_below(tmp_path) == ["up"]


@pytest.mark.parametrize(
    ("name", "right"), [("sha256", True), ("sha256", False), ("check-file", True), ("odd", True)]
)
def test_the_servers_hash_is_used_where_it_offers_one(tmp_path: Path, name: str, right: bool) -> None:
    import hashlib

    from sshkit_keys.wire import string

    data = contents(100_000)
    server = FakeServer(extensions={"check-file": b"", **FakeServer().extensions})
    server.files[b"/f"] = bytearray(data)
    plain = server.extended

    def extended(number: int, record: m.Extended) -> bytes:
        if record.name != b"check-file-name":
            return plain(number, record)
        digest = hashlib.sha256(data if right else b"").digest()
        said = string("check-file") + string("sha256") if name == "check-file" else string(name)
        return m.frame(m.ExtendedReply(number, said + digest).encode())

    server.extended = extended  # type: ignore[method-assign]

    async def main(client: SFTPClient) -> None:
        if right:
            result = await client.get("/f", tmp_path / "f", verify=True)
            assert result.verified == ("size" if name == "odd" else "sha256")
            (tmp_path / ".g.sshkit-part").write_bytes(data[:10_000])
        else:
            with pytest.raises(TransferError, match="sha256"):
                await client.get("/f", tmp_path / "f", verify=True)

    Memory(server).run(main)


def test_slow_disks_are_read_in_threads(real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(contents(2_000_000))
    monkeypatch.setattr(transfer_put, "NOWAIT", 0)
    monkeypatch.setattr(transfer_put, "SLOW", -1.0)

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "f", "h")

    real(main)
    assert (tmp_path / "h").read_bytes() == contents(2_000_000)


def test_a_disk_that_would_block_is_read_in_a_thread(
    real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(contents(2_000_000))
    plain = os.preadv

    def preadv(descriptor: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags:
            raise BlockingIOError
        return plain(descriptor, buffers, offset)

    monkeypatch.setattr(transfer_put, "NOWAIT", 8)
    monkeypatch.setattr(os, "preadv", preadv)

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "f", "h")

    real(main)
    assert (tmp_path / "h").read_bytes() == contents(2_000_000)


def test_several_transfers_share_a_session(real: Run, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"f{number}").write_bytes(contents(1_000_000 + number))

    async def main(client: SFTPClient) -> None:
        await sshkit.gather(
            *(client.get(f"f{number}", tmp_path / f"g{number}") for number in range(3)),
            *(client.put(tmp_path / f"f{number}", f"g{number}") for number in range(3, 6)),
        )
        assert client.session.transfers == 0

    real(main)
    for number in range(6):
        assert (tmp_path / f"g{number}").read_bytes() == contents(1_000_000 + number)


@pytest.mark.parametrize("code", [status.OK, status.NO_SPACE_ON_FILESYSTEM])
def test_the_file_is_closed_behind_the_last_data_before_that_is_answered(tmp_path: Path, code: int) -> None:
    held: list[int] = []
    server = FakeServer()

    def twist(kind: int, number: int, payload: bytes) -> list[bytes] | None:
        if kind == m.WRITE:
            held.append(number)
            server.do(m.REQUESTS[kind].decode(payload))
            return []
        if kind == m.CLOSE:
            return [m.pack_status(one, code) for one in held] + [m.pack_status(number, code)]
        return None

    server.twist = twist
    (tmp_path / "f").write_bytes(contents(600_000))

    async def main(client: SFTPClient) -> None:
        if code == status.OK:
            await client.put(tmp_path / "f", "/f")
            return
        with pytest.raises(SFTPNoSpace):
            await client.put(tmp_path / "f", "/f")
        await client.exists("/")  # the part is removed by now

    Memory(server).run(main)
    assert len(held) == 3
    assert server.requests.count(m.CLOSE) == 1
    assert list(server.files) == ([b"/f"] if code == status.OK else [])
    if code == status.OK:
        assert server.files[b"/f"] == contents(600_000)


RANGES = [
    (0, 0), (0, 1), (5, 10), (0, 261_120), (261_119, 2), (100_000, 700_000), (899_990, 100), (900_000, 5),
    (2_000_000, 5), (0, None), (1, None), (899_999, None), (900_001, None), (0, 5_000_000),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "length"), RANGES)
@pytest.mark.parametrize("options", [{}, {"atomic": False}, {"sparse": True}, {"preserve": True}])
def test_a_range_of_a_file_is_fetched(
    real: Run, tmp_path: Path, offset: int, length: int | None, options: dict[str, Any]
) -> None:
    data = contents(300_000) + bytes(300_000) + contents(300_000)
    (tmp_path / "f").write_bytes(data)
    wanted = data[offset:] if length is None else data[offset : offset + length]
    seen: list[int] = []

    async def main(client: SFTPClient) -> None:
        got = await client.get(
            "f",
            tmp_path / "g",
            offset=offset,
            length=length,
            progress=lambda now: seen.append(now.total or 0),
            **options,
        )
        assert got.size == len(wanted)

    real(main)
    assert (tmp_path / "g").read_bytes() == wanted
    assert set(seen) <= {len(wanted)}


def test_a_range_of_a_file_that_gives_little_at_a_time(tmp_path: Path) -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(100_000))
    server.most = 7_001

    async def main(client: SFTPClient) -> None:
        await client.get("/f", tmp_path / "g", offset=10, length=90_000)
        await client.get("/f", tmp_path / "h", offset=99_000, length=90_000)
        assert (await client.get("/f", "/dev/null", offset=50, length=500)).size == 500

    Memory(server).run(main)
    assert (tmp_path / "g").read_bytes() == contents(100_000)[10:90_010]
    assert (tmp_path / "h").read_bytes() == contents(100_000)[99_000:]


def test_a_range_is_of_a_get_of_one_file(tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        with pytest.raises(ValueError, match="negative"):
            client.get("/f", tmp_path / "g", offset=-1)
        with pytest.raises(ValueError, match="negative"):
            client.get("/f", tmp_path / "g", length=-1)
        for options in ({"resume": True}, {"verify": True}, {"recursive": True}):
            with pytest.raises(ValueError, match="get of one file"):
                client.get("/f", tmp_path / "g", offset=1, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="get of one file"):
            client.put(tmp_path / "g", "/f", length=1)

    Memory().run(main)
