"""Commands: `run`, `start`, `shell`, `subsystem`, `communicate`, `wait`, and their deadlines."""

import pytest

import sshkit
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.client.world import World, echo, hang


async def describe(session: sshkit.Session) -> None:
    """Say what was asked for."""
    terminal = session.terminal
    words = [
        f"command={session.command!r}",
        f"subsystem={session.subsystem!r}",
        f"environment={session.environment!r}",
        f"terminal={None if terminal is None else (terminal.name, tuple(terminal.size), terminal.modes)}",
        f"stdin={await session.stdin.read()!r}",
    ]
    session.stdout.write("\n".join(words))


def test_run_returns_all_that_a_command_leaves(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("hello")
        assert (result.command, result.stdout, result.stderr) == ("hello", b"out hello\n", b"err hello\n")
        assert (result.exit_status, result.exit_signal, result.text) == (0, None, "out hello\n")
        assert repr(result) == "<Result of 'hello': status 0, 10 + 10 bytes>"

    world.with_server(main)


def test_what_is_asked_for_arrives(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("x", input="grüß", environment={"LANG": "C"}, terminal="vt100")
        assert result.text.splitlines() == [
            "command='x'",
            "subsystem=None",
            "environment={'LANG': 'C'}",
            "terminal=('vt100', (80, 24, 0, 0), b'\\x00')",
            f"stdin={'grüß'.encode()!r}",
        ]
        size = sshkit.TerminalSize(100, 50, 1, 2)
        process = await connection.start(terminal="xterm", size=size, modes=b"\x01\0\0\0\3\0")
        lines = (await process.communicate(b"abc")).text.splitlines()
        assert lines[0] == "command=None"
        assert lines[3:] == [
            "terminal=('xterm', (100, 50, 1, 2), b'\\x01\\x00\\x00\\x00\\x03\\x00')",
            "stdin=b'abc'",
        ]
        process = await connection.subsystem("sftp")
        assert process.command == "sftp"
        lines = (await process.communicate()).text.splitlines()
        assert lines[:2] == ["command=None", "subsystem='sftp'"]
        process = await connection.shell()
        assert "terminal=('xterm'" in (await process.communicate()).text
        process = await connection.shell(terminal=None)
        assert "terminal=None" in (await process.communicate()).text
        assert "command=None" in (await connection.run()).text

    world.with_server(main, describe)


def test_bytes_that_are_no_text_are_kept_on_both_ways(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        command = b"caf\xe9".decode("utf-8", "surrogateescape")
        assert (await connection.run(command)).text.startswith("command='caf\\udce9'\n")
        result = await connection.run("cat", input=b"\xff\xfe")
        assert "stdin=b'\\xff\\xfe'" in result.text

    world.with_server(main, describe)


def test_text_escapes_what_is_not_utf8(world: World) -> None:
    assert sshkit.Result("x", b"a\xff", b"", 0, None).text == "a\\xff"


def test_a_status_other_than_0_is_an_error_where_it_is_checked(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("exit 3")).exit_status == 3
        assert (await connection.run("fine", check=True)).exit_status == 0
        with pytest.raises(sshkit.CommandFailed, match=r"^'exit 3' ended with status 3$") as failed:
            await connection.run("exit 3", check=True)
        assert failed.value.result.exit_status == 3

    world.with_server(main)


def test_the_error_of_a_command_quotes_the_last_line_of_its_complaints(world: World) -> None:
    async def fail(session: sshkit.Session) -> int:
        session.stderr.write("usage: x\nx: no such \x1b[31mfile\n\n")
        return 1

    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(sshkit.CommandFailed) as failed:
            await connection.run("x", check=True)
        assert str(failed.value) == "'x' ended with status 1: x: no such \\x1b[31mfile"

    world.with_server(main, fail)


def test_r30_the_end_by_a_signal_is_no_status(world: World) -> None:
    async def die(session: sshkit.Session) -> None:
        session.exit_by_signal("SEGV", True, "core \x1bdumped")

    async def main(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("x")
        assert (result.exit_status, result.exit_signal) == (None, "SEGV")
        assert repr(result) == "<Result of 'x': signal SEGV, 0 + 0 bytes>"
        with pytest.raises(sshkit.CommandFailed, match=r"^'x' was ended by signal SEGV$"):
            await connection.run("x", check=True)
        process = await connection.start("x")
        await process.wait()
        assert (process.exit_status, process.exit_signal) == (None, "SEGV")
        assert process.exit_message == "core \\x1bdumped"

    world.with_server(main, die)


def test_r30_an_end_without_a_status_is_no_success(world: World) -> None:
    async def vanish(session: sshkit.Session) -> None:
        session.channel.close()

    async def main(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("x")
        assert (result.exit_status, result.exit_signal) == (None, None)
        with pytest.raises(sshkit.CommandFailed, match=r"^'x' ended without a status$"):
            await connection.run("x", check=True)
        process = await connection.start("x")
        await process.wait()
        assert process.exit_status is None

    world.with_server(main, vanish)


def test_a_refused_command_is_an_error(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        for call in (connection.run("a\0b"), connection.start("a\0b")):
            with pytest.raises(sshkit.ChannelRequestFailed, match=r"^the peer refused a request"):
                await call
        assert (await connection.run("fine")).exit_status == 0

    world.with_server(main)


def test_a_refused_terminal_and_refused_variables_can_be_seen_and_are_no_error(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        environment = {"LANG": "C", "PATH": "/x", "LC_ALL": "C"}
        process = await connection.start("x", terminal="xterm", environment=environment)
        assert process.refused == ["PATH", "terminal"]
        await process.wait()
        assert (await connection.run("x", terminal="xterm", environment=environment)).exit_status == 0

    world.with_server(main, settings=sshkit.Settings(permit_terminal=False))


@pytest.mark.parametrize("name", ["", "A=B", "A\0", "A"])
def test_r29_a_variable_that_cannot_be_one_is_not_sent(world: World, name: str) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(sshkit.LocalProtocolError, match="not a variable that can be sent"):
            await connection.run("x", environment={name: "\0" if name == "A" else "x"})
        with pytest.raises(sshkit.LocalProtocolError):
            await connection.start("x", environment={name: "\0" if name == "A" else "x"})

    world.with_server(main)


def test_more_sessions_than_the_server_allows_are_an_error_with_its_reason(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        first = await connection.start("x")
        for call in (connection.run("y"), connection.start("y"), connection.subsystem("y")):
            with pytest.raises(sshkit.ChannelOpenFailed) as refused:
                await call
            assert str(refused.value) == "channel refused: resource shortage: 1 sessions are open"
            assert (refused.value.code, refused.value.description) == (4, "1 sessions are open")
        first.close()
        await first.wait()

    world.with_server(main, hang, sshkit.Settings(max_sessions=1))


# Deadlines.


def test_a_run_that_takes_too_long_is_ended_and_the_connection_lives_on(world: World) -> None:
    cancelled: list[str] = []

    async def forever(session: sshkit.Session) -> int:
        if session.command != "slow":
            return await echo(session)
        try:
            await sshkit.Deferred()
        finally:
            cancelled.append(session.command)
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        before = world.network.seconds()
        with pytest.raises(TimeoutError, match=r"^'slow' did not end within 5 s$"):
            await connection.run("slow", timeout=5)
        assert world.network.seconds() == before + 5
        await world.settled()
        assert cancelled == ["slow"]
        assert (await connection.run("fine")).exit_status == 0

    world.with_server(main, forever)


@pytest.mark.parametrize("call", ["run", "wait", "communicate"])
def test_a_command_is_waited_for_an_hour_unless_told_otherwise(world: World, call: str) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        before = world.network.seconds()
        with pytest.raises(TimeoutError):
            await (connection.run("x") if call == "run" else getattr(process, call)())
        assert world.network.seconds() == before + 3600

    world.with_server(main, hang)


def test_without_a_deadline_a_command_may_take_a_week(world: World) -> None:
    async def slow(session: sshkit.Session) -> int:
        await world.sleep(7 * 24 * 3600.0)
        return 5

    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x", timeout=None)).exit_status == 5
        process = await connection.start("x")
        assert (await process.wait(None)).exit_status == 5
        process = await connection.start("x")
        assert (await process.communicate(timeout=None)).exit_status == 5

    world.with_server(main, slow)


def test_communicate_past_its_deadline_loses_nothing_that_came(world: World) -> None:
    async def partly(session: sshkit.Session) -> None:
        session.stdout.write("first")
        await session.stdin.read()
        await sshkit.Deferred()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        with pytest.raises(TimeoutError, match=r"^waiting for 'x' did not end within 2 s$"):
            await process.communicate(timeout=2)
        assert await process.stdout.read(100) == b"first"
        assert not process.closed
        process.close()

    world.with_server(main, partly)


class Deaf(World):
    """Its server hears nothing of a connection from `deafen` on."""

    def deafen(self) -> None:
        self.pair.server.reading_paused = True

    def hear(self) -> None:
        self.pair.server.reading_paused = False


@pytest.mark.parametrize("call", ["run", "start", "subsystem", "shell"])
def test_a_server_that_answers_nothing_ends_each_call_in_time(call: str) -> None:
    world = Deaf()

    async def main(connection: sshkit.ClientConnection) -> None:
        world.deafen()
        arguments = () if call == "shell" else ("x",)
        with pytest.raises(TimeoutError, match="did not end within 7 s"):
            await getattr(connection, call)(*arguments, timeout=7)
        world.hear()
        assert (await connection.run("fine")).exit_status == 0

    world.with_server(main, keepalive=0)


def test_a_command_given_up_before_its_channel_was_open_is_never_started() -> None:
    world, started = Deaf(), list[str]()

    async def note(session: sshkit.Session) -> int:
        started.append(session.command or "")
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        world.deafen()
        with pytest.raises(TimeoutError):
            await connection.run("late", timeout=1)
        given_up = connection.run("late too")
        given_up.cancel()
        with pytest.raises(sshkit.CancelledError):
            await given_up
        with pytest.raises(TimeoutError):
            await connection.start("late as well", timeout=1)
        world.hear()
        await connection.run("fine")
        assert started == ["fine"]

    world.with_server(main, note, keepalive=0)


@pytest.mark.parametrize("call", ["run", "start", "subsystem"])
@pytest.mark.parametrize("steps", range(10))
def test_a_call_cancelled_at_any_moment_closes_its_channel_and_no_more(
    world: World, call: str, steps: int
) -> None:
    async def only_x_hangs(session: sshkit.Session) -> int | None:
        return await (echo(session) if session.command == "fine" else hang(session))

    async def main(connection: sshkit.ClientConnection) -> None:
        pending = getattr(connection, call)("x")
        for _ in range(steps):
            await world.tick()
        pending.cancel()
        try:
            (await pending).close()  # it had started before
        except sshkit.CancelledError:
            pass
        await world.settled()
        assert not connection._require().channels
        assert (await connection.run("fine")).exit_status == 0

    world.with_server(main, only_x_hangs)


def test_a_cancelled_wait_leaves_the_process_alone(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("cat")
        for wait in (process.wait, process.stdout.read, process.stdout.read_line):
            waiting = wait()
            waiting.cancel()
            with pytest.raises(sshkit.CancelledError):
                await waiting
        process.stdin.write("still\n")
        assert await process.stdout.read_line() == b"still\n"
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 0
        assert await process.wait() is process

    world.with_server(main)


def test_output_past_the_limit_is_an_error_and_ends_the_command(world: World) -> None:
    async def flood(session: sshkit.Session) -> None:
        while True:
            session.stdout.write(bytes(10_000))
            session.stderr.write(bytes(10_000))
            await session.stdout.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(sshkit.OutputTooLarge, match=r"^'x' wrote more than 100000 bytes$"):
            await connection.run("x", max_output=100_000)
        await world.settled()
        assert not connection._require().channels

    world.with_server(main, flood)


def test_r30_output_of_exactly_the_limit_is_whole(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("cat", input=bytes(70_000), max_output=70_000)
        assert len(result.stdout) == 70_000

    world.with_server(main)


# Streams of a process.


def test_a_process_is_talked_to_line_by_line(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with await connection.start("cat") as process:
            process.stdin.write("one\ntwo\nrest")
            process.stdin.write_eof()
            assert await process.stdout.read_line() == b"one\n"
            assert [line async for line in process.stdout] == [b"two\n", b"rest"]
            assert await process.stdout.read() == b""
            assert (await process.wait()).exit_status == 0

    world.with_server(main)


def test_leaving_a_process_closes_its_channel(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        async with await connection.start("cat") as process:
            pass
        await process.wait()
        assert process.closed
        with pytest.raises(sshkit.ChannelClosed):
            await process.stdin.drain()
        process.close()

    world.with_server(main)


def test_signals_and_sizes_arrive(world: World) -> None:
    async def watch(session: sshkit.Session) -> None:
        session.on_signal(lambda name: session.stdout.write(f"{name}\n"))
        session.on_resize(lambda size: session.stdout.write(f"{size.columns}x{size.rows}\n"))
        await session.stdin.read()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x", terminal="xterm")
        process.send_signal("TERM")
        process.send_signal("SIGINT")
        process.resize(sshkit.TerminalSize(132, 43))
        assert await process.stdout.read_exactly(16) == b"TERM\nINT\n132x43\n"
        process.close()

    world.with_server(main, watch)


def test_a_process_that_is_not_open_has_no_channel(world: World) -> None:
    from sshkit.client.process import ClientProcess

    process = ClientProcess("x", world.network)
    with pytest.raises(sshkit.LocalProtocolError, match="the channel is not open yet"):
        process.send_signal("TERM")
    assert not process.stdout.read(1).called
    process.close()


def test_a_channel_of_ones_own_is_opened(world: World) -> None:
    class Protocol(ChannelProtocol):
        closed = False

        def channel_closed(self, error: BaseException | None) -> None:
            self.closed = True

    async def main(connection: sshkit.ClientConnection) -> None:
        protocol = Protocol()
        channel = await connection.open_session(protocol)
        channel.close()
        await world.settled()
        assert protocol.closed

    world.with_server(main)


def test_extended_data_that_is_not_standard_error_is_dropped(world: World) -> None:
    async def odd(session: sshkit.Session) -> None:
        from sshkit.ssh.messages.connection import ChannelExtendedData

        layer = session.connection.layer
        layer.send(ChannelExtendedData(session.channel.peer, 7, b"odd").encode())
        session.channel.send_window -= 3
        session.stderr.write("fine")

    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x")).stderr == b"fine"
        process = await connection.start("x")
        assert (await process.communicate()).stderr == b"fine"

    world.with_server(main, odd)


def test_the_connection_can_be_looked_at(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert repr(connection) == "<ClientConnection me@host open>"
        assert connection.negotiated.summary().startswith("mlkem768x25519-sha256, ssh-ed25519, aes")
        assert not connection.is_closed
        sessions = connection.layer.session_id
        connection.rekey()
        assert (await connection.run("fine")).exit_status == 0
        assert connection.layer.session_id == sessions
        await connection.close()
        assert connection.is_closed
        assert repr(connection) == "<ClientConnection me@host closed>"
        await connection.close()
        await connection.wait_closed()

    world.with_server(main)


def test_two_waits_for_the_end_both_end(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        ends = [connection.wait_closed(), connection.wait_closed()]
        assert not any(end.called for end in ends)
        await connection.close()
        assert all(end.called for end in ends)

    world.with_server(main)
