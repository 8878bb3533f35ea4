"""Patterns fit what rsync's documentation says they fit."""

import pytest

from sshkit.syncing.patterns import Filter, PatternError, Rule, parse_lines, parse_rule


@pytest.mark.parametrize(
    ("pattern", "path", "is_dir", "fits"),
    [
        ("*.o", b"a.o", False, True),
        ("*.o", b"dir/a.o", False, True),
        ("*.o", b"a.o/b", False, False),
        ("/a", b"a", False, True),
        ("/a", b"dir/a", False, False),
        ("a/b", b"dir/a/b", False, True),
        ("a/b", b"dir/xa/b", False, False),
        ("dir/", b"dir", True, True),
        ("dir/", b"dir", False, False),
        ("/dir/", b"dir", True, True),
        ("a*/b", b"a/c/b", False, False),
        ("a**b", b"a/c/b", False, True),
        ("dir/***", b"dir", True, True),
        ("dir/***", b"dir/x/y", False, True),
        ("dir/***", b"direct", False, False),
        ("dir/**", b"dir", True, False),
        ("?", b"ab", False, False),
        ("a?b", b"a/b", False, False),
        ("[a-c]x", b"bx", False, True),
        ("[!a-c]x", b"bx", False, False),
        ("[^a-c]x", b"dx", False, True),
        ("a[!b]c", b"a/c", False, False),
        ("[]]", b"]", False, True),
        ("[!]]", b"a", False, True),
        ("[a&&b]", b"&", False, True),
        (r"\*", b"*", False, True),
        (r"\*", b"a", False, False),
        ("a\\", b"a\\", False, True),
        ("a.b", b"axb", False, False),
        ("*", b"new\nline", False, True),
        ("\udcff*", b"\xff1", False, True),
    ],
)
def test_a_pattern_fits_what_it_says(pattern: str, path: bytes, is_dir: bool, fits: bool) -> None:
    assert Rule(pattern, False).fits(path, is_dir) == fits


@pytest.mark.parametrize("pattern", ["", "/", "[a", "[z-a]"])
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Rule(pattern, False)


def test_the_first_rule_that_fits_decides() -> None:
    rules = Filter([parse_rule("+ *.c"), parse_rule("keep", include=True), parse_rule("- *")])
    assert not rules.excludes(b"a.c", False)
    assert not rules.excludes(b"keep", False)
    assert rules.excludes(b"a.h", False)
    assert not Filter().excludes(b"a", False)


def test_a_file_of_patterns_has_one_a_line() -> None:
    rules = parse_lines("# words\n\n; more\n*.o\n+ b\r\n")
    assert [(rule.include, rule.fits(b"b", False)) for rule in rules] == [(False, False), (True, True)]
