"""docs/sshd_config.md says of old keywords what the code does with them."""

import re

from sshkit.config.sshd_keywords import ALIASES, GONE, OURS
from sshkit.config.sshd_match import ALL, CRITERIA, INVALID_USER
from sshkit.config.sshd_meanings import MEANINGS
from tests.docs.pages import section

PAGE = "docs/sshd_config.md"


def names(heading: str) -> set[str]:
    return {word.lower() for word in re.findall(r"`([\w-]+)`", section(PAGE, heading))}


def test_keywords_that_are_gone_are_those_of_the_code() -> None:
    assert names("Keywords that are gone from sshd too") == GONE


def test_old_names_are_those_of_the_code() -> None:
    assert names("Old names") == ALIASES.keys() | set(ALIASES.values())


def test_criteria_are_those_of_the_code() -> None:
    assert {ALL, INVALID_USER, *CRITERIA} <= names("Blocks and files")


def test_keywords_of_our_own_are_marked() -> None:
    assert {word for word, meaning in MEANINGS.items() if meaning.endswith("; ours")} == OURS
