"""`%log`: a session sees what the program logs.

Called by the table of magic commands.  The handler goes when the session ends, and levels are put back.
"""

import logging
from collections.abc import Callable
from threading import get_ident
from typing import Final

from sshkit_keys.text import printable

from sshkit.interfaces import Threads

#: Records on their way to the session; what comes while so many wait is counted and dropped.
MOST_WAITING: Final = 1000

#: Characters of one record.
LONGEST_RECORD: Final = 2000

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SessionLog(logging.Handler):
    """Hands records to a session, from any thread; never makes the program wait."""

    def __init__(self, level: int, reactor: Threads, say: Callable[[str], None]) -> None:
        super().__init__(level)
        self._reactor = reactor
        self._say = say
        self._waiting = 0
        self._dropped = 0
        self._loop_thread = get_ident()
        self._showing = False  # showing may itself log something
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record on its way."""
        if self._waiting >= MOST_WAITING:
            self._dropped += 1
            return
        try:
            text = printable(self.format(record), LONGEST_RECORD, keep="\n\t")
            if get_ident() == self._loop_thread:
                if not self._showing:
                    self._show(text)
                return
            self._waiting += 1
            self._reactor.call_from_thread(self._arrived, text)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop it: a record that cannot be formatted is reported by the program's own handlers."""
        self._dropped += 1

    def _arrived(self, text: str) -> None:
        self._waiting -= 1
        self._show(text)

    def _show(self, text: str) -> None:
        self._showing = True
        try:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                self._say(f"[{dropped} log records were dropped]")
            self._say(text)
        finally:
            self._showing = False


def attach(level: str, logger_name: str, reactor: Threads, say: Callable[[str], None]) -> Callable[[], None]:
    """Show records of a logger (the root one without a name) from a level on; return what ends that.

    A logger that lets less through has its level lowered for as long.
    """
    if level.upper() not in LEVELS:
        raise ValueError(f"the level is one of {', '.join(LEVELS)}, not {printable(level)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    logger = logging.getLogger(logger_name or None)
    handler = SessionLog(number, reactor, say)
    before = logger.level
    lowered = logger.getEffectiveLevel() > number
    if lowered:
        logger.setLevel(number)
    logger.addHandler(handler)

    def detach() -> None:
        logger.removeHandler(handler)
        if lowered and logger.level == number:
            logger.setLevel(before)

    return detach
