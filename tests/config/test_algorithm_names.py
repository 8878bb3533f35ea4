"""Lists of algorithms that were written for OpenSSH."""

import pytest

from sshkit.config.algorithm_names import OTHERS, usable_list
from sshkit.config.parser import ConfigError, Place, Setting

OURS = ("aes128-ctr", "aes256-ctr")


def usable(text: str | None) -> tuple[str | None, list[str]]:
    return usable_list("Ciphers", Setting(text, Place("f", 1)), OURS)


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        (None, None, []),
        ("aes256-ctr", "aes256-ctr", []),
        ("aes256-ctr,3des-cbc", "aes256-ctr", ["3des-cbc"]),
        ("+3des-cbc", None, ["3des-cbc"]),
        ("-*-cbc,aes128*", "-aes128*", ["*-cbc"]),
        ("^aes256-ctr", "^aes256-ctr", []),
    ],
)
def test_what_only_openssh_has_is_left_out(text: str | None, kept: str | None, left_out: list[str]) -> None:
    assert usable(text) == (kept, left_out)


def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ConfigError, match="f:1: Ciphers: unknown algorithm 'rot13'; there are aes128-ctr"):
        usable("+rot13")


def test_r16_a_list_of_weak_names_only_is_refused() -> None:
    with pytest.raises(ConfigError, match="f:1: Ciphers: none of '3des-cbc,none' is supported"):
        usable("3des-cbc,none")
    assert "none" in OTHERS["Ciphers"]
