"""The optional package `gssapi` (the extra sshkit[gssapi]), loaded on use.

Called by `sshkit.client.gssapi` and `sshkit.server.gssapi`: what both roles need of it.
"""

from collections.abc import Callable
from typing import Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

KERBEROS = bytes.fromhex("06092a864886f712010202")  #: 1.2.840.113554.1.2.2 as DER


class GSSAPIFailed(SSHKitError):
    """No ticket, a server that is not in the realm, or no package: the message is the library's own."""


def load() -> Any:
    """Return the package; GSSAPIFailed where it is not installed, or has no library to call."""
    from importlib import import_module

    try:
        return import_module("gssapi")
    except (ImportError, OSError):
        raise GSSAPIFailed("logins by GSSAPI take the package gssapi (the extra sshkit[gssapi])") from None


def told(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the library; what it raises is told in its own words."""
    errors = load().exceptions.GSSError
    try:
        return function(*arguments)
    except errors as error:
        raise GSSAPIFailed(printable(error.gen_message(), 1000)) from None
