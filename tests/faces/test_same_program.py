"""One small program, held in each of the ways: it serves, connects, runs commands and meets errors."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import sshkit
from sshkit.deferred import set_unhandled_handler
from sshkit.testing import MemoryReactor
from tests.client.world import HOST_KEY, OTHER_KEY, USER_KEY, echo

Runner = Callable[[Awaitable[Any]], Any]


def uvloop_run(main: Awaitable[Any]) -> Any:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    return uvloop.run(main)


RUNNERS: dict[str, Callable[[Any], Any]] = {
    "direct": sshkit.run,
    "native": lambda main: sshkit.run(main, engine="native"),
    "asyncio": asyncio.run,
    "uvloop": uvloop_run,
}
ON_ASYNCIO = ("direct", "asyncio", "uvloop")


@pytest.fixture(autouse=True)
def nothing_lost() -> Any:
    failures: list[Any] = []
    before = set_unhandled_handler(lambda failure, places: failures.append(failure))
    yield
    gc.collect()
    set_unhandled_handler(before)
    assert not failures, failures[0].text(traceback=True)


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Runner:
    return RUNNERS[request.param]


@pytest.fixture(params=ON_ASYNCIO)
def run_asyncio(request: pytest.FixtureRequest) -> Runner:
    return RUNNERS[request.param]


def serve(handler: Any = echo, **options: Any) -> Any:
    options.setdefault("authorized_keys", [USER_KEY.public])
    return sshkit.serve("127.0.0.1:0", handler, host_keys=[HOST_KEY], **options)


def connect(server: sshkit.Server, **options: Any) -> Any:
    options.setdefault("identities", [USER_KEY])
    where = f"me@{server.address[0]}:{server.address[1]}"
    return sshkit.connect(where, host_keys=[HOST_KEY.public], **options)


async def program(**where: Any) -> list[Any]:
    """Do a little of everything; `where` names the reactor, where there is a choice."""
    seen: list[Any] = []
    async with serve(**where) as server:
        async with connect(server, **where) as connection:
            seen.append((await connection.run("hello", check=True)).text)
            async with await connection.start("cat") as process:
                process.stdin.write("b\na\n")
                process.stdin.write_eof()
                seen += [line async for line in process.stdout]
                seen.append((await process.wait()).exit_status)
            results = await sshkit.gather(*[connection.run(f"exit {number}") for number in range(9)])
            seen.append([result.exit_status for result in results])
            try:
                await connection.run("exit 5", check=True)
            except sshkit.CommandFailed as error:
                seen.append(str(error))
            try:
                await connection.run("cat", input=bytes(1000), max_output=10)
            except sshkit.OutputTooLarge:
                seen.append("too large")
        seen.append(connection.is_closed)
        try:
            await connect(server, identities=[OTHER_KEY], **where)
        except sshkit.AuthenticationFailed as error:
            seen.append([str(attempt).rpartition(": ")[2] for attempt in error.trail])
    return seen


EXPECTED = [
    "out hello\n",
    b"b\n",
    b"a\n",
    0,
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
    "'exit 5' ended with status 5",
    "too large",
    True,
    ["the server refused"],
]


def test_the_same_program_runs_on_every_loop(run: Runner) -> None:
    assert run(program()) == EXPECTED


def test_the_same_program_runs_in_memory() -> None:
    network = MemoryReactor()
    assert network.run(program(reactor=network)) == EXPECTED


def test_the_same_program_runs_again_and_again() -> None:
    for run in RUNNERS.values():
        assert run(program()) == EXPECTED
        assert run(program()) == EXPECTED


@pytest.mark.parametrize("engine", ["direct", "native"])
def test_callbacks_alone_do_it_too(engine: str) -> None:
    seen: list[Any] = []

    def listening(server: sshkit.Server) -> Any:
        seen.append("listening")
        opening = connect(server)
        opening.add_callback(connected)
        opening.add_both(lambda outcome: server.close())
        return opening

    def connected(connection: sshkit.ClientConnection) -> Any:
        seen.append("connected")
        return connection.run("hello").add_callback(ran).add_callback(lambda _: connection.close())

    def ran(result: sshkit.Result) -> None:
        seen.append(result.text)

    async def main() -> None:
        await serve().add_callback(listening)

    sshkit.run(main(), engine=engine)
    assert seen == ["listening", "connected", "out hello\n"]


def test_an_error_passes_through_callbacks_with_its_type(run: Runner) -> None:
    async def main() -> str:
        async with serve() as server:
            opening = connect(server, identities=[OTHER_KEY])
            opening.add_callback(lambda connection: "let in")
            opening.add_errback(lambda failure: type(failure.exception).__name__)
            return str(await opening)

    assert run(main()) == "AuthenticationFailed"


def test_a_handler_may_be_a_plain_function(run: Runner) -> None:
    def handler(session: sshkit.Session) -> int:
        session.stdout.write("plain")
        return 4

    async def main() -> tuple[bytes, int | None]:
        async with serve(handler) as server, connect(server) as connection:
            result = await connection.run("x")
            return result.stdout, result.exit_status

    assert run(main()) == (b"plain", 4)


# What asyncio programs do around our Deferreds.


async def hang(session: sshkit.Session) -> int | None:
    if session.command == "hang":
        await sshkit.Deferred()
    return await echo(session)


def test_asyncio_timeout_ends_a_call_and_the_connection_lives_on(run_asyncio: Runner) -> None:
    async def main() -> None:
        async with serve(hang) as server, connect(server) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.run("hang")
            process = await connection.start("cat")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await process.stdout.read(1)
            process.stdin.write("x")
            assert await process.stdout.read(1) == b"x"
            assert (await connection.run("hello")).text == "out hello\n"

    run_asyncio(main())


def test_asyncio_wait_for_and_gather_take_deferreds_in_coroutines(run_asyncio: Runner) -> None:
    async def main() -> None:
        async with serve(hang) as server, connect(server) as connection:

            async def text(command: str) -> str:
                return str((await connection.run(command)).text)

            assert list(await asyncio.gather(text("a"), text("b"))) == ["out a\n", "out b\n"]
            assert await asyncio.wait_for(text("c"), 30) == "out c\n"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(text("hang"), 0.05)

    run_asyncio(main())


def test_a_task_group_takes_them_and_one_failure_ends_the_rest(run_asyncio: Runner) -> None:
    async def main() -> None:
        async with serve(hang) as server, connect(server) as connection:
            texts: list[str] = []

            async def text(command: str, check: bool = False) -> None:
                texts.append((await connection.run(command, check=check)).text)

            async with asyncio.TaskGroup() as group:
                group.create_task(text("a"))
                group.create_task(text("b"))
            assert sorted(texts) == ["out a\n", "out b\n"]

            async def one_fails() -> None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(text("hang"))
                    group.create_task(text("exit 3", check=True))

            with pytest.raises(ExceptionGroup) as failed:
                await one_fails()
            assert [type(error) for error in failed.value.exceptions] == [sshkit.CommandFailed]
            assert (await connection.run("hello")).text == "out hello\n"

    run_asyncio(main())


def test_a_cancelled_task_gives_up_what_it_waits_for(run_asyncio: Runner) -> None:
    async def main() -> None:
        async with serve(hang) as server, connect(server) as connection:

            async def wait_for_it() -> None:
                await connection.run("hang")

            task = asyncio.create_task(wait_for_it())
            while not connection._require().channels:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
            assert (await connection.run("hello")).text == "out hello\n"
            assert not connection._require().channels

    run_asyncio(main())


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30])
def test_a_task_cancelled_while_it_connects_leaves_nothing(run_asyncio: Runner, turns: int) -> None:
    async def main() -> None:
        async with serve(hang) as server:

            async def use_it() -> None:
                async with connect(server) as connection:
                    await connection.run("hang")

            task = asyncio.create_task(use_it())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
            async with connect(server) as connection:
                assert (await connection.run("hello")).text == "out hello\n"
            while server.connections:  # the tests' own time limit ends this, if they stay
                await asyncio.sleep(0.001)

    run_asyncio(main())


def test_a_deferred_is_awaited_by_several_tasks(run_asyncio: Runner) -> None:
    async def main() -> None:
        async with serve() as server, connect(server) as connection:
            running = connection.run("hello")

            async def text() -> str:
                return str((await running).text)

            assert list(await asyncio.gather(text(), text())) == ["out hello\n"] * 2

    run_asyncio(main())


def test_our_own_gather_and_race_work_in_tasks(run: Runner) -> None:
    async def main() -> None:
        async with serve(hang) as server, connect(server) as connection:
            one, other = await sshkit.gather(connection.run("a"), connection.run("b"))
            assert (one.text, other.text) == ("out a\n", "out b\n")
            first = await sshkit.race(connection.run("hang"), connection.run("b"))
            assert first.text == "out b\n"

    run(main())


def test_a_handler_may_use_asyncio_where_it_is(run_asyncio: Runner) -> None:
    async def handler(session: sshkit.Session) -> int:
        async with asyncio.timeout(30):
            await asyncio.sleep(0.001)
            session.stdout.write(await session.stdin.read())
        return 0

    async def main() -> None:
        async with serve(handler) as server, connect(server) as connection:
            assert (await connection.run("x", input="in")).text == "in"

    run_asyncio(main())
