"""Points and spans of time as ssh-keygen and the trust files write them (ssh-keygen(1), option -V).

Called by certificates, sshkit-keygen, allowed_signers and authorized_keys (expiry-time).  Times are whole
seconds since 1970; `now` is always the caller's.
"""

from typing import NoReturn

from .errors import TimeFormatError
from .text import quoted

#: A certificate with this end, or start 0, has none.
FOREVER = 2**64 - 1
#: A certificate starts a little early, since clocks of hosts differ.
BACKDATE_SECONDS = 59

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: Digits of YYYYMMDD, with HHMM, with SS.
_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
#: The last second of the year 9999; later ones are shown as this.
LAST_SHOWN = 253402300799 - 86400


def _fail(what: str, text: str, place: str) -> NoReturn:
    raise TimeFormatError(f"{quoted(text)} is no {what}", place)


def parse_duration(text: str, place: str = "") -> int:
    """Return the seconds of "90", "1h30m", "52w": numbers with s, m, h, d or w, added up.

    A number without a unit, which is seconds, ends the text (sshd_config(5), TIME FORMATS).
    """
    seconds, digits = 0, ""
    for character in text:
        if character.isdigit() and character.isascii():
            digits += character
            continue
        unit = _UNITS.get(character.lower())
        if unit is None or not digits or len(digits) > 19:
            _fail("span of time", text, place)
        seconds += int(digits) * unit
        digits = ""
    if not text or len(digits) > 19:
        _fail("span of time", text, place)
    seconds += int(digits or "0")
    if seconds >= 2**63:
        _fail("span of time that can be", text, place)
    return seconds


def parse_time(text: str, place: str = "") -> int:
    """Return the second of YYYYMMDD[HHMM[SS]], with "Z" or "UTC" behind it or else in local time."""
    from datetime import UTC, datetime

    digits, zone = text, None
    for suffix in ("z", "utc"):
        if text.lower().endswith(suffix):
            digits, zone = text[: -len(suffix)], UTC
            break
    form = _FORMATS.get(len(digits))
    if form is None or not digits.isascii() or not digits.isdigit():
        _fail("time: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS is wanted", text, place)
    try:
        seconds = int(datetime.strptime(digits, form).replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        _fail("time that can be", text, place)
    if seconds < 0:
        _fail("time after 1970", text, place)
    return seconds


def parse_validity(text: str, now: int, place: str = "") -> tuple[int, int]:
    """Return (valid_after, valid_before) of what ssh-keygen's -V takes.

    "+52w" is from now, rounded down and a minute early, until then.  "from:to" has on each side a
    time (see parse_time), "+1d" or "-1d" beside now, or "0x" and hex seconds; "always" may stand for the
    start, "forever" for the end.
    """
    if text.startswith("+") and ":" not in text:
        after = max(now - BACKDATE_SECONDS, 0) // 60 * 60
        before = _relative(text, now, place)
    else:
        start, colon, end = text.partition(":")
        if not start or not colon or not end:
            _fail("validity: from:to, or +span", text, place)
        after = 0 if start == "always" else _moment(start, now, place)
        before = FOREVER if end == "forever" else _moment(end, now, place)
    if before <= after:
        raise TimeFormatError(f"the validity {quoted(text)} ends before it starts", place)
    return after, before


def _moment(text: str, now: int, place: str) -> int:
    if text[0] in "+-":
        return _relative(text, now, place)
    if text.startswith("0x"):
        digits = text[2:]
        if not 1 <= len(digits) <= 16 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            _fail("number of hex seconds", text, place)
        return int(digits, 16)
    return parse_time(text, place)


def _relative(text: str, now: int, place: str) -> int:
    seconds = parse_duration(text[1:], place)
    moment = now - seconds if text.startswith("-") else now + seconds
    if moment < 0:
        _fail("time after 1970", text, place)
    return moment


def format_time(seconds: int) -> str:
    """Return YYYY-MM-DDTHH:MM:SS in local time; what lies beyond the year 9999 is shown as its end."""
    from datetime import datetime

    return datetime.fromtimestamp(min(seconds, LAST_SHOWN)).strftime("%Y-%m-%dT%H:%M:%S")


def format_validity(valid_after: int, valid_before: int) -> str:
    """Return "forever", "before X", "after X" or "from X to Y", as ``ssh-keygen -L`` does."""
    if valid_after == 0:
        return "forever" if valid_before == FOREVER else f"before {format_time(valid_before)}"
    if valid_before == FOREVER:
        return f"after {format_time(valid_after)}"
    return f"from {format_time(valid_after)} to {format_time(valid_before)}"
