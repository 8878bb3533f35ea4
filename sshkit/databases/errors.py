"""What can go wrong with a database: each error names the statement and the cause, never a parameter.

Raised by the other modules here.  A driver's message may quote what it was given (PostgreSQL does), so the
text is cut to its first line, values of parameters are taken out, and the driver's own error is no
`__cause__` that a traceback would print: `cause` has it.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

#: Characters of a statement that an error shows: enough to find it.
SHOWN_STATEMENT = 120

#: Values shorter than this are taken out where they stand in quotes or brackets: they may be parts of words.
SHORT_VALUE = 4


class DatabaseError(SSHKitError):
    """Root of the errors of a pool; `cause` is the driver's own error, which may show parameters."""

    cause: BaseException | None = None


class StatementError(DatabaseError):
    """The database refused a statement.  It is an instance of the driver's class of error as well."""

    statement = ""


class CannotConnect(DatabaseError):
    """No connection to the database came about."""


class ConnectionLost(StatementError):
    """The connection ended under a statement, and the work was not, or must not be, done again."""


class DatabaseTimeout(DatabaseError, TimeoutError):
    """The deadline passed; the message says what becomes of the work."""


class PoolClosed(DatabaseError):
    """The pool was closed before or during the work."""


class TransactionEnded(DatabaseError):
    """A transaction was used after its function had returned, or after its work was given up."""


def shown(statement: object) -> str:
    """Return a statement for a message: in one line, cut."""
    text = statement if isinstance(statement, (str, bytes)) else str(statement)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return f"'{printable(' '.join(text[: 4 * SHOWN_STATEMENT].split()), SHOWN_STATEMENT)}'"


def cause_text(cause: BaseException, parameters: Any = ()) -> str:
    """Return what the driver says, without the values of parameters."""
    text = str(cause).strip().partition("\n")[0]
    for value in sorted({str(value) for value in _values(parameters)}, key=len, reverse=True):
        if len(value) >= SHORT_VALUE:
            text = text.replace(value, "...")
        elif value:
            text = re.sub(rf"(?<=[\"'(]){re.escape(value)}(?=[\"')])", "...", text)
    return f"{type(cause).__name__}: {printable(text)}" if text else type(cause).__name__


def _values(parameters: Any) -> Iterable[Any]:
    values = parameters.values() if isinstance(parameters, Mapping) else parameters
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        yield values
        return
    for value in values:
        if isinstance(value, (list, tuple, Mapping)):
            yield from _values(value)
        else:
            yield value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def is_driver_error(error: BaseException) -> bool:
    """Whether a driver raised this: PEP 249 gives all of its errors a base class of the name Error."""
    return any(kind.__name__ == "Error" for kind in type(error).__mro__)


def may_be_lost(error: BaseException) -> bool:
    """Whether an error is of the classes of PEP 249 that a lost connection raises."""
    return any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)


def target_text(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return where a connection should have gone, for a message, and the secrets among the arguments."""
    secrets = [str(value) for key, value in keywords.items() if _SECRET_NAME.search(key)]
    parts = [str(value) for value in arguments[:1] if isinstance(value, (str, bytes, os.PathLike))]
    parts += [f"{key}={keywords[key]}" for key in _SHOWN_KEYS if key in keywords]
    for text in [*map(str, arguments), *map(str, keywords.values())]:
        secrets += [found for match in _SECRETS.findall(text) for found in match if found]
    place = " ".join(parts)
    for secret in secrets:
        place = place.replace(secret, "...")
    return printable(place), secrets


_SECRET_NAME = re.compile("pass|secret|token|key", re.IGNORECASE)
_SECRETS = re.compile(r"password\s*=\s*(?:'([^']*)'|(\S+))|://[^:/@\s]*:([^@\s]*)@", re.IGNORECASE)
_SHOWN_KEYS = ("host", "port", "dbname", "database", "user")

_classes: dict[tuple[type[StatementError], type[BaseException]], type[StatementError]] = {}


def statement_error(
    place: str,
    cause: BaseException,
    parameters: Any = (),
    base: type[StatementError] = StatementError,
    more: str = "",
) -> StatementError:
    """Make the error of a statement (`place` shows it), found by the driver's class as well."""
    kind = type(cause)
    made = _classes.get((base, kind))
    if made is None:
        try:
            made = type(base.__name__, (base, kind), {"__module__": base.__module__})
        except TypeError:  # a driver's class that cannot be derived from
            made = base
        _classes[base, kind] = made
    error = made.__new__(made)
    error.args = (f"{place}: {cause_text(cause, parameters)}{more}",)
    error.__dict__.update({**cause.__dict__, "cause": cause, "statement": place})
    return error
