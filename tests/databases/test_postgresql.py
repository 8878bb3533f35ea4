"""The pool over psycopg and a PostgreSQL server, made for the test and reached by a UNIX socket."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sshkit.databases import CannotConnect, ConnectionLost, ConnectionPool, DatabaseTimeout, StatementError
from sshkit.deferred import CancelledError, Deferred

pytestmark = pytest.mark.peer("pg_ctlcluster")

Run = Callable[[Any], Any]

#: The server refuses to run as root; Debian's package has made this user for it.
USER = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


def as_user(folder: Path, *argv: str) -> None:
    """Run a program of the server's, as the server's user."""
    options: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
    with open(folder / "commands.log", "ab") as log:
        subprocess.run(
            argv,
            check=True,
            timeout=120,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **options,
        )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a server; give what psycopg connects to it by."""
    programs = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))[-1]).parent
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path must be short
    control = (str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "server.log"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER, USER)
        as_user(
            folder, str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-N", "-U", "joe"
        )
        as_user(folder, *control, "-o", f"-k {folder} -h '' -F", "start")
        try:
            yield f"host={folder} user=joe dbname=postgres"
        finally:
            as_user(folder, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres(server: str) -> Callable[..., ConnectionPool]:
    """Make a pool of connections to the server."""
    return lambda **options: ConnectionPool("psycopg", server, **options)


def test_rows_errors_and_rollback_come_from_the_server(
    run: Run, postgres: Callable[..., ConnectionPool]
) -> None:
    def twice(transaction: Any) -> None:
        transaction.executemany("INSERT INTO t VALUES (%s)", [("secret",), ("secret",)])

    async def main(reactor: Any) -> None:
        async with postgres() as database:
            await database.run_operation("CREATE TABLE IF NOT EXISTS t (a text PRIMARY KEY)")
            assert await database.run_query("SELECT 1 WHERE 'a' LIKE 'a%'") == [(1,)]
            with pytest.raises(
                StatementError, match=r"'INSERT INTO t .*UniqueViolation: duplicate key"
            ) as caught:
                await database.run_interaction(twice)
            assert "secret" not in str(caught.value)
            assert await database.run_query("SELECT * FROM t") == []
            with pytest.raises(StatementError) as caught:
                await database.run_query("SELECT %s::text::int", ("7x",))
            assert "7x" not in str(caught.value)

    run(main)


def test_a_backend_that_was_ended_is_replaced_and_a_function_is_not_run_again(
    run: Run, postgres: Callable[..., ConnectionPool]
) -> None:
    async def main(reactor: Any) -> None:
        async with postgres(size=1) as database, postgres(size=1) as other:
            ((pid,),) = await database.run_query("SELECT pg_backend_pid()")
            await other.run_query("SELECT pg_terminate_backend(%s, 60000)", (pid,))
            ((new,),) = await database.run_query("SELECT pg_backend_pid()")
            assert new != pid
            await other.run_query("SELECT pg_terminate_backend(%s, 60000)", (new,))
            with pytest.raises(ConnectionLost, match="'SELECT 1': "):
                await database.run_interaction(lambda transaction: transaction.execute("SELECT 1").fetchall())

    run(main)


def test_a_statement_is_stopped_at_the_server(run: Run, postgres: Callable[..., ConnectionPool]) -> None:
    async def main(reactor: Any) -> None:
        async with postgres(size=1) as database:
            begun: Deferred[None] = Deferred()

            def slow(transaction: Any) -> None:
                transaction.execute("SELECT 1")
                reactor.call_from_thread(begun.callback, None)
                transaction.execute("SELECT pg_sleep(600)")

            working = database.run_interaction(slow)
            await begun
            working.cancel()
            with pytest.raises(CancelledError, match="asked to stop"):
                await working
            assert await database.run_query("SELECT 1") == [(1,)]
            database.timeout = 0.05
            with pytest.raises(DatabaseTimeout):
                await database.run_query("SELECT pg_sleep(600)")
            database.timeout = 60.0
            assert await database.run_query("SELECT 2") == [(2,)]

    run(main)


def test_a_server_that_is_not_there_is_named(run: Run) -> None:
    async def main(reactor: Any) -> None:
        async with ConnectionPool("psycopg", "host=/nowhere password=hunter2") as database:
            with pytest.raises(CannotConnect, match=r"by psycopg to host=/nowhere") as caught:
                await database.run_query("SELECT 1")
            assert "hunter2" not in str(caught.value)

    run(main)
