"""The stand-ins for OpenSSH's helper programs, and how the harness reads a script's end."""

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.regress import fetch, run, scripts, stand_ins
from tests.regress.places import RELEASES, ROOT, SOURCES


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    stand_ins.install(tmp_path)
    return tmp_path


def call(*line: str | Path) -> tuple[int, str, str]:
    """Run a program; its status, output and errors."""
    done = subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_check_perm_takes_folders_of_root_that_only_root_writes_to(programs: Path) -> None:
    check = programs / "check-perm"
    assert call(check, "-m", "chroot", "/usr") == (0, "", "")
    status, _, errors = call(check, "-m", "chroot", "/tmp")
    assert (status, errors) == (1, "check-perm: /tmp: others than root may write to it\n")
    assert call(check, "-m", "chroot", "usr")[0] == 1
    assert call(check, "-m", "chroot", "/etc/passwd")[0] == 1
    assert call(check, "-m", "chroot", "/nonexistent")[0] == 1
    assert call(check, "/usr")[0] == 2


def test_mkdtemp_makes_a_folder_of_the_template(programs: Path, tmp_path: Path) -> None:
    status, output, _ = call(programs / "mkdtemp", tmp_path / "name-XXXXXXXX")
    assert status == 0
    made = Path(output.rstrip("\n"))
    assert made.is_dir()
    assert made.name.startswith("name-")
    assert call(programs / "mkdtemp")[0] == 2


def test_timestamp_prints_what_can_be_in_a_name(programs: Path) -> None:
    status, output, _ = call(programs / "timestamp")
    assert status == 0
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}\n", output)


def test_an_unknown_stand_in_is_refused() -> None:
    assert call(sys.executable, str(stand_ins.__file__), "netcat")[0] == 2
    assert call(sys.executable, str(stand_ins.__file__))[0] == 2


def test_a_script_ends_well_is_skipped_or_fails_with_its_last_words() -> None:
    assert run.read(0, "x: all\nok x\n").verdict == "ok"
    skipped = run.read(0, "SKIPPED: need SUDO\n")
    assert (skipped.verdict, skipped.words) == ("skipped", ("need SUDO",))
    failed = run.read(1, "x: first\ncopy failed\n")
    assert (failed.verdict, failed.words) == ("failed", ("x: first", "copy failed"))


def test_a_failure_is_one_unless_it_is_known_or_openssh_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = run.Cell(RELEASES[0], scripts.SCRIPTS[0], "all")
    good, bad = run.Outcome("ok"), run.Outcome("failed", ("why",))
    assert run.problem(cell, good, good) == ""
    assert run.problem(cell, bad, good) == "failed: why"
    assert run.problem(cell, bad, None) == "failed: why"
    assert run.problem(cell, bad, bad) == ""
    monkeypatch.setitem(scripts.KNOWN, (cell.release.version, cell.script.name, "all"), "the reason")
    assert run.problem(cell, bad, good) == ""
    assert "passes now" in run.problem(cell, good, good)


def test_each_column_gets_the_programs_that_its_name_says(tmp_path: Path) -> None:
    for column, expected in {
        "real": set(),
        "server": {"sftp-server"},
        "client": {"sftp", "scp"},
        "far": {"scp"},
        "all": {"sftp", "scp", "sftp-server"},
    }.items():
        folder = tmp_path / column
        found = run.ours(folder, run.Cell(RELEASES[0], scripts.SCRIPTS[0], column))
        assert {name for name, path in found.items() if path.startswith(str(folder))} == expected
        assert set(os.listdir(folder)) == expected
    near = (tmp_path / "client" / "scp").read_text()
    assert "sshkit_cli.scp" in near.splitlines()[-1]
    assert "sshkit_cli.scp" not in near.splitlines()[1]


def test_only_the_scripts_of_an_archive_are_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "openssh-1.0"
    (source / "regress" / "misc").mkdir(parents=True)
    (source / "ssh.c").write_text("code")
    (source / "regress" / "scp.sh").write_text("script")
    (source / "regress" / "misc" / "x").write_text("x")
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "openssh-1.0")
    fetch.unpack(archive, tmp_path / "out")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*"))
    assert files == ["misc", "misc/x", "scp.sh"]
    (source / "regress" / "scp.sh").unlink()
    (source / "regress" / "misc" / "x").unlink()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "ssh.c", "openssh-1.0/ssh.c")
    with pytest.raises(fetch.FetchError, match="no folder regress"):
        fetch.unpack(archive, tmp_path / "out2")


def test_the_scripts_stay_out_of_the_tree() -> None:
    assert SOURCES == ROOT / ".peers/openssh-source"
    assert ".peers/" in (ROOT / ".gitignore").read_text().split()


def test_every_known_failure_names_a_run_that_there_is() -> None:
    releases = {release.version for release in RELEASES}
    columns = {(script.name, column) for script in scripts.SCRIPTS for column in script.columns}
    for version, name, column in scripts.KNOWN:
        assert version in releases
        assert (name, column) in columns
