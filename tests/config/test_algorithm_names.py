"""Lists of algorithms that were written for OpenSSH."""

import pytest

from sshkit.config.algorithm_names import CATEGORIES, OTHERS, usable_list
from sshkit.config.parser import ConfigError, Place, Setting
from sshkit.ssh.algorithms import known_names

OURS = ("aes128-ctr", "aes256-ctr")


def usable(text: str | None) -> tuple[str | None, list[str]]:
    return usable_list("Ciphers", Setting(text, Place("f", 1)), OURS)


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        (None, None, []),
        ("aes256-ctr", "aes256-ctr", []),
        ("aes256-ctr,none", "aes256-ctr", ["none"]),
        ("+none", None, ["none"]),
        ("-rij*,aes128*", "-aes128*", ["rij*"]),
        ("+3des-cbc", "+3des-cbc", []),
        ("aes256-ctr,3des-cbc", "aes256-ctr,3des-cbc", []),
        ("^aes256-ctr", "^aes256-ctr", []),
    ],
)
def test_what_only_openssh_has_is_left_out(text: str | None, kept: str | None, left_out: list[str]) -> None:
    assert usable(text) == (kept, left_out)


def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ConfigError, match="f:1: Ciphers: unknown algorithm 'rot13'; there are aes128-ctr"):
        usable("+rot13")


def test_r16_a_list_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="f:1: Ciphers: none of 'none' is supported"):
        usable("none")
    assert "none" in OTHERS["Ciphers"]


def test_nothing_is_both_there_and_left_out() -> None:
    assert OTHERS.keys() == CATEGORIES.keys()
    for keyword, names in OTHERS.items():
        if keyword != "HostKeyAlgorithms":  # where hardware keys are those of users only
            assert not set(names) & set(known_names(CATEGORIES[keyword])), keyword
