"""ArchiveBackend: zip and tar files, good and bad, and nothing that leads out of them."""

import errno
import io
import os
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends import archive
from sshkit.sftp.backends.archive import ArchiveBackend, ArchiveError
from tests.sftp.server.session import DENIED, Session

NOTHING = Attributes()
DATA = bytes(range(256)) * 1000


def failed(number: int, function: Callable[..., object], *args: object) -> None:
    with pytest.raises(OSError, check=lambda error: error.errno == number):
        function(*args)


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("file", DATA)
        file.writestr("dir/deep/leaf", b"leaf")
        file.writestr("dir/", b"")
        link = zipfile.ZipInfo("link", (2020, 1, 2, 3, 4, 6))
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "dir/deep/leaf")
        long = zipfile.ZipInfo("longlink")
        long.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(long, "x" * 5000)
        when = zipfile.ZipInfo("nodate")
        when.date_time = (1980, 0, 0, 0, 0, 0)
        file.writestr(when, b"x")
        for name in ("../out", "/absolute", "a/../../b", "file/below"):
            file.writestr(name, b"evil")
    return path


def tarred(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]

        def add(name: str, data: bytes = b"", **fields: object) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            file.addfile(info, io.BytesIO(data))

        add("./file", DATA, mode=0o640, mtime=5, uid=7, gid=8)
        add("dir/deep/leaf", b"leaf")
        add("dir", type=tarfile.DIRTYPE, mode=0o711)
        add("link", type=tarfile.SYMTYPE, linkname="dir/deep/leaf")
        add("out", type=tarfile.SYMTYPE, linkname="/../etc/passwd")
        add("hard", type=tarfile.LNKTYPE, linkname="file")
        add("hard2", type=tarfile.LNKTYPE, linkname="nothing")
        add("hard3", type=tarfile.LNKTYPE, linkname="file/x")
        add("hard4", type=tarfile.LNKTYPE, linkname="dir")
        add("fifo", type=tarfile.FIFOTYPE)
        add("device", type=tarfile.BLKTYPE)
        for name in ("../out2", "/absolute", "a/../../b", "."):
            add(name, b"evil")
        add("empty/inner", type=tarfile.DIRTYPE)
        add("dir", b"a file where a directory is")
        add("dir", b"", type=tarfile.DIRTYPE, mode=0o711)
    return path


@pytest.fixture(params=["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"a.{request.param}"
    return zipped(path) if request.param == "zip" else tarred(path, f"w:{request.param.partition('.')[2]}")


def test_r32_members_are_files_and_none_leads_out(packed: Path) -> None:
    session = Session(ArchiveBackend(packed))
    names = {name for name, _, _ in session.listing(b"/")}
    assert {b"file", b"dir", b"link"} <= names
    assert not names & {
        b"out2",
        b"absolute",
        b"a",
        b"b",
        b"fifo",
        b"device",
        b"hard2",
        b"hard3",
        b"hard4",
        b"longlink",
    }
    assert session.name(m.READLINK, b"link") == b"dir/deep/leaf"
    assert session.name(m.REALPATH, b"link/../x") in (b"/dir/deep/x", 2)
    assert session.read(session.open(b"/link"), 0, 10) == b"leaf"
    link = session.attributes(m.LSTAT, b"/link")
    assert isinstance(link, Attributes)
    assert link.is_link
    assert session.open_status(b"/out") == 2
    assert session.open_status(b"/dir") == 4
    assert session.open_status(b"/file", m.WRITE_FLAG) == DENIED
    session.server.connection_lost(None)
    session.server.backend.close()


def test_members_are_read_anywhere(packed: Path) -> None:
    backend = ArchiveBackend(packed)
    file = backend.open(b"/file", m.READ_FLAG, NOTHING)
    assert file.stat().size == len(DATA)
    assert file.read(0, 1000) == DATA[:1000]
    assert file.read(1000, 1000) == DATA[1000:2000]
    assert file.read(200_000, 100_000) == DATA[200_000:]
    assert file.read(10, 10) == DATA[10:20]
    assert file.read(len(DATA), 10) == b""
    backend.close()
    assert file.read(20, 10) == DATA[20:30]
    file.close()
    failed(errno.EINVAL, backend.readlink, b"/file")
    assert backend.expand_path(b"~") == b"/"
    assert backend.expand_path(b"~/dir") == b"/dir"
    assert backend.home_directory(b"") == b"/"
    assert backend.stat(b"/dir").is_dir


def test_owners_modes_and_times_of_a_tar_are_kept(tmp_path: Path) -> None:
    backend = ArchiveBackend(tarred(tmp_path / "a.tar", "w"))
    for name in (b"/file", b"/hard"):
        found = backend.stat(name)
        assert (found.mode, found.mtime, found.uid, found.gid) == (0o640, 5, 7, 8)
    assert backend.stat(b"/dir").mode == 0o711


@pytest.mark.peer("tar")
def test_holes_of_a_tar_are_zeros(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    command = ["tar", "-S", "-cf", "a.tar", "sparse"]
    subprocess.run(command, cwd=tmp_path, check=True)
    backend = ArchiveBackend(tmp_path / "a.tar")
    file = backend.open(b"/sparse", m.READ_FLAG, NOTHING)
    assert file.read((1 << 20) - 2, 10) == b"\0\0end"
    file.close()


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    good = zipped(tmp_path / "good.zip").read_bytes()
    for name, data in (
        ("a", b""),
        ("b", b"hello" * 300),
        ("c", good[:1000]),
        ("d", good[:-100]),
        ("e", b"\x1f\x8b\x08"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ArchiveError, match=f"{name}: "):
            ArchiveBackend(tmp_path / name)
    failed(errno.ENOENT, ArchiveBackend, tmp_path / "none")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    for path in (zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar", "w")):
        with pytest.raises(ArchiveError, match="more than 3 members"):
            ArchiveBackend(path)


def test_a_damaged_member_is_an_error_of_the_disk(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    at = data.index(b"file") + 4
    data[at + 5 : at + 400] = os.urandom(395)
    path.write_bytes(data)
    backend = ArchiveBackend(path)
    file = backend.open(b"/file", m.READ_FLAG, NOTHING)
    failed(errno.EIO, file.read, 0, len(DATA))
    file.close()
    backend.close()
    tar = tarred(tmp_path / "a.tar", "w")
    backend = ArchiveBackend(tar)
    file = backend.open(b"/file", m.READ_FLAG, NOTHING)
    with tar.open("r+b") as cut:
        cut.truncate(10_000)
    assert file.read(0, 1000) == DATA[:1000]
    failed(errno.EIO, file.read, 100_000, 10)
    file.close()


@pytest.mark.peer("zip")
def test_an_encrypted_member_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    subprocess.run(["zip", "-q", "-P", "password", "a.zip", "secret"], cwd=tmp_path, check=True)
    backend = ArchiveBackend(tmp_path / "a.zip")
    failed(errno.EIO, backend.open, b"/secret", m.READ_FLAG, NOTHING)
    backend.close()
