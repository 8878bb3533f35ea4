"""Values of ssh_config as a file would have them: for -G, for -v, and for the documentation's defaults.

Called by the command, and by `docs/generate.py`.
"""

from typing import Any

from sshkit_keys.text import printable

from .client_values import AgentAdding
from .forwards import Endpoint
from .service_classes import SERVICE_CLASSES
from .values import LOG_LEVELS, RekeyLimit

#: Characters of one word, and of one list of words, that are shown.
MAX_WORD = 4096
MAX_LIST = 65536


def shown_value(keyword: str, value: Any) -> str:
    """Return the value of a keyword (in lower case) as a configuration file would have it."""
    special = _SPECIAL.get(keyword)
    if special is not None:
        return printable(str(special(value)), MAX_LIST)
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, AgentAdding):
        return str(value)
    if isinstance(value, tuple):
        return " ".join(_word(part) for part in value) or "none"
    return printable(str(value), MAX_WORD)


def shown_character(character: int) -> str:
    """Return a character as people write it: ``~``, ``^]``."""
    return f"^{chr(character + 64)}" if character < 32 else chr(character)


def _word(part: Any) -> str:
    if isinstance(part, Endpoint):
        host = printable(str(part.host), MAX_WORD)
        return f"{f'[{host}]' if ':' in host else host}:{part.port or '*'}"
    if isinstance(part, tuple):
        return "=".join(printable(str(each), MAX_WORD) for each in part)
    return printable(str(part), MAX_WORD)


def _escape(value: int | None) -> str:
    return "none" if value is None else shown_character(value)


def _level(value: int) -> str:
    return next(name for name, level in LOG_LEVELS.items() if level == value).upper()


def _rekey(value: RekeyLimit) -> str:
    return f"{value.bytes or 0} {value.seconds or 0}"


def _classes(value: tuple[int | None, int | None]) -> str:
    names = {number: name for name, number in reversed(SERVICE_CLASSES.items())}
    return " ".join(names.get(number) or f"0x{number:02x}" for number in value)


def _persist(value: int | None) -> str:
    return "no" if value is None else str(value) if value else "yes"


def _keystrokes(value: int) -> str:
    return f"interval:{value}" if value else "no"


def _checking(value: str) -> str:
    return {"strict": "yes", "off": "no"}.get(value, value)


def _remote_open(value: tuple[Endpoint, ...] | None) -> str:
    return "any" if value is None else " ".join(_word(part) for part in value) or "none"


def _cnames(value: tuple[tuple[str, str], ...]) -> str:
    return " ".join(":".join(rule) for rule in value) or "none"


def _devices(value: tuple[int | None, int | None]) -> str:
    return ":".join("any" if number is None else str(number) for number in value)


_SPECIAL: dict[str, Any] = {
    "canonicalizepermittedcnames": _cnames,
    "controlpersist": _persist,
    "connecttimeout": lambda value: str(value) if value else "none",
    "escapechar": _escape,
    "forwardagent": lambda value: value or "no",
    "ipqos": _classes,
    "loglevel": _level,
    "obscurekeystroketiming": _keystrokes,
    "permitremoteopen": _remote_open,
    "preferredauthentications": lambda value: ",".join(value) if value else "none",
    "proxyjump": lambda value: ",".join(value) or "none",
    "rekeylimit": _rekey,
    "streamlocalbindmask": lambda value: f"0{value:o}",
    "stricthostkeychecking": _checking,
    "tunneldevice": _devices,
    "updatehostkeys": lambda value: value or "yes",
}
