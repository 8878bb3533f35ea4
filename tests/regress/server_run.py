"""Run OpenSSH's scripts for its server with ours in its place: ``make regress-server``.

Prints a row for each script and a column for each OpenSSH whose scripts and other programs they are.  A
script that fails is run again with OpenSSH's own server, so that one that fails with that too is told apart.
Ends with 1 if one that should pass does not.  Arguments are names of scripts; none: all.
"""

# ruff: noqa: T201 - a command, which prints

import argparse
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.regress.client_run import BUILT, command, starter
from tests.regress.places import HELPERS, RELEASES, Release
from tests.regress.run import Cell, Outcome, environment, execute
from tests.regress.server_scripts import COLUMNS, KNOWN, NOT_RUN, OPTIONS, SCRIPTS
from tests.regress.stand_ins import install
from tests.regress.table import Suite, releases_here, work_folder

TIMEOUT = 900.0  #: seconds for one script; each connection of `rekey` and `try-ciphers` starts a server
PADDING = 256 * 1024  #: bytes: scripts send the program ssh itself to and fro, and a starter is a short one
MODULE = b"sshkit_cli.server"  #: in the command line of a server of ours
PATIENCE = 10.0  #: seconds for servers to end after a script has
STEP = 20
#: Where servers listen, and forwards at the next few: below the ports that ends of connections get.
PORTS = range(20000, 30000, STEP)


def free_port() -> int:
    """Return a port that nobody listens on, nor on the next ones."""
    first = os.getpid() % len(PORTS)
    for index in range(len(PORTS)):
        port = PORTS[(first + index) % len(PORTS)]
        try:
            for number in range(port, port + STEP):
                with socket.socket() as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port
    raise OSError("no free port")


def server_starter(folder: Path) -> Path:
    """Write what stands in sshd's place."""
    path = folder / "sshd"
    path.write_text(f'#!/bin/sh\nexec {command("server")} "$@"\n')
    path.chmod(0o755)
    return path


def client_starter(folder: Path, release: Release) -> Path:
    """Write what stands in ssh's place: OpenSSH's own; it names only the algorithms that both ends have."""
    path = starter(folder, release, f'"{release.program("ssh")}"')
    with path.open("a") as file:
        for _ in range(PADDING // 127 + 1):
            file.write(f"# {os.urandom(62).hex()}\n")
    return path


def run(cell: Cell, work: Path) -> Outcome:
    """Run one script in a folder of its own; nothing that it started runs on."""
    shutil.rmtree(work, ignore_errors=True)
    objects, programs = work / "obj", work / "bin"
    objects.mkdir(parents=True)
    programs.mkdir()
    for folder in (work, objects, programs):
        folder.chmod(0o755)
    install(objects)
    for name in BUILT:
        shutil.copy(HELPERS / name, objects / name)
    real = cell.release.program
    variables = environment(
        cell, {name: str(real(name)) for name in ("sftp", "sftp-server", "scp")}, free_port()
    )
    variables["TEST_SSH_SSHPKCS11HELPER"] = str(real("ssh-pkcs11-helper"))
    variables["BUILDDIR"] = str(HELPERS)  # config.h: what this platform has
    variables["TEST_SSH_SSHKEYSIGN"] = str(real("ssh-keysign"))
    # Some scripts ask "ssh" itself for lists.
    folder = programs if cell.column == "server" else real("ssh").parent
    variables["PATH"] = f"{folder}:{variables['PATH']}"
    if cell.column == "server":
        variables["TEST_SSH_SSH"] = str(client_starter(programs, cell.release))
        variables["TEST_SSH_SSHD"] = str(server_starter(programs))
        variables["TEST_SSH_SSHD_CONFOPTS"] = OPTIONS.get(cell.script.name, "")
    try:
        outcome = execute(cell, work, variables, TIMEOUT)
        if outcome.verdict == "ok" and cell.column == "server" and servers_stay(work):
            return Outcome("failed", ("a server of it runs on",), outcome.log)
        return outcome
    finally:
        end_leftovers(work)


def leftovers(work: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the command line of each process whose command line names a file below `work`."""
    place = os.fsencode(work) + b"/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if place in line:
            yield int(entry.name), line


def servers_stay(work: Path, patience: float = PATIENCE) -> bool:
    """Say whether a server of ours still runs when its connections have long ended."""
    end = time.monotonic() + patience
    while any(MODULE in line for _, line in leftovers(work)):
        if time.monotonic() > end:
            return True
        time.sleep(0.1)
    return False


def end_leftovers(work: Path) -> list[int]:
    """End what a script has left behind."""
    ended = []
    for number, _ in leftovers(work):
        try:
            os.kill(number, signal.SIGKILL)
        except OSError:
            continue
        ended.append(number)
    return ended


#: What is run, and how it is told.
SUITE = Suite(SCRIPTS, KNOWN, NOT_RUN, "sshd")


def main(argv: list[str]) -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="regress-server", description=__doc__)
    parser.add_argument("scripts", nargs="*", choices=[[], *(script.name for script in SCRIPTS)])
    parser.add_argument("--release", action="append", choices=[release.version for release in RELEASES])
    parser.add_argument("--column", choices=list(COLUMNS), default="server")
    parser.add_argument("--no-control", action="store_true", help="do not run sshd where a script fails")
    parser.add_argument("--keep", type=Path, help="folder for the logs and files of every run")
    typed = parser.parse_args(argv)
    releases = releases_here(typed.release)
    if not releases:
        return 1
    work = work_folder(typed.keep, "regress-server-")
    wanted = [
        Cell(release, script, typed.column)
        for release in releases
        for script in SCRIPTS
        if (not typed.scripts or script.name in typed.scripts)
        and (release.scripts / f"{script.name}.sh").is_file()
    ]
    results: dict[Cell, Outcome] = {}
    controls: dict[Cell, Outcome] = {}
    try:
        # One by one: some scripts listen on ports that are written in them.
        for number, cell in enumerate(wanted):
            # Scripts filter lines of files by words that must not be in the names of folders ("hostkey").
            folder = work.resolve() / f"{number:03}"
            results[cell] = outcome = run(cell, folder)
            print(f"{cell.release.version} {cell.script.name}: {outcome.verdict}", flush=True)
            if outcome.verdict in ("ok", "skipped") or cell.column == "real" or typed.no_control:
                continue
            controls[cell] = run(cell._replace(column="real"), folder.with_name(f"{folder.name}-real"))
    finally:
        if typed.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    return 1 if SUITE.report(results, controls, releases) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
