"""Corners of renames, trees and the engines of transfers, each reached on purpose."""

import os
from pathlib import Path

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp import status, transfer_put
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost, SFTPNoSuchFile, SFTPPermissionDenied
from sshkit.sftp.progress import TreeError
from sshkit.sftp.transfer_get import Download
from sshkit.sftp.transfer_put import Upload
from sshkit.sftp.transfer_verify import same_prefix
from tests.sftp.client.world import FakeServer, Memory, contents


def refusing(kind: int, codes: list[int]) -> FakeServer:
    """Return a server without extensions that answers requests of `kind` with these, and then does them."""
    server = FakeServer(extensions={})

    def twist(asked: int, number: int, payload: bytes) -> bytes | None:
        if asked == kind and codes:
            return m.pack_status(number, codes.pop(0))
        return None

    server.twist = twist
    server.files[b"/part"] = bytearray(b"new")
    server.files[b"/f"] = bytearray(b"old")
    return server


def test_a_rename_that_is_denied_removes_nothing() -> None:
    server = refusing(m.RENAME, [status.PERMISSION_DENIED])

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.replace("/part", "/f")

    Memory(server).run(main)
    assert m.REMOVE not in server.requests
    assert server.files[b"/f"] == b"old"


@pytest.mark.parametrize("there", [True, False])
def test_what_is_in_the_way_of_a_rename_is_removed(there: bool) -> None:
    server = refusing(m.RENAME, [status.FAILURE])
    if not there:  # it has gone in between
        del server.files[b"/f"]

    async def main(client: SFTPClient) -> None:
        await client.replace("/part", "/f")

    Memory(server).run(main)
    assert server.files == {b"/f": b"new"}


def test_what_is_in_the_way_and_cannot_be_removed_stays() -> None:
    server = refusing(m.RENAME, [status.FAILURE])
    answer = server.twist
    assert answer is not None
    server.twist = lambda kind, number, payload: (
        m.pack_status(number, status.PERMISSION_DENIED) if kind == m.REMOVE else answer(kind, number, payload)
    )

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.replace("/part", "/f")

    Memory(server).run(main)
    assert server.files == {b"/part": b"new", b"/f": b"old"}


def test_a_directory_that_only_takes_files_takes_a_tree(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "f").write_bytes(b"x")
    server = FakeServer()
    server.folders.add(b"/t")
    server.files[b"/t/other"] = bytearray()

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.MKDIR:
            return m.pack_status(number, status.FAILURE)
        return m.pack_status(number, status.PERMISSION_DENIED) if kind == m.OPENDIR and denied[0] else None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "t", "/t", recursive=True)

    denied = [True]
    Memory(server).run(main)
    denied[0] = False
    Memory(server).run(main)
    assert server.files[b"/t/f"] == b"x"


def test_a_directory_that_cannot_keep_its_facts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer()
    server.folders.add(b"/t")

    def refused(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "not ours")

    monkeypatch.setattr(os, "fchmod", refused)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError, match="not ours"):
            await client.get("/t", tmp_path / "t", recursive=True, preserve=True)

    Memory(server).run(main)


def test_the_engines_work_without_anybody_who_listens() -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(100_000))
    descriptor = os.memfd_create("here")

    async def main(client: SFTPClient) -> None:
        session = client.session

        async def opened(path: bytes, flags: int) -> bytes:
            return await session.open_handle(m.OPEN, session.dialect.open(path, flags, Attributes()), path)

        handle = await opened(b"/f", m.READ_FLAG)
        assert await Download(session, handle, b"/f", descriptor, None).run() == 100_000
        session.close_handle(handle)
        handle = await opened(b"/g", m.WRITE_FLAG | m.CREATE)
        assert await Upload(session, handle, b"/g", descriptor).run() == 100_000
        session.close_handle(handle)
        assert await same_prefix(client, b"/g", descriptor, 0, full=False)
        await client.close()
        with pytest.raises(SFTPConnectionLost):
            await Download(session, b"gone", b"/f", descriptor, None).run()
        with pytest.raises(SFTPConnectionLost):
            await Upload(session, b"gone", b"/f", descriptor).run()

    Memory(server).run(main)
    os.close(descriptor)
    assert server.files[b"/g"] == contents(100_000)


def test_a_local_read_that_may_wait_and_does_not_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_put, "NOWAIT", 0)
    (tmp_path / "f").write_bytes(contents(600_000))
    server = FakeServer()

    async def main(client: SFTPClient) -> None:
        await client.put(tmp_path / "f", "/f")
        with pytest.raises(SFTPNoSuchFile):
            await client.stat("/g")

    Memory(server).run(main)
    assert server.files[b"/f"] == contents(600_000)
