"""A client, a worker, the monitor and a session, all in this process: logins, packets, ends."""

import socket
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.interfaces.process import ExitStatus
from sshkit.server.workers.relay import SessionSide
from sshkit.ssh.errors import AuthenticationFailed, ConnectionLost
from sshkit.ssh.transport.rekeying import RekeyLimits
from tests.server.workers.world import USER, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_command_runs_behind_the_chain(world: World) -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("cat; echo err >&2; exit 3", input=b"through")
            assert (result.stdout, result.exit_status) == (b"through", 3)
            assert len(world.supervisor.sessions) == 1
        await world.until(lambda: not world.supervisor.sessions)

    world.run(test)
    assert f"info: 127.0.0.1: '{USER}' logged in by publickey" in world.log.text
    assert world.supervisor.startups.count == 0


def test_a_wrong_key_is_refused(world: World) -> None:
    async def test(world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            await world.connect(identities=[generate_private_key("ed25519")])
        with pytest.raises(AuthenticationFailed):
            await world.connect("sshkit-nobody")
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
    assert world.supervisor.gave_up


def test_much_data_flows_both_ways_with_new_keys_in_between(world: World) -> None:
    """Whoever is slow stops the other; nothing is lost when the keys change."""

    async def test(world: World) -> None:
        limits = RekeyLimits(1 << 20)
        async with world.connect(rekey_limits=limits) as connection:
            data = bytes(range(256)) * (4 << 12)
            opener = connection.layer.opener
            result = await connection.run("cat", input=data)
            assert result.stdout == data
            assert connection.layer.opener is not opener

    world.run(test)


def test_r24_a_client_that_does_not_read_stops_the_sessions_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            (server,) = world.servers.values()
            (client,) = server.connections
            relay = client._relay  # type: ignore[attr-defined]
            held: list[bool] = []
            wait = relay.session.wait

            def note(side: SessionSide) -> None:
                held.append(True)
                wait()

            monkeypatch.setattr(SessionSide, "wait", note)
            for transport in (connection.layer.transport, client.layer.transport):
                sock: Any = transport.get_extra_info("socket")  # type: ignore[union-attr]
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            process = await connection.start("head -c 1500000 /dev/zero")
            connection.layer.transport.pause_reading()
            await world.until(lambda: held)
            connection.layer.transport.resume_reading()
            assert len(await process.stdout.read()) == 1_500_000

    world.run(test)


def test_the_end_of_a_session_reaches_the_client_with_code_and_words(world: World) -> None:
    async def test(world: World) -> None:
        connection = await world.connect()
        connection.layer.writer.send(bytes((94,)) + bytes(8))  # data for a channel that is not there
        with pytest.raises(ConnectionLost) as caught:
            await connection.run("true")
        assert "channel" in str(caught.value)
        await world.until(lambda: not world.supervisor.sessions)

    world.run(test)


def test_a_session_that_dies_ends_its_client_and_is_told(world: World) -> None:
    async def test(world: World) -> None:
        connection = await world.connect()
        (pid,) = world.supervisor.sessions
        shared = world.shared[pid]
        world.exit(pid, ExitStatus(signal=9))
        for callback in shared.handlers.values():
            callback()
            break
        with pytest.raises(ConnectionLost):
            await connection.run("true")

    world.run(test)
    assert "was ended by signal 9" in world.log.text


def test_a_status_of_a_sessions_process_is_told(world: World) -> None:
    async def test(world: World) -> None:
        async with world.connect():
            (pid,) = world.supervisor.sessions
            world.exit(pid, ExitStatus(code=70))
            assert not world.supervisor.sessions

    world.run(test)
    assert "ended with 70" in world.log.text


def test_r2_a_late_request_to_log_in_has_no_answer(world: World) -> None:
    from sshkit_keys.wire import string

    async def test(world: World) -> None:
        async with world.connect() as connection:
            connection.layer.writer.send(
                bytes((50,)) + string(USER) + string("ssh-connection") + string("none")
            )
            assert (await connection.run("echo on")).stdout == b"on\n"

    world.run(test)


@pytest.mark.parametrize("number", [21, 52])
def test_r1_what_only_a_server_says_ends_the_connection(world: World, number: int) -> None:
    async def test(world: World) -> None:
        connection = await world.connect()
        connection.layer.writer.send(bytes((number,)) + bytes(8))
        with pytest.raises(ConnectionLost):
            await connection.run("true")

    world.run(test)


def test_a_password_is_asked_of_the_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    from sshkit.server.login_policy import LoginPolicy
    from sshkit.server.system_users import SystemLogin
    from sshkit.ssh.authentication.server import Questions
    from sshkit.ssh.authentication.verdicts import Grant, PasswordExpired

    methods = ("password", "keyboard-interactive")
    monkeypatch.setattr(SystemLogin, "methods", lambda self: methods)
    monkeypatch.setattr(LoginPolicy, "methods", lambda self, user: methods)

    def password(self: Any, user: str, text: str) -> Any:
        return PasswordExpired("another, please") if text == "old" else None

    def change(self: Any, user: str, old: str, new: str) -> Any:
        return Grant(user, "password") if (old, new) == ("old", "new") else None

    def interactive(self: Any, user: str, answers: Any) -> Any:
        if answers is None:
            return Questions([("PIN: ", False), ("Name: ", True)], "title", "do")
        return Grant(user, "keyboard-interactive") if answers == ["1", "2"] else None

    monkeypatch.setattr(LoginPolicy, "password", password)
    monkeypatch.setattr(LoginPolicy, "change_password", change)
    monkeypatch.setattr(LoginPolicy, "interactive", interactive)

    async def test(world: World) -> None:
        async with world.connect(
            identities=[], password="old", change_password=lambda prompt: "new"
        ) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        async with world.connect(identities=[], answers=lambda *_: ["1", "2"]) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        with pytest.raises(AuthenticationFailed):
            await world.connect(identities=[], password="wrong")

    world.run(test)


def test_a_worker_of_one_user_serves_all_of_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "Workers 2", separated=False)

    async def test(world: World) -> None:
        async with world.connect() as first, world.connect() as second:
            assert [len(each.connections) for each in world.servers.values()] == [1, 1]
            assert (await first.run("echo in")).stdout == b"in\n"
            assert (await second.run("echo in")).stdout == b"in\n"
            assert world.supervisor.startups.count == 0
        with pytest.raises(AuthenticationFailed):
            await world.connect(identities=[generate_private_key("ed25519")])
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
