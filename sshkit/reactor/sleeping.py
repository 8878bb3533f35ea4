"""`sshkit.sleep`: some time, awaited."""

from typing import TYPE_CHECKING

from sshkit.deferred import Deferred

from .flow.wrapper import clock_of

if TYPE_CHECKING:
    from sshkit.interfaces import Clock


def sleep(seconds: float, clock: "Clock | None" = None) -> Deferred[None]:
    """Fire in `seconds`, on `clock` or the reactor that runs; the same under asyncio.  Cancelling ends it."""
    sleeping: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock_of(clock).call_later(seconds, sleeping.callback, None)
    return sleeping
