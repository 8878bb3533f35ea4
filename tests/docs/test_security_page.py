"""SECURITY.md: every rule has its line, and every test that a line names is there."""

import re

import pytest

from tests.docs.pages import ROOT, section

NUMBER_OF_RULES = 43
LINE = re.compile(r"^\| R(\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = LINE.findall(section("SECURITY.md", "Rules, and the tests that hold them"))


def test_every_rule_has_one_line_in_order() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, NUMBER_OF_RULES + 1))


@pytest.mark.parametrize(("number", "words", "tests"), ROWS, ids=[f"R{row[0]}" for row in ROWS])
def test_the_tests_of_a_rule_exist_and_bear_its_number(number: str, words: str, tests: str) -> None:
    assert 4 <= len(words.split()) <= 14
    named = re.findall(r"`([^`]+)`", tests)
    assert 1 <= len(named) <= 3
    for name in named:
        path, _, function = name.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert re.search(rf"^(async )?def {re.escape(function)}\(", text, re.MULTILINE), name
        numbers = [int(found) for found in re.findall(r"_r(\d+)(?=_)", function)]
        assert int(number) in numbers, name


def test_each_test_that_bears_a_number_bears_that_of_a_rule() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        for found in re.findall(r"^def test_r(\d+)_", path.read_text(), re.MULTILINE):
            assert 1 <= int(found) <= NUMBER_OF_RULES, f"{path.name}: test_r{found}"
