"""Times as ssh-keygen writes them."""

import time
from collections.abc import Iterator

import pytest
from sshkit_keys import FOREVER, TimeFormatError, format_validity, parse_duration, parse_time, parse_validity
from sshkit_keys.certificate_times import format_time

NOW = 1_700_000_000  # 2023-11-14T22:13:20Z


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours east of Greenwich, whatever the machine thinks."""
    monkeypatch.setenv("TZ", "XST-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1h30m", 5400),
        ("1H30M5", 5405),
        ("52w", 31449600),
        ("1d1s", 86401),
        ("2m2m", 240),
    ],
)
def test_a_span_of_time_is_the_sum_of_its_parts(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1x", "-1", "1 h", "\u0661", "9" * 20, "9" * 20 + "s", "9" * 19 + "w"]
)
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(TimeFormatError, match=r"^here: .* is no span of time"):
        parse_duration(text, "here")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20231114221320Z", NOW),
        ("20231114221320utc", NOW),
        ("20231115001320", NOW),
        ("202311142213Z", NOW - 20),
        ("20231114Z", 1699920000),
        ("20231114", 1699920000 - 7200),
    ],
)
def test_a_time_is_local_unless_it_says_utc(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "YYYYMMDD"),
        ("Z", "YYYYMMDD"),
        ("2023111", "YYYYMMDD"),
        ("2023-11-1", "YYYYMMDD"),
        ("+2231114", "YYYYMMDD"),
        ("٢٠٢٣١١١٤", "YYYYMMDD"),
        ("20230230", "that can be"),
        ("202301012460", "that can be"),
        ("00000101", "that can be"),
        ("19691231Z", "after 1970"),
    ],
)
def test_what_is_no_time_is_refused(text: str, cause: str) -> None:
    with pytest.raises(TimeFormatError, match=f"^here: .*{cause}"):
        parse_time(text, "here")


@pytest.mark.parametrize(
    ("text", "validity"),
    [
        ("+52w", ((NOW - 59) // 60 * 60, NOW + 31449600)),
        ("always:forever", (0, FOREVER)),
        ("-1d:+1w", (NOW - 86400, NOW + 604800)),
        ("20231114Z:20231115Z", (1699920000, 1700006400)),
        ("0x10:0xFFFFFFFFFFFFFFFE", (16, FOREVER - 1)),
        ("+1m:forever", (NOW + 60, FOREVER)),
    ],
)
def test_a_validity_is_what_ssh_keygen_takes(text: str, validity: tuple[int, int]) -> None:
    assert parse_validity(text, NOW) == validity


def test_a_validity_near_the_epoch_does_not_start_before_it() -> None:
    assert parse_validity("+1", 5) == (0, 6)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no validity"),
        ("forever", "no validity"),
        (":forever", "no validity"),
        ("always:", "no validity"),
        ("-1d", "no validity"),
        ("forever:forever", "YYYYMMDD"),
        ("always:always", "YYYYMMDD"),
        ("0x:forever", "hex"),
        ("0x1g:forever", "hex"),
        ("0x11111111111111111:forever", "hex"),
        ("-100000w:forever", "after 1970"),
        ("+1d:+1h", "ends before it starts"),
        ("+0:-1", "ends before it starts"),
        ("+x:forever", "span of time"),
    ],
)
def test_what_is_no_validity_is_refused(text: str, cause: str) -> None:
    with pytest.raises(TimeFormatError, match=f"^here: .*{cause}"):
        parse_validity(text, NOW, "here")


def test_a_validity_is_shown_in_local_time() -> None:
    assert format_validity(0, FOREVER) == "forever"
    assert format_validity(NOW, FOREVER) == "after 2023-11-15T00:13:20"
    assert format_validity(0, NOW) == "before 2023-11-15T00:13:20"
    assert format_validity(1, NOW) == "from 1970-01-01T02:00:01 to 2023-11-15T00:13:20"
    assert format_time(FOREVER - 1).startswith("9999-12-31T")
