"""System-event triggers: what a program does when the reactor starts and stops.

A trigger stays until it is removed: the reactor can run again, and then starts and stops again.
Called by `life`.
"""

from collections.abc import Callable
from typing import Any

from sshkit.deferred import Deferred, maybe_deferred

from .errors import FAULTS, ReactorError

PHASES = ("before", "during", "after")
EVENTS = ("startup", "shutdown")


class Trigger:
    """The handle of one trigger."""

    __slots__ = ("args", "event", "function", "phase")

    def __init__(self, phase: str, event: str, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.phase = phase
        self.event = event
        self.function = function
        self.args = args


class Triggers:
    """All triggers of one reactor, in the order in which they were added."""

    __slots__ = ("_list", "_report")

    def __init__(self, report: Callable[[str, BaseException], None]) -> None:
        self._list: list[Trigger] = []
        self._report = report

    def add(self, phase: str, event: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Trigger:
        """Add one; an unknown phase or event is an error, not a trigger that never fires."""
        if phase not in PHASES or event not in EVENTS:
            raise ReactorError(
                f"no trigger {phase!r} {event!r}: phases are {', '.join(PHASES)}, events {', '.join(EVENTS)}"
            )
        trigger = Trigger(phase, event, function, args)
        self._list.append(trigger)
        return trigger

    def remove(self, handle: object) -> None:
        """Remove one."""
        if isinstance(handle, Trigger) and handle in self._list:
            self._list.remove(handle)

    def fire(self, phase: str, event: str) -> list[Deferred[Any]]:
        """Call the triggers; return the Deferreds they gave.  One that fails does not stop the others."""
        waits: list[Deferred[Any]] = []
        for trigger in tuple(self._list):
            if trigger.phase != phase or trigger.event != event:
                continue
            try:
                result = trigger.function(*trigger.args)
            except FAULTS as error:
                self._report(f"trigger {phase} {event} failed", error)
                continue
            if hasattr(result, "__await__"):
                waits.append(maybe_deferred(_itself, result))
        return waits


def _itself(result: Any) -> Any:
    return result
