"""One thread with one connection, which no other thread uses (sqlite3 insists on it).

Made and fed by the pool, in the reactor's thread; it reports back by `call_from_thread`.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from sshkit.reactor.errors import ReactorClosed

from .errors import CannotConnect, cause_text, target_text
from .work import Lost, Work

if TYPE_CHECKING:
    from .pool import ConnectionPool

#: What a driver's connection may have to end a statement from another thread; True: it may wait meanwhile.
STOPPERS = (("interrupt", False), ("cancel_safe", True), ("cancel", True))


class Worker:
    """A thread that runs one piece of work after the other."""

    __slots__ = ("_inbox", "_pool", "_reactor", "connection", "stopping", "work")

    def __init__(self, pool: "ConnectionPool", reactor: Any) -> None:
        self._pool = pool
        self._reactor = reactor
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
        self.connection: Any = None
        self.work: Work | None = None  #: what it does now, in the eyes of the reactor's thread
        self.stopping = 0  #: requests to stop that are under way: it gets no other work before their end
        threading.Thread(target=self._run, name="sshkit-database", daemon=True).start()

    def give(self, work: Work) -> None:
        """Have the thread do the work."""
        self.work = work
        self._inbox.put(work)

    def end(self) -> None:
        """Have the thread close its connection and end, after its present work."""
        self._inbox.put(None)

    def stopper(self) -> tuple[Callable[[], object] | None, bool]:
        """Return what asks the driver to stop the present statement, and whether that may take time."""
        connection = self.connection
        for name, slow in STOPPERS:
            function = getattr(connection, name, None)
            if callable(function):
                return function, slow
        return None, False

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                try:
                    work = self._inbox.get(timeout=self._pool.idle_seconds)
                except Empty:
                    self._reactor.call_from_thread(self._pool.idled, self)
                    continue
                if work is None:
                    break
                failed = False
                try:
                    result = self._do(work)
                except BaseException as error:
                    failed, result = True, error
                self._reactor.call_from_thread(self._pool.done, self, work, failed, result)
                del work, result
        except (ReactorClosed, RuntimeError):  # nobody is there to hear it
            pass
        self._disconnect()
        try:
            self._reactor.call_from_thread(self._pool.ended, self)
        except (ReactorClosed, RuntimeError):
            pass

    def _do(self, work: Work) -> Any:
        left = self._pool.retries
        while True:
            work.check_wanted()
            if self.connection is None:
                self.connection = self._connect()
            try:
                return work.run(self.connection)
            except Lost as lost:
                error, again = lost.error, lost.again
            self._disconnect()
            if not again or not left:
                raise error
            left -= 1

    def _connect(self) -> Any:
        pool = self._pool
        try:
            return pool.connect(*pool.arguments, **pool.keywords)
        except Exception as cause:
            place, secrets = target_text(pool.arguments, pool.keywords)
            where = f" to {place}" if place else ""
            error = CannotConnect(f"cannot connect by {pool.name}{where}: {cause_text(cause, secrets)}")
            error.cause = cause
        raise error from None

    def _disconnect(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception:  # it is gone, or half gone; there is nothing to be done with it
                pass
