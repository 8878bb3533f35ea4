"""The native engine: a plain loop on a poller.  It loads no asyncio, so the commands use it."""

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.reactor import IReactor

from ..polling import PollingReactor


@implementer(IReactor)
class NativeReactor(PollingReactor):
    """Turns until told to stop."""

    name = "native"

    _ended = False

    def _loop(self) -> None:
        self._ended = False
        turn = self.turn
        while not self._ended:
            turn(None)

    def _end_loop(self) -> None:
        self._ended = True
