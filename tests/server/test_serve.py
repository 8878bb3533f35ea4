"""`sshkit.serve` in memory: sessions as functions, users, chains, and the server's own life."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from sshkit_keys import PrivateKey, generate_private_key, write_private_key

import sshkit
from sshkit.server.server import REST_AFTER, Server, _address
from sshkit.server.session import Program, SessionRequest
from sshkit.server.users import EveryUser, Users
from sshkit.ssh.errors import ChannelClosed, LocalProtocolError
from sshkit.testing import MemoryReactor

HOST_KEY = generate_private_key("ed25519")
KEY = generate_private_key("ed25519")
OTHER = generate_private_key("ed25519")


async def echo(session: sshkit.Session) -> int:
    session.stdout.write(f"{session.user} {session.command} {session.subsystem}\n")
    session.stdout.write(await session.stdin.read())
    session.stderr.write("done")
    return 5


class World:
    """A server in memory, and clients of it."""

    def __init__(self, handler: Any = echo, **options: Any) -> None:
        self.reactor: Any = MemoryReactor()
        self.log: list[str] = []
        self.handler = handler
        self.options = options
        if not {"users", "passwords", "authorized_keys"} & options.keys():
            self.options["passwords"] = {"ann": "secret"}
        self.server: Any = None

    def run(self, test: Callable[["World"], Awaitable[None]]) -> None:
        """Run a test while the server serves."""

        async def main() -> None:
            async with sshkit.serve(
                "127.0.0.1:0",
                self.handler,
                host_keys=[HOST_KEY],
                log=lambda level, text, error: self.log.append(f"{level}: {text}"),
                reactor=self.reactor,
                **self.options,
            ) as server:
                self.server = server
                await test(self)

        self.reactor.run(main())

    def later(self, seconds: float = 0.001) -> "sshkit.Deferred[None]":
        """Wait until nothing moves any more, and that much time has passed."""
        waiter: sshkit.Deferred[None] = sshkit.Deferred()
        self.reactor.call_later(seconds, waiter.callback, None)
        return waiter

    def connect(self, user: str = "ann", **options: Any) -> Any:
        """Connect; `password` is right unless told otherwise."""
        options.setdefault("password", "secret")
        options.setdefault("identities", [])
        return sshkit.connect(
            f"{user}@127.0.0.1",
            port=self.server.address[1],
            host_keys=[HOST_KEY.public],
            reactor=self.reactor,
            **options,
        )


def test_a_session_is_a_function() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("the command")
            process.stdin.write(b"input")
            process.stdin.write_eof()
            assert await process.stdout.read() == b"ann the command None\ninput"
            assert await process.stderr.read() == b"done"
            await process.wait()
            assert process.exit_status == 5

    World().run(test)


def test_a_session_learns_of_window_changes_signals_and_what_was_asked_for() -> None:
    seen: list[Any] = []

    async def handler(session: sshkit.Session) -> None:
        seen.extend((session.terminal.name, session.terminal.size.columns))  # type: ignore[union-attr]
        seen.extend((dict(session.environment), session.connection.user))
        session.on_resize(seen.append)
        session.on_signal(seen.append)
        await session.stdin.read()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(
                None,
                terminal="vt100",
                size=sshkit.TerminalSize(90, 30),
                environment={"LANG": "C", "BAD": "x"},
            )
            process.resize(sshkit.TerminalSize(100, 50))
            process.send_signal("USR1")
            process.stdin.write_eof()
            await process.wait()
            assert process.exit_status == 0

    World(handler).run(test)
    assert seen == ["vt100", 90, {"LANG": "C"}, "ann", sshkit.TerminalSize(100, 50), "USR1"]


def test_window_changes_and_signals_that_nobody_waits_for_do_nothing() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="vt100")
            process.resize(sshkit.TerminalSize(100, 50))
            process.send_signal("INT")
            process.stdin.write_eof()
            await process.wait()

    World().run(test)


def test_a_program_may_end_by_a_signal() -> None:
    class Killed(Program):
        def started(self) -> None:
            self.resized(sshkit.TerminalSize())
            self.signal_received("TERM")
            self.exit_by_signal("KILL", True, "killed")

    def refuse_subsystems(request: SessionRequest) -> Program | None:
        return None if request.subsystem else Killed(request)

    async def test(world: World) -> None:
        world.server.start_program = refuse_subsystems
        async with world.connect() as connection:
            result = await connection.run("x")
            assert (result.exit_status, result.exit_signal) == (None, "KILL")

    World().run(test)


def test_a_handler_that_does_not_read_stops_the_client() -> None:
    async def handler(session: sshkit.Session) -> int:
        await session.stdin.read_exactly(1)
        await waiting
        return len(await session.stdin.read())

    waiting: sshkit.Deferred[None] = sshkit.Deferred()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x")
            process.stdin.write(bytes(6 << 20))
            process.stdin.write_eof()
            await world.later()
            channel = next(iter(next(iter(world.server.connections))._connection.channels.values()))
            assert channel.reading_paused
            waiting.callback(None)
            await process.wait()
            assert process.exit_status == (6 << 20) - 1

    World(handler).run(test)


def test_a_client_that_does_not_read_stops_the_handler() -> None:
    drained: list[bool] = []

    async def handler(session: sshkit.Session) -> None:
        session.stdout.write(bytes(80 << 20))
        drained.append(False)
        await session.stdout.drain()
        drained[0] = True

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x")
            await world.later()
            assert drained == [False]
            assert len(await process.stdout.read()) == 80 << 20
            assert drained == [True]

    World(handler).run(test)


def test_a_handler_is_cancelled_when_its_client_goes() -> None:
    ends: list[BaseException] = []

    async def handler(session: sshkit.Session) -> None:
        try:
            await sshkit.Deferred()
        except BaseException as error:
            ends.append(error)
            raise

    async def test(world: World) -> None:
        connection = await world.connect()
        await connection.start("x")
        await connection.close()
        await world.later()
        assert isinstance(ends[0], sshkit.CancelledError)
        assert not any("failed" in line for line in world.log)

    World(handler).run(test)


def test_streams_of_a_session_whose_channel_was_closed_fail() -> None:
    ends: list[BaseException] = []

    async def handler(session: sshkit.Session) -> None:
        try:
            await session.stdin.read()
        except BaseException as error:
            ends.append(error)

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x")
            process.channel.close()
            await world.later()
            assert isinstance(ends[0], (ChannelClosed, sshkit.CancelledError))

    World(handler).run(test)


def test_the_server_says_where_it_listens_and_ends_everything() -> None:
    async def test(world: World) -> None:
        connection = await world.connect()
        assert repr(next(iter(world.server.connections))) == "<ServerConnection ann from 127.0.0.1>"
        await world.server.close()
        await world.later()
        with pytest.raises(sshkit.ConnectionLost):
            await connection.start("x")
        assert world.server.connections == set()
        await world.server.wait_closed()

    World().run(test)


def test_a_server_that_listens_nowhere_has_no_address() -> None:
    server = Server(
        MemoryReactor(), host_keys=[HOST_KEY], users=Users({"a": "b"}), start_program=lambda request: None
    )
    with pytest.raises(LocalProtocolError, match="does not listen"):
        server.address  # noqa: B018
    assert repr(server.make_protocol())


def test_a_server_without_host_key_is_an_error() -> None:
    with pytest.raises(LocalProtocolError, match="needs a host key"):
        Server(MemoryReactor(), host_keys=[], users=Users(), start_program=lambda request: None)


def test_a_server_can_be_used_in_async_with_twice_over() -> None:
    async def test(world: World) -> None:
        async with world.server as server:
            assert server is world.server
        assert server.closing

    World().run(test)


def test_a_port_in_use_fails_the_opening() -> None:
    async def test(world: World) -> None:
        with pytest.raises(sshkit.ListenError):
            await sshkit.serve(
                ("127.0.0.1", world.server.address[1]),
                echo,
                host_keys=[HOST_KEY],
                passwords={},
                reactor=world.reactor,
            )

    World().run(test)


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:70000"])
def test_an_address_without_port_is_an_error(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="host:port"):
        _address(text)


def test_addresses_are_host_and_port() -> None:
    assert _address("[::1]:22") == ("::1", 22)
    assert _address(("host", 0)) == ("host", 0)


@pytest.mark.parametrize("given", [{}, {"passwords": {}, "authorized_keys": []}])
def test_who_may_log_in_is_said_exactly_once(given: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="exactly one of"):
        sshkit.serve("127.0.0.1:0", echo, host_keys=[HOST_KEY], reactor=MemoryReactor(), **given)  # type: ignore[arg-type]


def test_host_keys_may_be_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private_key(path, HOST_KEY.to_openssh(random_bytes=bytes))
    reactor: Any = MemoryReactor()
    opened = sshkit.serve("127.0.0.1:0", echo, host_keys=[path], passwords={}, reactor=reactor)

    async def main() -> None:
        server = await opened
        assert server.host_keys["ssh-ed25519"].public == HOST_KEY.public
        await server.close()

    reactor.run(main())


def login_with(world: World, *keys: PrivateKey, user: str = "ann", password: str | None = None) -> str:
    """Return how the login went: the method that let in, or what was left to try."""
    outcome: list[str] = []

    async def test(world: World) -> None:
        try:
            async with world.connect(user, identities=keys, password=password):
                grant = next(iter(world.server.connections)).grant
                outcome.append(grant.method)
        except sshkit.AuthenticationFailed as error:
            outcome.append(f"failed: {error}")

    world.run(test)
    return outcome[0]


@pytest.mark.parametrize("form", ["key", "line", "file"])
def test_keys_are_objects_lines_or_files(form: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# two\n{OTHER.public.to_line()}\n{KEY.public.to_line()}\n")
    source: Any = {"key": KEY.public, "line": KEY.public.to_line(), "file": path}[form]
    users = Users(keys={"ann": [source]})
    assert users.methods() == ("publickey",)
    assert login_with(World(users=users), KEY) == "publickey"
    assert login_with(World(users=users), KEY, user="bob").startswith("failed")
    assert login_with(World(authorized_keys=[source]), KEY, user="anybody") == "publickey"
    assert EveryUser([source]).methods() == ("publickey",)


def test_a_line_with_options_lets_nobody_in(tmp_path: Path) -> None:
    line = f"no-pty {KEY.public.to_line()}"
    assert login_with(World(authorized_keys=[line]), KEY).startswith("failed")


def test_passwords_may_be_hashed_with_bcrypt() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    import sshkit.reactor.current

    world = World(passwords={"ann": hashed})
    current = sshkit.reactor.current.current
    try:
        sshkit.reactor.current.current = lambda: world.reactor
        assert login_with(world, password="secret") in ("password", "keyboard-interactive")
        assert login_with(World(passwords={"ann": hashed}), password="wrong").startswith("failed")
    finally:
        sshkit.reactor.current.current = current


def test_r10_an_empty_stored_password_never_matches() -> None:
    users = Users({"ann": "", "bob": "right"})
    assert not users.check_password("ann", "")
    assert not users.check_password("nobody", "")
    assert users.check_password("bob", "right")
    assert not users.allows_none("ann")


def test_r10_an_error_in_the_checker_is_a_refusal() -> None:
    class Broken(Users):
        def check_password(self, user: str, password: str) -> Any:
            raise RuntimeError("the database is gone")

    world = World(users=Broken({"ann": "x"}))
    assert login_with(world, password="secret").startswith("failed")
    assert any("the database is gone" in line for line in world.log)


@pytest.mark.parametrize("answers", [[], ["a", "b"], ["x" * 2000]])
def test_r10_odd_answers_to_the_question_for_a_password_are_refused(answers: Sequence[str]) -> None:
    async def test(world: World) -> None:
        with pytest.raises(sshkit.AuthenticationFailed):
            await world.connect(password=None, answers=lambda *question: list(answers))

    World().run(test)


def test_a_user_may_be_let_in_without_any_proof() -> None:
    class Open(Users):
        def allows_none(self, user: str) -> Any:
            return user == "guest"

    assert login_with(World(users=Open({"x": "y"})), user="guest") == "none"
    assert login_with(World(users=Open({"x": "y"})), user="ann").startswith("failed")


def test_a_chain_of_methods_wants_each_in_its_order() -> None:
    users = Users({"ann": "secret"}, {"ann": [KEY.public]}, chain=("publickey", "password"))
    assert login_with(World(users=users), KEY, password="secret") == "password"
    assert login_with(World(users=users), KEY).startswith("failed")
    assert login_with(World(users=users), OTHER, password="secret").startswith("failed")
    assert login_with(World(users=users), password="secret").startswith("failed")


def test_r42_a_connection_that_does_not_log_in_ends() -> None:
    async def test(world: World) -> None:
        world.reactor.connect_tcp("127.0.0.1", world.server.address[1], Silent)
        assert repr(next(iter(world.server.connections))) == "<ServerConnection not logged in from 127.0.0.1>"
        await world.later()
        await world.later(29.9)
        assert world.server.connections
        await world.later(0.2)
        assert not world.server.connections
        assert any("no login within 30 seconds" in line for line in world.log)
        assert world.server.startups.count == 0

    World(settings=sshkit.Settings(grace_time=30.0)).run(test)


class Silent:
    """A client that says nothing."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Nothing is answered."""

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        """Nothing."""


def test_r42_refused_connections_leave_nothing() -> None:
    async def test(world: World) -> None:
        for _ in range(5):
            world.reactor.connect_tcp("127.0.0.1", world.server.address[1], Silent)
        await world.later()
        assert len(world.server.connections) == world.server.startups.count == 2
        assert sum("refused: 2 connections are not logged in" in line for line in world.log) == 3

    settings = sshkit.Settings(max_startups=sshkit.MaxStartups(2, 100, 2))
    World(settings=settings).run(test)


def test_a_banner_is_shown_and_silent_clients_are_asked() -> None:
    shown: list[str] = []

    async def test(world: World) -> None:
        async with world.connect(banner=shown.append, keepalive=0) as connection:
            before = connection.layer.bytes_received
            await world.later(6)
            assert connection.layer.bytes_received > before

    World(settings=sshkit.Settings(banner="hello\n", keepalive=5.0)).run(test)
    assert shown == ["hello\n"]


def test_an_idle_connection_rests_and_works_again() -> None:
    async def test(world: World) -> None:
        async with world.connect(keepalive=0) as connection:
            for _ in range(3):
                await world.later(REST_AFTER + 0.1)
            result = await connection.run("x")
            assert result.stdout == b"ann x None\n"

    World().run(test)


def test_errors_go_to_logging_where_there_is_no_log(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(MemoryReactor(), host_keys=[HOST_KEY], users=Users(), start_program=lambda request: None)
    server.log("info", "not shown")
    server.log("error", "shown", RuntimeError("x"))
    assert [record.getMessage() for record in caplog.records] == ["shown"]


def test_a_fault_of_ours_is_logged_as_such() -> None:
    async def test(world: World) -> None:
        await world.connect()
        side = next(iter(world.server.connections))
        side.layer.abort(RuntimeError("a fault"))
        assert any("error: 127.0.0.1: internal error" in line for line in world.log)
        with pytest.raises(AssertionError):
            side.verify_host_key(HOST_KEY.public)
        assert side.addresses() == ("UNKNOWN", 65535, "UNKNOWN", 65535)

    World().run(test)
