"""SftpPath has pathlib's names and does pathlib's things, there; its blocking twin as well."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from sshkit.blocking.sftp import BlockingSFTP
from sshkit.blocking.sftp_path import BlockingSftpPath
from sshkit.blocking.thread import shared
from sshkit.client.sftp import open_sftp_program
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPFailure, SFTPFileExists, SFTPNoSuchFile
from sshkit.sftp.path import SftpPath
from sshkit.sftp.path_pure import PureRemotePath
from tests.sftp.client.conftest import Run, need
from tests.sftp.client.world import FakeServer, Memory


def test_names_are_pathlibs() -> None:
    path = PureRemotePath("/a", b"b", PurePosixPath("c.tar.gz"))
    assert str(path) == path.as_posix() == "/a/b/c.tar.gz"
    assert bytes(PureRemotePath(b"x\xff")) == b"x\xff"
    assert path.parts == ("/", "a", "b", "c.tar.gz")
    assert (path.name, path.stem, path.suffix, path.suffixes) == ("c.tar.gz", "c.tar", ".gz", [".tar", ".gz"])
    assert path.parent == PureRemotePath("/a/b")
    assert [str(above) for above in path.parents] == ["/a/b", "/a", "/"]
    assert path.is_absolute()
    assert str(path.joinpath("d", b"e")) == "/a/b/c.tar.gz/d/e"
    assert str(path / "/z") == "/z"
    assert str(path / PureRemotePath("z")) == "/a/b/c.tar.gz/z"
    assert str(path.with_name("n")) == "/a/b/n"
    assert str(path.with_stem("s")) == "/a/b/s.gz"
    assert str(path.with_suffix(".x")) == "/a/b/c.tar.x"
    assert path.relative_to("/a") == PurePosixPath("b/c.tar.gz")
    assert path.is_relative_to(PureRemotePath("/a"))
    assert path.match("*.gz")
    assert repr(path) == "PureRemotePath('/a/b/c.tar.gz')"
    assert hash(path) == hash(PureRemotePath("/a/b/c.tar.gz"))
    assert sorted([path, PureRemotePath("/a")])[0] == PureRemotePath("/a")
    assert path != "/a/b/c.tar.gz"
    with pytest.raises(TypeError):
        path < "x"  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError, match="not int"):
        path / 5  # type: ignore[operator]


def test_a_remote_name_is_no_local_path() -> None:
    with pytest.raises(TypeError):
        os.fspath(PureRemotePath("/etc/passwd"))  # type: ignore[call-overload]


def test_what_pathlib_does_is_done_there(both: Run, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        top = client / "top"
        await top.mkdir(0o750)
        with pytest.raises(FileExistsError):
            await top.mkdir()
        await top.mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError):
            await (top / "a" / "b").mkdir()
        await (top / "a" / "b").mkdir(parents=True)
        file = top / "file.txt"
        assert await file.write_text("text") == 4
        assert await file.read_text() == "text"
        with pytest.raises(SFTPFileExists):
            await file.mkdir(exist_ok=True)
        await file.write_bytes(b"bytes")
        assert await file.read_bytes() == b"bytes"
        async with file.open("r+") as opened:
            await opened.write(b"B")
        assert (await file.stat()).size == 5
        await file.chmod(0o600)
        await file.utime((1, 2))
        await file.chown(os.getuid(), os.getgid())
        assert (await file.stat(follow_symlinks=False)).mtime == 2
        await file.touch(time=9)
        assert (await file.stat()).mtime == 9
        with pytest.raises(SFTPFileExists):
            await file.touch(exist_ok=False)
        await (top / "new").touch(0o644)
        with pytest.raises(SFTPNoSuchFile):
            await (top / "none" / "new").touch()
        link = top / "link"
        await link.symlink_to("file.txt")
        assert str(await link.readlink()) == "file.txt"
        assert await link.is_symlink()
        assert not await file.is_symlink()
        assert not await (top / "none").is_symlink()
        assert await link.samefile(file)
        assert not await link.samefile("top/new")
        await (top / "hard").hardlink_to(file)
        assert await file.exists()
        assert await file.is_file()
        assert await top.is_dir()
        names = {path.name async for path in top.iterdir()}
        assert names == {"a", "file.txt", "new", "link", "hard"}
        assert [str(path) async for path in top.glob("*.txt")] == ["top/file.txt"]
        assert [str(path) async for path in client.__truediv__(".").glob("top/n*")] == ["top/new"]
        assert [str(path) async for path in top.rglob("b")] == ["top/a/b"]
        with pytest.raises(ValueError, match="relative"):
            [path async for path in top.glob("/x")]
        walked = [(str(at), folders, len(others)) async for at, folders, others in top.walk()]
        assert walked[0] == ("top", ["a"], 4)
        moved = await file.rename(top / "moved")
        with pytest.raises(SFTPFailure):
            await moved.rename(str(top / "new"))
        moved = await moved.replace(top / "new")
        await moved.copy(top / "copy")
        assert await (top / "copy").read_bytes() == b"Bytes"
        await moved.unlink()
        await moved.unlink(missing_ok=True)
        with pytest.raises(SFTPNoSuchFile):
            await moved.unlink()
        assert str(await top.resolve()) == os.fspath(tmp_path / "top")
        assert (await (top / "copy").copy_to(tmp_path / "here")).size == 5
        assert (await (top / "sent").copy_from(tmp_path / "here")).size == 5
        await (top / "a" / "b").rmdir()
        await top.rmtree()
        assert not await top.exists()

    both(main)


def test_home_is_where_a_session_begins(both: Run, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        assert str(await (client / "~").expanduser()) == os.fspath(tmp_path)
        assert str(await (client / "~/x").expanduser()) == os.fspath(tmp_path / "x")
        assert str(await (client / "x").expanduser()) == "x"
        if "expand-path@openssh.com" in client.extensions:
            assert str(await (client / "~root").expanduser()) == os.path.expanduser("~root")

    both(main)


def test_paths_of_two_sessions_are_not_the_same() -> None:
    memory, other = Memory(FakeServer()), Memory(FakeServer())

    async def main(client: SFTPClient) -> None:
        here, there = client / "x", SftpPath(other.connect(), "x")
        assert here != there
        assert not await here.samefile(there)
        assert repr(here) == "SftpPath('x')"
        assert here == SftpPath(client, "x")

    memory.run(main)


def test_a_failure_to_make_a_directory_is_told_as_it_is() -> None:
    from sshkit.sftp import messages as m
    from sshkit.sftp import status

    server = FakeServer()
    server.twist = lambda kind, number, _: m.pack_status(number, status.FAILURE) if kind == m.MKDIR else None

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPFailure):
            await (client / "/x").mkdir()

    Memory(server).run(main)


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[BlockingSFTP]:
    argv = [need("9.2"), "-d", str(tmp_path)]
    thread = shared()
    client = thread.call(lambda: open_sftp_program(argv, reactor=thread.reactor), timeout=10)
    with BlockingSFTP(thread, client) as sftp:
        yield sftp


def test_the_blocking_twin_does_the_same(sftp: BlockingSFTP, tmp_path: Path) -> None:
    top = sftp / "top"
    assert isinstance(top, BlockingSftpPath)
    assert top == BlockingSftpPath(sftp, "top")
    top.mkdir()
    (top / "a" / "b").mkdir(parents=True)
    file = top / "file.txt"
    assert file.write_text("text") == 4
    assert file.read_text() == "text"
    file.write_bytes(b"bytes")
    assert file.read_bytes() == b"bytes"
    with file.open() as opened:
        assert opened.read() == b"bytes"
    file.chmod(0o600)
    file.chown(os.getuid(), os.getgid())
    file.utime((1, 2))
    assert file.stat().mtime == file.lstat().mtime == 2
    (top / "new").touch()
    link = top / "link"
    link.symlink_to("file.txt")
    assert str(link.readlink()) == "file.txt"
    assert link.is_symlink()
    assert link.samefile(file)
    assert link.samefile("top/file.txt")
    (top / "hard").hardlink_to(file)
    assert file.exists()
    assert file.is_file()
    assert top.is_dir()
    assert {path.name for path in top.iterdir()} == {"a", "file.txt", "new", "link", "hard"}
    assert [str(path) for path in top.glob("*.txt")] == ["top/file.txt"]
    assert [str(path) for path in top.rglob("b")] == ["top/a/b"]
    assert next((str(at), folders) for at, folders, _ in top.walk()) == ("top", ["a"])
    moved = file.rename(top / "moved").replace(top / "new")
    moved.copy(top / "copy")
    assert moved.copy_to(tmp_path / "here").size == 5
    assert (top / "sent").copy_from(tmp_path / "here").size == 5
    moved.unlink()
    moved.unlink(missing_ok=True)
    assert str(top.resolve()) == os.fspath(tmp_path / "top")
    assert str((sftp / "~").expanduser()) == os.fspath(tmp_path)
    (top / "a" / "b").rmdir()
    top.rmtree()
    assert not top.exists()
    assert not sftp.is_closed
