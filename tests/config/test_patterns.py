"""Patterns of hosts and users."""

import pytest

from sshkit.config.patterns import Match, match_list, match_words


@pytest.mark.parametrize(
    ("name", "patterns", "outcome"),
    [
        ("a.example", ["*.example"], Match.YES),
        ("a.example", ["b", "a.?xample"], Match.YES),
        ("a.example", ["b"], Match.NO),
        ("a.example", ["*", "!a.*"], Match.EXCLUDED),
        ("a.example", ["!b", "*"], Match.YES),
        ("a.example", ["!b"], Match.NO),
        ("a", [], Match.NO),
    ],
)
def test_an_exception_overrules_every_other_pattern(name: str, patterns: list[str], outcome: Match) -> None:
    assert match_words(name, patterns) is outcome
    assert match_list(name, ",".join(patterns)) is outcome
    assert bool(outcome) is (outcome is Match.YES)


def test_case_is_ignored_on_request_only() -> None:
    assert match_list("Host.EXAMPLE", "host.*", fold=True)
    assert not match_list("Root", "root")
