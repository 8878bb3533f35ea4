"""The transaction that a function of `run_interaction` gets: a cursor whose errors name the statement.

Made by `sshkit.databases.work` in the thread of the connection, and used there only.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import TransactionEnded, is_driver_error, shown, statement_error

if TYPE_CHECKING:
    from .work import Work

_F = TypeVar("_F", bound=Callable[..., Any])

#: The name under which `repeatable` marks a function.
MARK = "sshkit_repeatable"


def repeatable(function: _F) -> _F:
    """Say that a function may be run again when its connection was lost before the commit began.

    The database has undone the first run by then; the mark says that the function itself changes nothing
    else: it sends no mail and fills no list of its caller's.
    """
    setattr(function, MARK, True)
    return function


class Transaction:
    """A cursor within one transaction: commit when the function returns, rollback when it raises."""

    __slots__ = ("_cursor", "_parameters", "_statement", "_work", "ended")

    def __init__(self, cursor: Any, work: "Work") -> None:
        self._cursor = cursor
        self._work = work
        self._statement: object = ""
        self._parameters: Any = ()
        self.ended = False

    @property
    def cursor(self) -> Any:
        """The driver's own cursor, for what only it can do; errors of its calls are the driver's."""
        return self._cursor

    @property
    def description(self) -> Any:
        """The columns of the present result; None if the statement has none."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """Rows that the last statement changed or found; -1 where the driver cannot tell."""
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> Any:
        """The number of the row inserted last, where the driver knows such; otherwise None."""
        return getattr(self._cursor, "lastrowid", None)

    def execute(self, sql: Any, parameters: Any = ()) -> "Transaction":
        """Run a statement; iterate over the transaction or fetch for its rows."""
        if parameters:
            self._call(sql, parameters, self._cursor.execute, sql, parameters)
        else:  # psycopg reads "%" in the text as soon as it is given parameters, if none
            self._call(sql, parameters, self._cursor.execute, sql)
        return self

    def executemany(self, sql: Any, rows: Any) -> "Transaction":
        """Run a statement once for each row of parameters."""
        rows = list(rows)
        self._call(sql, rows, self._cursor.executemany, sql, rows)
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return self._fetch(self._cursor.fetchone)

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows, at most `size`."""
        return list(self._fetch(self._cursor.fetchmany, size))

    def fetchall(self) -> list[Any]:
        """Return the rows that are left; none for a statement without a result."""
        return [] if self._cursor.description is None else list(self._fetch(self._cursor.fetchall))

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def _fetch(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._call(self._statement, self._parameters, function, *args)

    def _call(self, sql: Any, parameters: Any, function: Callable[..., Any], *args: Any) -> Any:
        if self.ended:
            raise TransactionEnded("the transaction has ended: use it within its function only")
        self._work.check_wanted()
        self._statement, self._parameters = sql, parameters
        self._work.statement = sql
        try:
            return function(*args)
        except Exception as cause:
            if not is_driver_error(cause):
                raise
            error = statement_error(shown(sql), cause, parameters)
        raise error from None
