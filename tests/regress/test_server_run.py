"""The harness for OpenSSH's scripts about servers."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.regress import server_run, server_scripts
from tests.regress.places import RELEASES
from tests.regress.run import Cell, Outcome

CELL = Cell(RELEASES[0], server_scripts.SCRIPTS[0], "server")
GOOD, BAD = Outcome("ok"), Outcome("failed", ("why",))


def started(*words: str) -> "subprocess.Popen[bytes]":
    """Start a process with these words in its command line; they are to be seen from its first output on."""
    line = [sys.executable, "-c", "print(flush=True); input()", *words]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return process


def test_a_failure_counts_unless_it_is_known_or_sshd_fails_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(outcome: Outcome, control: Outcome | None) -> tuple[str, int]:
        controls = {} if control is None else {CELL: control}
        wrong = server_run.SUITE.report({CELL: outcome}, controls, [CELL.release])
        said = server_run.SUITE.word(CELL, outcome, control)
        assert f"| {CELL.script.name} | {said} |" in capsys.readouterr().out
        return said, wrong

    assert counted(GOOD, None) == ("pass", 0)
    assert counted(BAD, GOOD) == ("FAIL", 1)
    assert counted(BAD, None) == ("FAIL", 1)
    assert counted(BAD, BAD) == ("fails with sshd too", 0)
    assert counted(Outcome("timeout", ("late",)), GOOD) == ("FAIL", 1)
    assert counted(Outcome("skipped", ("no domain",)), None) == ("not applicable", 0)
    monkeypatch.setitem(server_scripts.KNOWN, (CELL.release.version, CELL.script.name, "server"), "reason")
    assert counted(BAD, GOOD) == ("known", 0)
    assert counted(GOOD, None) == ("passes now", 1)


def test_sshd_is_ours_and_ssh_is_openssh_s_with_the_names_that_both_have(tmp_path: Path) -> None:
    server = server_run.server_starter(tmp_path)
    version = subprocess.run([server, "-V"], capture_output=True, text=True, check=False, timeout=60)
    assert version.stderr.startswith("sshkit-server ")
    client = server_run.client_starter(tmp_path, RELEASES[0])
    assert client.stat().st_size > server_run.PADDING
    assert f'exec "{RELEASES[0].program("ssh")}" "$@"' in client.read_text()


def test_a_process_that_a_script_left_behind_is_ended_and_no_other(tmp_path: Path) -> None:
    mine, other = tmp_path / "000", tmp_path / "0001"
    with started(str(mine / "obj")) as left, started(str(other / "obj")) as stays:
        assert server_run.end_leftovers(mine) == [left.pid]
        assert left.wait(10) == -9
        assert stays.poll() is None
        stays.kill()


def test_a_server_that_runs_on_is_found(tmp_path: Path) -> None:
    assert not server_run.servers_stay(tmp_path, 0)
    with started(server_run.MODULE.decode(), f"-E{tmp_path}/log") as stays:
        assert server_run.servers_stay(tmp_path, 0)
        stays.kill()
        stays.wait(10)
    assert not server_run.servers_stay(tmp_path, 0)


def test_a_free_port_is_one_that_nobody_has_for_a_moment() -> None:
    port = server_run.free_port()
    assert port in server_run.PORTS
    with socket.create_server(("127.0.0.1", port + 1)):
        assert server_run.free_port() != port


def test_no_script_is_both_run_and_left_out_and_known_failures_are_run() -> None:
    names = {script.name for script in server_scripts.SCRIPTS}
    assert not names & set(server_scripts.NOT_RUN)
    assert set(server_scripts.OPTIONS) <= names
    releases = {release.version for release in RELEASES}
    for version, name, column in server_scripts.KNOWN:
        assert version in releases
        assert name in names
        assert column in server_scripts.COLUMNS


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_every_script_of_openssh_s_list_is_run_or_has_a_reason(release: object) -> None:
    """Only where the scripts are fetched; elsewhere the list is empty."""
    assert isinstance(release, type(RELEASES[0]))
    makefile = release.scripts / "Makefile"
    text = makefile.read_text() if makefile.is_file() else ""
    _, _, rest = text.partition("LTESTS=")
    listed = set(rest.partition("\n\n")[0].replace("\\", " ").split())
    assert listed <= {script.name for script in server_scripts.SCRIPTS} | set(server_scripts.NOT_RUN)
