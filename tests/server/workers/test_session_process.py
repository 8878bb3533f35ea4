"""The process of one client: its host keys are the monitor's, and it ends whatever happens to it."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.wire import WireReader

from sshkit.deferred import Deferred
from sshkit.server import auth_info
from sshkit.server.workers import key_holder, messages
from sshkit.server.workers.key_holder import KeyHolder
from sshkit.server.workers.link import LinkBroken, pair
from sshkit.server.workers.session_process import MonitorKeys
from sshkit.ssh.errors import ConnectionLost
from tests.server.workers.parts import HandReactor, make_key, make_plan
from tests.server.workers.world import USER, Shared, World

ALGORITHM = "ssh-ed25519"


def outcome(answer: "Deferred[bytes]") -> list[Any]:
    got: list[Any] = []
    answer.add_callbacks(got.append, lambda failure: got.append(failure.exception))
    return got


# Its host keys.


def test_proofs_are_signed_by_the_monitor_or_not_at_all(tmp_path: Path) -> None:
    reactor: Any = HandReactor()
    ours, theirs = pair()
    keys = MonitorKeys(reactor, theirs)
    key = keys.key(make_key(tmp_path, "host").public)
    signed, refused, forgotten = (outcome(key.sign(ALGORITHM, data)) for data in (b"1", b"2", b"3"))
    asked = [messages.Sign.decode(ours.recv(1000)) for _ in range(3)]
    assert [question.data for question in asked] == [b"1", b"2", b"3"]
    ours.send(messages.Answer(asked[1].request, messages.FAULT, b"not signed").encode())
    ours.send(messages.Answer(asked[0].request, messages.SIGNATURE, b"signature").encode())
    reactor.until(lambda: signed and refused)
    assert signed == [b"signature"]
    assert (type(refused[0]), str(refused[0])) == (LinkBroken, "not signed")
    ours.close()
    reactor.until(lambda: forgotten)
    assert isinstance(forgotten[0], LinkBroken)
    assert str(outcome(key.sign(ALGORITHM, b"4"))[0]) == "the monitor has gone"


def test_a_client_learns_another_host_key_which_the_session_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = make_key(tmp_path, "second")
    world = World(tmp_path, monkeypatch, f"HostKey {tmp_path / 'second'}")
    known = tmp_path / "known_hosts"

    async def test(world: World) -> None:
        name = f"[127.0.0.1]:{world.port}"
        known.write_text(f"{name} {second.public.to_line()}\n")  # of two of a type the first serves
        async with world.connect(host_keys=None, known_hosts=known, update_host_keys=True) as connection:
            await connection.host_key_updates.done
        learned = {line.split()[2] for line in known.read_text().splitlines()}
        assert learned == {key.public.to_line().split()[1] for key in (world.host, second)}

    world.run(test)


class HeldWorld(World):
    """Its host key is in a process of its own."""

    def make_plan(self, *lines: str) -> Any:
        self.holder = KeyHolder()
        keys = tuple(self.holder.load([str(self.folder / "host")]))
        self.holder.attach(self.reactor, lambda level, text, error: self.log(level, text))
        return make_plan(self.folder, *lines)._replace(account=None, host_keys=keys)


def test_a_holder_of_the_keys_that_dies_in_an_exchange_ends_that_connection_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_holder, "PAUSE", 0.0)
    world = HeldWorld(tmp_path, monkeypatch)

    async def test(world: World) -> None:
        assert isinstance(world, HeldWorld)
        holder, first = world.holder, world.holder.pid
        other = await world.connect()
        os.kill(first, signal.SIGSTOP)
        lost = outcome(world.connect())
        await world.until(lambda: holder._requests)  # its signature is waited for
        os.kill(first, signal.SIGKILL)
        await world.until(lambda: lost)
        assert isinstance(lost[0], ConnectionLost)
        await world.until(
            lambda: holder.pid != first and holder._link is not None and not holder._link.closed
        )
        assert (await other.run("echo still in")).stdout == b"still in\n"
        async with world.connect() as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        other.close()
        assert world.killed == []
        await world.until(lambda: world.supervisor.startups.count == 0)
        holder.close()

    world.run(test)
    assert "host key: the other process has gone" in world.log.text
    assert "that holds the host keys has ended; it is started again" in world.log.text


# Its end.


def test_a_session_that_cannot_begin_ends_and_so_does_its_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    reports: list[BaseException] = []

    def full(shared: Shared, sock: socket.socket, factory: object) -> None:
        sock.close()  # as the end of the process does
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Shared, "adopt_socket", full, raising=False)
    monkeypatch.setattr(world.reactor, "report", lambda text, error, *_: reports.append(error), raising=False)

    async def test(world: World) -> None:
        connection = await world.connect()
        await world.until(lambda: not world.supervisor.sessions)
        connection.close()

    world.run(test)
    assert [str(error) for error in reports] == ["[Errno 24] Too many open files"]


def test_how_a_user_has_logged_in_is_not_told_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "ExposeAuthInfo yes")
    written: list[str] = []

    def full(text: str, random_bytes: object) -> str:
        written.append(text)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(auth_info, "write_auth_info", full)

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("echo in $SSH_USER_AUTH")).stdout == b"in\n"

    world.run(test)
    method, key_type, key = written[0].split()
    assert (method, key_type) == ("publickey", ALGORITHM)
    assert WireReader(world.key.public.blob).text("type") == ALGORITHM
    assert key == world.key.public.to_line().split()[1]
    assert "error: 127.0.0.1: SSH_USER_AUTH: No space left on device" in world.log.text
    assert USER in world.log.text
