"""Values of sshd_config as ``sshd -T`` prints them: for -T, -G, and for the documentation's defaults.

Called by the command, and by `docs/generate.py`.
"""

from collections.abc import Callable
from typing import Any

from sshkit_keys.text import printable

from .shown import shown_value
from .sshd_values import PenaltyParts, penalty_times

#: Longer than any value that a file of 8 MiB should hold on one line.
MAX_SHOWN = 65536
#: Keywords with a line for each value, and what stands between the parts of one.
ONE_EACH = {
    "acceptenv": " ",
    "allowgroups": " ",
    "allowusers": " ",
    "denygroups": " ",
    "denyusers": " ",
    "hostcertificate": " ",
    "hostkey": " ",
    "port": " ",
    "setenv": "=",
    "subsystem": " ",
}
#: Keywords of which nothing is said where there is no value.
SILENT = frozenset(("gssapikexalgorithms", "logverbose", "sshdauthpath", "sshdsessionpath"))


def shown_values(keyword: str, value: Any) -> list[str]:
    """Return the values to print for a keyword (in lower case), a line each."""
    joint = ONE_EACH.get(keyword)
    if joint is not None:
        return [printable(_words(item, joint), MAX_SHOWN) for item in value]
    if keyword in SILENT and not value:
        return []
    special = _SPECIAL.get(keyword)
    if special is not None:
        return [printable(special(value), MAX_SHOWN)]
    if value == "":
        return ["none"]
    if isinstance(value, str):
        return [printable(value, MAX_SHOWN)]
    return [printable(shown_value(keyword, value), MAX_SHOWN)]


def _words(item: Any, joint: str) -> str:
    return joint.join(str(word) for word in item) if isinstance(item, tuple) else str(item)


def _permits(value: tuple[tuple[str, int | None], ...] | None) -> str:
    if value is None:
        return "any"
    places = [
        f"{f'[{host}]' if ':' in host else host}:{'*' if port is None else port}" for host, port in value
    ]
    return " ".join(places) or "none"


def _chains(value: tuple[tuple[str, ...], ...]) -> str:
    return " ".join(",".join(chain) for chain in value) or "any"


def _penalties(value: PenaltyParts) -> str:
    times = penalty_times(value)
    return "no" if times is None else str(times)


def _environment(value: str | None) -> str:
    return "no" if value is None else "yes" if value == "*" else value


def _key_options(value: frozenset[str]) -> str:
    return " ".join(sorted(value)) or "none"


def _numbers(value: tuple[int, ...]) -> str:
    return ":".join(str(part) for part in value)


_SPECIAL: dict[str, Callable[[Any], str]] = {
    "authenticationmethods": _chains,
    "fingerprinthash": str.upper,
    "loglevel": lambda value: shown_value("loglevel", value) if value else "SILENT",
    "maxstartups": _numbers,
    "metricsaddress": lambda value: "none" if value is None else str(value),
    "permitlisten": _permits,
    "permitopen": _permits,
    "permitrootlogin": lambda value: "without-password" if value == "prohibit-password" else value,
    "permituserenvironment": _environment,
    "persourcenetblocksize": _numbers,
    "persourcepenalties": _penalties,
    "pubkeyauthoptions": _key_options,
    "syslogfacility": str.upper,
    "unusedconnectiontimeout": lambda value: str(value) if value else "none",
}
