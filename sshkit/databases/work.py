"""One piece of work for a connection, and how it is run in the connection's thread.

Made by the pool, one for each call; `run` is called by a connection's thread, all else in the reactor's.
"""

import contextvars
from _thread import allocate_lock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred

from .errors import (
    ConnectionLost,
    DatabaseError,
    TransactionEnded,
    cause_text,
    is_driver_error,
    may_be_lost,
    shown,
    statement_error,
)
from .transaction import MARK, Transaction

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall


class Lost(Exception):
    """A connection has gone; `error` is what the caller sees, `again` whether the work may be repeated."""

    def __init__(self, error: BaseException, again: bool) -> None:
        super().__init__()
        self.error = error
        self.again = again


class Work:
    """A function to be run with a connection, in a transaction of its own."""

    __slots__ = (
        "_lock",
        "args",
        "asked",
        "committing",
        "context",
        "deadline",
        "deferred",
        "function",
        "statement",
        "unwanted",
        "with_connection",
    )

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], statement: object, with_connection: bool
    ) -> None:
        self.function = function
        self.args = args
        self.statement = statement  #: the latest one; None: the function has sent none
        self.with_connection = with_connection
        self.deferred: Deferred[Any]
        self.deadline: DelayedCall | None = None
        self.asked: DelayedCall | None = None  #: the next time that the driver is asked to stop it
        self.context = contextvars.copy_context()
        self.unwanted = False
        self.committing = False
        self._lock = allocate_lock()

    @property
    def what(self) -> str:
        """The work for a message: its statement, or its function before the first."""
        if self.statement is not None:
            return shown(self.statement)
        return f"the function {getattr(self.function, '__qualname__', repr(self.function))}"

    def give_up(self) -> bool:
        """Want no result any more; return whether the commit had begun, which is too late to undo."""
        with self._lock:
            self.unwanted = True
            return self.committing

    def check_wanted(self) -> None:
        """Before each statement: raise if the work was given up."""
        if self.unwanted:
            raise TransactionEnded("the work was given up: its deadline passed, or it was cancelled")

    def _begin_commit(self) -> None:
        with self._lock:
            self.check_wanted()
            self.committing = True

    def run(self, connection: Any) -> Any:
        """Run the function and commit, or roll back and raise; Lost if the connection has gone."""
        self.check_wanted()
        safe = self._safe(connection)
        try:
            result = self._call(connection)
            self._begin_commit()
            connection.commit()
            return result
        except BaseException as error:
            if is_lost(connection, error, not self.unwanted):
                again = not self.committing and not self.unwanted and safe
                raised: BaseException = Lost(self._lost_error(error), again)
            elif isinstance(error, DatabaseError) or not is_driver_error(error):
                raise
            else:
                more = " (at the commit)" if self.committing else ""
                raised = statement_error(self.what, error, (), more=more)
        raise raised

    def _call(self, connection: Any) -> Any:
        if self.with_connection:
            return _plain(self.context.copy().run(self.function, connection, *self.args))
        transaction = Transaction(connection.cursor(), self)
        try:
            return _plain(self.context.copy().run(self.function, transaction, *self.args))
        finally:
            transaction.ended = True
            try:
                transaction.cursor.close()
            except Exception:  # the connection may be gone; what matters was said already
                pass

    def _safe(self, connection: Any) -> bool:
        """Whether a second run cannot do a thing twice."""
        try:
            by_itself = getattr(connection, "autocommit", None)
            if not isinstance(by_itself, bool):  # sqlite3 says it so; psycopg's None is the server's default
                by_itself = getattr(connection, "isolation_level", 0) is None
        except Exception:  # sqlite3 does not say once it is closed; then no statement will get through either
            by_itself = False
        if by_itself:
            return False  # each statement is committed by itself
        return bool(getattr(self.function, MARK, False))

    def _lost_error(self, error: BaseException) -> BaseException:
        if self.committing:
            more = "; the connection was lost during the commit: nobody can say whether it took effect"
        else:
            more = "; the connection was lost and the transaction with it"
        cause = getattr(error, "cause", None) or error
        if not is_driver_error(cause):  # the function's own error comes first
            return error
        lost = statement_error(self.what, cause, (), ConnectionLost, more)
        text = str(error) if isinstance(error, DatabaseError) else f"{self.what}: {cause_text(cause)}"
        lost.args = (text + more,)
        return lost


def _plain(result: Any) -> Any:
    """Return what a function returned, unless it is something that comes later."""
    if hasattr(result, "__await__"):
        close = getattr(result, "close", None)
        if close is not None:
            close()
        raise TypeError(
            "a function that runs in a database's thread must return a plain value, not an awaitable"
        )
    return result


def is_lost(connection: Any, error: BaseException, probe: bool = True) -> bool:
    """Roll back after an error; return whether the connection has gone, by a question where in doubt."""
    try:
        connection.rollback()
        if getattr(connection, "closed", False):
            return True
        if probe and may_be_lost(error):
            cursor = connection.cursor()
            try:
                cursor.execute("SELECT 1")
                cursor.fetchall()
            finally:
                cursor.close()
            connection.rollback()
    except Exception:
        return True
    return False
