"""Two hundred connections that break at a random byte: gets, puts, trees and syncs, seeded.

After each cut every file under its final name is whole, the old one or the new one; what is partly there has
a name of its own.  The next try goes on from there, is perhaps cut again, and the last one ends equal.
"""

import os
import random
from itertools import cycle
from pathlib import Path

import pytest

from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost
from sshkit.sftp.progress import TreeError
from sshkit.syncing.outcome import SyncError
from sshkit.syncing.sync import sync
from tests.syncing.world import Far

#: How many connections of each kind are cut.
SHARES = {"get": 40, "put": 40, "get a tree": 30, "put a tree": 30, "sync there": 30, "sync back": 30}
ALL = 200
SIZE = 900_000
PIECE = 20_000  #: bytes at most that move at a time


def make_source(folder: Path, seed: int) -> Path:
    """Make a tree: one file of many packets, some of one, an empty one, directories."""
    chance = random.Random(seed)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "large").write_bytes(chance.randbytes(SIZE))
    (folder / "deep" / "large").write_bytes(chance.randbytes(150_000))
    for number in range(6):
        (folder / f"small {number}").write_bytes(chance.randbytes(number * 3_001))
        (folder / "deep" / "er" / f"{number}").write_bytes(chance.randbytes(2_000))
    return folder


def contents_below(folder: Path) -> dict[str, bytes]:
    """Return every file of a tree and what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Job:
    """Something to be moved from `source` to `target`, whatever happens to the connection."""

    def __init__(self, kind: str, folder: Path, seed: int, chance: random.Random) -> None:
        self.kind = kind
        self.chance = chance
        self.source = make_source(folder / "source", seed)
        self.target = folder / "target"
        self.wanted = contents_below(self.source)
        self.old: dict[str, bytes] = {}
        self.resumed = 0
        self.bytes = 0  #: that moved in the last try
        if kind in ("get", "put"):
            self.wanted = {"large": self.wanted["large"]}
        if chance.random() < 0.5:
            self.make_old_ones()

    def make_old_ones(self) -> None:
        """Let some files be there already, in an earlier state."""
        self.target.mkdir()
        for name in ("large", "small 3"):
            if name in self.wanted:
                self.old[name] = b"an earlier one" + self.wanted[name][: len(self.wanted[name]) // 2]
                (self.target / name).write_bytes(self.old[name])

    async def move(self, client: SFTPClient) -> None:
        """Do it, or what is left of it."""
        source, target = os.fspath(self.source), os.fspath(self.target)
        if self.kind.startswith("sync"):
            far = self.kind == "sync there"
            here, there = (source, client / target) if far else (client / source, target)
            found = await sync(here, there, checksum=bool(self.old))
            self.resumed += found.size - found.moved
            return
        self.target.mkdir(exist_ok=True)
        whole = "tree" in self.kind
        if not whole:
            source, target = os.path.join(source, "large"), os.path.join(target, "large")
        move = client.get if self.kind.startswith("get") else client.put
        transfer = move(source, target, recursive=whole, resume=True, errors="raise")
        try:
            await transfer
        finally:
            self.resumed += transfer.progress.resumed

    def run(self, after: int | None) -> bool:
        """Try once, over a connection that breaks when `after` bytes have moved; tell whether it did all."""
        far = Far()
        left = [0 if after is None else after]

        async def main() -> bool:
            client = far.connect()
            pair = far.pair
            ends = cycle((pair.client, pair.server))  # as `pump` asks for them

            def chop() -> int:
                size = min(left[0], self.chance.randint(1, PIECE), len(next(ends).outgoing))
                left[0] -= size
                if not left[0]:
                    far.network.call_soon(pair.cut)
                return size

            if after is not None:
                pair.chop = chop
            try:
                await self.move(await client.ready)
            except (SFTPConnectionLost, TreeError, SyncError):
                assert after is not None
                return False
            self.bytes = pair.client.total + pair.server.total
            return True

        try:
            return far.network.run(main())
        finally:
            far.pair.cut()  # the server closes what it still has open

    def check(self) -> None:
        """Every file under its final name is whole."""
        found = contents_below(self.target) if self.target.exists() else {}
        for name, data in found.items():
            if ".sshkit-" not in name:
                assert data == self.wanted[name] or data == self.old.get(name), name
        for name, data in self.old.items():
            assert found[name] in (data, self.wanted[name])

    def check_the_end(self) -> None:
        """All of it is there, and nothing else."""
        assert contents_below(self.target) == self.wanted


def test_the_shares_of_all_kinds_are_200_cuts() -> None:
    assert sum(SHARES.values()) == ALL == 200


@pytest.mark.parametrize("kind", SHARES)
def test_r37_of_200_cuts_at_random_bytes_none_is_taken_for_whole_and_resume_ends_equal(
    kind: str, tmp_path: Path
) -> None:
    chance = random.Random(kind)
    first = Job(kind, tmp_path / "first", 0, chance)
    assert first.run(None)
    first.check_the_end()
    amount = first.bytes
    cuts = jobs = resumed = 0
    while cuts < SHARES[kind]:
        jobs += 1
        job = Job(kind, tmp_path / str(jobs), jobs, chance)
        whole = False
        while not whole and cuts < SHARES[kind]:
            whole = job.run(chance.randint(1, amount))
            cuts += not whole
            job.check()
        assert whole or job.run(None)
        job.check_the_end()
        resumed += job.resumed
    assert cuts == SHARES[kind]
    assert resumed
