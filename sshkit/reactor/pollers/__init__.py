"""The pollers, best first.  To add one: a file beside these and a line here."""

from typing import cast

from .base import FAULT, READ, WRITE, Poller
from .epoll import Epoll
from .kqueue import KQueue
from .poll import Poll
from .select import Select

POLLERS = (Epoll, KQueue, Poll, Select)


def default_poller() -> Poller:
    """Return a new poller of the best kind that this platform has."""
    return cast("Poller", next(kind for kind in POLLERS if kind.available())())


__all__ = [
    "FAULT",
    "POLLERS",
    "READ",
    "WRITE",
    "Epoll",
    "KQueue",
    "Poll",
    "Poller",
    "Select",
    "default_poller",
]
