"""Databases: a pool of threads with connections of any DB-API 2.0 driver, as a source of Deferreds.

Level 4.  Called by programs; nothing here imports a driver before a pool names it.
"""

from .errors import (
    CannotConnect,
    ConnectionLost,
    DatabaseError,
    DatabaseTimeout,
    PoolClosed,
    StatementError,
    TransactionEnded,
)
from .pool import ConnectionPool
from .transaction import Transaction, repeatable

__all__ = [
    "CannotConnect",
    "ConnectionLost",
    "ConnectionPool",
    "DatabaseError",
    "DatabaseTimeout",
    "PoolClosed",
    "StatementError",
    "Transaction",
    "TransactionEnded",
    "repeatable",
]
