"""Full disks, quotas, servers that die, names of all bytes, links that appear meanwhile, wrong clocks.

Each ends in the error that docs/errors.md promises, and leaves nothing that looks whole and is not.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import scp, sync

from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.quota import Quota
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError, SFTPFailure, SFTPNoSpace, SFTPQuotaExceeded
from sshkit.sftp.progress import Progress, TreeError
from sshkit.sftp.server import SFTPServer
from sshkit.syncing.outcome import SyncError
from sshkit.syncing.sync import sync as sync_trees
from sshkit.testing import MemoryReactor, connect_in_memory
from tests.cli.copying import run_command, run_sftp
from tests.sftp.client.conftest import need, run_with
from tests.sftp.client.world import contents, names_below
from tests.syncing.world import Far, assert_equal

OURS = str(Path(sys.executable).with_name("sshkit-sftp-server"))
Main = Callable[[SFTPClient], Awaitable[Any]]


@pytest.fixture(params=["ours", "9.2"])
def server(request: pytest.FixtureRequest) -> str:
    """Our sftp-server, and OpenSSH's."""
    return OURS if request.param == "ours" else need(request.param)


def far_scp(folder: Path) -> str:
    """Return a program in ssh's place, which runs the far side's sshkit-scp here."""
    own = Path(sys.executable).with_name("sshkit-scp")
    path = folder / "ssh"
    path.write_text(f'#!/bin/sh\nfor last; do :; done\nscp() {{ {own} "$@"; }}\neval "$last"\n')
    path.chmod(0o755)
    return str(path)


# Disks.


def private_disk(folder: Path, size: str) -> list[str]:
    """Return the words before a program that sees a disk of `size` at `folder`, if one can be had."""
    folder.mkdir()
    script = f'mount -t tmpfs -o size={size} none "$0" && cd "$0" && exec "$@"'
    for flags in ("-m", "-rm"):
        start = ["unshare", flags, "sh", "-c", script, str(folder)]
        if shutil.which("unshare") and not subprocess.run([*start, "true"], capture_output=True).returncode:
            return start
    pytest.skip("no file system can be mounted here")


def test_a_full_disk_of_the_server_is_told_and_leaves_nothing(server: str, tmp_path: Path) -> None:
    large, tree = tmp_path / "large", tmp_path / "tree"
    large.write_bytes(contents(3_000_000))
    (tree / "sub").mkdir(parents=True)
    for number in range(40):
        (tree / "sub" / f"{number}").write_bytes(contents(50_000))
    kind = SFTPNoSpace if server == OURS else SFTPFailure  # theirs says no more than "Failure"

    async def main(client: SFTPClient) -> None:
        for resume in (False, True):
            with pytest.raises(kind):
                await client.put(large, "large", resume=resume)
        assert await client.listdir() == [".large.sshkit-part"]
        await client.remove(".large.sshkit-part")
        with pytest.raises(TreeError) as caught:
            await client.put(tree, "tree", recursive=True)
        assert all(isinstance(entry.error, kind) for entry in caught.value.errors)
        async for entry in client.scandir("tree/sub"):
            assert (await client.stat(f"tree/sub/{entry.name}")).size == 50_000
        await client.rmtree("tree")
        with pytest.raises(kind):
            async with client.open("handle", "wb") as file:
                await file.write(contents(3_000_000))

    run_with([*private_disk(tmp_path / "disk", "1m"), server], main)


@pytest.mark.parametrize("program", ["sshkit-sftp", "sshkit-scp", "sshkit-scp -O", "sshkit-sync"])
def test_a_full_disk_here_is_told_and_leaves_nothing(program: str, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "far").mkdir(exist_ok=True)
        (tmp_path / "far" / f"{number}").write_bytes(contents(600_000))
    script = """"$@"; echo $?; find . -type f -printf '%s %f\\n'"""
    start = [*private_disk(tmp_path / "disk", "1m"), "sh", "-c", script, "."]
    name, *options = program.split()
    command = [str(Path(sys.executable).with_name(name))]
    if name == "sshkit-sftp":
        (tmp_path / "script").write_text(f"@get {tmp_path}/far/*\n")
        command += ["-q", "-D", OURS, "-b", str(tmp_path / "script")]
    elif options:
        command += ["-O", "-S", far_scp(tmp_path), f"h:{tmp_path}/far/*", "."]
    else:
        command += ["-r", "-D", OURS, f"h:{tmp_path}/far", "."]
    done = subprocess.run([*start, *command], capture_output=True, timeout=60, check=False)
    status, _, listing = done.stdout.decode().partition("\n")
    assert status == "1", done
    assert b"No space left on device" in done.stderr
    sizes = [int(line.split()[0]) for line in listing.splitlines() if ".sshkit-part" not in line]
    if options:  # the legacy protocol writes in place: files are cut where the disk was full
        assert max(sizes) == 600_000 > min(sizes)
        assert sum(sizes) < 1 << 20
    else:
        assert sizes.count(600_000) == len(sizes) == 1


@pytest.mark.parametrize("version", [3, 6])
def test_a_quota_is_told_as_such(version: int, tmp_path: Path) -> None:
    network = MemoryReactor()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "large").write_bytes(contents(500_000))
    (tmp_path / "far").mkdir()

    async def main() -> None:
        client = SFTPClient.over(
            network, defer_to_thread=network.defer_to_thread, random_bytes=os.urandom, versions=(version,)
        )
        backend = LocalBackend(tmp_path / "far", quota=Quota(bytes=400_000))
        numbers = iter(range(100))
        server = SFTPServer(
            backend,
            random_bytes=lambda size: next(numbers).to_bytes(size, "big"),
            now=lambda: 0.0,
            max_version=version,
        )
        network.pairs.append(connect_in_memory(client.session, server, network))
        async with client.ready:
            with pytest.raises(SFTPQuotaExceeded):
                await client.put(tmp_path / "here" / "large", "large")
            with pytest.raises(TreeError) as caught:
                await client.put(tmp_path / "here", "tree", recursive=True)
            assert isinstance(caught.value.errors[0].error, SFTPQuotaExceeded)
            with pytest.raises(SyncError):
                await sync_trees(tmp_path / "here", client / "synced")

    network.run(main())
    left = [name for name in names_below(tmp_path / "far") if (tmp_path / "far" / name).is_file()]
    assert all(name.endswith(".sshkit-part") for name in left)  # what a sync goes on with


# Servers that die.


@pytest.mark.parametrize("way", ["get", "put", "get a tree", "put a tree"])
def test_r37_a_server_killed_in_a_transfer_is_a_lost_connection_and_resume_ends_equal(
    way: str, server: str, tmp_path: Path
) -> None:
    here, far = tmp_path / "here", tmp_path / "far"
    source, target = (far, here) if way.startswith("get") else (here, far)
    for folder in (here, far):
        folder.mkdir()
    for number in range(3):
        (source / f"{number}").write_bytes(contents(20_000_000))
    whole = "tree" in way
    start = ["sh", "-c", f'echo $$ > "{tmp_path}/pid"; exec "$0"', server]

    def kill(progress: Progress) -> None:
        if progress.done > 15_000_000:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    def move(client: SFTPClient, **options: Any) -> Awaitable[Any]:
        name = "" if whole else "1"
        call = client.get if way.startswith("get") else client.put
        return call(source / name, target / name, recursive=whole, resume=True, **options)

    async def killed(client: SFTPClient) -> None:
        with pytest.raises(SFTPConnectionLost):
            await move(client, progress=kill)
        assert client.is_closed

    async def again(client: SFTPClient) -> int:
        return int((await move(client)).resumed)

    run_with(start, killed)
    for name in names_below(target):
        assert name.endswith(".sshkit-part") or (target / name).read_bytes() == contents(20_000_000)
    assert run_with([server], again) > 0
    assert names_below(target) == (["0", "1", "2"] if whole else ["1"])
    assert all((target / name).read_bytes() == contents(20_000_000) for name in names_below(target))


# Names.

NAMES = [
    b"new\nline",
    b"esc \x1b[2J\x1b]0;title\x07",
    b"not utf-8 \xff\xfe",
    b"\xc3",
    b"x" * 255,
    "ü".encode() * 127 + b"y",
    b"quotes ' \" and \\ back",
    b"$(touch owned) `id` ;&|",
    b"-rf",
    b"* ? [a]",
    b" spaces ",
    "\u202eright to left".encode(),
    b"\x01\x7f\x9b",
]


def make_names(folder: Path) -> Path:
    """Make a file and a directory of every odd name."""
    for name in NAMES:
        below = os.path.join(os.fsencode(folder), b"d", name)
        os.makedirs(below)
        for path in (os.path.join(os.fsencode(folder), name), os.path.join(below, name)):
            with open(path, "wb") as file:
                file.write(name)
    return folder


def test_r36_names_of_all_bytes_survive_the_round_trip_of_the_library(server: str, tmp_path: Path) -> None:
    source = make_names(tmp_path / "source")

    async def main(client: SFTPClient) -> None:
        for resume in (False, True):
            far, back = tmp_path / f"far{resume}", tmp_path / f"back{resume}"
            await client.put(source, far, recursive=True, preserve=True, resume=resume)
            await client.get(far, back, recursive=True, preserve=True, resume=resume)
            assert_equal(source, far)
            assert_equal(source, back)
        await sync_trees(source, client / os.fspath(tmp_path / "synced"))
        assert_equal(source, tmp_path / "synced")
        await client.chdir(source)
        assert {os.fsencode(name) for name in await client.listdir()} == {b"d", *NAMES}
        for name in NAMES:
            assert await client.read_bytes(name) == name
            found = os.fsencode(await client.realpath(name))
            assert found == os.path.join(os.fsencode(source), name)
            await client.rename(name, name[:249] + b".moved")
            await client.rename(name[:249] + b".moved", name)
            await client.symlink(name, b"link")
            assert os.fsencode(await client.readlink(b"link")) == name
            await client.remove(b"link")
            with pytest.raises(FileNotFoundError) as caught:
                await client.stat(b"d/none/" + name)
            assert not any(ord(letter) < 32 or letter == "\x9b" for letter in str(caught.value))

    run_with([server], main)


@pytest.mark.parametrize("program", ["sftp", "scp", "scp -O", "sync"])
def test_r36_names_of_all_bytes_survive_the_round_trip_of_the_commands(
    program: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_names(tmp_path / "source")
    far, back = tmp_path / "far", tmp_path / "back"
    monkeypatch.chdir(tmp_path)
    if program == "sftp":
        script = f"put -R {source} {far}\nget -R {far} {back}\nls -l {far}\n"
        done = run_sftp("-D", server, "-b", "-", stdin=script.encode())
        assert not any(byte in done.out for byte in b"\x1b\x07\x01\x7f")
    elif program == "sync":
        done = run_command(sync.main, "-av", "-D", server, f"{source}", f"h:{far}")
        assert done.status == 0
        done = run_command(sync.main, "-av", "-D", server, f"h:{far}", f"{back}")
        assert not any(byte in done.out for byte in b"\x1b\x07\x01\x7f")
    elif program == "scp":
        assert run_command(scp.main, "-r", "-D", server, f"{source}", f"h:{far}").status == 0
        done = run_command(scp.main, "-r", "-D", server, f"h:{far}", f"{back}")
    else:
        options = ("-r", "-O", "-S", far_scp(tmp_path))
        assert run_command(scp.main, *options, f"{source}", f"h:{far}").status == 0
        done = run_command(scp.main, *options, f"h:{far}", f"{back}")
    assert (done.status, done.err) == (0, "")
    wanted = names_below(source)
    names = {name: name for name in NAMES}
    if program == "scp -O":  # its lines end with a newline: there is another way to write one
        wanted = sorted(name.replace("\n", "\\^J") for name in wanted)
        names[b"new\nline"] = b"new\\^Jline"
    for folder in (far, back):
        assert names_below(folder) == wanted
        for name, arrived in names.items():
            assert Path(os.fsdecode(os.path.join(os.fsencode(folder), arrived))).read_bytes() == name


# Links that appear in the middle.


def test_r35_a_directory_that_turns_into_a_link_while_a_tree_arrives_is_not_gone_through(
    server: str, tmp_path: Path
) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    for number in range(30):
        (source / f"{number}" / "deep").mkdir(parents=True)
        (source / f"{number}" / "deep" / "file").write_bytes(contents(1000))
    (outside / "deep").mkdir(parents=True)

    def swap(progress: Progress) -> None:
        for number in range(30):
            at = target / f"{number}"
            if not at.is_symlink():
                if at.exists():
                    at.rename(tmp_path / f"moved {number}")
                at.symlink_to(outside)
                return

    async def main(client: SFTPClient) -> None:
        with pytest.raises(TreeError) as caught:
            await client.get(source, target, recursive=True, parallel=1, progress=swap)
        assert {type(entry.error) for entry in caught.value.errors} <= {NotADirectoryError, OSError}

    run_with([server], main)
    assert names_below(outside) == ["deep"]


def test_r35_a_directory_that_turns_into_a_link_while_a_tree_is_sent_is_not_followed(
    server: str, tmp_path: Path
) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    for number in range(30):
        (source / f"{number}").mkdir(parents=True)
        (source / f"{number}" / "file").write_bytes(contents(1000))
    outside.mkdir()
    (outside / "secret").write_text("secret")

    def swap(progress: Progress) -> None:
        for number in range(30):
            at = source / f"{number}"
            if not at.is_symlink():
                at.rename(tmp_path / f"moved {number}")
                at.symlink_to(outside)

    async def main(client: SFTPClient) -> None:
        sending = client.put(source, target, recursive=True, progress=swap, follow_symlinks=False, parallel=1)
        with pytest.raises(TreeError) as caught:
            await sending
        assert all(isinstance(entry.error, OSError) for entry in caught.value.errors)

    run_with([server], main)
    assert not [name for name in names_below(target) if "secret" in name]


def test_r32_a_link_swapped_in_while_a_client_goes_through_the_root_leads_nowhere(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    for number in range(20):
        (root / f"{number}").mkdir(parents=True)
        (root / f"{number}" / "file").write_bytes(contents(1000))
    far = Far(root)

    def swap(_: Progress) -> None:
        for number in range(20):
            at = root / f"{number}"
            if not at.is_symlink():
                at.rename(root / f"moved {number}")
                at.symlink_to(outside)

    async def main(client: SFTPClient) -> None:
        with pytest.raises((TreeError, SFTPError)):
            await client.get("/", tmp_path / "got", recursive=True, parallel=1, progress=swap)
        (tmp_path / "up" / "3").mkdir(parents=True)
        (tmp_path / "up" / "3" / "mine").write_text("mine")
        with pytest.raises(TreeError):
            await client.put(tmp_path / "up", "/", recursive=True)
        with pytest.raises(FileNotFoundError):
            await client.read_bytes("/3/secret")

    far.run(main)
    assert not [name for name in names_below(tmp_path / "got") if "secret" in name]
    assert names_below(outside) == ["secret"]


# Clocks.


@pytest.mark.parametrize("skew", [-86_400, 7_200, 40_000_000])
@pytest.mark.parametrize("direction", ["there", "back"])
def test_clocks_that_differ_neither_hide_a_change_nor_move_what_is_equal(
    skew: int, direction: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    now = int(os.stat(source).st_mtime)
    for number in range(5):
        (source / f"{number}").write_bytes(contents(10_000 + number))
        os.utime(source / f"{number}", (now + skew, now + skew))
    far = Far()

    async def run(client: SFTPClient) -> Any:
        if direction == "there":
            return await sync_trees(source, client / os.fspath(target))
        return await sync_trees(client / os.fspath(source), target)

    assert far.run(run).files == 5
    assert_equal(source, target)
    assert far.run(run).files == 0
    # One is changed, is as long as before, and by the clock it is older than the copy.
    (source / "1").write_bytes(contents(10_001)[::-1])
    os.utime(source / "1", (now + skew - 100, now + skew - 100))
    # One is written here by a clock that is ahead.
    os.utime(target / "2", (now + 90_000, now + 90_000))
    assert far.run(run).files == 2
    assert_equal(source, target)
