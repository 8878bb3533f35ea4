"""What the client asks of real servers they do, and their errors are those of the files."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

import sshkit
from sshkit.client.sftp import open_sftp_program
from sshkit.sftp import errors
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from tests.peers import RealSshd
from tests.sftp.client.conftest import Run, need
from tests.sftp.client.world import FakeServer, Memory, contents


def test_facts_of_the_server_are_told(both: Run) -> None:
    async def main(client: SFTPClient) -> None:
        assert client.version == 3
        assert "posix-rename@openssh.com" in client.extensions
        assert client.limits.read > 32768
        assert not client.is_closed
        assert repr(client) == "<SFTPClient open>"

    both(main)


def test_attributes_are_read_and_changed(both: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    os.symlink("f", tmp_path / "link")

    async def main(client: SFTPClient) -> None:
        assert (await client.stat("link")).size == 5
        assert (await client.lstat("link")).is_link
        await client.chmod("f", 0o640)
        await client.utime("f", (100, 200))
        await client.truncate("f", 3)
        await client.chown("f", os.getuid(), os.getgid())
        await client.utime("link", (300, 400), follow_symlinks=False)
        assert await client.exists("f")
        assert not await client.exists("none")
        assert await client.is_file("f")
        assert await client.is_dir(".")
        with pytest.raises(PermissionError if os.getuid() else FileNotFoundError):
            await client.stat("/proc/1/root/none" if os.getuid() else "none")

    both(main)
    found = (tmp_path / "f").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_atime, found.st_size) == (0o640, 100, 3)
    assert (tmp_path / "link").lstat().st_mtime == 400


def test_names_are_made_renamed_and_removed(both: Run, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        await client.mkdir("d", 0o700)
        await client.makedirs("d/e/f", exist_ok=True)
        await client.makedirs("d/e/f", exist_ok=True)
        with pytest.raises(FileExistsError):
            await client.makedirs("d/e/f")
        with pytest.raises(FileNotFoundError):
            await client.rmdir("none")
        await client.write_text("d/a", "text")
        await client.write_bytes("d/b", b"other")
        with pytest.raises(errors.SFTPFailure):
            await client.rename("d/a", "d/b", replace=False)
        await client.rename("d/a", "d/b")
        assert await client.read_text("d/b") == "text"
        await client.symlink("b", "d/link")
        assert await client.readlink("d/link") == "b"
        await client.link("d/b", "d/hard")
        assert await client.realpath("d/link") == str(tmp_path / "d" / "b")
        await client.remove("d/hard")
        assert sorted(await client.listdir("d")) == ["b", "e", "link"]
        await client.rmtree("d")
        assert await client.listdir() == []

    both(main)


def test_the_working_directory_is_the_clients(both: Run, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()

    async def main(client: SFTPClient) -> None:
        assert await client.getcwd() == str(tmp_path)
        await client.chdir("sub")
        assert await client.getcwd() == str(tmp_path / "sub")
        await client.write_bytes("here", b"x")
        with pytest.raises(NotADirectoryError):
            await client.chdir("../file")
        with pytest.raises(FileNotFoundError):
            await client.chdir("none")
        assert await client.listdir() == ["here"]
        assert await client.exists("/")

    both(main)
    assert (tmp_path / "sub" / "here").exists()


def test_extensions_answer(both: Run, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        assert (await client.statvfs()).f_namemax >= 255
        usage = await client.disk_usage(".")
        assert 0 < usage.free <= usage.total
        assert (await client.expand_user("~root")).startswith("/")
        assert await client.expand_user("x") == str(tmp_path / "x")
        await client.write_bytes("f", contents(100_000))
        await client.copy("f", "g")
        assert await client.read_bytes("g") == contents(100_000)
        async with client.open("g", "r+") as file:
            await file.fsync()
            assert (await file.statvfs()).f_bsize
            await file.setstat(Attributes(permissions=0o600))
        if "users-groups-by-id@openssh.com" in client.extensions:
            assert await client.user_and_group_names([0, 4000000], [0]) == (["root", ""], ["root"])
        if "home-directory" in client.extensions:
            assert (await client.home_directory("root")).startswith("/")
        with pytest.raises(errors.SFTPOpUnsupported):
            await client.hash("f")

    both(main)


def test_names_of_any_bytes_come_back(both: Run, tmp_path: Path) -> None:
    names = [b"new\nline", b"esc\x1b[31m", b"caf\xe9", b"x" * 255, b" ", "ü".encode()]
    for name in names:
        (Path(os.fsdecode(bytes(tmp_path) + b"/" + name))).touch()

    async def main(client: SFTPClient) -> None:
        assert sorted(await client.listdir(".")) == sorted(os.fsdecode(name) for name in names)
        for entry in [entry async for entry in client.scandir(".")]:
            assert entry.is_file
            assert not entry.is_dir
            assert not entry.is_link
            assert (await client.stat(entry.path)).is_file
            await client.remove(entry.raw)

    both(main)
    assert os.listdir(tmp_path) == []


def test_walk_and_glob_find_names(both: Run, tmp_path: Path) -> None:
    for name in ("a/b/c.txt", "a/b/d.py", "a/e.txt", ".h/i.txt", "f[1].txt", "g.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.symlink("a", tmp_path / "link")

    async def found(client: SFTPClient, pattern: str) -> list[str]:
        return [name async for name in client.glob(pattern)]

    async def main(client: SFTPClient) -> None:
        walked = [(at, [e.name for e in ds]) async for at, ds, _ in client.walk(".")]
        assert walked[0][0] == "."
        assert sorted(at for at, _ in walked) == [".", "./.h", "./a", "./a/b"]
        followed = [at async for at, _, _ in client.walk(".", follow_symlinks=True)]
        assert "./link/b" in followed
        assert await found(client, "*.txt") == ["f[1].txt", "g.txt"]
        assert await found(client, "**/*.txt") == ["f[1].txt", "g.txt", "a/e.txt", "a/b/c.txt"]
        assert await found(client, "a/?/[cd].*") == ["a/b/c.txt", "a/b/d.py"]
        assert await found(client, "link/*.txt") == ["link/e.txt"]
        assert await found(client, "*/e.txt") == ["a/e.txt", "link/e.txt"]
        assert await found(client, "f\\[1\\].txt") == ["f[1].txt"]
        assert await found(client, ".h/*") == [".h/i.txt"]
        assert await found(client, "a/**") == ["a/b", "a/b/c.txt", "a/b/d.py", "a/e.txt"]
        assert await found(client, f"{tmp_path}/g*") == [str(tmp_path / "g.txt")]
        assert await found(client, "none") == []
        assert await found(client, "none/*") == []
        assert await found(client, "g.txt") == ["g.txt"]
        assert await found(client, "/") == ["/"]
        assert await found(client, "") == []

    both(main)


def test_open_files_read_write_and_seek(both: Run, tmp_path: Path) -> None:
    data = contents(3_000_000)

    async def main(client: SFTPClient) -> None:
        async with client.open("f", "x+") as file:
            assert await file.write(data) == len(data)
            assert file.tell() == len(data)
            assert await file.seek(-10, os.SEEK_END) == len(data) - 10
            assert await file.read() == data[-10:]
            assert await file.seek(5) == 5
            assert await file.read(10) == data[5:15]
            assert await file.seek(2, os.SEEK_CUR) == 17
            buffer = bytearray(20)
            assert await file.readinto(buffer) == 20
            assert buffer == data[17:37]
            await file.seek(1_000_000)
            assert await file.read(1_500_000) == data[1_000_000:2_500_000]
            assert await file.pread(1_000_000, 10) == data[10:1_000_010]
            assert await file.pread(100, len(data) - 5) == data[-5:]
            await file.seek(0)
            assert await file.write(b"new") == 3
            assert await file.read(3) == data[3:6]
            await file.flush()
            assert await file.truncate(100) == 100
            assert (await file.stat()).size == 100
            assert "f'" in repr(file)
            assert file.name == "f"
            with pytest.raises(ValueError, match="cannot seek"):
                await file.seek(-1)
        with pytest.raises(ValueError, match="closed file"):
            await file.read(1)
        await file.close()
        with pytest.raises((FileExistsError, errors.SFTPFailure)):
            await client.open("f", "x")
        async with client.open("f", "ab") as file:
            assert file.tell() == 100
            await file.write(b"end")
        async with client.open("f") as file:
            parts = [await file.read(1) for _ in range(3)]
            assert b"".join(parts) == b"new"
            assert (await file.read())[-3:] == b"end"
            assert await file.read(5) == b""
        with pytest.raises(ValueError, match="mode"):
            client.open("f", "q")

    both(main)
    assert (tmp_path / "f").read_bytes() == b"new" + data[3:100] + b"end"


def test_an_error_of_a_write_behind_surfaces(both: Run) -> None:
    async def main(client: SFTPClient) -> None:
        file = await client.open("/dev/full", "wb")
        await file.write(b"x" * 100)
        with pytest.raises(OSError):  # noqa: PT011 - a status of its own for each version
            await file.close()
        file = await client.open("/dev/full", "wb")
        await file.write(b"x" * 100)
        with pytest.raises(OSError):  # noqa: PT011
            await file.flush()
        await file.close()
        with pytest.raises(RuntimeError, match="mine"):
            await failing(client)

    async def failing(client: SFTPClient) -> None:
        async with client.open("/dev/full", "wb") as file:
            await file.write(b"x")
            raise RuntimeError("mine")

    both(main)


def test_the_same_client_works_on_asyncio(tmp_path: Path) -> None:
    path = need("9.2")

    async def main() -> bytes:
        async with open_sftp_program([path, "-d", str(tmp_path)]) as client:
            await client.write_bytes("f", b"data")
            return (await asyncio.gather(asyncio.ensure_future(_read(client)), _read(client)))[0]

    async def _read(client: SFTPClient) -> bytes:
        return await client.read_bytes("f")

    assert asyncio.run(main()) == b"data"


def test_a_program_that_ends_is_told_with_its_words() -> None:
    async def main() -> None:
        with pytest.raises(errors.SFTPConnectionLost, match="SFTP session"):
            await open_sftp_program(["/bin/sh", "-c", "echo no >&2; exit 1"])

    sshkit.run(main())


def test_what_a_server_does_not_offer_is_told_or_done_otherwise() -> None:
    server = FakeServer(extensions={})
    server.files[b"/a"] = bytearray(b"one")
    server.files[b"/b"] = bytearray(b"two")

    async def main(client: SFTPClient) -> None:
        for call in (
            client.link("/a", "/c"),
            client.statvfs("/"),
            client.expand_user("~"),
            client.chmod("/a", 0o600, follow_symlinks=False),
            client.user_and_group_names([1]),
            client.hash("/a"),
        ):
            with pytest.raises(errors.SFTPOpUnsupported):
                await call
        with pytest.raises(errors.SFTPOpUnsupported):
            await (await client.open("/a")).fsync()
        await client.replace("/a", "/b")
        await client.replace("/b", "/c")
        await client.copy("/c", "/d")
        assert await client.read_bytes("/d") == b"one"
        assert client.limits.read == 0

    Memory(server).run(main)


@pytest.mark.peer("sshd")
def test_sftp_works_over_ssh(tmp_path: Path) -> None:
    data = contents(3_000_000)
    (tmp_path / "f").write_bytes(data)

    async def main(sshd: RealSshd) -> None:
        async with sshkit.connect(
            f"{os.environ.get('USER', 'root')}@127.0.0.1:{sshd.port}",
            identities=[sshd.user_key_path],
            known_hosts=sshd.known_hosts,
        ) as connection:
            async with connection.sftp() as client:
                await client.get(tmp_path / "f", tmp_path / "g")
                await client.put(tmp_path / "g", tmp_path / "h")
            async with connection.sftp(command=need("9.2")) as client:
                assert (await client.stat(tmp_path / "h")).size == len(data)
            with pytest.raises(sshkit.SSHKitError):
                await connection.sftp(subsystem="none")

    with RealSshd(tmp_path) as sshd:
        sshkit.run(main(sshd))
    assert (tmp_path / "h").read_bytes() == data
