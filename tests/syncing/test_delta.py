"""Of a large file only the blocks that changed are moved, and what is put together is never taken unseen."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.wire import string

from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.progress import TransferError
from sshkit.sftp.transfer_local import part_name
from sshkit.syncing import delta
from sshkit.syncing.delta import KEPT, SENT, Piece, block_size, is_worth_it, local_blocks, plan
from sshkit.syncing.outcome import SyncError, SyncResult
from sshkit.syncing.sync import sync
from tests.sftp.client.conftest import need, run_with
from tests.syncing.world import Far

SIZE = 4 << 20
DATA = random.Random(3).randbytes(SIZE)


def changed(data: bytes, *places: int) -> bytes:
    """Return the data with ten other bytes at each place."""
    found = bytearray(data)
    for place in places:
        found[place : place + 10] = b"0123456789"
    return bytes(found)


class Pair:
    """A file at both sides: `new` is to replace `old`."""

    def __init__(self, folder: Path, new: bytes, old: bytes) -> None:
        self.source, self.target = folder / "source", folder / "target"
        for at, data in ((self.source, new), (self.target, old)):
            at.mkdir()
            (at / "file").write_bytes(data)
        os.utime(self.target / "file", (1, 1))
        (self.target / "file").chmod(0o604)
        self.far = Far()

    def sync(self, direction: str, **options: Any) -> SyncResult:
        async def main(client: SFTPClient) -> SyncResult:
            return await self.begin(client, direction, **options)

        return self.far.run(main)

    def begin(self, client: SFTPClient, direction: str, **options: Any) -> Any:
        """Begin, with a client that is there."""
        if direction == "there":
            return sync(self.source, client / os.fspath(self.target), **options)
        return sync(client / os.fspath(self.source), self.target, **options)

    @property
    def bytes_on_the_wire(self) -> int:
        return self.far.sent + self.far.received

    @property
    def is_equal(self) -> bool:
        return (
            os.listdir(self.target) == ["file"]
            and (self.target / "file").read_bytes() == (self.source / "file").read_bytes()
        )


both = pytest.mark.parametrize("direction", ["there", "back"])


@both
def test_only_blocks_that_changed_cross_the_wire(tmp_path: Path, direction: str) -> None:
    pair = Pair(tmp_path, changed(DATA, 1_000_000, 3_000_000), DATA)
    result = pair.sync(direction)
    assert pair.is_equal
    assert result.size == SIZE
    assert result.moved == 2 * block_size(SIZE)
    assert pair.bytes_on_the_wire < SIZE // 20
    found, wanted = (pair.target / "file").stat(), (pair.source / "file").stat()
    assert (found.st_mode, int(found.st_mtime)) == (wanted.st_mode, int(wanted.st_mtime))


@both
def test_a_file_that_has_grown_or_shrunk_is_made_from_the_old_one(tmp_path: Path, direction: str) -> None:
    for number, (new, old) in enumerate(((DATA + b"more" * 5000, DATA), (DATA[:-700_001], DATA))):
        folder = tmp_path / str(number)
        folder.mkdir()
        pair = Pair(folder, new, old)
        pair.sync(direction)
        assert pair.is_equal
        assert pair.bytes_on_the_wire < SIZE // 20


@both
def test_blocks_that_have_moved_are_found(tmp_path: Path, direction: str) -> None:
    half = SIZE // 2
    pair = Pair(tmp_path, DATA[half:] + DATA[:half], DATA)
    assert pair.sync(direction).moved == 0
    assert pair.is_equal


@both
def test_many_scattered_changes_are_put_together(tmp_path: Path, direction: str) -> None:
    block = block_size(SIZE)
    pair = Pair(tmp_path, changed(DATA, *range(block // 2, SIZE, 2 * block)), DATA)
    result = pair.sync(direction, modes=False)
    assert pair.is_equal
    assert result.moved == SIZE // 2
    assert (pair.target / "file").stat().st_mode & 0o777 == 0o604


@both
def test_a_file_with_little_in_common_is_sent_whole(tmp_path: Path, direction: str) -> None:
    pair = Pair(tmp_path, DATA, bytes(SIZE))
    assert pair.sync(direction).moved == SIZE
    assert pair.is_equal


@both
def test_no_blocks_are_asked_for_where_delta_is_off(tmp_path: Path, direction: str) -> None:
    pair = Pair(tmp_path, changed(DATA, 5), DATA)
    assert pair.sync(direction, delta=False).moved == SIZE
    assert pair.is_equal


@both
def test_servers_without_hashes_get_the_whole_file(tmp_path: Path, direction: str) -> None:
    pair = Pair(tmp_path, changed(DATA, 5), DATA)
    argv = [need("9.2")]
    assert run_with(argv, lambda client: pair.begin(client, direction)).moved == SIZE
    assert pair.is_equal


@both
@pytest.mark.parametrize("resume", [True, False])
def test_what_a_cut_transfer_left_is_used_with_the_old_file(
    tmp_path: Path, direction: str, resume: bool
) -> None:
    new = changed(DATA, 100, 2_000_000)
    pair = Pair(tmp_path, new, DATA)
    part = pair.target / os.fsdecode(part_name(b"file", None))
    part.write_bytes(new[:1_000_000])
    result = pair.sync(direction, resume=resume)
    assert result.moved == (1 if resume else 2) * block_size(SIZE)
    if not resume:
        part.unlink()
    assert pair.is_equal


@both
def test_r35_a_link_in_place_of_the_part_is_not_written_through(tmp_path: Path, direction: str) -> None:
    pair = Pair(tmp_path, changed(DATA, 5), DATA)
    (tmp_path / "precious").write_bytes(b"precious")
    (pair.target / os.fsdecode(part_name(b"file", None))).symlink_to(tmp_path / "precious")
    with pytest.raises(SyncError):
        pair.sync(direction)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (pair.target / "file").read_bytes() == DATA


def meddle(monkeypatch: pytest.MonkeyPatch, name: str, before: Callable[[], object]) -> None:
    """Do something before a function of the module runs."""
    real = getattr(delta, name)

    def function(*args: Any) -> Any:
        before()
        return real(*args)

    monkeypatch.setattr(delta, name, function)


@both
def test_r37_a_file_that_changes_meanwhile_does_not_get_its_name(
    tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path, changed(DATA, 1_000_000), DATA)

    def change() -> None:
        (pair.source / "file").write_bytes(changed(DATA, 1_000_050, 2_500_000))

    meddle(monkeypatch, "plan", change)
    with pytest.raises(SyncError, match="changed meanwhile"):
        pair.sync(direction)
    assert (pair.target / "file").read_bytes() == DATA
    monkeypatch.undo()
    pair.sync(direction)
    assert pair.is_equal


@both
def test_r37_a_file_that_is_cut_meanwhile_does_not_get_its_name(
    tmp_path: Path, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path, changed(DATA, 3_000_000), DATA)
    meddle(monkeypatch, "plan", lambda: os.truncate(pair.source / "file", 2_000_000))
    with pytest.raises(SyncError, match="changed while it was read"):
        pair.sync(direction, resume=False)
    assert (pair.target / "file").read_bytes() == DATA
    assert os.listdir(pair.target) == ["file"]


def test_r37_an_old_file_that_is_cut_meanwhile_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair(tmp_path, changed(DATA, 3_000_000), DATA)
    meddle(monkeypatch, "plan", lambda: os.truncate(pair.target / "file", 2_000_000))
    with pytest.raises(SyncError, match="changed while it was read"):
        pair.sync("back")


def answering(pair: Pair, client: SFTPClient, body: bytes | None) -> None:
    """Let the server answer questions for blocks with `body`, None: that it cannot."""
    session = client.session
    real = session.call

    def call(kind: int, sent: bytes, expected: int = m.STATUS, read: Any = None, path: Any = None) -> Any:
        if kind != m.EXTENDED or not sent.startswith(string("check-file-name")):
            return real(kind, sent, expected, read, path)
        deferred: Any = real(m.LSTAT, string(b"/"), m.ATTRS, m.unpack_attrs)

        def lie(_: object) -> Any:
            if body is None:
                from sshkit.sftp.errors import error_for

                raise error_for(status.OP_UNSUPPORTED)
            return read(memoryview(bytes(5) + body))

        return deferred.add_callback(lie)

    session_class = type(session)
    meddled = type("Meddled", (session_class,), {"__slots__": (), "call": staticmethod(call)})
    session.__class__ = meddled  # type: ignore[assignment]


@both
@pytest.mark.parametrize(
    "body",
    [
        None,
        string("md5") + bytes(16 * 64),
        string("check-file") + string("sha256") + bytes(32 * 5),
        string("sha256") + bytes(32 * 1024),
    ],
    ids=["refused", "weak", "too few", "too many"],
)
def test_answers_that_are_of_no_use_lead_to_the_whole_file(
    tmp_path: Path, direction: str, body: bytes | None
) -> None:
    pair = Pair(tmp_path, changed(DATA, 5), DATA)

    async def main(client: SFTPClient) -> SyncResult:
        answering(pair, client, body)
        result: SyncResult = await pair.begin(client, direction)
        return result

    assert pair.far.run(main).moved == SIZE
    assert pair.is_equal


def test_blocks_grow_with_the_file() -> None:
    assert block_size(1 << 20) == 8 * 1024
    assert block_size(1 << 30) == 256 * 1024
    assert block_size(1 << 50) == 1 << 20


def test_a_plan_joins_what_lies_together() -> None:
    new = [b"a", b"b", b"x", b"y", b"d", b"a", b"k"]
    pieces = plan(new, 65, 10, [b"a", b"b", b"c", b"d"], [b"", b"", b"", b"", b"", b"", b"k"])
    assert pieces == [
        Piece(0, 20, 0),
        Piece(20, 20, SENT),
        Piece(40, 10, 30),
        Piece(50, 10, 0),
        Piece(60, 5, KEPT),
    ]
    assert is_worth_it(pieces, 65)
    assert not is_worth_it([Piece(0, 160, SENT), Piece(160, 9, 0)], 169)


def test_a_file_shorter_than_it_was_has_no_blocks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    with (tmp_path / "file").open("rb") as file, pytest.raises(TransferError, match="changed"):
        local_blocks(file.fileno(), 10, 4, "sha256")
