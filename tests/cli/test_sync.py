"""sshkit-sync: what is typed, what is shown, and what is left, here, over programs and over real servers."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import sync, sync_options
from sshkit_cli.sftp_meter import Meter
from sshkit_cli.sftp_options import UsageError

from tests.cli.copying import SERVER, need_server, run_command
from tests.cli.user import Outcome
from tests.peers import RealSshd
from tests.servers import OwnServer, Place
from tests.syncing.world import assert_equal, make_tree, spoil, tree

OURS = str(Path(sys.executable).with_name("sshkit-sftp-server"))


def run(*argv: object) -> Outcome:
    """Run sshkit-sync in this process."""
    return run_command(
        sync.main, *(os.fspath(word) if isinstance(word, Path) else str(word) for word in argv)
    )


def test_a_tree_is_made_equal_here(tmp_path: Path) -> None:
    source, target = make_tree(tmp_path / "source"), tmp_path / "target"
    assert run("-a", source, target) == Outcome(0, b"", "")
    assert_equal(source, target)
    done = run("-av", f"{source}/", f"{target}/")
    assert done.status == 0
    assert done.out.startswith(
        b"0 files, 0 directories, 0 links, 0 deleted, 49 unchanged\n0 bytes, 0 moved, "
    )


@pytest.mark.parametrize("server", [OURS, SERVER], ids=["ours", "theirs"])
def test_names_of_what_is_done_are_shown_and_a_dry_run_does_nothing(tmp_path: Path, server: str) -> None:
    if server == SERVER:
        need_server()
    source, target = make_tree(tmp_path / "source"), make_tree(tmp_path / "target")
    spoil(target)
    before = tree(target)
    planned = run("-an", "--delete", "-D", server, source, f"host:{target}")
    assert planned.status == 0
    assert tree(target) == before
    done = run("-av", "--delete", "-D", server, source, f"host:{target}")
    assert done.status == 0
    lines = done.out.decode().splitlines()
    assert sorted(planned.out.decode().splitlines()) == sorted(lines[:-2])
    assert {"deleting extra/", "deleting extra file", "file 1", "nothing/", "deep/er/est/file"} <= set(lines)
    assert_equal(source, target)
    back = run("-acv", "--stats", "--delete", "-D", server, f"host:{source}", tmp_path / "back")
    assert back.status == 0
    assert "new\\nline \\x1b[31m" in back.out.decode()
    assert_equal(source, tmp_path / "back")


def test_errors_are_told_and_the_rest_is_done(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "esc\x1b").write_text("x")
    (source / "good").write_text("x")
    (target / "esc\x1b").mkdir()
    (target / "extra").touch()
    done = run("-r", "--stats", source, target)
    assert done.status == 1
    assert done.err == (
        "sshkit-sync: esc\\x1b: something of another kind is in the way, and is removed with delete only\n"
    )
    assert done.out.startswith(b"1 files, ")
    assert (target / "good").exists()
    assert run("-rq", "--stats", source, target).out == b""
    done = run("-a", "--delete", "--max-delete=1", source, target)
    assert done.err == "sshkit-sync: 2 to be deleted, at most 1 may be\n"
    assert run("-a", "--delete", "--max-delete=2", source, target).status == 0
    assert_equal(source, target)


def test_patterns_are_read_in_order_and_from_files(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    (tmp_path / "patterns").write_text("# words\n+ file 12\n/large\n")
    (tmp_path / "wanted").write_text("file 13\n")
    words = ["--include-from", tmp_path / "wanted", "--exclude-from", tmp_path / "patterns"]
    run(
        "-r",
        *words,
        "--include",
        "file 2",
        "--exclude=file *",
        "--exclude=- deep/",
        source,
        tmp_path / "target",
    )
    found = {name for name in os.listdir(tmp_path / "target") if name.startswith(("file", "large", "deep"))}
    assert found == {"file 2", "file 12", "file 13"}
    (tmp_path / "patterns").write_text("fine\n[\n")
    done = run("-r", "--exclude-from", tmp_path / "patterns", source, tmp_path / "target")
    assert done.status == 1
    assert f"{tmp_path}/patterns:2: pattern" in done.err
    done = run("-r", "--exclude-from", tmp_path / "none", source, tmp_path / "target")
    assert (done.status, "No such file" in done.err) == (1, True)
    done = run("-r", "--exclude", "[", source, tmp_path / "target")
    assert (done.status, "without its" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "usage"),
        (["a", "b", "c"], "usage"),
        (["--none", "a", "b"], "option --none not recognized"),
        (["-Z", "a", "b"], "option -Z not recognized"),
        (["--max-delete=x", "a", "b"], "--max-delete: 'x' is no number"),
        (["--modify-window=99999999999", "a", "b"], "--modify-window"),
        (["--port=0", "a", "b"], "Bad port"),
        (["user@:x", "b"], "Missing hostname"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(words: list[str], message: str) -> None:
    done = run(*words)
    assert done.status == 1
    assert message in done.err


def test_help_and_version_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    done = run("--help")
    assert done.status == 0
    assert b"--delete-excluded" in done.out
    for word in ("-V", "--version"):
        assert sync.main([word]) == 0
        assert capsys.readouterr().err.startswith("sshkit-sync ")


def test_what_is_typed_is_understood() -> None:
    words = ["-rltpcunWvvq46Cz", "-F", "f", "-i", "key", "-o", "X=y", "-J", "j", "--port", "22", "-S", "ssh"]
    typed = sync_options.parse(
        [*words, "--size-only", "--update", "--modify-window=2", "--delete", "--delete-excluded",
         "--no-resume", "--verify", "--progress", "--stats", "a:", "b"]
    )  # fmt: skip
    wanted: dict[str, Any] = dict.fromkeys(typed.options, True)
    wanted.update(modify_window=2, max_delete=None, delta=False, resume=False)
    assert typed.options == wanted
    assert typed.client == (
        "-4",
        "-6",
        "-C",
        "-C",
        "-F",
        "f",
        "-i",
        "key",
        "-o",
        "X=y",
        "-J",
        "j",
        "-v",
        "-q",
    )
    assert (typed.port, typed.ssh, typed.source, typed.target) == (22, "ssh", "a:", "b")
    assert (typed.verbosity, typed.quiet, typed.progress, typed.stats) == (2, True, True, True)
    with pytest.raises(UsageError):
        sync_options.parse(["-F"])


@pytest.mark.peer("sshd")
def test_both_sides_may_be_a_real_server(tmp_path: Path, to_sshd: tuple[str, ...], sshd: RealSshd) -> None:
    source = make_tree(tmp_path / "source")
    options = [word for word in to_sshd if word not in ("-p", str(sshd.port))]
    where = f"sftp://127.0.0.1:{sshd.port}/"
    assert run("-a", *options, source, f"{where}{tmp_path}/there") == Outcome(0, b"", "")
    assert_equal(source, tmp_path / "there")
    done = run("-a", *options, f"--port={sshd.port}", f"127.0.0.1:{tmp_path}/there", tmp_path / "back")
    assert done == Outcome(0, b"", "")
    assert_equal(source, tmp_path / "back")
    done = run("-a", *options, f"{where}{tmp_path}/there", f"{where}{tmp_path}/again")
    assert done == Outcome(0, b"", "")
    assert_equal(source, tmp_path / "again")


def test_a_program_may_connect_in_its_place(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source")
    seen = tmp_path / "seen"
    fake = tmp_path / "ssh"
    fake.write_text(f'#!/bin/sh\necho "$@" > {seen}\nexec {OURS}\n')
    fake.chmod(0o755)
    assert run("-a", "-S", fake, source, f"joe@host:{tmp_path}/target").status == 0
    assert_equal(source, tmp_path / "target")
    assert seen.read_text().endswith("-l joe -s -- host sftp\n")


def test_a_large_file_goes_by_blocks_between_two_of_ours(tmp_path: Path, home: Path) -> None:
    place = Place(tmp_path)
    data = os.urandom(3 << 20)
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(data)
    (tmp_path / "source" / "file").write_bytes(data[:1_000_000] + b"changed" + data[1_000_007:])
    os.utime(tmp_path / "target" / "file", (1, 1))
    server = OwnServer(place, "-f", os.fspath(place.config("Subsystem sftp internal-sftp")))
    try:
        known = tmp_path / "known"
        key = (tmp_path / "host.pub").read_text().split(" ")
        known.write_text(f"[127.0.0.1]:{server.port} {key[0]} {key[1]}\n")
        done = run(
            *("-a", "--stats", "-F", "none", "-i", place.folder / "id", "-o", f"UserKnownHostsFile={known}"),
            *(f"--port={server.port}", tmp_path / "source", f"127.0.0.1:{tmp_path}/target"),
        )
    finally:
        server.stop()
    assert done.status == 0, done.err
    assert b"3145728 bytes, 16384 moved" in done.out
    assert_equal(tmp_path / "source", tmp_path / "target")


def test_progress_is_drawn_where_there_is_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "is_possible", staticmethod(lambda: True))
    source = make_tree(tmp_path / "source")
    done = run("-a", "--progress", "-D", OURS, source, f"host:{tmp_path}/target")
    assert done.status == 0
    assert b"100%" in done.out


def test_no_session_is_255(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    done = run("-a", "-D", "/bin/false", tmp_path / "source", "host:x")
    assert done.status == 255
    assert "sshkit-sync: " in done.err
    assert run("-a", tmp_path / "none", tmp_path / "target").status == 255


def test_a_mistake_of_ours_is_one_line_and_all_of_it_with_v(monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit_cli import sync_run

    def mistake(*arguments: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(sync_run.Run, "run", mistake)
    assert run("a", "b") == Outcome(255, b"", "sshkit-sync: internal error: ZeroDivisionError: oh\n")
    with pytest.raises(ZeroDivisionError):
        run("-v", "a", "b")
    monkeypatch.setattr(sync_run.Run, "run", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run("a", "b").status == 130
    monkeypatch.setattr(sync_run.Run, "run", lambda self: (_ for _ in ()).throw(OSError(5, "broken")))
    assert run("a", "b").status == 255
