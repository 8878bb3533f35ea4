"""The commands of sshkit-sftp on a real sftp-server, and beside OpenSSH's sftp."""

import os
import re
from pathlib import Path

import pytest

from tests.cli.copying import (
    SERVER,
    batch,
    make_tree,
    need_server,
    real_program,
    run_real,
    run_sftp,
    tree,
    typed,
)

SCRIPT = """\
version
pwd
ls
ls -1
ls -l
ls -la dir
ls -lS
ls -ltr
ls -1f .hidden
ls -lh
ls -lnr
ls *
ls dir
ls -a
ls /nonexistent
ls a.txt
cd dir
pwd
ls
ls -l o*
cd nowhere
cd one
cd
cd ..
cd {here}
get a.txt local
get "b c" b\\ d
get nofile
get dir local
get -r dir local
get -Pp a.txt local/p
get * nodir
get /etc/hostname /nonexistent/x
mget e* local
put local/a.txt up.txt
put local/nofile
put local
put -r local up
put -r local up2/no/where
put local/* dir/one
mput local/e* up
reget a.txt local/a.txt
reput local/a.txt up.txt
reput local/a.txt new.txt
rename up.txt up3.txt
rename up.txt up3.txt
rename -l up3.txt up4.txt
ln -s up4.txt sym
symlink up4.txt sym2
ln up4.txt hard
ln nothing hard2
chmod 600 up4.txt
chmod 600 nothing
chown 0 up4.txt
chgrp 0 up4.txt
chown 0 nothing
chmod -h 600 sym
cp a.txt a2.txt
copy nothing a3.txt
copy dir a3.txt
mkdir made
mkdir made
rmdir made
rmdir made
rm hard
rm nothing
rm *.log
rm sym?
lpwd
lcd local
lpwd
lcd nowhere
lcd ..
lmkdir lmade
lmkdir lmade
lumask 027
lumask x
progress
progress
!echo said by a shell
!false
!kill -9 $$
lls local
nonsense
get
put
rename one
mkdir
rm
chmod
chmod 9z a
chmod 600
ls -Q
get -z a
"unterminated
ls 'a.txt'
ls a\\.txt
ls "*.txt"
ls \\*.txt
# a comment

df -q
"""


def normal(text: str) -> list[str]:
    """Return lines of errors without what may differ: order beside the output is not kept."""
    return [line.rstrip() for line in text.replace("\r", "").split("\n")]


@pytest.mark.parametrize("version", ["9.2", "10.0"])
def test_a_script_does_and_prints_what_it_does_with_openssh(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_server()
    program = real_program("sftp", version)
    monkeypatch.setenv("SHELL", "/bin/sh")
    outcomes = []
    for name in ("real", "ours"):
        here = make_tree(tmp_path / name / "here")
        (here / "local").mkdir()
        for path in here.rglob("*"):
            if not path.is_symlink() and path.is_dir():
                os.utime(path, (1_600_000_000, 1_600_000_000))
        script = here.parent / "script"
        lines = SCRIPT.format(here=here).splitlines()
        script.write_text("".join(f"-{line}\n" if line.strip() else "\n" for line in lines))
        monkeypatch.chdir(here)
        before = os.umask(0o022)
        os.umask(before)
        try:
            arguments = ("-D", SERVER, "-b", str(script))
            outcome = run_real(program, *arguments) if name == "real" else run_sftp(*arguments)
        finally:
            os.umask(before)
        outcomes.append((outcome, tree(here), str(here)))
    (real, real_tree, real_here), (ours, our_tree, our_here) = outcomes
    assert ours.status == real.status == 0

    def lines_of(text: str, here: str) -> list[str]:
        found = []
        for line in text.replace(here, "HERE").replace("\r", "").splitlines():
            # Columns depend on how long the path is; times of what was just made do not matter.
            line = re.sub(r"[A-Z][a-z]{2} [ 0-9][0-9] [ 0-9:]{5}", "TIME", line)
            line = re.sub(r" +", " ", line).rstrip()
            found.append(line)
        return found

    real_lines, our_lines = lines_of(real.out.decode(), real_here), lines_of(ours.out.decode(), our_here)
    # A quirk that we do not share: -n shows names once they are known.
    for lines in (real_lines, our_lines):
        lines[:] = [re.sub(r"^(\S+ \?) \S+ \S+ ", r"\1 U G ", line) for line in lines]
        lines[:] = [line for line in lines if not line.startswith(("Available", "Entering", "Retrieving"))]
    assert our_lines == real_lines
    real_errors, our_errors = lines_of(real.err, real_here), lines_of(ours.err, our_here)
    # Theirs goes on to the reason; and they show a backslash twice.
    known = ('upload "', "realpath ", "Can't ls: \"HERE/\\")
    assert [e for e in our_errors if not e.startswith(known)] == [
        e for e in real_errors if not e.startswith(known)
    ]
    assert our_tree == real_tree


def test_a_batch_ends_at_the_first_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = batch("mkdir one", "rm nothing", "mkdir two")
    assert done.status == 1
    assert done.out == b"sftp> mkdir one\nsftp> rm nothing\n"
    assert done.err == f"remote delete {tmp_path}/nothing: No such file or directory\n"
    assert os.listdir(tmp_path) == ["one"]


def test_a_hyphen_ignores_the_failure_and_an_at_sign_keeps_the_echo_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = batch("-rm nothing", "@mkdir one", "-@rm nothing", "@ - rm nothing", "bye", "mkdir two")
    assert done.status == 0
    assert done.out == b"sftp> -rm nothing\nsftp> bye\n"
    assert done.err.count("No such file") == 3
    assert os.listdir(tmp_path) == ["one"]


def test_without_a_batch_a_failure_is_told_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path / "there")
    done = typed(
        "rm nothing", "cd there", "get a.txt ..", "rm e*", "chmod 600 a.txt", "chown 0 a.txt", "chgrp 0 a.txt"
    )
    assert done.status == 0
    out = done.out.decode()
    assert f"Fetching {tmp_path}/there/a.txt to ../a.txt\n" in out
    assert f"Removing {tmp_path}/there/empty\n" in out
    assert "Changing mode on" in out
    assert "Changing owner on" in out
    assert "Changing group on" in out
    assert f"Attached to {SERVER}.\n" in done.err


def test_quiet_says_less_and_n_says_it_in_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    assert "Fetching" not in typed("get f g", options=("-q",)).out.decode()
    assert "Fetching" not in batch("get f g").out.decode()
    assert "Fetching" in batch("get f g", options=("-N",)).out.decode()


def test_switches_of_the_command_line_hold_for_all_transfers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_tree(tmp_path / "here")
    monkeypatch.chdir(here)
    done = typed(
        "get dir new",
        "get a.txt kept",
        "put a.txt sent",
        "!truncate -s 2 part",
        options=(
            "-r",
            "-p",
            "-f",
            "-l",
            "100000",
            "-X",
            "buffer=16K",
            "-X",
            "nrequests=4",
            "-R",
            "9",
            "-B",
            "32768",
        ),
    )
    assert done.status == 0
    assert (here / "new" / "sub" / "two").read_bytes() == (here / "dir" / "sub" / "two").read_bytes()
    assert (here / "kept").stat().st_mtime == (here / "sent").stat().st_mtime == 1_650_000_000
    done = typed(
        "get a.txt part", "get a.txt kept", "!echo longer than that > long", "get a.txt long", options=("-a",)
    )
    assert (here / "part").read_bytes() == b"hello\n"
    assert f"Resuming {here}/a.txt to part\n" in done.out.decode()
    assert 'File "kept" was not modified\n' in done.err
    assert 'Unable to resume download of "long": local file is larger than remote\n' in done.err


def test_r36_names_of_the_server_are_shown_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad\x1b[2J\nname").touch()
    (tmp_path / os.fsdecode(b"latin-\xe9")).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    done = typed("ls -1", "ls -l", "get latin* copy", "ls *")
    assert "\x1b" not in done.out.decode()
    assert "bad\\x1b[2J\\nname" in done.out.decode()
    assert (tmp_path / "copy").read_bytes() == b"x"


def test_the_command_line_may_name_a_file_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sshkit_cli import sftp_run
    from sshkit_cli.sftp_options import Place

    here = make_tree(tmp_path / "here")
    monkeypatch.chdir(here)
    real = sftp_run.Run.__init__

    def with_place(path: str, target: str | None) -> None:
        def init(self: sftp_run.Run, line: sftp_run.CommandLine, log: sftp_run.CommandLog) -> None:
            real(self, line._replace(place=Place("h", path=path), target=target), log)

        monkeypatch.setattr(sftp_run.Run, "__init__", init)

    with_place("dir", None)
    done = typed("pwd")
    assert f"Changing to: {here}/dir\n" in done.out.decode()
    assert f"Remote working directory: {here}/dir\n" in done.out.decode()
    with_place("b c", "got it")
    assert typed("pwd").status == 0
    assert (here / "got it").read_bytes() == b"spaces\n"
    with_place("nothing", None)
    assert typed("pwd").status == 1


def test_help_names_every_command() -> None:
    from sshkit_cli.sftp_commands import VERBS
    from sshkit_cli.sftp_help import HELP

    done = batch("help", "?")
    assert done.out.decode().count(HELP) == 2
    for verb in set(VERBS) - {"chdir", "dir", "lchdir", "mget", "mput"}:
        assert f"\n{verb}" in HELP


def test_df_counts_as_openssh_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for flag in ("", "-h", "-i"):
        real = run_real(
            real_program("sftp", "9.2"), "-D", SERVER, "-b", "-", stdin=f"df {flag} /proc\n".encode()
        )
        ours = batch(f"df {flag} /proc")
        assert ours.out == real.out
    assert batch("df").status == 0
    assert batch("df /nonexistent").err == "remote statvfs: No such file or directory\n"


def test_an_old_server_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit.sftp.client import SFTPClient

    make_tree(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(SFTPClient, "extensions", {})
    done = typed("df", "cp a.txt b", "ln a.txt b", "chmod -h 600 link", "ls -l", "ls -l a.txt", "ls -n")
    for name in ("statvfs@openssh.com", "copy-data", "hardlink@openssh.com", "lsetstat@openssh.com"):
        assert f"Server does not support {name} extension" in done.err
    assert done.out.decode().count("a.txt") >= 3


def test_local_trouble_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    here = str(tmp_path)
    monkeypatch.setenv("SHELL", "/nonexistent/sh")
    done = typed(
        f"!rmdir {gone}", "lpwd", f"lcd {here}", "lpwd", f"ls {here}/no*/x", "ls /proc/1/fdinfo/x", ""
    )
    assert "Couldn't execute" in done.err
    assert f"Local working directory: {here}" in done.out.decode()


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.errors import SFTPPermissionDenied

    async def denied(self: SFTPClient, path: object = ".") -> object:
        raise SFTPPermissionDenied(path="x")
        yield

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SFTPClient, "batches", denied)
    assert f'remote readdir("{tmp_path}"): Permission denied' in typed("ls").err
