"""What tests of sync begin with: a client and our own server in memory, trees, and their judge."""

import os
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.server import SFTPServer
from sshkit.testing import MemoryPair, MemoryReactor, connect_in_memory

T = TypeVar("T")
NOW = 1_700_000_000.0
RANDOM = random.Random(1)


class Far:
    """Our server in memory, with clients of it; `pair` is the last connection, which counts bytes."""

    def __init__(self, root: "str | os.PathLike[str]" = "/", **options: Any) -> None:
        self.network = MemoryReactor()
        self.root = root
        self.options = options
        self.pair: MemoryPair
        self._numbers = count(1)

    def connect(self) -> SFTPClient:
        """Return a client whose `ready` is to come."""
        client = SFTPClient.over(
            self.network, defer_to_thread=self.network.defer_to_thread, random_bytes=RANDOM.randbytes
        )
        backend = LocalBackend(self.root)
        server = SFTPServer(
            backend,
            random_bytes=lambda size: next(self._numbers).to_bytes(size, "big"),
            now=lambda: NOW,
            on_end=backend.close,
            **self.options,
        )
        self.pair = connect_in_memory(client.session, server, self.network)
        self.network.pairs.append(self.pair)
        return client

    def run(self, main: Callable[[SFTPClient], Awaitable[T]]) -> T:
        """Run `main` with a client."""

        async def body() -> T:
            async with self.connect().ready as client:
                return await main(client)

        return self.network.run(body())

    @property
    def sent(self) -> int:
        """Bytes that the client has sent."""
        return self.pair.client.total

    @property
    def received(self) -> int:
        """Bytes that the client was sent."""
        return self.pair.server.total


def make_tree(folder: Path) -> Path:
    """Make files of all kinds."""
    chance = random.Random(7)
    folder.mkdir()
    for number in range(40):
        (folder / f"file {number}").write_bytes(chance.randbytes(number * 97))
    (folder / "empty").touch()
    (folder / ".hidden").write_bytes(b"hidden")
    (folder / "new\nline \x1b[31m").write_bytes(b"escape")
    (folder / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"bytes")
    (folder / "link").symlink_to("file 1")
    (folder / "dangling").symlink_to("/nowhere/at all")
    (folder / "deep" / "er" / "est").mkdir(parents=True)
    (folder / "deep" / "er" / "est" / "file").write_bytes(b"deep")
    (folder / "nothing").mkdir()
    (folder / "large").write_bytes(chance.randbytes(300_000))
    (folder / "mode").write_bytes(b"mode")
    (folder / "mode").chmod(0o640)
    (folder / "deep" / "er").chmod(0o750)
    for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
        os.utime(path, (1_600_000_000 + number, 1_500_000_000 + number), follow_symlinks=False)
    os.utime(folder, (1_400_000_000, 1_400_000_000))
    return folder


def tree(folder: Path) -> dict[str, tuple[int, int, Any]]:
    """Return what is in a tree: mode, time, and contents or where a link leads."""
    found: dict[str, tuple[int, int, Any]] = {}
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(at, name)
            facts = path.lstat()
            if path.is_symlink():
                found[str(path.relative_to(folder))] = (0, 0, os.readlink(path))
            else:
                data = path.read_bytes() if path.is_file() else None
                found[str(path.relative_to(folder))] = (facts.st_mode, int(facts.st_mtime), data)
    found["."] = (folder.stat().st_mode, int(folder.stat().st_mtime), None)
    return found


def assert_equal(one: Path, two: Path) -> None:
    """Compare two trees; rsync is the judge where it is installed."""
    first, second = tree(one), tree(two)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    rsync = shutil.which("rsync")
    if rsync is not None:
        argv = [rsync, "-rlptcni", "--delete", "--omit-link-times", f"{one}/", f"{two}/"]
        assert subprocess.run(argv, capture_output=True, check=True).stdout == b""


def spoil(folder: Path) -> None:
    """Make a tree differ in every way."""
    (folder / "extra").mkdir()
    (folder / "extra" / "inside").write_text("x")
    (folder / "extra file").write_text("x")
    (folder / "file 1").unlink()
    (folder / "file 2").write_bytes(b"x" * 2 * 97)
    (folder / "file 3").write_bytes(b"shorter")
    (folder / "file 4").chmod(0o600)
    os.utime(folder / "file 5", (1, 1))
    (folder / "link").unlink()
    (folder / "link").symlink_to("elsewhere")
    (folder / "dangling").unlink()
    (folder / "dangling").write_text("a file")
    (folder / "file 6").unlink()
    (folder / "file 6").symlink_to("../outside")
    (folder / "file 7").unlink()
    (folder / "file 7").mkdir()
    (folder / "file 7" / "inside").write_text("x")
    shutil.rmtree(folder / "nothing")
    (folder / "nothing").write_text("a file")
    shutil.rmtree(folder / "deep" / "er")
    (folder / "deep" / "er").symlink_to("/")
    os.utime(folder / "deep", (3, 3))
