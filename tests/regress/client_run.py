"""Run OpenSSH's scripts for its client with ours in its place: ``make regress-client``.

Prints a row for each script and a column for each OpenSSH whose scripts and server they are.  A script that
fails is run again with OpenSSH's own client, so that one that fails with that too is told apart.  Ends with 1
if one that should pass does not.  Arguments are names of scripts; none: all.
"""

# ruff: noqa: T201 - a command, which prints

import argparse
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.regress.client_scripts import KNOWN, NOT_RUN, SCRIPTS
from tests.regress.places import HELPERS, RELEASES, ROOT, Release
from tests.regress.run import Cell, Outcome, environment, execute, free_port
from tests.regress.stand_ins import install
from tests.regress.table import Suite, releases_here, work_folder

TIMEOUT = 600.0  #: seconds for one script; `rekey` and `cert-userkey` take minutes
#: What OpenSSH's scripts need of small programs in C, which Debian has built.
BUILT = ("netcat", "setuid-allowed", "modpipe")


def command(module: str) -> str:
    """Return what runs a command of ours: what lies beside this file, whatever is installed."""
    places = ":".join(str(ROOT / part) for part in ("", "cli", "keys"))
    return f'env PYTHONPATH="{places}" "{sys.executable}" -m sshkit_cli.{module}'


def starter(folder: Path, release: Release, program: str = "") -> Path:
    """Write what stands in ssh's place: it starts `program`; empty: sshkit-client.

    Lists of algorithms are those that both have: OpenSSH's helpers make the keys, its programs do the rest.
    """
    ours = command("client")
    theirs = release.program("ssh")
    path = folder / "ssh"
    path.write_text(
        f"""#!/bin/sh
query= asked=
for word; do
    case "$asked$word" in
    -Q) asked=-Q;;
    -Q*) query="$word"; break;;
    --) break;;
    esac
done
if [ -n "$query" ]; then
    {ours} -Q "$query" | sort >"{folder}/ours.$$"
    "{theirs}" -Q "$query" | while read -r name; do
        if grep -qxF -- "$name" "{folder}/ours.$$"; then echo "$name"; fi
    done
    rm -f "{folder}/ours.$$"
    exit 0
fi
exec {program or ours} "$@"
"""
    )
    path.chmod(0o755)
    return path


def run(cell: Cell, work: Path) -> Outcome:
    """Run one script in a folder of its own."""
    shutil.rmtree(work, ignore_errors=True)
    objects, programs = work / "obj", work / "bin"
    objects.mkdir(parents=True)
    programs.mkdir()
    for folder in (work, objects):
        folder.chmod(0o755)
    install(objects)
    for name in BUILT:
        shutil.copy(HELPERS / name, objects / name)
    real = cell.release.program
    variables = environment(
        cell, {name: str(real(name)) for name in ("sftp", "sftp-server", "scp")}, free_port()
    )
    variables["TEST_SSH_SSHPKCS11HELPER"] = str(real("ssh-pkcs11-helper"))
    variables["TEST_SSH_SSHKEYSIGN"] = str(real("ssh-keysign"))
    if cell.column == "client":
        variables["TEST_SSH_SSH"] = str(starter(programs, cell.release))
    return execute(cell, work, variables, TIMEOUT)


#: What is run, and how it is told.
SUITE = Suite(SCRIPTS, KNOWN, NOT_RUN, "ssh")


def main(argv: list[str]) -> int:
    """Run what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="regress-client", description=__doc__)
    parser.add_argument("scripts", nargs="*", choices=[[], *(script.name for script in SCRIPTS)])
    parser.add_argument("--release", action="append", choices=[release.version for release in RELEASES])
    # Some scripts listen on ports that are written in them: two side by side get in each other's way.
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the logs and files of every run")
    typed = parser.parse_args(argv)
    releases = releases_here(typed.release)
    if not releases:
        return 1
    work = work_folder(typed.keep, "regress-client-")
    wanted = [
        Cell(release, script, "client")
        for release in releases
        for script in SCRIPTS
        if (not typed.scripts or script.name in typed.scripts)
        and (release.scripts / f"{script.name}.sh").is_file()
    ]
    controls: dict[Cell, Outcome] = {}

    def one(cell: Cell) -> Outcome:
        # Scripts filter lines of files by words that must not be in the names of folders ("hostkey").
        folder = work / f"{wanted.index(cell):03}"
        outcome = run(cell, folder)
        if outcome.verdict not in ("ok", "skipped"):
            controls[cell] = run(cell._replace(column="real"), folder.with_name(f"{folder.name}-real"))
        print(f"{cell.release.version} {cell.script.name}: {outcome.verdict}", flush=True)
        return outcome

    try:
        with ThreadPoolExecutor(max(1, typed.jobs)) as pool:
            results = dict(zip(wanted, pool.map(one, wanted), strict=True))
    finally:
        if typed.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    return 1 if SUITE.report(results, controls, releases) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
