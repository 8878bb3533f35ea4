"""The conformance of the engines as a table: ``python -m tests.reactor.conformance``.

Runs the tests of the reactor, or those that are named among the options of pytest, and writes for each file
how many passed on which engine.  Called by people, and by whoever wants to show that all engines keep the
same rules; the tests are those that `make test` runs.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent

#: The columns, in order: what the identifiers of tests call each engine.
COLUMNS: dict[str, tuple[str, ...]] = {
    "direct": ("direct",),
    "uvloop": ("guest-uvloop", "uvloop"),
    "asyncio": ("guest-asyncio", "asyncio"),
    "native": ("native",),
    "-poll": ("native-poll",),
    "-select": ("native-select",),
    "qt": ("qt",),
    "tk": ("tk",),
    "glib": ("glib",),
}
#: What belongs to no engine, or starts several of them.
OTHER = "other"

_NAMES = {name: column for column, names in COLUMNS.items() for name in names}
_ENGINE = re.compile(rf"(?:^|-)({'|'.join(sorted(_NAMES, key=len, reverse=True))})(?=-|$)")


def engine_of(nodeid: str) -> str:
    """Return the column of a test."""
    _, bracket, identifier = nodeid.partition("[")
    found = _ENGINE.search(identifier.removesuffix("]")) if bracket else None
    return OTHER if found is None else _NAMES[found[1]]


class Table:
    """A plug-in of pytest's that counts."""

    def __init__(self) -> None:
        self.passed: Counter[tuple[str, str]] = Counter()
        self.others: dict[str, Counter[tuple[str, str]]] = {"failed": Counter(), "skipped": Counter()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one test: its call, or whatever kept it from being called."""
        place = report.nodeid.partition("::")[0].rpartition("tests/reactor/")[2], engine_of(report.nodeid)
        if report.outcome == "passed":
            self.passed[place] += report.when == "call"
        else:
            self.others[report.outcome][place] += 1

    def text(self) -> str:
        """Return the table: passed, and where there are any ``-failed`` and ``~skipped``."""
        counted = {*self.passed, *(place for counter in self.others.values() for place in counter)}
        columns = [name for name in (*COLUMNS, OTHER) if any(place[1] == name for place in counted)]
        rows = [["passed", *columns]]
        for file in sorted({file for file, _ in counted}):
            rows.append([file, *(self._cell(file, name) for name in columns)])
        rows.append(["all", *(self._cell(None, name) for name in columns)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "".join(
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + "\n" for row in rows
        )

    def _cell(self, file: str | None, name: str) -> str:
        def count(counter: Counter[tuple[str, str]]) -> int:
            return sum(n for place, n in counter.items() if place[1] == name and file in (None, place[0]))

        failed, skipped = (count(self.others[outcome]) for outcome in ("failed", "skipped"))
        passed = count(self.passed)
        cell = str(passed or ("." if not failed and not skipped else 0))
        return cell + (f"-{failed}" if failed else "") + (f"~{skipped}" if skipped else "")


def main(arguments: list[str]) -> int:
    """Run pytest with these options and write the table; return its exit status."""
    table = Table()
    if not any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        arguments = [str(FOLDER), *arguments]
    status = pytest.main(["-q", "-p", "no:cacheprovider", *arguments], [table])
    sys.stdout.write(f"\n{table.text()}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
