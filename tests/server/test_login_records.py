"""utmp, wtmp, lastlog and btmp: read by the system's own commands."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sshkit.server import login_records
from sshkit.server.accounts import Account
from sshkit.server.login_records import LastLogin, LoginRecords, RecordFiles

ANN = Account("ann", 3, 3, "/home/ann", "/bin/sh")
WHEN = 1_800_000_000.25
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="the file has to be root's")


@pytest.fixture
def files(tmp_path: Path) -> RecordFiles:
    files = RecordFiles(*(str(tmp_path / name) for name in RecordFiles._fields))
    for path in files:
        Path(path).touch(0o600)
    return files


def output(*argv: str) -> str:
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TZ": "UTC", "LC_ALL": "C"}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout


@pytest.mark.peer("utmpdump")
def test_utmp_has_one_entry_a_terminal_which_the_logout_clears(files: RecordFiles) -> None:
    records = LoginRecords(files)
    assert records.opened(ANN, "pts/3", 4711, "192.0.2.7", WHEN)
    line = "[7] [04711] [ts/3] [ann     ] [pts/3       ] [192.0.2.7           ] [192.0.2.7      ] "
    assert line in output("utmpdump", files.utmp)
    assert records.opened(ANN, "pts/4", 4712, "2001:db8::1", WHEN)
    assert records.closed("pts/3", 4711, WHEN + 60)
    lines = output("utmpdump", files.utmp).splitlines()
    assert [line[:21] for line in lines] == ["[8] [04711] [ts/3] [ ", "[7] [04712] [ts/4] [a"]
    assert "[2001:db8::1    ]" in lines[1]
    assert "2027-01-15T08:01:00,250000" in lines[0]


@pytest.mark.peer("last")
def test_last_reads_wtmp(files: RecordFiles) -> None:
    records = LoginRecords(files)
    records.opened(ANN, "pts/3", 4711, "192.0.2.7", WHEN)
    records.closed("pts/3", 4711, WHEN + 3600)
    first = output("last", "-f", files.wtmp).splitlines()[0]
    assert first.split() == [
        "ann",
        "pts/3",
        "192.0.2.7",
        "Fri",
        "Jan",
        "15",
        "08:00",
        "-",
        "09:00",
        "(01:00)",
    ]


@ROOT_ONLY
@pytest.mark.peer("lastb")
def test_lastb_reads_btmp_which_others_must_not_read(files: RecordFiles) -> None:
    records = LoginRecords(files)
    assert records.failed("mallory", "198.51.100.9", 4711, WHEN)
    assert output("lastb", "-f", files.btmp).splitlines()[0].split()[:3] == [
        "mallory",
        "ssh:notty",
        "198.51.100.9",
    ]
    size = os.stat(files.btmp).st_size
    os.chmod(files.btmp, 0o644)
    assert not records.failed("mallory", "198.51.100.9", 4711, WHEN)
    os.chmod(files.btmp, 0o660)
    os.chown(files.btmp, 3, 0)
    assert not records.failed("mallory", "198.51.100.9", 4711, WHEN)
    assert os.stat(files.btmp).st_size == size
    os.unlink(files.btmp)
    assert not records.failed("mallory", "198.51.100.9", 4711, WHEN)
    assert not os.path.exists(files.btmp)


def test_the_last_login_is_that_before(files: RecordFiles) -> None:
    records = LoginRecords(files)
    assert records.last_login(3) is None
    assert records.opened(ANN, "pts/3", 4711, "192.0.2.7", WHEN)
    last = records.last_login(3)
    assert last == LastLogin(1_800_000_000, "pts/3", "192.0.2.7")
    assert str(last).startswith("Last login: Fri Jan 15 ")
    assert str(last).endswith(" 2027 from 192.0.2.7")
    assert str(LastLogin(0, "", "")).endswith(" 1970")
    assert "\x1b" not in str(LastLogin(0, "", "\x1b[2J"))
    assert records.last_login(2) is None
    assert records.last_login(4) is None


@ROOT_ONLY
@pytest.mark.peer("lastlog")
def test_lastlog_reads_what_was_written(files: RecordFiles) -> None:
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace here")
    assert shutil.which("lastlog")
    LoginRecords(files).opened(ANN._replace(name="sys"), "pts/3", 4711, "192.0.2.7", WHEN)
    script = f"mount --bind {files.lastlog} /var/log/lastlog && lastlog -u 3"
    assert "pts/3    192.0.2.7" in output("unshare", "-m", "sh", "-c", script)


def test_files_that_are_missing_are_not_made(tmp_path: Path) -> None:
    files = RecordFiles(*(str(tmp_path / name) for name in RecordFiles._fields))
    records = LoginRecords(files)
    assert records.opened(ANN, "pts/3", 4711, "somewhere", WHEN)
    assert records.closed("pts/3", 4711, WHEN)
    assert records.last_login(3) is None
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_something_else_harms_nobody(tmp_path: Path) -> None:
    files = RecordFiles(*(str(tmp_path) for _ in RecordFiles._fields))
    records = LoginRecords(files)
    assert not records.opened(ANN, "pts/3", 4711, "x" * 1000, WHEN)
    assert not records.failed("y" * 1000, "x\udcff", 4711, WHEN)
    assert records.last_login(3) is None


@ROOT_ONLY
def test_a_full_disk_harms_nobody() -> None:
    records = LoginRecords(RecordFiles(lastlog="/dev/full", btmp="/dev/full", utmp="/no", wtmp="/no"))
    assert not records.opened(ANN, "pts/3", 4711, "host", WHEN)
    assert records.last_login(3) is None


def test_other_systems_have_no_utmpx_of_this_form(
    files: RecordFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_records.sys, "platform", "freebsd14")  # type: ignore[attr-defined]
    records = LoginRecords(files)
    assert not records.closed("pts/3", 1, WHEN)


def test_entries_have_the_sizes_of_the_library() -> None:
    assert login_records._SHORT.size == 384
    assert login_records._LONG.size == 400
    assert login_records._LASTLOG.size == 292
