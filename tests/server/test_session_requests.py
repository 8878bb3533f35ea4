"""The lesser requests of sessions, both ways: signals, BREAK, ends of writing, flow control (RFC 4254)."""

from typing import Any

import pytest
from sshkit_keys.wire import boolean, string

import sshkit
from sshkit.client.process import ClientProcess
from sshkit.ssh.channels.session import END_OF_WRITE
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.client.world import World, echo


def run(main: Any, handler: Any = echo, **settings: Any) -> World:
    world = World()
    world.with_server(main, handler=handler, settings=sshkit.Settings(**settings))
    return world


async def refused(wanted: "sshkit.Deferred[Any]") -> bool:
    try:
        await wanted
    except sshkit.ChannelRequestFailed:
        return True
    return False


def test_how_a_signal_ended_a_command_is_told_whole() -> None:
    async def handler(session: sshkit.Session) -> int:
        session.exit_by_signal("SEGV", core_dumped=True, message="memory\x1b[m")
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        result = await process.communicate()
        for found in (result, process, await connection.run("x")):
            assert (found.exit_signal, found.exit_status, found.core_dumped) == ("SEGV", None, True)
            assert found.exit_message == "memory\\x1b[m"
        assert process.exit_language == ""

    run(main, handler)


def test_signals_arrive_by_their_names_and_unknown_ones_do_not() -> None:
    heard: list[Any] = []

    async def handler(session: sshkit.Session) -> int:
        session.on_signal(heard.append)
        session.on_break(heard.append)
        await session.stdin.read()
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x", terminal="vt100")
        for name in ("SIGTERM", "INT", "INFO", "SIGINFO", "WINCH", "x"):
            process.send_signal(name)
        await process.send_break(250)
        await process.send_break()
        assert await refused(process.channel.request("signal", string("NOPE")))
        await process.communicate()
        pipe = await connection.start("x")
        assert await refused(pipe.send_break())
        await pipe.communicate()

    run(main, handler)
    assert heard == ["TERM", "INT", "INFO", "INFO", 250, 1000, 1000]


def test_a_handler_that_has_not_asked_hears_no_break() -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("cat", terminal="vt100")
        await process.send_break()
        await process.communicate()

    run(main)


def test_a_client_that_takes_no_more_output_lets_drain_fail() -> None:
    ended: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        try:
            while True:
                session.stdout.write("y\n" * 1000)
                await session.stdout.drain()
        finally:
            ended.append("drain failed")

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        await process.stdout.read_line()
        process.refuse_output()
        await process.stdout.read()
        assert process.exit_status == 1

    world = run(main, handler)
    assert ended == ["drain failed"]
    assert not any("failed" in line for line in world.log)


def test_a_drain_after_the_refusal_fails_at_once() -> None:
    async def handler(session: sshkit.Session) -> int:
        await session.stdin.read_line()
        session.stdout.write("dropped")
        try:
            await session.stdout.drain()
        except sshkit.ChannelClosed as error:
            session.stderr.write(str(error))
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        process.refuse_output()
        result = await process.communicate("\n")
        assert (result.stdout, result.stderr) == (b"", b"the client takes no more output")

    run(main, handler)


def test_a_command_that_reads_no_more_ends_our_writing() -> None:
    async def handler(session: sshkit.Session) -> int:
        session.refuse_input()
        assert await session.stdin.read() == b""
        session.set_flow_control(True)
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        assert process.flow_control is None
        await process.wait()
        assert process.flow_control is True
        with pytest.raises(sshkit.ChannelClosed):
            await process.stdin.drain()
        process.stdin.write("dropped")

    run(main, handler)


def test_a_session_that_has_ended_says_nothing_more() -> None:
    async def handler(session: sshkit.Session) -> int:
        session.exit(0)
        session.refuse_input()
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x")).exit_status == 0

    run(main, handler)


def test_r30_requests_of_a_server_that_make_no_sense_end_the_connection_at_worst() -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        process = ClientProcess("x", connection.clock)
        assert process.request_received(END_OF_WRITE, b"") is False  # it is not open yet
        assert process.request_received("xon-xoff", boolean(False)) is True
        assert process.flow_control is False
        assert process.request_received("unknown", b"") is False
        with pytest.raises(sshkit.SSHKitError):
            process.request_received("xon-xoff", b"")

    run(main)


def test_no_more_sessions_is_honoured() -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        first = await connection.start("cat")
        connection.no_more_sessions()
        assert (await first.communicate("still here")).stdout == b"still here"
        with pytest.raises(sshkit.DisconnectedByPeer, match="no-more-sessions"):
            await connection.run("x")

    run(main)


def test_the_answer_to_no_more_sessions_is_yes_if_somebody_wants_it() -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert await refused(connection.core.global_request("no-more-sessions@openssh.com", b"x"))
        assert await connection.core.global_request("no-more-sessions@openssh.com") == b""

    run(main)


def test_the_end_of_input_before_the_command_is_not_lost_on_others() -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        channel = await connection.open_session(ChannelProtocol())
        channel.write_eof()
        assert await refused(channel.request("auth-agent-req@openssh.com", b"x"))
        assert await refused(channel.request("eow@openssh.com"))
        channel.close()

    run(main)
