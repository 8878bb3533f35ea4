"""The pool over sqlite3: rows, transactions, growing and shrinking."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.databases import ConnectionPool, DatabaseError, Transaction, TransactionEnded
from sshkit.deferred import Deferred, gather

Run = Callable[[Any], Any]
Pool = Callable[..., ConnectionPool]


def test_rows_come_back_as_tuples_on_every_engine(run: Run, pool: Pool) -> None:
    async def main(reactor: Any) -> None:
        async with pool() as database:
            await database.run_operation("CREATE TABLE t (a, b)")
            assert await database.run_operation("INSERT INTO t VALUES (?, ?)", (1, "x")) == 1
            assert await database.run_query("SELECT a, b FROM t WHERE b = ?", ("x",)) == [(1, "x")]
            assert await database.run_query("DELETE FROM t") == []
            assert await database.run_query("SELECT * FROM t") == []

    run(main)


def test_an_interaction_commits_when_it_returns_and_rolls_back_when_it_raises(run: Run, pool: Pool) -> None:
    def fill(transaction: Transaction, count: int, *, fail: bool = False) -> int:
        transaction.executemany("INSERT INTO t VALUES (?)", ((number,) for number in range(count)))
        if fail:
            raise KeyError("mine")
        return transaction.rowcount

    async def main(reactor: Any) -> None:
        async with pool() as database:
            await database.run_operation("CREATE TABLE t (a)")
            assert await database.run_interaction(fill, 3) == 3
            with pytest.raises(KeyError, match="mine"):
                await database.run_interaction(fill, 4, fail=True)
            assert await database.run_query("SELECT count(*) FROM t") == [(3,)]

    run(main)


def test_a_transaction_is_a_cursor(run: Run, pool: Pool) -> None:
    kept: list[Transaction] = []

    def use(transaction: Transaction) -> None:
        kept.append(transaction)
        transaction.execute("CREATE TABLE t (a)")
        assert transaction.fetchall() == []
        transaction.execute("INSERT INTO t VALUES (:a)", {"a": 7})
        assert transaction.lastrowid == 1
        transaction.executemany("INSERT INTO t VALUES (?)", [(8,), (9,), (10,)])
        assert list(transaction.execute("SELECT a FROM t")) == [(7,), (8,), (9,), (10,)]
        assert transaction.description[0][0] == "a"
        transaction.execute("SELECT a FROM t")
        assert transaction.fetchone() == (7,)
        assert transaction.fetchmany(2) == [(8,), (9,)]
        assert transaction.fetchall() == [(10,)]
        assert isinstance(transaction.cursor, sqlite3.Cursor)

    async def main(reactor: Any) -> None:
        async with pool() as database:
            await database.run_interaction(use)
            with pytest.raises(TransactionEnded):
                kept[0].execute("SELECT 1")

    run(main)


def test_a_connection_is_used_in_one_thread_only_and_no_more_are_made_than_asked_for(
    run: Run, pool: Pool
) -> None:
    used: dict[int, set[int]] = {}

    def note(connection: Any) -> None:
        used.setdefault(id(connection), set()).add(threading.get_ident())

    async def main(reactor: Any) -> None:
        async with pool(size=2) as database:
            await gather(*(database.run_with_connection(note) for _ in range(50)))
            assert database.threads <= 2
            assert all(len(threads) == 1 for threads in used.values())
        assert database.threads == 0

    run(main)


def test_a_thread_without_work_ends_and_the_next_call_makes_one_again(run: Run, pool: Pool) -> None:
    async def main(reactor: Any) -> None:
        async with pool() as database:
            gone: Deferred[None] = Deferred()
            ended = database.ended

            def seen(worker: Any) -> None:
                ended(worker)
                gone.callback(None)

            database.ended = seen  # type: ignore[method-assign]
            database.idle_seconds = 0.001
            assert await database.run_query("SELECT 1") == [(1,)]
            await gone
            assert database.threads == 0
            database.ended = ended  # type: ignore[method-assign]
            database.idle_seconds = None
            assert await database.run_query("SELECT 2") == [(2,)]

    run(main)


def test_an_idle_report_that_crosses_new_work_ends_nothing(run: Run, pool: Pool) -> None:
    async def main(reactor: Any) -> None:
        async with pool(size=1) as database:
            waiting = database.run_query("SELECT 1")
            (worker,) = database._workers
            database.idled(worker)
            assert await waiting == [(1,)]
            assert await database.run_query("SELECT 2") == [(2,)]

    run(main)


def test_a_module_or_a_function_makes_the_connections(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        async with ConnectionPool(sqlite3, tmp_path / "a") as database:
            assert await database.run_query("SELECT 1") == [(1,)]
        async with ConnectionPool(lambda: sqlite3.connect(tmp_path / "a"), reactor=reactor) as database:
            assert await database.run_query("SELECT 1") == [(1,)]

    run(main)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"retries": -1}, {"timeout": 0.0}])
def test_sizes_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError, match=next(iter(wrong))):
        ConnectionPool("sqlite3", ":memory:", **wrong)
