"""Run OpenSSH's scripts for SFTP and SCP with our programs: ``make regress-sftp``.

Prints a row for each script and a column for each choice of programs; a script that fails with OpenSSH's
own programs too is the harness's or the machine's fault and marked so.  Ends with 1 if one that should pass
does not.  Arguments are names of scripts; none: all.
"""

# ruff: noqa: T201 - a command, which prints

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.regress import stand_ins
from tests.regress.places import PATH, RELEASES, ROOT, Release
from tests.regress.scripts import COLUMNS, KNOWN, NOT_RUN, SCRIPTS, Script

TIMEOUT = 420.0  #: seconds for one script; the slowest takes about a minute here
TAIL = 12  #: lines of a failed script that are shown


class Cell(NamedTuple):
    """One script run with one choice of programs."""

    release: Release
    script: Script
    column: str


class Outcome(NamedTuple):
    """How it went."""

    verdict: str  #: "ok", "failed", "skipped", "timeout"
    words: tuple[str, ...] = ()  #: why, as the script says it
    log: str = ""


def ours(folder: Path, cell: Cell) -> dict[str, str]:
    """Write a starter for each program into `folder`; return which program the script gets for what."""
    folder.mkdir()
    column = cell.column
    sftp, server = column in ("client", "all"), column in ("server", "all")
    near, far = column in ("client", "all"), column in ("far", "all")
    real = cell.release.program
    # What lies beside this file runs, whatever is installed; sshd passes no variables on.
    places = ":".join(str(ROOT / part) for part in ("", "cli", "keys"))
    module = f'env PYTHONPATH="{places}" "{sys.executable}" -m sshkit_cli.'
    scp = {True: f"{module}scp", False: str(real("scp"))}
    # One name serves both ends of a copy: the far one is started with -t or -f.
    far_or_near = f'for word; do case "$word" in -t|-f) exec {scp[far]} "$@";; esac; done\n'
    starters = {
        "sftp": f'exec {module}sftp "$@"\n' if sftp else None,
        "sftp-server": f'exec {module}sftp_server "$@"\n' if server else None,
        "scp": f'{far_or_near}exec {scp[near]} "$@"\n' if near or far else None,
    }
    found = {}
    for name, text in starters.items():
        path = real(name)
        if text is not None:
            path = folder / name
            path.write_text(f"#!/bin/sh\n{text}")
            path.chmod(0o755)
        found[name] = str(path)
    return found


def environment(cell: Cell, programs: dict[str, str], port: int) -> dict[str, str]:
    """Return the variables that test-exec.sh reads."""
    real = cell.release.program
    return {
        "PATH": PATH,
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "TEST_SHELL": "/bin/sh",
        "TEST_SSH_PORT": str(port),
        "TEST_SSH_SSH": str(real("ssh")),
        "TEST_SSH_SSHD": str(real("sshd")),
        "TEST_SSH_SSHD_SESSION": str(real("sshd-session")),
        "TEST_SSH_SSHD_AUTH": str(real("sshd-auth")),
        "TEST_SSH_SSHAGENT": str(real("ssh-agent")),
        "TEST_SSH_SSHADD": str(real("ssh-add")),
        "TEST_SSH_SSHKEYGEN": str(real("ssh-keygen")),
        "TEST_SSH_SSHKEYSCAN": str(real("ssh-keyscan")),
        "TEST_SSH_SFTP": programs["sftp"],
        "TEST_SSH_SFTPSERVER": programs["sftp-server"],
        "TEST_SSH_SCP": programs["scp"],
        "TEST_SSH_UNSAFE_PERMISSIONS": "1",  # the folder is a temporary one
    }


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def run(cell: Cell, work: Path) -> Outcome:
    """Run one script in a folder of its own."""
    objects = work / "obj"
    objects.mkdir(parents=True)
    objects.chmod(0o755)
    stand_ins.install(objects)
    programs = ours(work / "bin", cell)
    return execute(cell, work, environment(cell, programs, free_port()), TIMEOUT)


def execute(cell: Cell, work: Path, variables: dict[str, str], timeout: float) -> Outcome:
    """Run a script whose folder `obj` below `work` is ready; what it says goes to `output` there."""
    objects, scripts = work / "obj", cell.release.scripts
    log = work / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", str(scripts / "test-exec.sh"), str(objects), str(scripts / f"{cell.script.name}.sh")],
            cwd=objects,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            stop_sshd(objects / "pidfile")
            return Outcome("timeout", (f"not done after {timeout:.0f} s",), log.read_text(errors="replace"))
    return read(status, log.read_text(errors="replace"))


def stop_sshd(pidfile: Path) -> None:
    """End the sshd that a script has left behind."""
    try:
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        return


def read(status: int, log: str) -> Outcome:
    """Say what a script's status and words mean."""
    lines = log.splitlines()
    skipped = tuple(line.removeprefix("SKIPPED: ") for line in lines if line.startswith("SKIPPED: "))
    if skipped:
        return Outcome("skipped", skipped, log)
    if status == 0:
        return Outcome("ok", (), log)
    return Outcome("failed", tuple(lines[-TAIL:]), log)


def cells(names: list[str], releases: list[Release], columns: list[str]) -> list[Cell]:
    """Return all that is to be run, in the table's order."""
    return [
        Cell(release, script, column)
        for release in releases
        for script in SCRIPTS
        if (not names or script.name in names) and (release.scripts / f"{script.name}.sh").is_file()
        for column in script.columns
        if column in columns
    ]


def problem(cell: Cell, outcome: Outcome, control: Outcome | None) -> str:
    """Return what is wrong with an outcome; empty where it is as it should be."""
    reason = KNOWN.get((cell.release.version, cell.script.name, cell.column))
    if outcome.verdict in ("ok", "skipped"):
        return "passes now: it is no known failure any more" if reason and outcome.verdict == "ok" else ""
    if reason or (control is not None and control.verdict not in ("ok", "skipped")):
        return ""
    return f"{outcome.verdict}: " + "\n    ".join(outcome.words)


def table(results: dict[Cell, Outcome], release: Release) -> list[str]:
    """Return the table of one release as lines of Markdown."""
    rows = [["script", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    for script in SCRIPTS:
        row = []
        for column in COLUMNS:
            cell = Cell(release, script, column)
            outcome = results.get(cell)
            known = (release.version, script.name, column) in KNOWN
            row.append("" if outcome is None else "known" if known else outcome.verdict)
        if any(row):
            rows.append([script.name, *row])
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    rows[1] = ["-" * width for width in widths]
    return [
        "| " + " | ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]


def report(results: dict[Cell, Outcome], releases: list[Release]) -> int:
    """Print the tables and what is behind them; returns how many cells are not as they should be."""
    wrong = 0
    for release in releases:
        print(f"\nOpenSSH {release.version}, its scripts and programs\n")
        print("\n".join(table(results, release)))
    print()
    for cell, outcome in results.items():
        control = results.get(cell._replace(column="real"))
        name = f"{cell.release.version} {cell.script.name} {cell.column}"
        text = problem(cell, outcome, control)
        if text:
            wrong += 1
            print(f"WRONG {name}: {text}")
        elif outcome.verdict == "skipped":
            print(f"skipped {name}: {outcome.words[0]}")
        elif outcome.verdict != "ok":
            reason = KNOWN.get((cell.release.version, cell.script.name, cell.column))
            print(f"{outcome.verdict} {name}: {reason or 'fails with OpenSSH as well'}")
    for name, reason in NOT_RUN.items():
        print(f"not run {name}: {reason}")
    print(f"{len(results)} runs, {wrong} not as they should be")
    return wrong


def main(argv: list[str]) -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="regress-sftp", description=__doc__)
    parser.add_argument("scripts", nargs="*", choices=[[], *(script.name for script in SCRIPTS)])
    parser.add_argument("--release", action="append", choices=[release.version for release in RELEASES])
    parser.add_argument("--column", action="append", choices=list(COLUMNS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder for the logs and files of every run")
    typed = parser.parse_args(argv)
    releases = []
    left_out = False
    for release in RELEASES:
        if typed.release and release.version not in typed.release:
            continue
        if release.missing:
            left_out = True
            print(f"OpenSSH {release.version} left out: {release.missing}", file=sys.stderr)
        else:
            releases.append(release)
    if not releases:
        return 1
    wanted = cells(typed.scripts, releases, typed.column or list(COLUMNS))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    work = typed.keep or Path(tempfile.mkdtemp(prefix="regress-sftp-"))
    work.mkdir(exist_ok=True)
    work.chmod(0o755)

    def one(cell: Cell) -> Outcome:
        outcome = run(cell, work / f"{cell.release.version}-{cell.script.name}-{cell.column}")
        print(f"{cell.release.version} {cell.script.name} {cell.column}: {outcome.verdict}", flush=True)
        return outcome

    try:
        with ThreadPoolExecutor(max(1, typed.jobs)) as pool:
            results = dict(zip(wanted, pool.map(one, wanted), strict=True))
    finally:
        if typed.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    wrong = report(results, releases)
    incomplete = left_out and os.environ.get("CI") == "true"  # everything is installed there
    return 1 if wrong or incomplete else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
