"""Files beyond four gigabytes, and directories of very many names, in one session; memory stays small.

Sizes are the full ones with SSHKIT_FULL=1 in the environment: 5 GiB in both directions over SSH, and a
million names.  Without it the holes of a file of 5 GiB are sent, which costs little, and less is fetched.
"""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.sftp.backends.interface import Backend, BackendDirectory, Entry
from sshkit.sftp.backends.memory import MemoryBackend
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.server import SFTPServer
from sshkit.testing import MemoryReactor, connect_in_memory
from tests.peers import RealSshd
from tests.servers import USER, OwnServer, Place

FULL = os.environ.get("SSHKIT_FULL") == "1"
GIB = 1 << 30
SIZE = 5 * GIB
GET_SIZE = SIZE if FULL else GIB // 8
NAMES = 1_000_000 if FULL else 50_000
PLACES = (0, 4 * GIB - 3, SIZE - 70_000)  #: where the large file has data


def sparse_file(path: Path, size: int = SIZE) -> Path:
    """Make a file with three small islands of data."""
    with path.open("wb") as file:
        for place in PLACES:
            file.seek(place * size // SIZE)
            file.write(bytes(range(1, 256)) * 256)
        file.truncate(size)
    return path


def same(one: Path, two: Path) -> bool:
    """Compare two sparse files: their data, and their sizes."""
    if one.stat().st_size != two.stat().st_size:
        return False
    for path, other in ((one, two), (two, one)):
        with path.open("rb") as file, other.open("rb") as beside:
            position = 0
            while True:
                try:
                    position = os.lseek(file.fileno(), position, os.SEEK_DATA)
                except OSError:
                    break
                end = os.lseek(file.fileno(), position, os.SEEK_HOLE)
                while position < end:
                    data = os.pread(file.fileno(), min(1 << 20, end - position), position)
                    if os.pread(beside.fileno(), len(data), position) != data:
                        return False
                    position += len(data)
    return True


def blocks(path: Path) -> int:
    """Return the bytes that a file takes on the disk."""
    return path.stat().st_blocks * 512


class Far:
    """A server that runs, and how the commands get there."""

    def __init__(self, port: int, user: str, key: Path, known_hosts: Path) -> None:
        self.target = f"{user}@127.0.0.1"
        self.url = f"{self.target}:{port}"
        self.key, self.known_hosts = key, known_hosts
        self.options = ["-F", "none", "-P", str(port), "-i", str(key), "-q"]
        self.options += ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "GlobalKnownHostsFile=none"]


@contextmanager
def our_server(folder: Path) -> Iterator[Far]:
    place = Place(folder)
    server = OwnServer(place, "-D", "-e", "-f", str(place.config("Subsystem sftp internal-sftp")))
    kind, text, *_ = (folder / "host.pub").read_text().split()
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {kind} {text}\n")
    yield Far(server.port, USER, folder / "id", known)
    assert server.stop() == 0, server.log


@contextmanager
def real_server(folder: Path) -> Iterator[Far]:
    with RealSshd(folder) as sshd:
        yield Far(sshd.port, USER, sshd.user_key_path, sshd.known_hosts)


@pytest.fixture(params=["ours", pytest.param("sshd", marks=pytest.mark.peer("sshd"))])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Far]:
    (tmp_path / "server").mkdir()
    start = our_server if request.param == "ours" else real_server
    with start(tmp_path / "server") as far:
        yield far


def command(name: str, *argv: str) -> None:
    program = Path(sys.executable).with_name(name)
    done = subprocess.run([str(program), *argv], capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.timeout(400 if FULL else 60)
@pytest.mark.parametrize("how", ["library", "sshkit-sftp", "sshkit-scp"])
def test_a_sparse_file_of_five_gigabytes_goes_and_comes_and_its_holes_stay(
    how: str, far: Far, tmp_path: Path
) -> None:
    source, there = sparse_file(tmp_path / "source"), tmp_path / "there"
    small, back = sparse_file(tmp_path / "small", GET_SIZE), tmp_path / "back"
    if how == "library":

        async def main() -> None:
            connecting = sshkit.connect(
                far.url, identities=[str(far.key)], known_hosts=str(far.known_hosts), config=False
            )
            async with connecting as connection, connection.sftp() as sftp:
                assert (await sftp.put(source, there)).size <= SIZE
                await sftp.get(small, back, sparse=True)
                await sftp.get(there, tmp_path / "part", offset=4 * GIB - 10, length=20)

        sshkit.run(main())
        assert blocks(back) < 1 << 20
        islands = bytes(range(1, 256)) * 256
        assert (tmp_path / "part").read_bytes() == bytes(7) + islands[:13]
    elif how == "sshkit-sftp":
        script = tmp_path / "script"
        script.write_text(f"put {source} {there}\nget {small} {back}\n")
        command(how, "-b", str(script), *far.options, far.target)
    else:
        command(how, *far.options, str(source), f"{far.target}:{there}")
        command(how, *far.options, f"{far.target}:{small}", str(back))
    assert same(source, there)
    assert same(small, back)
    assert blocks(there) < 1 << 20  # a file that is sent keeps its holes; one that comes does if asked
    for path in (there, back):
        path.unlink()


class Many(BackendDirectory):
    """So many entries, made as they are asked for."""

    def __init__(self, facts: Any, count: int) -> None:
        self._facts, self._count, self._next = facts, count, 0

    def read(self, count: int) -> list[Entry]:
        start, self._next = self._next, min(self._next + count, self._count)
        return [(b"name-%07d" % number, self._facts) for number in range(start, self._next)]

    def close(self) -> None:
        pass


class Endless(MemoryBackend):
    """A file system whose directory /many is very large."""

    def opendir(self, path: bytes) -> Any:
        if path.rstrip(b"/").endswith(b"many"):
            return Many(self.stat(b"/"), NAMES)
        return super().opendir(path)


def listing(network: MemoryReactor) -> SFTPClient:
    """Return a client of such a server."""
    client = SFTPClient.over(network, defer_to_thread=network.defer_to_thread, random_bytes=os.urandom)
    backend: Backend = Endless({"/many/x": b""})
    server = SFTPServer(backend, random_bytes=os.urandom, now=lambda: 0.0)
    network.pairs.append(connect_in_memory(client.session, server, network))
    return client


@pytest.mark.timeout(400 if FULL else 60)
def test_very_many_names_are_gone_through_without_being_kept() -> None:
    network = MemoryReactor()

    async def main() -> tuple[int, int]:
        client = listing(network)
        await client.ready
        count = 0
        tracemalloc.start()
        try:
            async for batch in client.batches("/many"):
                count += len(batch)
            return count, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await client.close()

    count, most = network.run(main())
    assert count == NAMES
    assert most < 4 << 20


@pytest.mark.timeout(400 if FULL else 60)
def test_ls_of_very_many_names_unsorted_keeps_none_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(NAMES // 10):
        (folder / f"name-{number:07}").touch()
    server = Path(sys.executable).with_name("sshkit-sftp-server")
    script = tmp_path / "script"
    script.write_text(f"@ls -1f {folder}\n")
    argv = [str(server.with_name("sshkit-sftp")), "-q", "-D", str(server), "-b", str(script)]
    most: list[int] = []
    for path, count in ((server, 1), (folder, NAMES // 10)):
        script.write_text(f"@ls -1f {path}\n")
        with (tmp_path / "out").open("wb+") as out:
            program = subprocess.Popen(argv, stdout=out)
            _, status, used = os.wait4(program.pid, 0)
            program.returncode = status
            out.seek(0)
            assert (status, sum(1 for _ in out)) == (0, count)
        most.append(used.ru_maxrss)
    assert most[1] - most[0] < 4096  # KiB
