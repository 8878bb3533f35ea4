"""``systemd:NAME`` or ``systemd:INDEX``: a listening socket from systemd (sd_listen_fds(3)).

The numbers of the descriptors begin at 3; LISTEN_PID says whom they are for, LISTEN_FDS how many there are,
LISTEN_FDNAMES what they are called.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..text import shown
from .arguments import Arguments
from .descriptors import FDServer
from .errors import EndpointError

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

FIRST = 3
MAX_FDS = 4096


def descriptor_of(which: str, environment: Mapping[str, str]) -> int:
    """Return the number of the descriptor that systemd calls `which`; EndpointError says what there is."""
    count_text = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count_text.isdecimal():
        raise EndpointError("systemd gave this process no sockets (LISTEN_PID, LISTEN_FDS)")
    count = min(int(count_text[:9]), MAX_FDS)
    names = environment.get("LISTEN_FDNAMES", "").split(":")[:count]
    if which in names:
        return FIRST + names.index(which)
    if which.isdecimal() and int(which[:9]) < count:
        return FIRST + int(which)
    known = ", ".join(shown(name) for name in names if name) or "no names"
    raise EndpointError(f"systemd gave no socket {shown(which)!r}, but {count}: {known}")


def server(arguments: Arguments, reactor: "Reactor | None") -> FDServer:
    """Read ``systemd:NAME`` or ``systemd:INDEX``; the environment is looked at now."""
    return FDServer(descriptor_of(arguments.take("a name or an index"), os.environ), reactor=reactor)
