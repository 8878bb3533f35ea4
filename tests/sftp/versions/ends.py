"""Our client with our server in one process, in any version; and what a client does in every version."""

import os
import pwd
import random
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.sftp import errors
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.server import SFTPServer
from sshkit.testing import MemoryReactor, connect_in_memory

VERSIONS = (3, 4, 5, 6)
USER = pwd.getpwuid(os.geteuid()).pw_name
NS = (1_234_567_890_123_456_789, 1_334_567_890_987_654_321)


def run(
    main: Callable[[SFTPClient], Awaitable[Any]],
    backend: Backend,
    versions: tuple[int, ...],
    max_version: int = 6,
    **options: Any,
) -> Any:
    """Run `main` with a client that may speak `versions` to a server that may speak up to `max_version`."""
    network = MemoryReactor()
    numbers = random.Random(1)
    server = SFTPServer(
        backend, random_bytes=numbers.randbytes, now=lambda: 0.0, max_version=max_version, **options
    )

    async def body() -> Any:
        client = SFTPClient.over(
            network,
            defer_to_thread=network.defer_to_thread,
            random_bytes=numbers.randbytes,
            versions=versions,
        )
        network.pairs.append(connect_in_memory(client.session, server, network))
        async with client.ready as sftp:
            return await main(sftp)

    return network.run(body())


def below(folder: Path, **options: Any) -> LocalBackend:
    """Return a backend of all files; relative paths begin in `folder`."""
    return LocalBackend("/", start=str(folder), user=USER, **options)


async def everything(client: SFTPClient, folder: Path, *, own: bool) -> None:
    """Do all that a client can; `own` where the server is ours, which knows more codes."""
    exact = client.version > 3
    coded = client.version > (3 if own else 5)  # it tells what exists from what fails
    await client.write_bytes("file", b"12345")
    async with client.open("file", "r+") as file:
        await file.write(b"ab")
        await file.flush()
        assert (await file.stat()).size == 5
        await file.setstat(Attributes(permissions=0o640))
    async with client.open("file", "ab") as file:
        await file.write(b"end")
    assert await client.read_bytes("file") == b"ab345end"
    with pytest.raises(FileExistsError if coded else errors.SFTPError):
        await client.open("file", "xb")
    with pytest.raises(FileNotFoundError):
        await client.open("none", "r+")
    async with client.open("new", "xb", permissions=0o600) as file:
        await file.write(b"x" * 300_000)
    assert len(await client.read_bytes("new")) == 300_000
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o600

    found = await client.stat("file")
    assert (found.size, found.mode, found.is_file) == (8, 0o640, True)
    assert found.owner == (USER if exact else None)
    assert found.uid == (os.getuid() if not exact else None)
    await client.utime("file", ns=NS)
    have = (folder / "file").stat()
    seconds = NS[0] // 10**9, NS[1] // 10**9
    if exact:
        assert (have.st_atime_ns, have.st_mtime_ns) == NS
        found = await client.stat("file")
        assert found.times_ns == NS
        await client.chown("file", USER, found.group or "")
    else:
        assert (have.st_atime, have.st_mtime) == seconds
    await client.utime("file", (5.5, 6.25))
    assert (folder / "file").stat().st_mtime_ns == (6_250_000_000 if exact else 6_000_000_000)
    await client.chown("file", os.getuid(), os.getgid())
    await client.chmod("file", 0o604)
    await client.truncate("file", 3)
    assert await client.read_bytes("file") == b"ab3"
    with pytest.raises(FileNotFoundError):
        await client.stat("none")

    await client.mkdir("folder", 0o750)
    await client.makedirs("folder/a/b")
    with pytest.raises(FileExistsError if coded else errors.SFTPError):
        await client.mkdir("folder")
    with pytest.raises(errors.SFTPDirectoryNotEmpty):
        await client.rmdir("folder")
    await client.write_bytes("folder/one", b"1")
    await client.write_bytes("folder/two", b"2")
    with pytest.raises(errors.SFTPError):
        await client.rename("folder/one", "folder/two", replace=False)
    await client.rename("folder/one", "folder/three", replace=False)
    await client.rename("folder/three", "folder/two")
    assert await client.read_bytes("folder/two") == b"1"
    client.extensions.pop("posix-rename@openssh.com")
    await client.write_bytes("folder/four", b"4")
    await client.rename("folder/two", "folder/four", replace=True) if client.version > 4 else None
    await client.replace("folder/two" if client.version < 5 else "folder/four", "folder/five")
    assert await client.read_bytes("folder/five") == b"1"

    await client.symlink("five", "folder/link")
    assert os.readlink(folder / "folder" / "link") == "five"
    assert await client.readlink("folder/link") == "five"
    assert (await client.lstat("folder/link")).is_link
    assert (await client.stat("folder/link")).is_file
    await client.remove("folder/link")
    await client.link("folder/five", "folder/hard")
    assert (folder / "folder" / "hard").stat().st_nlink == 2
    if client.version == 6:
        assert (await client.stat("folder/hard")).links == 2
        assert (await client.stat("folder/hard")).ctime is not None
    os.utime(folder / "folder" / "hard", ns=NS)
    entries = {entry.name: entry async for entry in client.scandir("folder")}
    assert entries["a"].is_dir
    assert entries["hard"].is_file
    assert entries["hard"].attributes.owner == (USER if exact else None)
    assert entries["hard"].attributes.mtime_ns == (NS[1] % 10**9 if exact else None)
    assert bool(entries["hard"].longname) is not exact
    assert await client.realpath("folder/../file") == str(folder / "file")
    await client.utime("folder/five", ns=NS, follow_symlinks=False)

    (folder / "local").mkdir()
    (folder / "local" / "small").write_bytes(b"small")
    (folder / "local" / "long").write_bytes(bytes(600_000))
    for name in ("small", "long"):
        os.utime(folder / "local" / name, ns=NS)
    await client.put(folder / "local", "up", recursive=True, preserve=True)
    await client.get("up", folder / "down", recursive=True, preserve=True)
    await client.put(folder / "local" / "long", "alone", preserve=True)
    await client.get("alone", folder / "back", preserve=True)
    for path in ("up/small", "up/long", "down/small", "down/long", "alone", "back"):
        have = (folder / path).stat()
        assert have.st_size == (5 if path.endswith("small") else 600_000)
        assert have.st_mtime_ns == (NS[1] if exact else NS[1] // 10**9 * 10**9), path
    await client.rmtree("folder")
    assert not (folder / "folder").exists()
