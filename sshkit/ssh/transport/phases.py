"""Phases: what may come now, and who handles it, as one table of 256 handlers (R1).

A table is shared by all connections; its handlers are plain functions that get the target of the
phase first.  A number without an entry is refused.  Tables are put together beside their handlers:
`layer`, `authentication.client`, `authentication.server`, `connection.connection`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.transport.packet_reader import Handler, Handlers

#: Numbers that mean something in some phase; all others get UNIMPLEMENTED once keys are in force.
ASSIGNED = frozenset([*range(1, 8), 20, 21, *range(30, 50), *range(50, 54), *range(60, 83), *range(90, 101)])


#: From this number on messages belong to what comes after the login (RFC 4252 section 6).
AFTER_LOGIN = 80


def table(
    phase: str,
    *entries: Mapping[int, Handler],
    unknown: Handler | None = None,
    logged_in: bool = False,
) -> Handlers:
    """Return the handlers of a phase; `unknown` takes the numbers that mean nothing in any phase.

    Before the login those from 80 on are refused whether they mean something or not (R2).
    """
    handlers: list[Handler] = [partial(_refuse, phase, number) for number in range(256)]
    if unknown is not None:
        for number in range(256 if logged_in else AFTER_LOGIN):
            if number not in ASSIGNED:
                handlers[number] = unknown
    for mapping in entries:
        for number, handler in mapping.items():
            handlers[number] = handler
    return tuple(handlers)


def through(attribute: str, entries: Mapping[int, Callable[[Any, memoryview], object]]) -> dict[int, Handler]:
    """Return handlers for a target that keeps the real one in `attribute`."""
    return {number: _hop(attribute, handler) for number, handler in entries.items()}


def allows(handlers: Handlers, number: int) -> bool:
    """Return whether a message with this number is legal in a phase."""
    return not isinstance(handlers[number], partial)


def _hop(attribute: str, handler: Handler) -> Handler:
    def handle(target: Any, payload: memoryview) -> None:
        handler(getattr(target, attribute), payload)

    return handle


def _refuse(phase: str, number: int, target: Any, payload: memoryview) -> None:
    raise RemoteProtocolError(f"message {number} is not allowed {phase}")
