"""The options of authorized_keys lines: one table (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

Called by `authorized_keys` and `authorized_principals` when they read a line: a line whose options are
unknown or malformed lets nobody in.  What an option means is enforced by the server; the page docs/keys.md
says where.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .errors import TrustFileError
from .text import quoted

#: A permission for one address: its host ("*" for any) and its port (None for any).
Permit = tuple[str, int | None]
#: The largest number of a tunnel device (SSH_TUNID_MAX in OpenSSH).
MAX_TUNNEL = 0x7FFFFFFF - 1
_ANY_TUNNEL = "any"


class KeyOption(NamedTuple):
    """What may be written."""

    #: Raises TrustFileError for a value that cannot be meant; None for an option without a value.
    check: Callable[[str, str], object] | None = None
    #: Whether the option may stand more than once.
    several: bool = False


def parse_permit_open(text: str, place: str = "") -> Permit:
    """Read "host:port" of permitopen; an IPv6 address stands in brackets, "*" is any."""
    host, port = _split_address(text)
    if not host:
        raise TrustFileError(f"permitopen={quoted(text)} is not host:port", place)
    return host, _port(port, f"permitopen={quoted(text)}", place)


def parse_permit_listen(text: str, place: str = "") -> Permit:
    """Read "[host:]port" of permitlisten; no host is any."""
    host, port = _split_address(text)
    return host or "*", _port(port, f"permitlisten={quoted(text)}", place)


def parse_tunnel(text: str, place: str = "") -> int | None:
    """Read the number of a tunnel device, or "any" (None)."""
    if text == _ANY_TUNNEL:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 11 and int(text) <= MAX_TUNNEL:
        return int(text)
    raise TrustFileError(f"tunnel={quoted(text)} is neither a device number nor 'any'", place)


def parse_environment(text: str, place: str = "") -> tuple[str, str]:
    """Read "NAME=value"."""
    name, sign, value = text.partition("=")
    if not sign or not name.isascii() or not name.replace("_", "a").isalnum() or "\0" in value:
        raise TrustFileError(f"environment={quoted(text)} is not NAME=value", place)
    return name, value


def parse_list(text: str, place: str = "") -> tuple[str, ...]:
    """Read the comma-separated values of from and principals; there must be one."""
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    if not values:
        raise TrustFileError("an empty list of names", place)
    return values


def parse_expiry(text: str, place: str = "") -> int:
    """Read YYYYMMDD[HHMM[SS]][Z]; without Z the time is this machine's."""
    from .certificate_times import parse_time

    return parse_time(text, place)


def _text(text: str, place: str = "") -> str:
    return text


_VALUE = KeyOption(_text)
_FLAG = KeyOption()

#: Option name in lower case -> what may be written.  An option that is not here refuses its line.
OPTIONS: dict[str, KeyOption] = {
    "agent-forwarding": _FLAG,
    "cert-authority": _FLAG,
    "command": _VALUE,
    "environment": KeyOption(parse_environment, several=True),
    "expiry-time": KeyOption(parse_expiry, several=True),
    "from": KeyOption(parse_list),
    "no-agent-forwarding": _FLAG,
    "no-port-forwarding": _FLAG,
    "no-pty": _FLAG,
    "no-touch-required": _FLAG,
    "no-user-rc": _FLAG,
    "no-verify-required": _FLAG,
    "no-x11-forwarding": _FLAG,
    "permitlisten": KeyOption(parse_permit_listen, several=True),
    "permitopen": KeyOption(parse_permit_open, several=True),
    "port-forwarding": _FLAG,
    "principals": KeyOption(parse_list),
    "pty": _FLAG,
    "restrict": _FLAG,
    "touch-required": _FLAG,
    "tunnel": KeyOption(parse_tunnel),
    "user-rc": _FLAG,
    "verify-required": _FLAG,
    "x11-forwarding": _FLAG,
}


def check_options(options: Mapping[str, tuple[str, ...]], place: str = "") -> None:
    """Raise TrustFileError for an option that is unknown, lacks its value, or has one that cannot be."""
    for name, values in options.items():
        option = OPTIONS.get(name)
        if option is None:
            raise TrustFileError(f"unknown option {quoted(name, 64)}", place)
        if option.check is None:
            if values:
                raise TrustFileError(f"the option {name} takes no value", place)
            continue
        if not values:
            raise TrustFileError(f"the option {name} needs a value", place)
        if len(values) > 1 and not option.several:
            raise TrustFileError(f"the option {name} stands more than once", place)
        for value in values:
            option.check(value, place)


def _split_address(text: str) -> tuple[str, str]:
    """Return host and port of "host:port", "[host]:port" or "port"."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    # More than one colon and no brackets: an IPv6 address without a port, or nonsense.
    return (host, port) if ":" not in host else (host, "")


def _port(text: str, what: str, place: str) -> int | None:
    if text == "*":
        return None
    if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536:
        return int(text)
    raise TrustFileError(f"{what} has no port from 1 to 65535", place)
