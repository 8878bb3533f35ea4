"""What values of configuration files look like: flags, numbers, times and sizes (sshd_config(5)).

Called by `ssh_config` and `sshd_config`.  Each takes the line whose keyword asks, for the error's place.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from sshkit_keys.text import quoted

from .parser import Line

T = TypeVar("T")

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
#: Times end where OpenSSH's do: seconds are a C int there.
MAX_SECONDS = 0x7FFFFFFF
#: Least bytes between two key exchanges: OpenSSH's limit, one that is smaller would never get on.
MIN_REKEY_BYTES = 16

LOG_LEVELS = {
    "quiet": 0,
    "fatal": 1,
    "error": 2,
    "info": 3,
    "verbose": 4,
    "debug": 5,
    "debug1": 5,
    "debug2": 6,
    "debug3": 7,
}


class RekeyLimit(NamedTuple):
    """Bytes and seconds after which new keys are exchanged; None: the default."""

    bytes: int | None = None
    seconds: int | None = None


def choice(line: Line, choices: Mapping[str, T]) -> T:
    """Return what the only argument stands for; case does not matter."""
    word = line.one()
    value = choices.get(word.lower())
    if value is None:
        line.fail(f"{line.spelled}: {quoted(word)} is none of {', '.join(choices)}")
    return value


def flag(line: Line) -> bool:
    """Return yes or no."""
    return choice(line, FLAGS)


FLAGS = {"yes": True, "no": False, "true": True, "false": False}


def number(line: Line, lowest: int = 0, highest: int = 0x7FFFFFFF) -> int:
    """Return the only argument as a number in decimal."""
    word = line.one()
    if not word.isascii() or not word.isdecimal() or len(word) > 10 or not lowest <= int(word) <= highest:
        line.fail(f"{line.spelled}: {quoted(word)} is not a number from {lowest} to {highest}")
    return int(word)


def seconds_of(text: str, line: Line) -> int:
    """Return a time like ``90``, ``1h30m`` or ``2w`` in seconds."""
    total = 0
    digits = ""
    for char in f"{text}s" if text[-1:].isdecimal() else text:
        if char.isascii() and char.isdecimal():
            digits += char
            continue
        unit = _SECONDS.get(char.lower())
        if unit is None or not digits or len(digits) > 10:
            line.fail(f"{line.spelled}: {quoted(text)} is not a time; write 90, 1h30m, 2d ...")
        total += int(digits) * unit
        digits = ""
    if not text or total > MAX_SECONDS:
        line.fail(f"{line.spelled}: {quoted(text)} is not a time from 0 to {MAX_SECONDS} seconds")
    return total


def time(line: Line) -> int:
    """Return the only argument as a time in seconds; ``none`` is 0."""
    word = line.one()
    return 0 if word.lower() == "none" else seconds_of(word, line)


def bytes_of(text: str, line: Line) -> int:
    """Return a size like ``4096``, ``4K`` or ``1G`` in bytes."""
    digits = text.rstrip("kKmMgG")
    unit = _BYTES.get(text[len(digits) :].lower())
    if unit is None or not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        line.fail(f"{line.spelled}: {quoted(text)} is not a size; write 4096, 4K, 500M, 1G")
    return int(digits) * unit


def rekey_limit(line: Line) -> RekeyLimit:
    """Return ``default|SIZE [none|TIME]``."""
    words = line.some()
    if len(words) > 2:
        line.fail(f"more than two arguments for {line.spelled}")
    size = None if words[0].lower() == "default" else bytes_of(words[0], line)
    if size == 0:
        size = None
    if size is not None and size < MIN_REKEY_BYTES:
        line.fail(f"{line.spelled}: {quoted(words[0])} is too small; at least {MIN_REKEY_BYTES} bytes")
    if len(words) == 1:
        return RekeyLimit(size)
    return RekeyLimit(size, 0 if words[1].lower() == "none" else seconds_of(words[1], line))


def log_level(line: Line) -> int:
    """Return a LogLevel's number: 0 QUIET, 3 INFO, 5 to 7 DEBUG1 to DEBUG3."""
    return choice(line, LOG_LEVELS)
