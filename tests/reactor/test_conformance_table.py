"""The table of engines and tests."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conformance import Table, engine_of
from .helpers import ENGINES


@pytest.mark.parametrize(
    ("identifier", "engine"),
    [
        ("native", "native"),
        ("native-poll", "-poll"),
        ("native-select-tls-eof", "-select"),
        ("Echo-direct", "direct"),
        ("guest-uvloop-1", "uvloop"),
        ("uvloop", "uvloop"),
        ("guest-asyncio", "asyncio"),
        ("glib", "glib"),
        ("redirected-natively", "other"),
    ],
)
def test_the_identifier_of_a_test_names_its_engine(identifier: str, engine: str) -> None:
    assert engine_of(f"tests/reactor/test_x.py::test_y[{identifier}]") == engine
    assert engine_of("tests/reactor/test_x.py::test_native") == "other"


def test_no_engine_is_without_a_column() -> None:
    assert "other" not in [engine_of(f"x.py::test[{name}]") for name in ENGINES]


def test_a_failure_and_a_skip_are_seen_beside_what_passed() -> None:
    def report(name: str, outcome: Any, when: Any = "call") -> None:
        nodeid = f"tests/reactor/test_{name}.py::test_x[direct]"
        table.pytest_runtest_logreport(pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, None, when))

    table = Table()
    for when in ("setup", "call", "teardown"):
        report("a", "passed", when)
    report("a", "failed")
    report("b", "skipped", "setup")
    assert table.text().splitlines() == [
        "passed     direct",
        "test_a.py     1-1",
        "test_b.py     0~1",
        "all         1-1~1",
    ]


def test_the_command_runs_the_tests_and_writes_the_table() -> None:
    path = Path(__file__).with_name("test_signals.py")
    argv = [sys.executable, "-m", "tests.reactor.conformance", str(path), "-k", "in_a_turn"]
    root = path.parents[2]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    assert ["test_signals.py", "1", "1", "1", "1", "1", "1"] in [row[:7] for row in words]
