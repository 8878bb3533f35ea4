"""The whole name of a host that was named in short (CanonicalizeHostname of ssh_config(5)).

Called while configuration files are read, by way of `Facts.canonicalize`; it asks the system's resolver, in
the caller's own thread.
"""

import socket
from typing import TYPE_CHECKING

from sshkit_keys.text import quoted

from sshkit.config.parser import ConfigError
from sshkit.config.patterns import match_list

if TYPE_CHECKING:
    from sshkit.config.client_options import ClientOptions


def canonical_name(host: str, options: "ClientOptions") -> str | None:
    """Return the name within CanonicalDomains that exists, or None where `host` stays as it is.

    Raises ConfigError where none exists and CanonicalizeFallbackLocal forbids to go on.
    """
    if _is_address(host):
        return None
    domains: tuple[str, ...] = options.canonical_domains.value
    if host.endswith("."):
        domains, host = ("",), host.rstrip(".")
    elif host.count(".") > options.canonicalize_max_dots.value:
        return None
    for domain in domains:
        name = f"{host}.{domain}" if domain else host
        found = _look_up(f"{name}.")  # with a dot at the end no search list is added
        if found is None:
            found = _look_up(name)  # a file of hosts has no such dot
        if found is not None:
            return _followed(name, found, options.canonicalize_permitted_cnames.value)
    if not options.canonicalize_fallback_local.value:
        raise ConfigError(
            f"{quoted(host)} is in none of CanonicalDomains, and CanonicalizeFallbackLocal is no",
            options.canonicalize_fallback_local.place,
        )
    return None


def _followed(name: str, found: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Return what an alias stands for, where a rule permits to follow it."""
    found = found.rstrip(".").lower()
    if not found or found == name.lower():
        return name
    for source, target in rules:
        if match_list(name, source, fold=True) and match_list(found, target, fold=True):
            return found
    return name


def _look_up(name: str) -> str | None:
    """Return the name that the resolver has for `name`; None where there is none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return None
    return next((canonical for *_, canonical, _ in found if canonical), "")


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except OSError:
            continue
        return True
    return False
