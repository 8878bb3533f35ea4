"""Fuzz: ``python -m tests.fuzz.run [NAME ...] [--seconds 60]``, or ``make fuzz SECONDS=60``.

Each target runs for so long in a process of its own; at the end there is a table, and the status is 1 where
one found a fault.  What was found new and short stays in --found/NAME, so that the next run goes on from
there, and the bytes of a fault as crash-... beside it: ``python -m tests.fuzz.run NAME --input FILE`` runs
them again.  The targets are in `tests.fuzz.targets`; see docs/fuzzing.md.
"""
# ruff: noqa: T201 -- it is a command.

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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
    seconds: float  #: that passed
    processor: float  #: seconds that a processor worked for it
    crashes: int
    text: str  #: the end of what it said, where it crashed


def fuzz(name: str, seconds: int, found: Path) -> Row:
    """Run one target."""
    found.mkdir(parents=True, exist_ok=True)
    before = set(found.glob("*-*"))
    command = [sys.executable, "-m", "tests.fuzz.once", name, str(seconds), str(found)]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        limit = threading.Timer(seconds + GRACE, os.kill, (process.pid, signal.SIGKILL))
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    units = UNITS.findall(said)
    new = set(found.glob("*-*")) - before
    crashes = len(new) or (1 if status or not units else 0)
    text = f"{said[-3000:]}\n{process.returncode=} {' '.join(map(str, new))}" if crashes else ""
    processor = usage.ru_utime + usage.ru_stime
    return Row(name, int(units[-1]) if units else 0, time.monotonic() - began, processor, crashes, text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description="Fuzz every target, or some.")
    parser.add_argument("names", nargs="*", choices=[*TARGETS, []], metavar="NAME", help=" ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--jobs", type=int, default=1, help="so many targets at once (default 1)")
    parser.add_argument("--found", type=Path, help="folder for what is new; a temporary one without")
    parser.add_argument("--input", type=Path, help="run one input instead, and show what it raises")
    options = parser.parse_args()
    if options.seconds < 1 or options.jobs < 1:
        parser.error("--seconds and --jobs: at least 1")
    if options.input is not None and len(options.names) != 1:
        parser.error("--input: name the one target that it is for")
    if options.input is not None:
        took = feed(load_target(options.names[0]), options.input.read_bytes())
        print("taken" if took else "refused")
        return 0
    home = options.found or Path(tempfile.mkdtemp(prefix="fuzz-"))
    names = options.names or list(TARGETS)
    rows: list[Row] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(lambda name: fuzz(name, options.seconds, home / name), names):
            rows.append(row)
            print(f"{row.name}: {row.runs} runs{', a fault' if row.crashes else ''}", flush=True)
            if row.text:
                print(row.text, flush=True)
    print(f"\n{'target':22} {'runs':>10} {'runs/s':>8} {'seconds':>8} {'processor':>9} {'crashes':>8}")
    for row in rows:
        rate = row.runs / max(row.processor, 0.001)
        times = f"{row.seconds:>8.0f} {row.processor:>9.0f}"
        print(f"{row.name:22} {row.runs:>10} {rate:>8.0f} {times} {row.crashes:>8}")
    total = sum(row.crashes for row in rows)
    print(f"{len(rows)} targets, {sum(row.runs for row in rows)} runs, {total} crashes; what is new: {home}")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
