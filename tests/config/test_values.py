"""Values of configuration files."""

import pytest

from sshkit.config import values
from sshkit.config.parser import ConfigError, Line, Place
from sshkit.config.values import RekeyLimit


def line(rest: str) -> Line:
    return Line("Key", rest, Place("f", 1))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1h30m", 5400),
        ("2W", 1209600),
        ("1d", 86400),
        ("5s", 5),
        ("none", 0),
        ("1m5", 65),
    ],
)
def test_times_are_sums_of_numbers_with_units(text: str, seconds: int) -> None:
    assert values.time(line(text)) == seconds


@pytest.mark.parametrize("text", ["x", "1x", "m", "-1", "1h m", "99999999999", "4000000000", "1.5", "\u0661"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="f:1: "):
        values.time(line(f"'{text}'"))


def test_an_empty_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a time"):
        values.seconds_of("", line(""))


@pytest.mark.parametrize(
    ("text", "size"), [("16", 16), ("4K", 4096), ("4k", 4096), ("500M", 500 << 20), ("1G", 1 << 30)]
)
def test_sizes_have_units_of_1024(text: str, size: int) -> None:
    assert values.bytes_of(text, line(text)) == size


@pytest.mark.parametrize("text", ["", "K", "1KK", "1T", "1.5G", "-1", "9" * 19])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a size"):
        values.bytes_of(text, line(text))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("default", RekeyLimit()),
        ("default none", RekeyLimit(None, 0)),
        ("500M 1h", RekeyLimit(500 << 20, 3600)),
        ("1G", RekeyLimit(1 << 30)),
        ("0", RekeyLimit()),
    ],
)
def test_a_rekey_limit_is_a_size_and_a_time(text: str, limit: RekeyLimit) -> None:
    assert values.rekey_limit(line(text)) == limit


@pytest.mark.parametrize("text", ["", "1", "1G 1h 3", "1G x"])
def test_a_rekey_limit_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="f:1: "):
        values.rekey_limit(line(text))


def test_flags_numbers_and_levels_name_what_they_take() -> None:
    assert values.flag(line("YES"))
    assert not values.flag(line("no"))
    assert values.number(line("17"), 1, 20) == 17
    assert values.log_level(line("DEBUG")) == values.log_level(line("debug1")) == 5
    with pytest.raises(ConfigError, match="'maybe' is none of yes, no"):
        values.flag(line("maybe"))
    for text in ("0", "21", "x", "1 2", "99999999999", "\u0661"):
        with pytest.raises(ConfigError, match="f:1: "):
            values.number(line(text), 1, 20)
