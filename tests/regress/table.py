"""The table of a run of OpenSSH's scripts, with what is behind it; for `client_run` and `server_run`."""

# ruff: noqa: T201 - for commands, which print

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sshkit_keys.text import printable

from tests.regress.places import HELPERS, RELEASES, Release
from tests.regress.run import TAIL, Cell, Outcome
from tests.regress.scripts import Script

#: What is not as it should be.
WRONG = ("FAIL", "passes now")


class Suite(NamedTuple):
    """Which scripts there are, and what is known of them."""

    scripts: Sequence[Script]
    known: Mapping[tuple[str, str, str], str]  #: by release, script and column: why it fails
    not_run: Mapping[str, str]
    real: str  #: the program in whose place ours is

    def word(self, cell: Cell, outcome: Outcome | None, control: Outcome | None) -> str:
        """Return what the table says."""
        if outcome is None:
            return ""
        known = (cell.release.version, cell.script.name, cell.column) in self.known
        if outcome.verdict == "ok":
            return "passes now" if known else "pass"
        if outcome.verdict == "skipped":
            return "not applicable"
        if known:
            return "known"
        if control is not None and control.verdict != "ok":
            return f"fails with {self.real} too"
        return "FAIL"

    def report(
        self, results: Mapping[Cell, Outcome], controls: Mapping[Cell, Outcome], releases: Sequence[Release]
    ) -> int:
        """Print the table and what is behind it; returns how many scripts are not as they should be."""
        wrong = 0
        print(f"\n| script | {' | '.join(release.version for release in releases)} |")
        print(f"| --- |{' --- |' * len(releases)}")
        reasons: list[str] = []
        for script in self.scripts:
            row = []
            for release in releases:
                cell = next((cell for cell in results if cell[:2] == (release, script)), None)
                if cell is None:
                    row.append("")
                    continue
                outcome = results[cell]
                said = self.word(cell, outcome, controls.get(cell))
                row.append(said)
                if said == "pass":
                    continue
                words = [printable(line) for line in outcome.words]
                reason = self.known.get((release.version, script.name, cell.column))
                reasons.append(f"{release.version} {script.name}: {said}: {reason or ' / '.join(words[:3])}")
                if said in WRONG:
                    wrong += 1
                    reasons.append("    " + "\n    ".join(words[-TAIL:]))
            if any(row):
                print(f"| {script.name} | {' | '.join(row)} |")
        print()
        print("\n".join(reasons))
        for name, reason in self.not_run.items():
            print(f"not run {name}: {reason}")
        print(f"{len(results)} runs, {wrong} not as they should be")
        return wrong


def releases_here(wanted: Sequence[str] | None) -> list[Release]:
    """Return the releases that are wanted (None: all) and here; says which are not."""
    found = []
    for release in RELEASES:
        if wanted and release.version not in wanted:
            continue
        if release.missing or not HELPERS.is_dir():
            print(f"OpenSSH {release.version} left out: {release.missing or 'no helpers'}", file=sys.stderr)
        else:
            found.append(release)
    return found


def work_folder(kept: Path | None, prefix: str) -> Path:
    """Return where the scripts run, which root's sshd has to be able to enter."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    work = kept or Path(tempfile.mkdtemp(prefix=prefix))
    work.mkdir(exist_ok=True)
    work.chmod(0o755)
    return work
