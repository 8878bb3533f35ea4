"""asyncssh, which speaks versions 3 to 6 as well: its server with our client, its client with our server."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.server.sftp import SFTPService
from sshkit.sftp import errors
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.dialect_v4 import STAT_ALWAYS, STAT_IF_EXISTS
from tests.sftp.versions.ends import NS, USER, VERSIONS, below, everything

HOST_KEY, USER_KEY = generate_private_key("ed25519"), generate_private_key("ed25519")


# Its server, our client.


def with_its_server(
    folder: Path,
    version: int,
    versions: tuple[int, ...],
    act: Callable[[SFTPClient], Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    async def main() -> Any:
        key = asyncssh.generate_private_key("ssh-ed25519")
        users = asyncssh.import_authorized_keys(USER_KEY.public.to_line())
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[key],
            authorized_client_keys=users,
            sftp_factory=True,
            sftp_version=version,
        )
        async with (
            sshkit.connect(
                f"me@127.0.0.1:{listener.get_port()}",
                host_keys=[key.get_fingerprint()],
                identities=[USER_KEY],
            ) as connection,
            connection.sftp(versions=versions) as client,
        ):
            found = await act(client)
        listener.close()
        await listener.wait_closed()
        return found

    monkeypatch.chdir(folder)  # its server begins where its process is
    return asyncio.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_our_client_does_everything_with_its_server(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(client: SFTPClient) -> None:
        assert client.version == version
        await everything(client, tmp_path, own=False)
        if version == 6:
            with pytest.raises(errors.SFTPUnknownOwner):
                await client.chown("alone", "no such user", "no such group")

    with_its_server(tmp_path, version, (version,), act, monkeypatch)


@pytest.mark.parametrize("version", VERSIONS)
def test_our_client_takes_what_its_server_has(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(client: SFTPClient) -> tuple[int, int]:
        return client.version, client.limits.read

    found = with_its_server(tmp_path, version, (3, 4, 5, 6), act, monkeypatch)
    assert found == (version, 4 * 1024 * 1024)  # limits@openssh.com says so


# Its client, our server.


def with_its_client(
    folder: Path, version: int, act: Callable[[Any], Awaitable[Any]], max_version: int = 6
) -> Any:
    async def main() -> Any:
        async with sshkit.serve(
            "127.0.0.1:0",
            lambda session: None,  # nobody runs a command
            host_keys=[HOST_KEY],
            passwords={"joe": "secret"},
            sftp=SFTPService(below(folder), max_version=max_version),
        ) as server:
            options = {"username": "joe", "password": "secret", "known_hosts": None, "config": None}
            async with (
                asyncssh.connect("127.0.0.1", server.address[1], client_keys=None, **options) as connection,
                connection.start_sftp_client(sftp_version=version) as client,
            ):
                return await act(client)

    return sshkit.run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_its_client_does_everything_with_our_server(version: int, tmp_path: Path) -> None:
    with_its_client(tmp_path, version, lambda client: _everything(client, tmp_path, version))


async def _everything(client: Any, folder: Path, version: int) -> None:
    assert client.version == version
    exact = version > 3
    for mode, content in (("wb", b"12345"), ("ab", b"67"), ("r+b", b"ab"), ("xb", b"new")):
        async with client.open(f"{'new' if mode == 'xb' else 'file'}", mode) as file:
            await file.write(content)
    async with client.open("file", "rb") as file:
        assert await file.read() == b"ab34567"
        assert (await file.stat()).size == 7
        await file.utime(ns=NS)
    async with client.open("file", "w+b") as file:
        assert await file.read() == b""
        await file.write(b"again")
    with pytest.raises(asyncssh.SFTPFileAlreadyExists if exact else asyncssh.SFTPFailure):
        await client.open("file", "xb")
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await client.open("none", "rb")

    await client.utime("file", ns=NS)
    found = await client.stat("file")
    have = (folder / "file").stat()
    assert (found.mtime, found.size) == (NS[1] // 10**9, 5)
    if exact:
        assert (have.st_atime_ns, have.st_mtime_ns) == NS
        assert (found.atime_ns, found.mtime_ns) == (NS[0] % 10**9, NS[1] % 10**9)
        assert (found.owner, found.type) == (USER, 1)
        await client.setstat("file", asyncssh.SFTPAttrs(mtime=7))
        have = (folder / "file").stat()
        assert (have.st_atime_ns, have.st_mtime_ns) == (NS[0], 7_000_000_000)
        await client.chown("file", owner=USER, group=found.group)
        with pytest.raises(asyncssh.SFTPError):
            await client.chown("file", owner="no such user", group=found.group)
    await client.chown("file", os.getuid(), os.getgid())
    await client.chmod("file", 0o640)
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o640
    await client.truncate("file", 2)
    if version == 6:
        assert (found.nlink, found.ctime_ns is not None) == (1, True)
        assert found.alloc_size % 512 == 0

    await client.makedirs("folder/inside")
    await client.rename("new", "folder/new")
    await client.posix_rename("folder/new", "folder/inside/new")
    if version >= 5:
        await client.rename("folder/inside/new", "file", flags=1)
        with pytest.raises(asyncssh.SFTPFileAlreadyExists):
            await client.rename("folder", "file")
    else:
        await client.posix_rename("folder/inside/new", "file")
    assert (folder / "file").read_bytes() == b"new"
    with pytest.raises(asyncssh.SFTPDirNotEmpty if version == 6 else asyncssh.SFTPFailure):
        await client.rmdir("folder")

    await client.symlink("target", "folder/link")
    assert os.readlink(folder / "folder" / "link") == "target"
    if exact:
        assert os.readlink(folder / "folder" / "link") == "target"
        assert await client.readlink("folder/link") == "target"
        assert (await client.lstat("folder/link")).type == 3
        await client.setstat("folder/link", asyncssh.SFTPAttrs(atime=1, mtime=2), follow_symlinks=False)
        assert (folder / "folder" / "link").lstat().st_mtime == 2
    await client.link("file", "folder/hard")
    os.utime(folder / "folder" / "hard", ns=NS)
    entries = {entry.filename: entry async for entry in client.scandir("folder")}
    assert entries["hard"].attrs.size == 3
    assert entries["inside"].attrs.type == 2
    if exact:
        assert entries["hard"].attrs.owner == USER
        assert entries["hard"].attrs.mtime_ns == NS[1] % 10**9
    assert await client.realpath("folder/../file") == str(folder / "file")
    if version == 6:
        name = await client.realpath("folder", "inside", "..", check=STAT_ALWAYS)
        assert (name.filename, name.attrs.type) == (str(folder / "folder"), 2)
        name = await client.realpath("folder", "gone", check=STAT_IF_EXISTS)
        assert (name.filename, name.attrs.type) == (str(folder / "folder" / "gone"), 5)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await client.realpath("folder", "gone", check=STAT_ALWAYS)
        async with client.open("file", "rb") as file:
            with pytest.raises(asyncssh.SFTPOpUnsupported):
                await file.lock(0, 1, 0x40)
            with pytest.raises(asyncssh.SFTPOpUnsupported):
                await file.unlock(0, 1)

    (folder / "local").write_bytes(bytes(500_000))
    os.utime(folder / "local", ns=NS)
    await client.put(str(folder / "local"), "remote", preserve=True)
    await client.get("remote", str(folder / "back"), preserve=True)
    assert (folder / "back").stat().st_size == 500_000
    assert (folder / "back").stat().st_mtime_ns == (NS[1] if exact else NS[1] // 10**9 * 10**9)
    await client.copy("remote", "copied", remote_only=True)
    assert (folder / "copied").stat().st_size == 500_000
    await client.rmtree("folder")
    assert not (folder / "folder").exists()


@pytest.mark.parametrize("highest", VERSIONS)
def test_its_client_is_answered_in_our_highest_version(highest: int, tmp_path: Path) -> None:
    async def act(client: Any) -> int:
        await client.stat(".")
        return int(client.version)

    assert with_its_client(tmp_path, 6, act, highest) == highest
    assert with_its_client(tmp_path, 3, act, highest) == 3
