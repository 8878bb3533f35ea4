"""What a server refuses, or what vanishes underway, is told once, and the rest goes on."""

import os
from pathlib import Path

import pytest

import sshkit
from sshkit.sftp import messages as m
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.client_session import Answer
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError, SFTPPermissionDenied, SFTPProtocolError
from sshkit.sftp.progress import TreeError
from sshkit.sftp.transfer_local import hash_part
from tests.sftp.client.world import FakeServer, Memory, contents, names_below


def refusing(*kinds: int, code: int = 3) -> FakeServer:
    server = FakeServer(lambda k, n, p: m.pack_status(n, code, b"no") if k in kinds else None)
    server.files[b"/f"] = bytearray(contents(5000))
    server.folders.add(b"/d")
    server.files[b"/d/small"] = bytearray(contents(100))
    return server


def test_makedirs_tells_what_is_in_the_way() -> None:
    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.makedirs("/new")
        with pytest.raises(SFTPPermissionDenied):
            await client.makedirs("/f", exist_ok=True)

    Memory(refusing(m.MKDIR)).run(main)

    async def nowhere(client: SFTPClient) -> None:
        with pytest.raises(FileNotFoundError):
            await client.makedirs("/a/b")
        with pytest.raises(FileNotFoundError):
            await client.makedirs("a")

    Memory(refusing(m.MKDIR, code=2)).run(nowhere)

    made = [0]

    def below(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind != m.MKDIR:
            return None
        made[0] += 1
        return m.pack_status(number, {1: 2, 2: 0}.get(made[0], 3), b"")

    async def second(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.makedirs("/d/x")

    Memory(FakeServer(below)).run(second)


def test_a_listing_that_is_refused_in_the_middle_is_told() -> None:
    server = refusing()
    count = [0]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READDIR:
            count[0] += 1
            return m.pack_status(number, 3) if count[0] < 3 else None
        return None

    server.twist = twist

    async def listed(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.listdir("/d")
        (entry,) = [entry async for entry in client.scandir("/d")]
        assert repr(entry) == "<DirEntry 'small'>"
        assert entry.path == "/d/small"

    Memory(server).run(listed)


@pytest.mark.parametrize("code", [0, 1])
def test_r37_a_status_that_answers_no_open_ends_a_tree(tmp_path: Path, code: int) -> None:
    async def main(client: SFTPClient) -> None:
        with pytest.raises((SFTPProtocolError, SFTPError)):
            await client.get("/d", tmp_path / "d", recursive=True)
        assert client.is_closed

    Memory(refusing(m.OPEN, code=code)).run(main)
    assert names_below(tmp_path) == ["d"]


def test_an_empty_answer_where_a_file_was_is_looked_at_again(tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError, match="cut short"):
            await client.get("/d", tmp_path / "d", recursive=True)

    Memory(refusing(m.READ, code=1)).run(main)
    assert names_below(tmp_path) == ["d"]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("extensions", [None, {}])
@pytest.mark.parametrize("kind", [m.WRITE, m.CLOSE, m.RENAME, m.EXTENDED])
def test_a_small_file_that_is_refused_is_told(
    tmp_path: Path, atomic: bool, extensions: "dict[str, bytes] | None", kind: int
) -> None:
    (tmp_path / "a").write_bytes(b"data")
    server = refusing(kind)
    if extensions is not None:
        server.extensions = extensions

    async def main(client: SFTPClient) -> int:
        try:
            await client.put(tmp_path, "/up", recursive=True, atomic=atomic)
        except TreeError as error:
            return len(error.errors)
        return 0

    told = Memory(server).run(main)
    renames = atomic and kind == (m.EXTENDED if extensions is None else m.RENAME)
    assert told == (kind in (m.WRITE, m.CLOSE) or renames)


def test_a_file_that_vanishes_before_its_turn_is_told(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"f{number}").write_bytes(b"data")
    server = FakeServer()

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.OPEN:
            for name in os.listdir(tmp_path):
                (tmp_path / name).unlink()
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError):
            await client.put(tmp_path, "/up", recursive=True, parallel=1)

    Memory(server).run(main)
    assert [name for name in server.files if b"sshkit" in name] == []


def test_small_files_that_wait_are_dropped_when_a_tree_is_given_up(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"f{number}").write_bytes(b"data")
    server = refusing(m.OPEN)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.put(tmp_path, "/up", recursive=True, parallel=1, errors="raise")

    before = len(os.listdir("/proc/self/fd"))
    Memory(server).run(main)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_hash_that_is_refused_is_done_without(tmp_path: Path) -> None:
    server = FakeServer(extensions={**FakeServer().extensions, "check-file": b""})
    server.files[b"/f"] = bytearray(contents(5000))

    async def main(client: SFTPClient) -> None:
        assert (await client.get("/f", tmp_path / "f", verify=True)).verified == "size"
        (tmp_path / ".g.sshkit-part").write_bytes(contents(5000)[:100])
        assert (await client.get("/f", tmp_path / "g", resume=True)).resumed == 100
        server.files[b"/empty"] = bytearray()
        assert (await client.get("/empty", tmp_path / "e", verify=True)).verified == "size"

    Memory(server).run(main)


def test_the_servers_hash_decides_whether_a_part_can_stay(tmp_path: Path) -> None:
    server = FakeServer(extensions={**FakeServer().extensions, "check-file": b""})
    server.files[b"/f"] = bytearray(contents(5000))
    plain = server.extended

    def extended(number: int, record: m.Extended) -> bytes:
        if record.name == b"check-file-name":
            return m.frame(m.ExtendedReply(number, b"\0\0\0\6sha256" + bytes(32)).encode())
        return plain(number, record)

    server.extended = extended  # type: ignore[method-assign]
    (tmp_path / ".f.sshkit-part").write_bytes(contents(5000)[:100])

    async def main(client: SFTPClient) -> None:
        assert (await client.get("/f", tmp_path / "f", resume=True)).resumed == 0

    Memory(server).run(main)


def test_a_hash_of_a_file_that_ended_early_ends_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    descriptor = os.open(tmp_path / "f", os.O_RDONLY)
    try:
        assert hash_part(descriptor, 0, 99, "sha256") == hash_part(descriptor, 0, 4, "sha256")
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("way", ["get", "put"])
def test_nothing_is_transferred_on_a_session_that_has_ended(tmp_path: Path, way: str) -> None:
    (tmp_path / "f").write_bytes(b"data")

    async def main(client: SFTPClient) -> None:
        async with client:
            pass
        get = way == "get"
        transfer = client.get("/f", tmp_path / "g") if get else client.put(tmp_path / "f", "/g")
        with pytest.raises(SFTPConnectionLost):
            await transfer

    Memory(refusing()).run(main)


def test_a_device_that_cannot_be_cut_is_told_what_went_wrong() -> None:
    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.get("/f", "/dev/null")

    Memory(refusing(m.READ)).run(main)


def test_r37_data_for_an_id_that_is_not_pending_ends_the_session() -> None:
    server = refusing()
    server.twist = lambda k, n, p: m.pack_string(m.DATA, n + 9, bytes(5000)) if k == m.STAT else None
    memory = Memory(server)

    async def main(client: SFTPClient) -> None:
        assert memory.pair is not None
        memory.pair.chop = lambda: 1000
        with pytest.raises(SFTPProtocolError, match="not pending"):
            await client.stat("/f")

    memory.run(main)


def test_opening_may_be_given_up() -> None:
    memory = Memory()

    async def main() -> None:
        ready = memory.connect().ready
        ready.cancel()
        with pytest.raises((sshkit.CancelledError, SFTPConnectionLost)):
            await ready

    memory.network.run(main())


def test_an_answer_of_nobody_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Answer().answered(0, memoryview(b""))
