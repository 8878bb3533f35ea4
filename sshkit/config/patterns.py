"""Patterns of configuration files: ``*`` and ``?``, lists of them, ``!`` for exceptions (ssh_config(5)).

Called by `ssh_config` for Host and Match, and by `sshd_config` for AllowUsers and Match.
"""

from collections.abc import Sequence
from enum import Enum

from sshkit_keys.host_patterns import matches_glob

__all__ = ["Match", "match_list", "match_words", "matches_glob"]


class Match(Enum):
    """What a list of patterns says of a name; only YES is true."""

    NO = 0  #: no pattern matched
    YES = 1
    EXCLUDED = -1  #: a pattern with ``!`` matched

    def __bool__(self) -> bool:
        return self is Match.YES


def match_words(name: str, patterns: Sequence[str]) -> Match:
    """Match `name` against patterns; one with ``!`` that matches overrules all others."""
    found = Match.NO
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches_glob(pattern[1:], name):
                return Match.EXCLUDED
        elif found is Match.NO and matches_glob(pattern, name):
            found = Match.YES
    return found


def match_list(name: str, text: str, *, fold: bool = False) -> Match:
    """Match `name` against patterns with commas between them; `fold` ignores case (host names)."""
    if fold:
        name, text = name.lower(), text.lower()
    return match_words(name, [pattern for pattern in text.split(",") if pattern])
