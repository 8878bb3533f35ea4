"""Where to connect: ``user@host``, ``host:port``, ``ssh://user@host:port``.

The form with ``ssh://`` is of draft-ietf-secsh-scp-sftp-ssh-uri.  Everything is validated before it is
used anywhere (R39): no control characters, no shell characters, no leading dash.
"""

from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.ssh.authentication.verdicts import user_name_fault

HOST_FORBIDDEN = frozenset(" \t\r\n'\"`$\\;&<>|(){}*?!@/#")

MAX_HOST = 1025  #: NI_MAXHOST


class InvalidDestination(SSHKitError):
    """A host, user or port that can be none."""


class Destination(NamedTuple):
    """The parts of a destination; None where it did not say."""

    host: str
    port: int | None = None
    user: str | None = None


def parse_destination(text: str, *, any_user: bool = False) -> Destination:
    """Return the parts of `text`; InvalidDestination names what is wrong.

    With `any_user` the user may hold tokens, and is for the caller to check when those are replaced.
    """
    uri = text.startswith("ssh://")
    rest = text.removeprefix("ssh://").removesuffix("/") if uri else text
    user, at, host = rest.rpartition("@")
    if uri:
        from urllib.parse import unquote

        user = unquote(user.partition(";")[0])
    port: int | None = None
    if host.startswith("["):
        address, bracket, tail = host[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise InvalidDestination(f"{printable(text)}: a '[' without its ']'")
        host, port_text = address, tail[1:]
    elif host.count(":") == 1:
        host, _, port_text = host.partition(":")
    else:
        port_text = ""  # no colon, or the many of a plain IPv6 address
    if port_text:
        port = check_port(port_text, text)
    check_host(host, text)
    if at and not (any_user and user):
        check_user(user, text)
    return Destination(host, port, user if at else None)


def check_host(host: str, text: str) -> None:
    """Raise InvalidDestination unless `host` can be a host name or address."""
    if not host:
        raise InvalidDestination(f"{printable(text)!r}: no host")
    if (
        host.startswith("-")
        or len(host) > MAX_HOST
        or not host.isprintable()
        or HOST_FORBIDDEN.intersection(host)
    ):
        raise InvalidDestination(f"{printable(text)!r}: not a host name or address")


def check_user(user: str, text: str) -> None:
    """Raise InvalidDestination unless `user` can be a user name (R11)."""
    fault = user_name_fault(user)
    if fault is None and any(char in "'`\"$\\;&<>|(){} " for char in user):
        fault = "holds a character that means something to a shell"
    if fault:
        raise InvalidDestination(f"{printable(text)!r}: user name: {fault}")


def check_port(port: str | int, text: str = "port") -> int:
    """Return the port as a number from 1 to 65535."""
    if (isinstance(port, str) and not (port.isascii() and port.isdigit())) or not 0 < int(port) < 65536:
        raise InvalidDestination(f"{printable(text)!r}: port {printable(str(port))} is not from 1 to 65535")
    return int(port)
