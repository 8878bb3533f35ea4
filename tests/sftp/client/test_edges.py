"""The corners: patterns, ids that come round, writes that fall short, disks that fail."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.sftp import glob, transfer_put
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError, SFTPProtocolError
from sshkit.sftp.progress import TransferError
from tests.client.world import USER_KEY
from tests.sftp.client.conftest import Run
from tests.sftp.client.world import FakeServer, Memory, contents, names_below


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        (b"a[!b]c", b"adc", True),
        (b"a[!b]c", b"abc", False),
        (b"a[^b]c", b"adc", True),
        (b"[]x]", b"]", True),
        (b"[a-c]", b"b", True),
        (b"[c-a]", b"b", False),
        (b"[c-a]", b"[c-a]", True),
        (b"[a", b"[a", True),
        (b"a**b", b"axxb", True),
        (b"\\*", b"*", True),
        (b"\\*", b"x", False),
        (b"*", b".hidden", False),
        (b".*", b".hidden", True),
        (b"[\\]", b"\\", True),
        (b"[&&~~||]", b"~", True),
        (b"x\n", b"x\n", True),
        (b"x", b"x\n", False),
    ],
)
def test_a_component_fits_its_pattern_or_not(pattern: bytes, name: bytes, fits: bool) -> None:
    assert glob.fits(name, pattern) is fits


def test_an_escaped_name_fits_itself_only() -> None:
    assert glob.fits(b"a[1]*?", glob.escape("a[1]*?"))
    assert not glob.fits(b"a1xx", glob.escape("a[1]*?"))
    assert glob.fits(b"a\\*b", glob.escape("a\\*b"))
    assert glob.has_magic(b"a?")
    assert not glob.has_magic(b"a")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [(b"a\\ b", b"a b"), (b"a\\\\", b"a\\"), (b"a\\\\b", b"a\\b"), (b'\\\\"', b'\\"'), (b"a\\", b"a\\")],
)
def test_a_backslash_in_a_plain_pattern_is_taken_away_once(pattern: bytes, name: bytes) -> None:
    assert glob.unescape(pattern) == name


def test_r35_a_pattern_goes_down_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glob, "MAX_DEPTH", 3)
    server = FakeServer()
    server.folders |= {b"/a", b"/a/a", b"/a/a/a", b"/a/a/a/a", b"/a/a/a/a/a"}

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="directories below each other"):
            assert [name async for name in client.glob("/**/x")] == []

    Memory(server).run(main)


def test_r35_rmtree_and_walk_go_down_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.sftp.client.MAX_DEPTH", 1)
    server = FakeServer()
    server.folders |= {b"/a", b"/a/a", b"/a/a/a"}

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="directories below each other"):
            await client.rmtree("/a")

    Memory(server).run(main)


def test_an_id_that_is_still_pending_is_passed_over() -> None:
    async def main(client: SFTPClient) -> None:
        waiting = client.stat("/")
        session = client.session
        session._next_id = next(iter(session.pending))
        assert (await client.stat("/")).is_dir
        assert (await waiting).is_dir

    Memory().run(main)


def test_nothing_is_asked_of_a_session_that_has_ended() -> None:
    async def main(client: SFTPClient) -> None:
        await client.close()
        await client.close()
        with pytest.raises(SFTPConnectionLost):
            await client.stat("/")
        with pytest.raises(SFTPConnectionLost):
            await client.listdir("/")

    Memory().run(main)


def test_a_session_that_was_quiet_for_long_still_answers() -> None:
    memory = Memory(timeout=5.0)

    async def main(client: SFTPClient) -> None:
        for _ in range(3):
            tick: sshkit.Deferred[None] = sshkit.Deferred()
            memory.network.call_later(100.0, tick.callback, None)
            await tick
            assert await client.exists("/")

    memory.run(main)


def test_r37_two_names_for_one_are_refused() -> None:
    entry = (b"/", b"", Attributes())
    server = FakeServer(lambda k, n, p: m.pack_names(n, [entry, entry]) if k == m.REALPATH else None)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPProtocolError, match="2 names"):
            await client.realpath("/")

    Memory(server).run(main)


def test_r37_a_server_that_stops_in_the_middle_of_data_fails_by_the_deadline(tmp_path: Path) -> None:
    server = FakeServer(
        lambda k, n, p: m.pack_string(m.DATA, n, bytes(1000))[:-500] if k == m.READ else None, {}
    )
    server.files[b"/f"] = bytearray(1000)
    memory = Memory(server, timeout=5.0)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TimeoutError, match="silent"):
            await client.get("/f", tmp_path / "f")

    memory.run(main)
    assert names_below(tmp_path) == []


def test_a_local_disk_that_is_full_is_told_and_leaves_nothing(
    real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "f").write_bytes(contents(600_000))
    (tmp_path / "t" / "small").write_bytes(contents(600))
    plain = os.pwrite
    room = [300_000]

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = plain(descriptor, data[: min(len(data), 10_000)], offset)
        room[0] -= done
        return done

    monkeypatch.setattr(os, "pwrite", pwrite)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(OSError, match="No space"):
            await client.get("t/f", tmp_path / "g")
        with pytest.raises(OSError, match="No space"):
            await client.get("t", tmp_path / "got", recursive=True)
        await client.get("t/f", "/dev/null", sparse=True) if room[0] > 0 else None

    real(main)
    assert [name for name in names_below(tmp_path) if "sshkit" in name or name == "g"] == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EOPNOTSUPP])
@pytest.mark.parametrize("thread", [False, True])
def test_a_disk_that_cannot_be_read_is_told(
    real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, thread: bool
) -> None:
    (tmp_path / "f").write_bytes(contents(600_000))

    def preadv(descriptor: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags and thread:
            raise BlockingIOError
        raise OSError(number if flags else errno.EIO, "broken")

    monkeypatch.setattr(transfer_put, "NOWAIT", 8)
    monkeypatch.setattr(os, "preadv", preadv)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(OSError, match="broken"):
            await client.put(tmp_path / "f", "h")
        await client.stat(".")

    real(main)
    assert names_below(tmp_path) == ["f"]


def test_an_upload_cancelled_while_a_thread_reads_lets_its_buffer_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(contents(600_000))
    memory = Memory()
    held: list[sshkit.Deferred[int]] = []
    monkeypatch.setattr(transfer_put, "NOWAIT", 0)
    monkeypatch.setattr(transfer_put, "SLOW", -1.0)

    async def main(client: SFTPClient) -> None:
        def hold(*arguments: Any) -> "sshkit.Deferred[int]":
            held.append(sshkit.Deferred())
            return held[-1]

        client.session.defer_to_thread = hold
        for outcome in (5, OSError("late")):
            transfer = client.put(tmp_path / "f", "/g")
            while not held:
                await client.stat("/")
            before = len(transfer_put._FREE)
            transfer.cancel()
            with pytest.raises(sshkit.CancelledError):
                await transfer
            if isinstance(outcome, int):
                held.pop().callback(outcome)
            else:
                held.pop().errback(outcome)
            assert len(transfer_put._FREE) == min(before + 1, transfer_put.MAX_FREE)

    memory.run(main)


def test_a_file_system_that_knows_no_holes_is_read_whole(
    real: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(contents(600_000))

    def lseek(*arguments: int) -> int:
        raise OSError(errno.EINVAL, "no holes here")

    monkeypatch.setattr(os, "lseek", lseek)

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "f", "h", sparse=True)

    real(main)
    assert (tmp_path / "h").read_bytes() == contents(600_000)


def test_r35_a_part_that_is_no_file_is_refused(real: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    os.mkfifo(tmp_path / ".g.sshkit-part")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TransferError, match="not a regular file"):
            await client.get("f", tmp_path / "g", resume=True)

    real(main)


def test_a_read_error_ends_the_download(tmp_path: Path) -> None:
    server = FakeServer(lambda k, n, p: m.pack_status(n, 4, b"bad sector") if k == m.READ else None)
    server.files[b"/f"] = bytearray(b"data")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="bad sector"):
            await client.get("/f", tmp_path / "f")
        with pytest.raises(SFTPError, match="bad sector"):
            await client.read_bytes("/f")

    Memory(server).run(main)


def test_a_server_that_hides_the_size_cannot_seek_from_the_end() -> None:
    server = FakeServer(lambda k, n, p: m.pack_attrs(n, Attributes()) if k == m.FSTAT else None)
    server.files[b"/f"] = bytearray(b"data")

    async def main(client: SFTPClient) -> None:
        async with await client.open("/f") as file:
            with pytest.raises(SFTPError, match="does not tell the size"):
                await file.seek(0, os.SEEK_END)
        with pytest.raises(SFTPError, match="does not tell the size"):
            await client.open("/f", "a")

    Memory(server).run(main)


def test_asyncsshs_server_is_spoken_to(tmp_path: Path) -> None:
    import asyncssh

    for name, size in (("f", 700_000), ("t/a", 5), ("t/b/c", 70_000)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(contents(size))

    async def main() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        users = asyncssh.import_authorized_keys(USER_KEY.public.to_line())
        listener = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], authorized_client_keys=users, sftp_factory=True
        )
        async with (
            sshkit.connect(
                f"me@127.0.0.1:{listener.get_port()}",
                host_keys=[key.get_fingerprint()],
                identities=[USER_KEY],
            ) as connection,
            connection.sftp() as client,
        ):
            assert client.version == 3
            await client.get(tmp_path / "f", tmp_path / "g", verify="full")
            await client.put(tmp_path / "g", tmp_path / "h", verify="full", preserve=True)
            await client.get(tmp_path / "t", tmp_path / "got", recursive=True)
            await client.put(tmp_path / "t", tmp_path / "put", recursive=True)
            assert sorted(await client.listdir(tmp_path / "put")) == ["a", "b"]
        listener.close()
        await listener.wait_closed()

    asyncio.run(main())
    assert (tmp_path / "h").read_bytes() == contents(700_000)
    for where in ("got", "put"):
        assert (tmp_path / where / "b" / "c").read_bytes() == contents(70_000)
