"""sshkit-scp beside OpenSSH's scp: by SFTP, by the legacy protocol, and as its far side."""

import os
import re
import sys
from pathlib import Path

import pytest
from sshkit_cli import scp

from tests.cli.copying import SERVER, make_tree, need_server, real_program, run_real, run_scp, tree
from tests.peers import RealSshd

HOST = "127.0.0.1"
#: Arguments of scp with files of `make_tree` here and there; each begins where the one before left off.
COPIES = """\
h:nofile .
h:a.txt out
h:dir .
-r h:dir out1
-r h:dir out1
h:* d
h:*.txt d
-r h:di* d
h:*t d2
-p a.txt h:x
a.txt dir/one h:new
-r dir h:x2
-r dir a.txt h:x3
-r -p dir h:x3
dir h:x4
nofile h:x5
a.txt h:/nonexistent/x
h:a.txt /nonexistent/x
h:~root/nofile out2
h:~nobodyknows/x out2
h:~/nofile out2
scp://h/{here}/a.txt out3
scp://u@h:22/a.txt out4
h:a.txt h2:y
-r -p h:dir h2:y2
-r h:dir h2:d
-3 h:a.txt h2:/nonexistent/y
h:nofile h2:y3
h:dir h2:y3
-3 h:a.txt h:dir/one h2:d
h:{{a.txt,empty}} d
h:a.txt h:dir/one out5
h:a.txt h:dir/one d
h:a.txt h:dir/one a.txt
a.txt h:dir
a.txt h:a.txt/x
h:a.txt/ out6
h:dir/ out6
-r h:dir/ out6
/dev/null h:x6
a.txt :colon
./a:b out7
a.txt out8
-r dir out9
dir out10
a.txt empty out11
h:a.txt dir
h:link linked
-q -v h:a.txt out12
-l 100000 h:dir/sub/two out13
a.txt h:lit[123]
h:lit[123] out14
h:lit[456] out15
h:lit[123]/ out15
-X buffer=16K -X nrequests=4 h:dir/sub/two out16
a.txt h:a.txt
-p a.txt h:a.txt
"""


@pytest.mark.parametrize("version", ["9.2", "10.0"])
def test_copies_end_as_they_do_with_openssh(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_server()
    program = real_program("scp", version)
    found = []
    for name in ("real", "ours"):
        here = make_tree(tmp_path / name / "here")
        (here / "d").mkdir()
        monkeypatch.chdir(here)
        rows = []
        for line in COPIES.format(here=here).splitlines():
            arguments = ["-D", SERVER, *line.split()]
            if version == "9.2" and "-X" in arguments:
                continue
            done = run_real(program, *arguments) if name == "real" else run_scp(*arguments)
            errors = [] if "-v" in arguments else done.err.replace(str(here), "HERE").splitlines()
            errors = [error for error in errors if not error.startswith("cp: ")]
            rows.append((line.replace(str(here), "HERE"), done.status, errors))
        found.append((rows, tree(here)))
    (real_rows, real_tree), (our_rows, our_tree) = found
    for real, ours in zip(real_rows, our_rows, strict=True):
        if "~nobodyknows" in ours[0]:  # theirs tells what the server answered in other words
            real, ours = (real[0], real[1], []), (ours[0], ours[1], [])
        assert ours == real
    assert our_tree == real_tree


@pytest.fixture
def options(sshd: RealSshd, home: Path) -> tuple[str, ...]:
    """Options that lead to the sshd."""
    return (
        *("-F", "none", "-P", str(sshd.port), "-i", str(sshd.user_key_path)),
        *("-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, and an empty one beside it."""
    folder = make_tree(tmp_path / "here")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("mode", ["-O", "-s"])
@pytest.mark.parametrize("version", ["9.2", "10.0"])
def test_copies_over_ssh_end_as_they_do_with_openssh(
    mode: str, version: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = real_program("scp", version)
    found = []
    for name in ("real", "ours"):
        here = make_tree(tmp_path / name / "here")
        (here.parent / "there").mkdir()
        monkeypatch.chdir(here)
        far = f"{HOST}:{here.parent}/there"
        rows = []
        for line in (
            f"a.txt {far}",
            f"-p a.txt empty {far}",
            f"-rp dir {far}",
            f"-r dir {far}/new",
            f"dir {far}",
            f"nofile {far}",
            f"a.txt {far}/no/where",
            f"{far}/a.txt got",
            f"-p {far}/a.txt kept",
            f"-rp {far}/dir gotdir",
            f"-r {far}/dir gotdir",
            f"{far}/* globbed",
            f"{far}/e* {far}/a* .",
            f"{far}/dir got2",
            f"{far}/nofile got3",
            f"{far}/a.txt /nonexistent/got",
            f"-l 100000 {far}/dir/sub/two limited",
            f"-3 {far}/a.txt {far}/crossed",
            f"-3 -r {far}/dir {far}/crosseddir",
            f"-C {far}/a.txt got4",
        ):
            arguments = [mode, *options, *line.split()]
            done = run_real(program, *arguments) if name == "real" else run_scp(*arguments)
            errors = done.err.replace(str(here.parent), "HERE").splitlines()
            # The local end of the legacy protocol does not say its name there.
            errors = [re.sub("^(sshkit-)?scp: ", "", error) for error in errors]
            rows.append((line.replace(str(here.parent), "HERE"), done.status, errors))
        found.append((rows, tree(here.parent)))
    (real_rows, real_tree), (our_rows, our_tree) = found
    assert our_rows == real_rows
    assert our_tree == real_tree


@pytest.mark.peer("sshd")
def test_r35_a_far_side_that_sends_another_file_is_refused(
    options: tuple[str, ...], here: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    evil.write_text("#!/bin/sh\nprintf 'C0644 2 .bashrc\\nx\\n\\0'\n")
    evil.chmod(0o755)
    done = run_scp("-O", "-S", str(evil), "h:wanted", str(tmp_path / "there"))
    assert done.status == 1
    assert "not asked for" in done.err
    done = run_scp("-O", "-T", "-S", str(evil), "h:wanted", str(tmp_path / "there"))
    assert os.listdir(tmp_path / "there") == [".bashrc"]


def far_program(tmp_path: Path) -> Path:
    """Return what stands for ssh: it runs the command here, with ours for scp."""
    program = tmp_path / "as-ssh"
    program.write_text(
        f'#!/bin/sh\nfor last; do :; done\nexec sh -c "{sys.executable} -m sshkit_cli.scp ${{last#scp }}"\n'
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("version", ["9.2", "10.0"])
def test_openssh_copies_to_and_from_ours_as_the_far_side(version: str, here: Path, tmp_path: Path) -> None:
    program = real_program("scp", version)
    ssh = str(far_program(tmp_path))
    there = tmp_path / "there"
    assert run_real(program, "-O", "-S", ssh, "-rp", "dir", f"h:{there}").status == 0
    assert run_real(program, "-O", "-S", ssh, "a.txt", "b c", f"h:{there}").status == 0
    assert tree(there / "dir") == tree(here / "dir")
    assert (there / "a.txt").stat().st_mode & 0o777 == 0o640
    assert run_real(program, "-O", "-S", ssh, "-rp", f"h:{there}/dir", "back").status == 0
    assert tree(here / "back") == tree(here / "dir")
    done = run_real(program, "-O", "-S", ssh, f"h:{there}/nothing", "back2")
    assert done.status == 1
    assert f"{there}/nothing: No such file or directory" in done.err
    done = run_real(program, "-O", "-S", ssh, "a.txt", "empty", f"h:{there}/nothing")
    assert done.status == 1
    assert f"{there}/nothing: No such file or directory" in done.err


def test_ours_copies_with_ours(here: Path, tmp_path: Path) -> None:
    ssh = str(far_program(tmp_path))
    there = tmp_path / "there"
    assert run_scp("-O", "-S", ssh, "-rpv", "dir", f"h:{there}").status == 0
    assert tree(there / "dir") == tree(here / "dir")
    assert run_scp("-O", "-S", ssh, "-r", f"h:{there}/d*", "back").status == 0
    assert (here / "back" / "one").read_bytes() == (here / "dir" / "one").read_bytes()
    assert run_scp("-O", "-S", ssh, "-r", f"h:{there}/dir", f"h2:{there}/dir2").status == 0
    assert tree(there / "dir2") == tree(there / "dir") or (there / "dir2" / "one").exists()
    assert run_scp("-O", "-S", ssh, f"h:{there}/nothing", f"h2:{there}/dir3").status == 1
    assert run_scp("-O", "-S", ssh, "a.txt", "-nothing", f"h:{there}/-x").status == 1


def test_r35_a_name_that_looks_like_a_pattern_was_asked_for_too(here: Path, tmp_path: Path) -> None:
    ssh = str(far_program(tmp_path))
    (here / "lit[123]").write_bytes(b"literal")
    assert run_scp("-O", "-S", ssh, f"h:{here}/lit[123]", str(tmp_path / "there")).status == 0
    assert (tmp_path / "there" / "lit[123]").read_bytes() == b"literal"


def test_a_file_that_is_sent_to_itself_keeps_its_contents(here: Path) -> None:
    need_server()
    assert run_scp("-D", SERVER, "dir/sub/two", f"h:{here}/dir/sub/two").status == 0
    assert (here / "dir/sub/two").read_bytes() == bytes(range(256)) * 1000


def test_a_file_of_the_same_size_and_time_is_sent_if_it_differs(here: Path, tmp_path: Path) -> None:
    need_server()
    other = tmp_path / "there" / "a.txt"
    other.write_bytes(b"HELLO\n")
    os.utime(other, (1_600_000_000, 1_650_000_000))
    assert run_scp("-D", SERVER, "-p", "a.txt", f"h:{other}").status == 0
    assert other.read_bytes() == b"hello\n"
    other.chmod(0o600)
    assert run_scp("-D", SERVER, "-p", "a.txt", f"h:{other}").status == 0
    assert (other.stat().st_mode & 0o777, other.read_bytes()) == (0o640, b"hello\n")


def test_ours_is_the_far_side_within_this_process(here: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    done = run_scp("-p", "-t", str(there), stdin=b"T5 0 6 0\nC0644 2 f\nhi\0")
    assert (done.status, done.out) == (0, b"\0\0\0\0")
    assert (there / "f").stat().st_mtime == 5
    done = run_scp("-f", "a.txt", "nofile", stdin=b"\0\0\0\0")
    assert done.status == 1
    assert done.out == b"C0640 6 a.txt\nhello\n\0\1scp: nofile: No such file or directory\n"
    assert run_scp("-t", "-d", str(here / "nofile")).status == 1
    assert run_scp("-t", str(there), stdin=b"C0644 9 cut\nshort").status == 1
    assert run_scp("-t", "one", "two").status == 1


@pytest.mark.peer("sshd")
def test_the_program_of_s_carries_sftp_too(options: tuple[str, ...], here: Path) -> None:
    done = run_scp("-S", "ssh", *options, "-o", "BatchMode=yes", f"{HOST}:{here}/a.txt", "copied")
    assert (done.status, done.err) == (0, "")
    assert (here / "copied").read_bytes() == b"hello\n"


@pytest.mark.peer("sshd")
def test_the_other_machine_copies_by_itself_with_r(options: tuple[str, ...], here: Path) -> None:
    done = run_scp("-R", *options, f"{HOST}:{here}/a.txt", f"{HOST}:{here}/direct")
    assert done.status == 1
    assert "target port not supported" in done.err
    done = run_scp(
        "-R",
        *options[:2],
        "-o",
        f"Port={options[3]}",
        *options[4:],
        "-r",
        "-p",
        f"{HOST}:{here}/nofile",
        f"user@{HOST}:{here}/direct",
    )
    assert done.status == 1
    assert done.err


@pytest.mark.peer("sshd")
def test_a_host_that_is_not_there_or_does_not_let_in_is_told(
    options: tuple[str, ...], sshd: RealSshd, here: Path
) -> None:
    for mode, status in (("-s", 255), ("-O", 1)):
        done = run_scp(mode, "-F", "none", "-P", "1", "a.txt", f"{HOST}:x")
        assert done.status == status
        assert done.err.startswith(f"sshkit-scp: cannot connect to {HOST} port 1")
        done = run_scp(
            mode,
            *options,
            "-o",
            "IdentitiesOnly=yes",
            "-B",
            "-i",
            "/nonexistent",
            "-o",
            "PubkeyAuthentication=no",
            "a.txt",
            f"{HOST}:x",
        )
        assert done.status == status
        assert done.err.startswith("sshkit-scp: ")
    assert run_scp("-F", "none", "a.txt", "bad;host:x").status == 255
    assert run_scp("-J", "jump", "a.txt", "h:x").status == 255


def test_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["one"], ["-Z", "a", "b"], ["-c"], ["-1", "a", "b"]):
        done = run_scp(*arguments)
        assert done.status == 1
        assert "usage: sshkit-scp" in done.err
    assert run_scp("-P", "0", "a", "h:b").status == 255
    assert run_scp("-X", "nonsense", "a", "h:b").err == "sshkit-scp: Invalid -X option\n"
    assert scp.main(["-V"]) == 0
    assert "sshkit-scp" in capsys.readouterr().err


def test_a_program_in_our_place_that_fails_is_a_failure(here: Path) -> None:
    assert run_scp("-O", "-S", "/bin/false", "h:a.txt", "new").status == 1
    assert run_scp("-O", "-S", "/bin/false", "a.txt", "h:new").status == 1
    assert run_scp("-O", "-S", "/bin/false", "h:a.txt", "h2:new").status == 1
    assert not (here / "new").exists()


def test_what_goes_wrong_between_two_machines_is_told(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sshkit_cli import scp_cross

    need_server()
    monkeypatch.setattr(scp_cross, "MAX_DEPTH", 5)
    os.mkfifo(here / "dir" / "pipe")
    (here / "dir" / "dangling").symlink_to("nowhere")
    done = run_scp("-D", SERVER, "-rp", "h:dir", f"h2:{tmp_path}/there")
    assert done.status == 1
    assert 'origin "dir/pipe": not a regular file' in done.err
    assert 'stat remote "dir/dangling"' in done.err
    assert (tmp_path / "there" / "dir" / "sub" / "two").read_bytes() == (
        here / "dir" / "sub" / "two"
    ).read_bytes()
    (tmp_path / "file").touch()
    assert "remote mkdir" in run_scp("-D", SERVER, "-r", "h:dir", f"h2:{tmp_path}/file").err
    assert "write remote" in run_scp("-D", SERVER, "h:a.txt", "h2:/dev/full").err
    assert "remote mkdir" in run_scp("-D", SERVER, "a.txt", "empty", "h2:/nonexistent/x").err
    assert run_scp("-D", SERVER, "h:a.txt", "h:empty", "h2:made").status == 0
    assert sorted(os.listdir(here / "made")) == ["a.txt", "empty"]
    assert run_scp("-D", SERVER, "-r", "h:dangling*", "h2:made").status == 1
    (here / "dir" / "loop").symlink_to(".")
    assert "Maximum directory depth exceeded" in run_scp("-D", SERVER, "-r", "h:dir", "h2:loop").err


def test_several_files_do_not_go_into_one(here: Path) -> None:
    need_server()
    done = run_scp("-D", SERVER, "h:*", "a.txt")
    assert (done.status, "is not a directory" in done.err) == (1, True)
    assert run_scp("-D", SERVER, "-r", "h:.", f"{here.parent}/there/whole").status == 0
    (here / "into").mkdir()
    assert run_scp("-D", SERVER, "-r", f"h:{here}/dir/.", "into").status == 0
