"""SFTP from plain threads: the same names, and files that Python's own modules take."""

import csv
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import sshkit
from sshkit.blocking.sftp import BlockingSFTP, RemoteFile
from sshkit.blocking.thread import shared
from sshkit.client.sftp import open_sftp_program
from sshkit.sftp.attributes import Attributes
from tests.peers import RealSshd
from tests.sftp.client.conftest import need
from tests.sftp.client.world import contents


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[BlockingSFTP]:
    argv = [need("9.2"), "-d", str(tmp_path)]
    thread = shared()
    client = thread.call(lambda: open_sftp_program(argv, reactor=thread.reactor), timeout=10)
    with BlockingSFTP(thread, client) as sftp:
        yield sftp


def test_every_name_waits(sftp: BlockingSFTP, tmp_path: Path) -> None:
    assert sftp.version == 3
    assert sftp.limits.read
    assert "statvfs@openssh.com" in sftp.extensions
    sftp.makedirs("a/b")
    sftp.mkdir("a/c")
    sftp.rmdir("a/c")
    assert sftp.write_text("a/f", "text") == 4
    assert sftp.read_text("a/f") == "text"
    sftp.write_bytes("a/g", b"bytes")
    assert sftp.read_bytes("a/g") == b"bytes"
    sftp.chmod("a/f", 0o600)
    sftp.utime("a/f", (1, 2))
    sftp.utime("a/f", ns=(1_500_000_000, 2_500_000_000))
    assert sftp.stat("a/f").mtime == 2
    (sftp / "a/f").utime(ns=(1_500_000_000, 3_500_000_000))
    assert sftp.stat("a/f").mtime == 3
    sftp.chown("a/f", os.getuid(), os.getgid())
    with pytest.raises(OSError, match="by number only"):
        sftp.chown("a/f", "root", "root")
    assert sftp.get("a/g", tmp_path / "part", offset=1, length=3).size == 3
    assert (tmp_path / "part").read_bytes() == b"yte"
    sftp.truncate("a/f", 2)
    sftp.setstat("a/f", Attributes(mtime=3, atime=3))
    found = sftp.stat("a/f")
    assert (found.size, found.mtime, found.mode) == (2, 3, 0o600)
    sftp.symlink("f", "a/link")
    assert sftp.lstat("a/link").is_link
    assert sftp.readlink("a/link") == "f"
    sftp.link("a/f", "a/hard")
    sftp.rename("a/hard", "a/hard2")
    sftp.replace("a/hard2", "a/hard3")
    sftp.copy("a/g", "a/copy")
    sftp.remove("a/copy")
    assert sftp.exists("a/hard3")
    assert sftp.is_dir("a")
    assert sftp.is_file("a/f")
    assert sorted(sftp.listdir("a")) == ["b", "f", "g", "hard3", "link"]
    assert sorted(entry.name for entry in sftp.scandir("a")) == sorted(sftp.listdir("a"))
    assert [at for at, _, _ in sftp.walk("a")] == ["a", "a/b"]
    assert list(sftp.glob("a/h*")) == ["a/hard3"]
    assert sftp.realpath("a") == str(tmp_path / "a")
    assert sftp.expand_user("a") == str(tmp_path / "a")
    assert sftp.statvfs().f_bsize
    assert sftp.disk_usage().total
    sftp.chdir("a")
    assert sftp.getcwd() == str(tmp_path / "a")
    sftp.chdir("..")
    with pytest.raises(OSError, match="check-file"):
        sftp.hash("a/f")
    with pytest.raises(FileNotFoundError):
        sftp.stat("none")
    assert sftp.get("a", tmp_path / "got", recursive=True).files
    assert sftp.put(tmp_path / "a" / "g", "up").size == 5
    sftp.rmtree("a")
    assert not sftp.exists("a")


def test_zipfile_tarfile_csv_and_shutil_take_its_files(sftp: BlockingSFTP, tmp_path: Path) -> None:
    data = contents(1_000_000)
    with sftp.open("z.zip", "w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside", data)
    with sftp.open("z.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside") == data
    (tmp_path / "local").write_bytes(data)
    with sftp.open("t.tar", "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(tmp_path / "local", "inside")
    with sftp.open("t.tar") as file, tarfile.open(fileobj=file) as tar:
        member = tar.extractfile("inside")
        assert member is not None
        assert member.read() == data
    with sftp.open("c.csv", "wt", newline="") as file:
        csv.writer(file).writerows([["a", "ü"], ["1", "2"]])
    with sftp.open("c.csv", "rt", newline="") as file:
        assert list(csv.reader(file)) == [["a", "ü"], ["1", "2"]]
    with (tmp_path / "local").open("rb") as source, sftp.open("copy", "wb") as target:
        shutil.copyfileobj(source, target)
    assert (tmp_path / "copy").read_bytes() == data


def test_a_raw_file_behaves_as_pythons_own(sftp: BlockingSFTP, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    raw = sftp.open("f", buffering=0)
    assert isinstance(raw, RemoteFile)
    assert raw.readable()
    assert raw.seekable()
    assert not raw.writable()
    assert raw.seek(4) == 4
    assert raw.tell() == 4
    assert raw.read(3) == b"456"
    assert raw.stat().size == 10
    with pytest.raises(io.UnsupportedOperation):
        raw.write(b"x")
    raw.close()
    raw.close()
    with pytest.raises(ValueError, match="closed"):
        raw.tell()
    with sftp.open("f", "r+") as file:
        file.seek(8)
        file.truncate()
        assert file.read() == b""
    assert (tmp_path / "f").read_bytes() == b"01234567"


def test_an_error_of_the_last_write_surfaces_at_close(sftp: BlockingSFTP) -> None:
    file = sftp.open("/dev/full", "wb", buffering=0)
    file.write(b"x")
    with pytest.raises(OSError):  # noqa: PT011 - FAILURE is all that version 3 says
        file.close()


@pytest.mark.peer("sshd")
def test_a_blocking_connection_opens_sftp(tmp_path: Path) -> None:
    with RealSshd(tmp_path) as sshd:
        user = os.environ.get("USER", "root")
        with (
            sshkit.blocking.connect(
                f"{user}@127.0.0.1:{sshd.port}",
                identities=[sshd.user_key_path],
                known_hosts=sshd.known_hosts,
            ) as connection,
            connection.sftp() as sftp,
        ):
            assert sftp.exists("/")
