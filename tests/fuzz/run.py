"""Fuzz: ``python -m tests.fuzz.run [NAME ...] [--seconds 60]``, or ``make fuzz SECONDS=60``.

Each target runs for so long in a process of its own; at the end there is a table, and the status is 1 where
one found a fault.  What was found new and short stays in --found/NAME, so that the next run goes on from
there, and the bytes of a fault as crash-... beside it: ``python -m tests.fuzz.run NAME --input FILE`` runs
them again.  The targets are in `tests.fuzz.targets`; see docs/fuzzing.md.
"""
# ruff: noqa: T201 -- it is a command.

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.targets import TARGETS, feed, load_target

UNITS = re.compile(r"number_of_executed_units: *(\d+)")
#: Seconds beyond its time in which a target loads, and ends.
GRACE = 120


class Row(NamedTuple):
    """What came of one target."""

    name: str
    runs: int
    seconds: float
    crashes: int
    text: str  #: the end of what it said, where it crashed


def fuzz(name: str, seconds: int, found: Path) -> Row:
    """Run one target."""
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.glob("*-*"))
    command = [sys.executable, "-m", "tests.fuzz.once", name, str(seconds), str(found)]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds + GRACE, check=False
        )
        said, status = done.stderr + done.stdout, done.returncode
    except subprocess.TimeoutExpired:
        said, status = "it did not end", 1
    units = UNITS.findall(said)
    new = set(found.glob("*-*")) - before
    crashes = len(new) or (1 if status else 0)
    text = f"{said[-3000:]}\n{' '.join(map(str, new))}" if crashes else ""
    return Row(name, int(units[-1]) if units else 0, time.monotonic() - began, crashes, text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description="Fuzz every target, or some.")
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []], metavar="NAME", help=" ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--found", type=Path, help="folder for what is new; a temporary one without")
    parser.add_argument("--input", type=Path, help="run one input instead, and show what it raises")
    options = parser.parse_args()
    if options.input is not None:
        took = feed(load_target(options.names[0]), options.input.read_bytes())
        print("taken" if took else "refused")
        return 0
    home = options.found or Path(tempfile.mkdtemp(prefix="fuzz-"))
    rows: list[Row] = []
    for name in options.names or TARGETS:
        row = fuzz(name, options.seconds, home / name)
        rows.append(row)
        print(f"{name}: {row.runs} runs{', a fault' if row.crashes else ''}", flush=True)
        if row.text:
            print(row.text, flush=True)
    print(f"\n{'target':22} {'runs':>10} {'runs/s':>8} {'crashes':>8}")
    for row in rows:
        print(f"{row.name:22} {row.runs:>10} {row.runs / max(row.seconds, 0.001):>8.0f} {row.crashes:>8}")
    total = sum(row.crashes for row in rows)
    print(f"{len(rows)} targets, {sum(row.runs for row in rows)} runs, {total} crashes; what is new: {home}")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
