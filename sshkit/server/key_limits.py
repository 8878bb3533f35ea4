"""What the options of an authorized_keys line allow (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

Called by `accounts`.  A line with an option that is not obeyed whole is refused, never half obeyed; the
limits become the options of the one grant that the line's key earned (R4).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.authorized_options import (
    Permit,
    parse_environment,
    parse_expiry,
    parse_list,
    parse_permit_listen,
    parse_permit_open,
    parse_tunnel,
)
from sshkit_keys.errors import SSHKitError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import printable, quoted

if TYPE_CHECKING:
    from sshkit_keys.authorized_keys import AuthorizedEntry
    from sshkit_keys.authorized_principals import PrincipalEntry

#: What is forbidden and allowed by these is part of KeyLimits, or was looked at before.
ENFORCED = frozenset(
    (
        "agent-forwarding",
        "cert-authority",
        "command",
        "environment",
        "expiry-time",
        "from",
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-touch-required",
        "no-user-rc",
        "no-verify-required",
        "no-x11-forwarding",
        "port-forwarding",
        "principals",
        "permitlisten",
        "permitopen",
        "pty",
        "restrict",
        "touch-required",
        "tunnel",
        "user-rc",
        "verify-required",
        "x11-forwarding",
    )
)


class LineRefused(SSHKitError):
    """A line whose key does not let in now; names file and line."""


class KeyLimits(NamedTuple):
    """What a key's line allows."""

    place: str  #: "file:line" of the line
    command: str | None = None  #: the only command
    permit_terminal: bool = True
    permit_port_forwarding: bool = True
    permit_agent_forwarding: bool = True
    permit_x11_forwarding: bool = True
    permit_open: tuple[tuple[Permit, ...], ...] = ()  #: lists of destinations; each has to have it
    permit_listen: tuple[tuple[Permit, ...], ...] = ()
    permit_user_rc: bool = True
    environment: tuple[tuple[str, str], ...] = ()  #: for PermitUserEnvironment; each name once
    touch_required: bool = True  #: of a security key
    verify_required: bool = False  #: of a security key: that it checks who touches it
    tunnel: int | None = None  #: the only device, or None

    def demanding(self, options: frozenset[str]) -> "KeyLimits":
        """Return these limits under PubkeyAuthOptions, which overrule what a line waives."""
        return self._replace(
            touch_required=self.touch_required or "touch-required" in options,
            verify_required=self.verify_required or "verify-required" in options,
        )


def limits_of(entry: "AuthorizedEntry | PrincipalEntry", source: str, certificate: bool = False) -> KeyLimits:
    """Return what a line allows a client at the address `source`; raises LineRefused.

    `certificate` says that the line's key did not log in itself, but vouches for who did.
    """
    options = entry.options
    place = printable(entry.place)
    if certificate != ("cert-authority" in options):
        what = "has no cert-authority" if certificate else "is for certificates of the key, not for the key"
        raise LineRefused(f"{place}: the line {what}")
    if "principals" in options and not certificate:
        raise LineRefused(f"{place}: principals are for lines with cert-authority, so the line is ignored")
    if not options:
        return KeyLimits(entry.place)
    unknown = entry.unenforced(ENFORCED)
    if unknown:
        names = ", ".join(printable(name) for name in unknown)
        raise LineRefused(f"{place}: the option {names} is not obeyed here, so the line is ignored")
    if "from" in options:
        _check_source(options["from"][0], source, place)
    if "expiry-time" in options:
        _check_expiry(options["expiry-time"], place)

    def permitted(name: str) -> bool:
        # Among several of these the last one counts in sshd; here a refusal does, wherever it stands.
        return f"no-{name}" not in options and (name in options or "restrict" not in options)

    return KeyLimits(
        entry.place,
        options["command"][0] if "command" in options else None,
        permitted("pty"),
        permitted("port-forwarding"),
        permitted("agent-forwarding"),
        permitted("x11-forwarding"),
        _lists(options.get("permitopen"), parse_permit_open),
        _lists(options.get("permitlisten"), parse_permit_listen),
        permitted("user-rc"),
        _environment(options.get("environment", ())),
        "touch-required" in options or "no-touch-required" not in options,
        "verify-required" in options,
        parse_tunnel(options["tunnel"][0]) if "tunnel" in options else None,
    )


def _environment(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the variables; of a name that stands several times the first one counts, as with sshd."""
    variables: dict[str, str] = {}
    for text in texts:
        name, value = parse_environment(text)
        variables.setdefault(name, value)
    return tuple(variables.items())


def _lists(texts: tuple[str, ...] | None, parse: Callable[[str], Permit]) -> tuple[tuple[Permit, ...], ...]:
    return () if texts is None else (tuple(parse(text) for text in texts),)


def _check_source(text: str, source: str, place: str) -> None:
    patterns = parse_list(text)
    for pattern in patterns:
        # Names are not looked up, so an exception for a name could not be obeyed.
        if pattern.startswith("!") and not is_address_pattern(pattern[1:]):
            raise LineRefused(f"{place}: from={quoted(pattern)}: names of hosts are not looked up")
    if any(pattern.startswith("!") and address_matches(source, pattern[1:]) for pattern in patterns):
        raise LineRefused(f"{place}: from= excludes {printable(source)}")
    if not any(not pattern.startswith("!") and address_matches(source, pattern) for pattern in patterns):
        raise LineRefused(f"{place}: from= does not list {printable(source)}")


def is_address_pattern(pattern: str) -> bool:
    """Tell whether a pattern can only mean addresses: digits, hex with colons, wildcards, a prefix."""
    if ":" in pattern:
        return all(char in "0123456789abcdefABCDEF:.*?/" for char in pattern)
    return bool(pattern) and all(char in "0123456789.*?/" for char in pattern)


def address_matches(address: str, pattern: str) -> bool:
    """Match an address against a pattern: wildcards, or a network as ``address/bits``."""
    if "/" not in pattern:
        return matches_glob(pattern.lower(), address.lower())
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(address.partition("%")[0]) in ip_network(pattern, strict=False)
    except ValueError:
        return False


def _check_expiry(texts: tuple[str, ...], place: str) -> None:
    """Refuse a line whose time is over; the earliest counts."""
    from time import time

    for text in texts:
        if time() >= parse_expiry(text):
            raise LineRefused(f"{place}: the key expired at {text}")
