"""Trees are made equal, whichever side is where, and nothing more is done than needed."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.path import SftpPath
from sshkit.sftp.progress import TransferError
from sshkit.syncing.outcome import Action, SyncError, SyncResult
from sshkit.syncing.sync import Side, sync
from tests.sftp.client.conftest import need, run_with
from tests.syncing.world import Far, assert_equal, make_tree, spoil, tree

Do = Callable[..., SyncResult]
KINDS = ("here", "there", "back", "remote", "across")


def sides(kind: str, client: SFTPClient, other: SFTPClient, source: Path, target: Path) -> tuple[Side, Side]:
    """Return both sides, each at its place."""
    one: Side = source if kind in ("here", "there") else SftpPath(client, os.fspath(source))
    two: Side = target if kind in ("here", "back") else SftpPath(client, os.fspath(target))
    if kind == "across":
        two = SftpPath(other, os.fspath(target))
    return one, two


@pytest.fixture(params=[*KINDS, "sshd there", "sshd back"])
def do(request: pytest.FixtureRequest) -> Do:
    """Return a function that makes one tree equal to another, over our server or OpenSSH's."""
    kind: str = request.param
    if kind.startswith("sshd"):
        path = need("9.2")

        def real(source: Path, target: Path, **options: Any) -> SyncResult:
            async def main(client: SFTPClient) -> SyncResult:
                return await sync(*sides(kind[5:], client, client, source, target), **options)

            return run_with([path], main)

        return real

    def memory(source: Path, target: Path, **options: Any) -> SyncResult:
        far = Far()

        async def main(client: SFTPClient) -> SyncResult:
            async with far.connect().ready as other:
                one, two = sides(kind, client, other, source, target)
                return await sync(one, two, reactor=far.network, **options)  # type: ignore[arg-type]

        return far.run(main)

    return memory


def here(source: Any, target: Any, **options: Any) -> SyncResult:
    """Sync within this machine."""

    async def main() -> SyncResult:
        return await sync(source, target, **options)

    return sshkit.run(main())


def test_a_tree_is_made_equal_and_then_nothing_is_left_to_do(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "new" / "target"
    first = do(source, target)
    assert_equal(source, target)
    assert (first.files, first.folders, first.links) == (47, 4, 2)
    assert (
        first.size == first.moved == sum(len(entry[2] or b"") for entry in tree(source).values() if entry[0])
    )
    second = do(source, target)
    assert second == SyncResult(unchanged=49, seconds=second.seconds)


def test_what_differs_is_changed_and_what_is_too_much_deleted(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target")
    spoil(target)
    before = tree(target)
    planned: list[Action] = []
    would = do(source, target, delete=True, dry_run=True, on_action=planned.append)
    assert tree(target) == before
    done: list[Action] = []
    did = do(source, target, delete=True, on_action=done.append)
    assert_equal(source, target)
    assert sorted(planned) == sorted(done)
    assert would._replace(seconds=0, moved=0) == did._replace(seconds=0, moved=0)
    assert did.deleted == 5  # two names too many, three of another kind
    verbs = {action.path: action.verb for action in done}
    assert verbs["extra/"] == "delete"
    assert verbs["file 4"] == "attributes"
    assert verbs["deep/er/"] == "directory" or verbs["deep/er"] == "delete"
    assert "file 8" not in verbs


def test_what_the_source_does_not_have_stays_without_delete(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("mine")
    result = do(source, target)
    assert (target / "mine").read_text() == "mine"
    assert result.deleted == 0


def test_of_another_kind_in_the_way_is_an_error_without_delete_and_all_else_goes_on(
    do: Do, tmp_path: Path
) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    (target / "file 1").mkdir(parents=True)
    (target / "deep").write_text("in the way")
    with pytest.raises(SyncError, match=r"2 of \d+ failed") as caught:
        do(source, target)
    assert {error.path for error in caught.value.errors} == {"file 1", "deep"}
    assert caught.value.result.files == 45
    assert (target / "deep").read_text() == "in the way"
    assert (target / "file 2").read_bytes() == (source / "file 2").read_bytes()


def test_nothing_is_deleted_where_something_failed(do: Do, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    os.mkdir(source / "x")
    (source / "file").write_text("x")
    (target / "extra").mkdir(parents=True)
    deep = source / "x"
    for _ in range(3):
        deep = deep / "x"
    deep.mkdir(parents=True)
    with pytest.raises(SyncError, match="more than 2 directories"):
        do(source, target, delete=True, max_depth=2)
    assert (target / "extra").is_dir()
    assert (target / "file").read_text() == "x"


def test_no_more_is_deleted_than_allowed(do: Do, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number in range(3):
        (target / str(number)).touch()
    with pytest.raises(SyncError, match="3 to be deleted, at most 2"):
        do(source, target, delete=True, max_delete=2)
    assert len(list(target.iterdir())) == 3
    assert do(source, target, delete=True, max_delete=3).deleted == 3
    assert list(target.iterdir()) == []


def test_r32_nothing_outside_the_target_is_deleted_through_a_link(do: Do, tmp_path: Path) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    for folder in (source, target, outside):
        folder.mkdir()
    (outside / "precious").write_text("precious")
    (target / "link").symlink_to(outside)
    (target / "sub").mkdir()
    (target / "sub" / "link").symlink_to(outside)
    assert do(source, target, delete=True).deleted == 2
    assert list(target.iterdir()) == []
    assert (outside / "precious").read_text() == "precious"


def test_r35_a_directory_is_not_made_in_what_a_link_leads_to(do: Do, tmp_path: Path) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("x")
    (source / "plain").write_text("new")
    for folder in (target, outside):
        folder.mkdir()
    (outside / "plain").write_text("old")
    (target / "sub").symlink_to(outside)
    (target / "plain").symlink_to(outside / "plain")
    do(source, target, delete=True)
    assert os.listdir(outside) == ["plain"]
    assert (outside / "plain").read_text() == "old"
    assert (target / "plain").read_text() == "new"
    assert not (target / "sub").is_symlink()


def test_checksums_find_what_size_and_time_hide(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target")
    (target / "large").write_bytes(b"x" * 300_000)
    facts = (source / "large").stat()
    os.utime(target / "large", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.utime(target / "file 9", (5, 5))
    assert do(source, target, times=False, size_only=True).files == 0
    result = do(source, target, checksum=True)
    assert (result.files, result.attributes) == (1, 1)
    assert_equal(source, target)


def test_a_clock_that_is_wrong_changes_nothing(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target")
    (target / "file 1").write_bytes(b"y" * 97)
    os.utime(target / "file 1", (4_000_000_000, 4_000_000_000))  # from the future
    os.utime(source / "file 2", (4_000_000_100, 4_000_000_100))
    assert do(source, target).files == 2
    assert_equal(source, target)
    assert do(source, target).files == 0


def test_newer_files_stay_with_update(do: Do, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
        for name in ("newer", "older"):
            (folder / name).write_text(f"{folder.name} {name}")
    os.utime(target / "newer", (4_000_000_000, 4_000_000_000))
    os.utime(target / "older", (1, 1))
    do(source, target, update=True)
    assert (target / "newer").read_text() == "target newer"
    assert (target / "older").read_text() == "source older"


def test_times_may_differ_by_the_window(do: Do, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder, time in ((source, 100), (target, 102)):
        folder.mkdir()
        (folder / "file").write_text("same")
        os.utime(folder / "file", (time, time))
    assert do(source, target, modify_window=2).files == 0
    assert do(source, target, modify_window=1).files == 1


@pytest.mark.parametrize(("modes", "times"), [(False, False), (True, False), (False, True)])
def test_modes_and_times_are_taken_over_where_asked_for(
    do: Do, tmp_path: Path, modes: bool, times: bool
) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    (target / "mode").parent.mkdir()
    (target / "mode").write_text("old")
    (target / "mode").chmod(0o604)
    do(source, target, modes=modes, times=times)
    wanted, found = tree(source), tree(target)
    assert {name: entry[2] for name, entry in wanted.items()} == {
        name: entry[2] for name, entry in found.items()
    }
    for name in ("mode", "large", "file 3", "deep", "deep/er"):
        if modes or name == "large":
            assert wanted[name][0] == found[name][0]
        assert (wanted[name][1] == found[name][1]) == times
    if not modes:
        assert (target / "mode").stat().st_mode & 0o777 == 0o604


def test_links_and_directories_are_left_out_where_not_asked_for(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    os.mkfifo(source / "pipe")
    skipped: list[Action] = []
    result = do(source, target, links=False, recursive=False, on_action=skipped.append)
    assert (result.files, result.folders, result.links) == (46, 0, 0)
    found = sorted(action.path for action in skipped if action.verb == "skip")
    assert found == ["dangling", "deep/", "link", "nothing/", "pipe"]


def test_patterns_say_what_takes_part(do: Do, tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target")
    spoil(target)
    (target / "extra.bak").write_text("x")
    options: dict[str, Any] = {"exclude": ["file *", "deep/", "*.bak"], "include": ["file 2"], "delete": True}
    do(source, target, filters=["- /nothing", "- dangling"], **options)
    assert (target / "file 2").read_bytes() == (source / "file 2").read_bytes()
    assert (target / "file 3").read_bytes() == b"shorter"
    assert (target / "file 7").is_dir()
    assert (target / "extra.bak").exists()
    assert (target / "nothing").is_file()
    assert not (target / "extra").exists()
    do(source, target, delete_excluded=True, **options)
    assert not (target / "file 3").exists()
    assert not (target / "extra.bak").exists()
    assert not (target / "deep").exists()


def test_one_file_is_made_equal_too(do: Do, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"contents")
    os.utime(source, (1, 2))
    assert do(source, tmp_path / "new" / "name").files == 1
    assert (tmp_path / "new" / "name").read_bytes() == b"contents"
    assert do(source, tmp_path / "new" / "name").unchanged == 1
    (tmp_path / "folder").mkdir()
    assert do(source, tmp_path / "folder").files == 1
    assert (tmp_path / "folder" / "file").stat().st_mtime == 2
    assert do(source, tmp_path / "none" / "name", dry_run=True).files == 1
    assert not (tmp_path / "none").exists()


def test_sides_that_cannot_be_are_refused(do: Do, tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="no such file or directory"):
        do(tmp_path / "none", tmp_path / "target")
    with pytest.raises(OSError, match="not a directory"):
        do(source, tmp_path / "file")


def test_files_of_a_cut_transfer_take_no_part_and_are_not_deleted_under_it(do: Do, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "large").write_bytes(b"x" * 100_000)
    (source / ".other.sshkit-part").write_bytes(b"x")
    (target / ".large.sshkit-part").write_bytes(b"x" * 50_000)
    (target / ".orphan.sshkit-part").write_bytes(b"x")
    result = do(source, target, delete=True)
    assert os.listdir(target) == ["large"]
    assert result.files == 1


@pytest.mark.parametrize("below", [True, False])
def test_a_tree_does_not_become_what_it_lies_in(tmp_path: Path, below: bool) -> None:
    source = make_tree(tmp_path / "source")
    (tmp_path / "link").symlink_to("source")
    for target in (source, source / "nothing", source / "new" / "er", tmp_path, tmp_path / "link"):
        with pytest.raises(TransferError, match="or one lies in the other"):
            here(source, target, delete=below)

    async def main(client: SFTPClient) -> None:
        top = client / os.fspath(source)
        for target in (top, top / "nothing", top / "new" / "er", top.parent, top.parent / "link"):
            with pytest.raises(TransferError, match="or one lies in the other"):
                await sync(top, target)

    Far().run(main)
    assert (source / "file 1").exists()


def test_a_local_pipe_is_no_side(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TransferError, match="neither"):
        here(tmp_path / "pipe", tmp_path / "target")


def test_progress_is_told_and_followed(tmp_path: Path) -> None:
    source, far = make_tree(tmp_path / "source"), Far()
    told: list[int] = []

    async def main(client: SFTPClient) -> None:
        work = sync(
            source, client / os.fspath(tmp_path / "t"), progress=lambda state: told.append(state.done)
        )
        events = [state async for state in work.events()]
        result = await work
        assert events[-1].done == work.progress.done == result.size
        assert work.progress.files == work.progress.files_total == 53

    far.run(main)
    assert told[-1] == sum(len(entry[2] or b"") for entry in tree(source).values() if entry[0])


def test_a_sync_can_be_cancelled(tmp_path: Path) -> None:
    source, far = make_tree(tmp_path / "source"), Far()

    async def main(client: SFTPClient) -> None:
        work = sync(source, client / os.fspath(tmp_path / "target"))
        work.cancel()
        with pytest.raises(sshkit.CancelledError):
            await work

    far.run(main)


def test_it_runs_on_asyncio_and_from_plain_threads(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")

    async def main() -> None:
        await sync(source, tmp_path / "one")

    asyncio.run(main())
    assert_equal(source, tmp_path / "one")
    assert sshkit.blocking.sync(os.fspath(source), os.fsencode(tmp_path / "two")).files == 47
    assert_equal(source, tmp_path / "two")


def test_a_home_directory_is_found(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    path = need("9.2")

    async def main(client: SFTPClient) -> None:
        await sync(source, client / "~/target")
        await sync(client / "~/target", tmp_path / "back")

    run: Callable[[list[str], Callable[[SFTPClient], Awaitable[None]]], None] = run_with
    run([path, "-d", str(tmp_path)], main)
    assert_equal(source, tmp_path / "back")
