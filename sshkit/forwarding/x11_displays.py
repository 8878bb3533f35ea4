"""What DISPLAY means: where an X server listens, and under which name xauth knows it (X(7), DISPLAY NAMES).

Used by `x11`.  Forms: ``:N.S`` and ``unix:N.S`` (a UNIX socket), ``host:N.S`` (TCP), and the path of a socket
with ``:N.S`` behind it (launchd's).
"""

import os
from stat import S_ISSOCK
from typing import NamedTuple

from sshkit_keys.text import quoted

from sshkit.forwarding.addresses import Place, TcpPlace, UnixPlace
from sshkit.forwarding.errors import NoDisplay
from sshkit.ssh.channels.x11 import FIRST_PORT

SOCKETS = "/tmp/.X11-unix"
MAX_DISPLAY = 65535 - FIRST_PORT
#: It becomes an argument of a program; ssh takes these characters and no others.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:/.-_[]%")


class Display(NamedTuple):
    """One display."""

    place: Place
    screen: int
    name: str  #: for xauth


def parse_display(text: str) -> Display:
    """Read DISPLAY; raises NoDisplay."""
    if not text or text.startswith("-") or set(text) - _PLAIN:
        raise NoDisplay(f"{quoted(text)} is no display")
    host, colon, rest = text.rpartition(":")
    number, _, screen = rest.partition(".")
    if text.startswith("/"):
        return _by_path(text, screen)
    if not colon or not _is_number(number, MAX_DISPLAY) or (screen and not _is_number(screen, 255)):
        raise NoDisplay(f"{quoted(text)} is no display: host:number.screen is one")
    which = int(screen or 0)
    if host in ("", "unix"):
        return Display(UnixPlace(_socket(int(number))), which, f"unix:{rest}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or host.endswith(":") or "/" in host:
        raise NoDisplay(f"{quoted(text)} is no display that can be reached from here")
    # xauth files the displays of this machine under its UNIX sockets.
    name = f"unix:{rest}" if host == "localhost" else text
    return Display(TcpPlace(host, FIRST_PORT + int(number)), which, name)


def _by_path(text: str, screen: str) -> Display:
    for path in (text, text.rpartition(".")[0], text.rpartition(":")[0]):
        try:
            if S_ISSOCK(os.stat(path).st_mode):
                return Display(UnixPlace(path), int(screen) if _is_number(screen, 255) else 0, text)
        except OSError:
            pass
    raise NoDisplay(f"{quoted(text)}: there is no such socket")


def _socket(number: int) -> str:
    """Return the path of a display's socket; on Linux an abstract one where the file was swept away."""
    path = f"{SOCKETS}/X{number}"
    return path if os.path.exists(path) or os.uname().sysname != "Linux" else f"\0{path}"


def _is_number(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= most
