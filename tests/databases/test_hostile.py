"""What goes wrong: lost connections, deadlines, cancelling, closing in the middle, secrets, fork."""

import os
import sqlite3
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.databases import (
    CannotConnect,
    ConnectionLost,
    ConnectionPool,
    DatabaseTimeout,
    PoolClosed,
    StatementError,
    Transaction,
    repeatable,
)
from sshkit.deferred import CancelledError, Deferred

Run = Callable[[Any], Any]
Pool = Callable[..., ConnectionPool]

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


class Started:
    """A function for a pool that says when it runs, and goes on when it is told."""

    def __init__(self, reactor: Any) -> None:
        self.begun: Deferred[None] = Deferred()
        self.go = threading.Event()
        self._reactor = reactor

    def __call__(self, transaction: Any, sql: str) -> Any:
        if not self.begun.called:
            self._reactor.call_from_thread(self.begun.callback, None)
        if sql:
            return transaction.execute(sql).fetchall()
        assert self.go.wait(60)
        return None


class Plain:
    """A driver's connection that nothing can stop, and which breaks when it is told."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        self._inner = sqlite3.connect(path)
        self._faults = faults
        self.isolation_level: Any = ""

    def _may_fail(self, what: str) -> None:
        if what in self._faults:
            self._faults.remove(what)
            self._inner.close()
            raise sqlite3.OperationalError("the server has gone")

    def cursor(self) -> Any:
        self._may_fail("cursor")
        return self._inner.cursor()

    def commit(self) -> None:
        self._may_fail("commit")
        self._inner.commit()

    def rollback(self) -> None:
        self._inner.rollback()

    def close(self) -> None:
        self._inner.close()
        self._may_fail("close")


def insert(transaction: Transaction) -> None:
    transaction.execute("INSERT INTO t VALUES (1)")


def test_an_error_names_the_statement_and_the_cause_and_no_parameter(run: Run, pool: Pool) -> None:
    hidden = "".join(["sec", "ret"])

    async def main(reactor: Any) -> None:
        async with pool() as database:
            with pytest.raises(
                sqlite3.OperationalError, match=r"^'SELECT x': OperationalError: no such column: x"
            ):
                await database.run_query("SELECT  x")
            await database.run_operation("CREATE TABLE t (a CHECK (json_valid(a)))")
            with pytest.raises(StatementError) as caught:
                await database.run_operation("INSERT INTO t VALUES (?)" + " " * 300 + "-- end", (hidden,))
            text = "".join(traceback.format_exception(caught.value))
            assert "CHECK constraint failed" in str(caught.value)
            assert hidden not in text
            assert isinstance(caught.value, sqlite3.IntegrityError)
            assert isinstance(caught.value.cause, sqlite3.IntegrityError)
            with pytest.raises(StatementError, match=r"function .*broken"):
                await database.run_with_connection(broken)

    def broken(connection: Any) -> None:
        connection.execute("SELECT nothing")

    run(main)


def test_a_function_that_raises_keeps_its_cause(run: Run, pool: Pool) -> None:
    def wrong(transaction: Transaction) -> None:
        raise ValueError("outer") from KeyError("inner")

    async def main(reactor: Any) -> None:
        async with pool() as database:
            with pytest.raises(ValueError, match=r"outer") as caught:
                await database.run_interaction(wrong)
            assert isinstance(caught.value.__cause__, KeyError)
            with pytest.raises(TypeError, match=r"plain value"):
                await database.run_interaction(later)
            assert await database.run_query("SELECT 1") == [(1,)]

    async def never(transaction: Transaction) -> None:
        raise AssertionError("this never runs")

    def later(transaction: Transaction) -> Any:
        return never(transaction)

    run(main)


def test_a_statement_is_run_again_on_a_new_connection(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        made: list[sqlite3.Connection] = []

        def connect() -> sqlite3.Connection:
            made.append(sqlite3.connect(tmp_path / "a", check_same_thread=False))
            return made[-1]

        async with ConnectionPool(connect, size=1) as database:
            await database.run_query("SELECT 1")
            made[0].close()
            assert await database.run_query("SELECT 1") == [(1,)]

    run(main)


def test_a_function_is_run_again_only_if_it_is_marked_and_before_its_commit(run: Run, tmp_path: Path) -> None:
    faults: list[str] = []
    made: list[Plain] = []

    def connect() -> Plain:
        made.append(Plain(tmp_path / "database", faults))
        return made[-1]

    async def main(reactor: Any) -> None:
        faults.clear()
        async with ConnectionPool(connect, size=1) as database:
            await database.run_operation("CREATE TABLE IF NOT EXISTS t (a)")
            faults.append("cursor")
            with pytest.raises(ConnectionLost, match=r"lost and the transaction with it"):
                await database.run_interaction(insert)
            faults.extend(["cursor", "close"])
            await database.run_interaction(repeatable(partial(insert)))
            faults.extend(["cursor", "cursor"])
            with pytest.raises(ConnectionLost):
                await database.run_operation("DELETE FROM t")
            faults.append("commit")
            with pytest.raises(ConnectionLost, match=r"nobody can say whether it took effect"):
                await database.run_operation("DELETE FROM t")
            await database.run_query("SELECT 1")
            made[-1].isolation_level = None
            faults.append("cursor")
            with pytest.raises(ConnectionLost):
                await database.run_operation("DELETE FROM t")

    run(main)


def test_the_functions_own_error_comes_before_the_lost_connections(run: Run, pool: Pool) -> None:
    def wrong(connection: Any) -> None:
        connection.close()
        raise KeyError("mine")

    async def main(reactor: Any) -> None:
        async with pool() as database:
            with pytest.raises(KeyError):
                await database.run_with_connection(wrong)

    run(main)


def test_a_deadline_interrupts_the_statement_and_frees_the_connection(run: Run, pool: Pool) -> None:
    async def main(reactor: Any) -> None:
        async with pool(size=1) as database:
            database.timeout = 0.05
            endless = database.run_query(ENDLESS)
            database.timeout = 0.02  # so that it is given up before the one in front of it is
            behind = database.run_query("SELECT 2")
            with pytest.raises(DatabaseTimeout, match=r"not done within 0.02 s; it had not begun"):
                await behind
            with pytest.raises(DatabaseTimeout, match=r"WITH RECURSIVE.*not done within 0.05 s; .*"):
                await endless
            database.timeout = 30.0
            assert await database.run_query("SELECT 1") == [(1,)]

    run(main)


def test_cancelling_says_what_becomes_of_the_work(run: Run, pool: Pool, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        async with pool(size=1) as database:
            started = Started(reactor)
            working = database.run_interaction(started, ENDLESS)
            waiting = database.run_query("SELECT 1")
            waiting.cancel()
            with pytest.raises(CancelledError, match=r"had not begun"):
                await waiting
            await started.begun
            working.cancel()
            with pytest.raises(CancelledError, match=r"asked to stop"):
                await working
            assert await database.run_query("SELECT 1") == [(1,)]
        async with ConnectionPool(lambda: Plain(tmp_path / "a", []), size=1) as database:
            started = Started(reactor)
            working = database.run_interaction(started, "")
            await started.begun
            working.cancel()
            with pytest.raises(CancelledError, match=r"cannot stop a statement: it goes on"):
                await working
            started.go.set()
            assert await database.run_query("SELECT 1") == [(1,)]

    run(main)


def test_what_waits_for_a_connection_or_commits_is_not_said_to_be_stopped(run: Run, tmp_path: Path) -> None:
    class Slow(Plain):
        def commit(self) -> None:
            reactors[-1].call_from_thread(begun[-1].callback, None)
            assert go.wait(60)

    def connect() -> Plain:
        assert connected.wait(60)
        return Slow(tmp_path / "a", [])

    reactors: list[Any] = []
    begun: list[Deferred[None]] = []
    go, connected = threading.Event(), threading.Event()

    async def main(reactor: Any) -> None:
        go.clear()
        connected.clear()
        reactors.append(reactor)
        begun.append(Deferred())
        async with ConnectionPool(connect, size=1) as database:
            early = database.run_query("SELECT 1")
            early.cancel()
            with pytest.raises(CancelledError, match=r"will not begin"):
                await early
            connected.set()
            late = database.run_query("SELECT 2")
            await begun[-1]
            late.cancel()
            with pytest.raises(CancelledError, match=r"whether it took effect is not known"):
                await late
            go.set()

    run(main)


def test_a_pool_closed_in_the_middle_ends_its_work_and_its_threads(run: Run, pool: Pool) -> None:
    async def main(reactor: Any) -> None:
        database = pool(size=1)
        started = Started(reactor)
        working = database.run_interaction(started, ENDLESS)
        waiting = database.run_query("SELECT 1")
        await started.begun
        first, second = database.close(), database.close()
        for lost in (working, waiting):
            with pytest.raises(PoolClosed, match=r"the pool was closed"):
                await lost
        await first
        await second
        assert database.threads == 0
        await database.close()
        with pytest.raises(PoolClosed, match=r"'SELECT 1': the pool is closed"):
            database.run_query("SELECT 1")

    run(main)


def test_closing_has_a_deadline_too_and_names_what_goes_on(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        database = ConnectionPool(lambda: Plain(tmp_path / "a", []))
        started = Started(reactor)
        working = database.run_interaction(started, "")
        await started.begun
        database.timeout = 0.01
        with pytest.raises(DatabaseTimeout, match=r"1 threads have not ended within 0.01 s.*Started"):
            await database.close()
        with pytest.raises(PoolClosed):
            await working
        started.go.set()
        database.timeout = 30.0
        await database.close()

    run(main)


def test_a_driver_that_asks_the_server_to_stop_does_so_in_another_thread(run: Run, tmp_path: Path) -> None:
    threads: list[int] = []

    class Asking(Plain):
        def cancel(self) -> None:
            threads.append(threading.get_ident())
            started[-1].go.set()

    started: list[Started] = []

    async def main(reactor: Any) -> None:
        async with ConnectionPool(lambda: Asking(tmp_path / "a", []), size=1) as database:
            started.append(Started(reactor))
            working = database.run_interaction(started[-1], "")
            await started[-1].begun
            working.cancel()
            with pytest.raises(CancelledError):
                await working
            assert await database.run_query("SELECT 1") == [(1,)]
            assert threads
            assert threading.get_ident() not in threads

    run(main)


def test_an_error_of_connecting_names_the_place_and_no_password(run: Run, tmp_path: Path) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise sqlite3.OperationalError(f"refused: {args} {kwargs}\nmore")

    async def main(reactor: Any) -> None:
        async with ConnectionPool("sqlite3", tmp_path / "absent" / "file") as database:
            with pytest.raises(CannotConnect, match=r"by sqlite3 to .*absent/file: .*unable to open"):
                await database.run_query("SELECT 1")
        async with ConnectionPool(
            refuse, "postgresql://joe:hunter2@db/x password=hunter3", host="db", password="hunter4"
        ) as database:
            with pytest.raises(CannotConnect, match=r"joe:.*@db.*host=db") as caught:
                await database.run_query("SELECT 1")
            assert "hunter" not in "".join(traceback.format_exception(caught.value))

    run(main)


def test_a_reactor_that_ends_first_leaves_no_thread(tmp_path: Path) -> None:
    kept: list[ConnectionPool] = []
    closed = threading.Event()

    class Noted(Plain):
        def close(self) -> None:
            super().close()
            closed.set()

    async def main() -> None:
        kept.append(ConnectionPool(lambda: Noted(tmp_path / "a", [])))
        kept[0].idle_seconds = 0.01
        await kept[0].run_query("SELECT 1")

    sshkit.run(main())
    assert closed.wait(60)


def test_a_forked_child_uses_connections_of_its_own(tmp_path: Path) -> None:
    database = ConnectionPool("sqlite3", tmp_path / "a", size=1)

    async def before() -> None:
        await database.run_operation("CREATE TABLE t (a)")
        child = os.fork()
        if not child:
            status = 1
            try:
                sshkit.run(inside())
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert await database.run_query("SELECT a FROM t") == [(1,)]
        await database.close()

    async def inside() -> None:
        await database.run_operation("INSERT INTO t VALUES (1)")
        await database.close()

    sshkit.run(before())
