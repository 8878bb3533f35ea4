"""A checker for passwords in a database: a query with the name as its parameter returns the hash.

The pool is handed in: `sshkit.databases.ConnectionPool`, or anything with its `run_query`.
"""

from typing import TYPE_CHECKING, Any, Protocol

from sshkit.cred.checkers import settle
from sshkit.cred.credentials import IUsernamePassword, NamedPassword
from sshkit.cred.errors import CredError, HashError
from sshkit.cred.password_check import NOBODY, matches
from sshkit.cred.password_hashes import Crypt, check_form
from sshkit.cred.portal import ICredentialsChecker
from sshkit.deferred import Deferred
from sshkit.interfaces import implementer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Characters of a name that the database is asked for; nobody has a longer one.
MAX_USERNAME = 256


class Pool(Protocol):
    """What runs the query."""

    def run_query(self, sql: Any, parameters: Any = ()) -> Deferred[list[tuple[Any, ...]]]:
        """Return the rows."""
        ...


@implementer(ICredentialsChecker)
class QueryChecker:
    """Passwords in a database; the avatar id is the name.

    ``QueryChecker(pool, "SELECT hash FROM person WHERE name = :name")``; psycopg writes ``%(name)s``.
    `parameters` are more for the query, which returns one row, whose first column is the hash, or none.
    A name that is not there costs the work of `model`, by default of the hash seen last.
    """

    __slots__ = ("_crypt", "_model", "_parameters", "_pool", "_sql", "_was_given")

    credential_interfaces = (IUsernamePassword,)

    def __init__(
        self,
        pool: Pool,
        sql: Any,
        *,
        parameters: "Mapping[str, Any] | None" = None,
        model: str | None = None,
        crypt: Crypt | None = None,
    ) -> None:
        """Raises HashError for a `model` that is no hash."""
        if model is not None:
            check_form(model, crypt)
        self._pool = pool
        self._sql = sql
        self._parameters = dict(parameters or {})
        self._was_given = model is not None
        self._model = NOBODY if model is None else model
        self._crypt = crypt

    def request_avatar_id(self, credentials: NamedPassword) -> Deferred[str]:
        """Return the name, if the password is its."""
        username = credentials.username
        asked = username if len(username) <= MAX_USERNAME else ""

        def found(rows: list[tuple[Any, ...]]) -> Any:
            stored = self._stored(rows) if asked else None
            return settle(matches(credentials.password, stored, self._model, self._crypt), username)

        return self._pool.run_query(self._sql, {**self._parameters, "name": asked}).add_callback(found)

    def _stored(self, rows: list[tuple[Any, ...]]) -> str | None:
        """Return the hash in the answer; an error of the table is one for the log."""
        if len(rows) > 1:
            raise CredError(f"the query for a password found {len(rows)} rows for one name")
        stored = rows[0][0] if rows else None
        if isinstance(stored, (bytes, bytearray, memoryview)):
            stored = bytes(stored).decode("ascii", "replace")
        if stored is None:
            return None
        if not isinstance(stored, str):
            raise HashError(f"the query for a password found no text but {type(stored).__name__}")
        check_form(stored, self._crypt)
        if not self._was_given:
            self._model = stored
        return stored
