"""Middlewares around handlers of every kind, in memory."""

import re
from collections.abc import Callable
from typing import Any

import pytest

import sshkit
from sshkit.server.middleware import (
    access,
    allow,
    chain,
    command_allowlist,
    concurrency,
    deadline,
    deny,
    elapsed,
    logging,
    rate_limit,
    recover,
    terminal_required,
)
from sshkit.server.middleware.rates import MAX_NAME, Buckets
from tests.server.test_serve import KEY, World

#: Options of `results` for a login by key.
BY_KEY: dict[str, Any] = {
    "authorized_keys": [KEY.public],
    "connect": {"identities": [KEY], "password": None},
}


async def answer(session: sshkit.Session) -> int:
    session.stdout.write(f"ran {session.command}")
    return 3


def plain(session: sshkit.Session) -> int:
    session.stdout.write(f"ran {session.command}")
    return 3


def later(session: sshkit.Session) -> "sshkit.Deferred[int | None]":
    waiter: sshkit.Deferred[int | None] = sshkit.Deferred()
    session.stdout.write(f"ran {session.command}")
    session.connection.server.clock.call_later(0.5, waiter.callback, 3)
    return waiter


async def wait(session: sshkit.Session) -> int:
    """Run until the client closes its input."""
    while data := await session.stdin.read(100):
        session.stdout.write(data)
    return 0


def results(
    handler: Any, *runs: str | None, user: str = "ann", connect: dict[str, Any] | None = None, **options: Any
) -> tuple[list[sshkit.Result], list[str]]:
    """Run commands one after the other; return what they left, and the log."""
    found: list[sshkit.Result] = []

    async def test(world: World) -> None:
        async with world.connect(user, **(connect or {})) as connection:
            for command in runs:
                found.append(await connection.run(command))
        await world.later()

    world = World(handler, **options)
    world.run(test)
    return found, world.log


ALL = (
    access(allow()),
    rate_limit(1000, 1000),
    concurrency(5),
    deadline(100, 50),
    command_allowlist("x"),
    logging(),
    recover(),
)


@pytest.mark.parametrize("handler", [answer, plain, later])
def test_every_middleware_takes_handlers_of_every_kind(handler: Any) -> None:
    (result,), log = results(chain(handler, *ALL), "x")
    assert (result.exit_status, result.stdout, result.stderr) == (3, b"ran x", b"")
    assert not [line for line in log if line.startswith("error")]


@pytest.mark.parametrize("middleware", ALL, ids=range(len(ALL)))
def test_a_client_that_goes_cancels_what_is_inside(middleware: Any) -> None:
    ended: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        try:
            await sshkit.Deferred()
        finally:
            ended.append("cancelled")
        return 0

    async def test(world: World) -> None:
        async with world.connect() as connection:
            await connection.start("x")
            await world.later()
            assert ended == []
        await world.later()

    world = World(chain(handler, middleware))
    world.run(test)
    assert ended == ["cancelled"]
    assert not [line for line in world.log if line.startswith("error")]


def test_the_room_has_a_short_name() -> None:
    assert sshkit.middleware.chain is chain
    assert sshkit.recordings.play is sshkit.play
    assert sshkit.cred.__name__ == "sshkit.cred"


def test_the_first_middleware_is_outermost() -> None:
    seen: list[str] = []

    def named(name: str) -> Callable[[Any], Any]:
        def middleware(handler: Any) -> Any:
            def around(session: Any) -> Any:
                seen.append(name)
                return handler(session)

            return around

        return middleware

    results(chain(answer, named("a"), named("b"), named("c")), "x")
    assert seen == ["a", "b", "c"]


# Access.


def test_the_first_rule_that_fits_decides_and_without_one_nobody_gets_in() -> None:
    rules = (deny(users=["a*"], addresses=["192.0.2.0/24"]), allow(users=["ann", "b?b"]), deny())
    (result,), _ = results(chain(answer, access(*rules)), "x")
    assert result.exit_status == 3
    (result,), log = results(chain(answer, access(deny(users=["ann"]), allow())), "x")
    assert (result.exit_status, result.stderr) == (1, b"access denied\n")
    assert any("'ann': command 'x' refused: rule 1 of access denies it" in line for line in log)
    (result,), log = results(chain(answer, access(message="no")), "x")
    assert (result.exit_status, result.stderr) == (1, b"no\n")
    assert any("no rule of access allows it" in line for line in log)


def test_access_knows_addresses_keys_and_groups() -> None:
    source = access(allow(users=["bob"]), deny(addresses=["127.0.0.0/8"]), allow())
    (result,), _ = results(chain(answer, source), "x")
    assert result.exit_status == 1
    (result,), _ = results(chain(answer, access(allow(keys=[KEY.public.fingerprint()]))), "x", **BY_KEY)
    assert result.exit_status == 3
    (result,), _ = results(chain(answer, access(allow(keys=["SHA256:other"]))), "x", **BY_KEY)
    assert result.exit_status == 1

    async def groups(user: str) -> list[str]:
        return ["staff"] if user == "ann" else []

    (result,), _ = results(chain(answer, access(allow(groups=["staff"]), groups=groups)), "x")
    assert result.exit_status == 3
    (result,), _ = results(chain(answer, access(allow(groups=["wheel"]), groups=groups)), "x")
    assert result.exit_status == 1


def test_r10_an_error_in_the_groups_is_a_refusal() -> None:
    def groups(user: str) -> list[str]:
        raise OSError("the directory does not answer")

    (result,), log = results(chain(answer, access(allow(), groups=groups)), "x")
    assert (result.exit_status, result.stderr) == (1, b"access denied\n")
    assert any("the directory does not answer" in line for line in log)


@pytest.mark.parametrize(
    ("hours", "now", "allowed"),
    [
        ("mon-fri 08:00-18:00", (0, 8 * 60), True),
        ("mon-fri 08:00-18:00", (4, 18 * 60), False),
        ("mon-fri 08:00-18:00", (5, 9 * 60), False),
        ("22:00-06:00", (2, 23 * 60), True),
        ("fri 22:00-06:00", (5, 5 * 60), True),
        ("fri 22:00-06:00", (4, 5 * 60), False),
        ("sat-mon,wed 00:00-24:00", (0, 1439), True),
        ("sat-mon,wed 00:00-24:00", (1, 0), False),
        ("sat-mon,wed 00:00-24:00", (2, 0), True),
    ],
)
def test_access_knows_the_time_of_the_week(hours: str, now: tuple[int, int], allowed: bool) -> None:
    (result,), _ = results(chain(answer, access(allow(hours=[hours]), now=lambda: now)), "x")
    assert result.exit_status == (3 if allowed else 1)


def test_access_takes_the_time_of_this_host() -> None:
    (result,), _ = results(chain(answer, access(allow(hours=["00:00-24:00"]))), "x")
    assert result.exit_status == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: allow(hours=["whenever"]),
        lambda: allow(hours=["xyz 08:00-09:00"]),
        lambda: allow(hours=["mon 8-9"]),
        lambda: allow(hours=["mon 08:61-09:00"]),
        lambda: allow(hours=["mon 08:00-25:00"]),
        lambda: allow(users="ann"),
        lambda: allow(keys=["MD5:aa"]),
        lambda: allow(addresses=["nowhere"]),
        lambda: access(allow(groups=["staff"])),
        lambda: rate_limit(0),
        lambda: rate_limit(1, by="name"),
        lambda: concurrency(0),
        lambda: deadline(0),
        lambda: command_allowlist(words="ls"),
        lambda: logging(form="xml"),  # type: ignore[arg-type]
    ],
)
def test_a_middleware_without_sense_is_refused_when_the_program_starts(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        make()


def test_a_source_that_is_no_address_fits_no_rule_of_addresses() -> None:
    from ipaddress import ip_network

    from sshkit.server.middleware.access import _within

    assert not _within("local", (ip_network("0.0.0.0/0"),))
    assert _within("::ffff:192.0.2.1", (ip_network("192.0.2.0/24"),))
    assert _within("fe80::1%eth0", (ip_network("fe80::/10"),))


# Limits.


def test_sessions_over_the_rate_wait_their_time() -> None:
    found: list[int | None] = []

    async def test(world: World) -> None:
        async with world.connect() as connection:
            for _ in range(3):
                found.append((await connection.run("x")).exit_status)
            assert (await connection.run("x")).stderr == b"too many sessions, try again in 30 s\n"
            await world.later(30)
            found.append((await connection.run("x")).exit_status)

    World(chain(answer, rate_limit(2, burst=2))).run(test)
    assert found == [3, 3, 1, 3]


@pytest.mark.parametrize("by", ["user", "key", "address", lambda session: "all"])
def test_rates_are_counted_by_what_was_asked(by: Any) -> None:
    found, _ = results(chain(answer, rate_limit(1, by=by)), "x", "x")
    assert [result.exit_status for result in found] == [3, 1]
    found, _ = results(chain(answer, concurrency(1, by=by)), "x", "x", **BY_KEY)
    assert [result.exit_status for result in found] == [3, 3]


def test_r24_the_memory_of_rates_is_bounded() -> None:
    buckets = Buckets(1.0, 1, 10)
    for number in range(1000):
        assert buckets.take(f"user {number}", 0.0) == 0
        assert len(buckets) <= 10
    assert buckets.take("user 999", 0.5) == 0.5
    assert buckets.take("late", 100.0) == 0
    assert len(buckets) == 1  # the full ones were forgotten
    buckets.take("x" * (MAX_NAME + 1), 100.0)
    assert buckets.take("x" * (MAX_NAME + 2), 100.0) == 1


def test_at_most_so_many_sessions_run_at_once() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            one = await connection.start("one")
            two = await connection.run("two")
            assert (two.exit_status, two.stderr) == (1, b"too many sessions are open\n")
            one.stdin.write_eof()
            await one.wait()
            assert (await connection.run("three")).exit_status == 0

    World(chain(wait, concurrency(1))).run(test)


def test_a_session_ends_at_its_deadline() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x", terminal="xterm")
            result = await process.communicate()
            assert result.exit_status == 124
            assert result.stderr == b"the session is over: it may last 5 seconds\r\n"
            assert world.reactor.seconds() >= 5

    async def busy(session: sshkit.Session) -> None:
        await sshkit.Deferred()

    World(chain(busy, deadline(total=5))).run(test)


def test_an_idle_session_ends_and_one_that_moves_does_not() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x")
            for _ in range(5):
                await world.later(8)
                process.stdin.write("ping")
                assert await process.stdout.read(4) == b"ping"
            begin = world.reactor.seconds()
            assert await process.stderr.read() == b"over: nothing moved for 10 seconds\n"
            await process.wait()
            assert process.exit_status == 9
            assert 10 <= world.reactor.seconds() - begin < 11

    World(chain(wait, deadline(idle=10, message="over: {reason}", status=9))).run(test)


def test_a_handler_that_swallows_the_end_of_its_time_still_ends_with_its_status() -> None:
    async def stubborn(session: sshkit.Session) -> int:
        try:
            await sshkit.Deferred()
        except sshkit.CancelledError:
            return 0
        return 0

    (result,), _ = results(chain(stubborn, deadline(total=1)), "x")
    assert result.exit_status == 124


# What is said.


def test_sessions_are_logged_as_text() -> None:
    (_,), log = results(chain(answer, logging()), "the \x1b command")
    lines = [line for line in log if "the " in line]
    assert lines[0] == "info: 127.0.0.1: 'ann': command 'the \\x1b command' started"
    assert re.fullmatch(
        r"info: 127.0.0.1: 'ann': command .* ended status=3 seconds=0\.\d+ received=0 sent=17", lines[1]
    ), lines


def test_sessions_are_logged_as_dicts() -> None:
    entries: list[dict[str, Any]] = []

    async def killed(session: sshkit.Session) -> None:
        await session.stdin.read()
        session.stderr.write("oops")
        session.exit_by_signal("KILL")

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="xterm")
            await process.communicate("12345")

    World(chain(killed, logging(entries.append, form="dict"))).run(test)
    assert entries[0]["event"] == "started"
    assert {
        name: entries[1][name] for name in ("user", "terminal", "status", "signal", "received", "sent")
    } == {
        "user": "ann",
        "terminal": "xterm",
        "status": None,
        "signal": "KILL",
        "received": 5,
        "sent": 4,
    }


def test_the_log_has_how_a_handler_failed_and_what_it_said_itself() -> None:
    lines: list[str] = []

    async def broken(session: sshkit.Session) -> None:
        raise RuntimeError("secret")

    async def told(session: sshkit.Session) -> None:
        session.exit(7)

    results(chain(broken, logging(lines.append)), "x")
    assert "status=1 reason=RuntimeError" in lines[1]
    assert "secret" not in lines[1]
    results(chain(told, logging(lines.append)), "x")
    assert "status=7" in lines[3]
    _, log = results(chain(told, logging(form="dict")), "x")
    assert any("'event': 'ended'" in line for line in log)


def test_r41_an_exception_becomes_a_short_line_and_the_log_has_the_rest() -> None:
    async def broken(session: sshkit.Session) -> None:
        raise RuntimeError("a secret detail")

    (result,), log = results(chain(broken, recover("sorry", status=70)), "x")
    assert (result.exit_status, result.stderr, result.stdout) == (70, b"sorry\n", b"")
    assert any("the handler of command 'x' failed: RuntimeError: a secret detail" in line for line in log)


def test_the_time_is_told_at_the_end() -> None:
    (result,), _ = results(chain(later, elapsed()), "x")
    match = re.fullmatch(rb"elapsed: (\d\.\d{3}) s\n", result.stderr)
    assert match is not None
    assert 0.5 <= float(match[1]) < 1


# Commands.


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("uptime", True),
        ("uptime -p", False),
        ("show 12", True),
        ("show 12; reboot", False),
        ("git-upload-pack repo/a.git", True),
        ("git-upload-pack $(reboot)", False),
        ("git-upload-pack x\nreboot", False),
        ("", False),
        (None, False),
    ],
)
def test_only_commands_of_the_list_are_let_through(command: str | None, allowed: bool) -> None:
    listed = command_allowlist("uptime", re.compile(r"show \d+"), words=["git-upload-pack"])
    (result,), _ = results(chain(answer, listed), command)
    assert result.exit_status == (3 if allowed else 1)
    assert bool(result.stderr) != allowed


def test_shells_and_subsystems_are_let_through_where_they_are_listed() -> None:
    statuses: list[int | None] = []

    async def test(world: World) -> None:
        async with world.connect() as connection:
            statuses.append((await connection.run(None)).exit_status)
            for name in ("stats", "sftp"):
                process = await connection.subsystem(name)
                statuses.append((await process.communicate()).exit_status)

    World(chain(answer, command_allowlist(subsystems=["stats"], shell=True))).run(test)
    assert statuses == [3, 3, 1]


def test_a_session_without_a_terminal_is_told_how_to_get_one() -> None:
    (result,), _ = results(chain(answer, terminal_required()), "x")
    assert (result.exit_status, result.stderr) == (1, b"a terminal is needed: connect with ssh -t\n")

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("x", terminal="xterm")).exit_status == 3

    World(chain(answer, terminal_required())).run(test)
