"""`sshkit-server -T`: the configuration in force, a line a value, as `sshd -T` writes it.

Called by `server`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from sshkit.config.sshd_config import ServerOptions
from sshkit.config.sshd_keywords import LIMITED, OBEYED
from sshkit.config.values import LOG_LEVELS, RekeyLimit
from sshkit.ssh.algorithms import Algorithms

#: Keyword -> which list of Algorithms it edits, and what that list is called there.
ALGORITHMS = {
    "ciphers": "ciphers",
    "hostkeyalgorithms": "host_keys",
    "kexalgorithms": "key_exchanges",
    "macs": "macs",
    "pubkeyacceptedalgorithms": "user_keys",
}


def effective_lines(options: ServerOptions) -> Iterator[str]:
    """Yield the lines, in the order of the keywords."""
    for keyword, (name, _) in OBEYED.items():
        value: Any = getattr(options, name).value
        if keyword == "listenaddress":
            for place in options.listen_places():
                host = place.host or "*"
                yield f"listenaddress {f'[{host}]' if ':' in host else host}:{place.port}"
        elif keyword in ALGORITHMS:
            yield f"{keyword} {_algorithm_names(ALGORITHMS[keyword], value)}"
        elif keyword in SPECIAL:
            yield f"{keyword} {SPECIAL[keyword](value)}"
        elif keyword in ONE_EACH:
            for item in value:
                words = [item] if isinstance(item, str) else [str(word) for word in item]
                yield f"{keyword} {ONE_EACH[keyword].join(words)}"
        elif keyword in ("port", "hostkey"):
            for item in value:
                yield f"{keyword} {item}"
        else:
            yield f"{keyword} {_shown(value)}"
    for keyword, (allowed, _) in LIMITED.items():
        yield f"{keyword} {allowed[0]}"


#: Keywords with a line for each value, and what stands between the parts of one.
ONE_EACH = {"acceptenv": " ", "allowgroups": " ", "allowusers": " ", "denygroups": " ", "denyusers": " "}
ONE_EACH |= {"setenv": "=", "subsystem": " "}


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def _rekey(limit: RekeyLimit) -> str:
    return f"{limit.bytes or 'default'} {'default' if limit.seconds is None else limit.seconds or 'none'}"


def _level(number: int) -> str:
    return next(name for name, value in LOG_LEVELS.items() if value == number).upper()


SPECIAL: dict[str, Callable[[Any], str]] = {
    "authenticationmethods": lambda chain: ",".join(chain) or "any",
    "loglevel": _level,
    "maxstartups": lambda limit: ":".join(str(part) for part in limit),
    "persourcenetblocksize": lambda bits: ":".join(str(part) for part in bits),
    "rekeylimit": _rekey,
    "syslogfacility": str.upper,
}


def _algorithm_names(category: str, text: str | None) -> str:
    entries = getattr(Algorithms().edited(**{category: text}), category)
    return ",".join(entry if isinstance(entry, str) else entry.name for entry in entries)
