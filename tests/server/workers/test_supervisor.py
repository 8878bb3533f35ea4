"""The monitor over its workers: limits of all together, deaths, other plans, ends."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.deferred import Deferred
from sshkit.server.accounts import AccountError
from sshkit.server.workers import messages, supervisor
from sshkit.server.workers.supervisor import LONGEST_PAUSE, unprivileged
from sshkit.ssh.authentication.verdicts import Grant
from sshkit.ssh.errors import AuthenticationFailed, ConnectionLost
from tests.server.workers.world import USER, World, other_account

Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda *lines, **named: World(tmp_path, monkeypatch, *lines, **named)


class Raw:
    """A protocol that keeps what comes."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: Any) -> None:
        self.data += bytes(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True


async def raw(world: World, text: bytes = b"") -> Raw:
    """Connect without a word of SSH."""
    protocol: Raw = await world.reactor.connect_tcp("127.0.0.1", world.port, Raw)
    protocol.transport.write(text)
    return protocol


# Deaths.


def test_the_death_of_a_worker_ends_its_connections_only_and_a_new_one_serves(make: Make) -> None:
    world = make("Workers 2")

    async def test(world: World) -> None:
        first, second = await world.connect(), await world.connect()
        old = dict(world.servers)
        dead = next(pid for pid, server in old.items() if server.connections)
        world.kill(dead)
        await world.until(lambda: len(world.servers) == 2 and all(w.ready for w in world.supervisor.workers))
        outcomes = []
        for connection in (first, second):
            try:
                outcomes.append((await connection.run("echo in")).stdout)
            except ConnectionLost:
                outcomes.append(b"")
        assert sorted(outcomes) == [b"", b"in\n"]
        async with world.connect() as third:
            assert (await third.run("echo in")).stdout == b"in\n"
        first.close()
        second.close()

    world.run(test)
    assert "has ended (the other process has gone) and is started again" in world.log.text


def test_what_workers_count_is_told_of_the_whole_server(make: Make) -> None:
    world = make("Workers 2", "KexAlgorithms curve25519-sha256")

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        metrics = world.supervisor.metrics
        await world.until(lambda: metrics.traffic.value("in") > 0)
        assert metrics.traffic.value("out") > 500
        assert metrics.key_exchanges.value("curve25519-sha256") == 1

    world.run(test)


def test_a_worker_that_dies_at_once_is_started_with_growing_pauses(make: Make) -> None:
    world = make("Workers 1")
    pauses: list[float] = []
    call_later = world.reactor.call_later

    def later(seconds: float, function: Callable[..., object], *args: Any) -> Any:
        if function == world.supervisor._restart:
            pauses.append(seconds)
            seconds = 0.0
        return call_later(seconds, function, *args)

    world.reactor.call_later = later
    world.die_at_once = 9

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"

    world.run(test)
    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE
    assert len(pauses) == 9


def test_a_worker_that_cannot_be_started_is_tried_again(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        world.fork_error = OSError(errno.EAGAIN, "no more processes")
        (pid,) = world.servers
        world.kill(pid)
        await world.until(lambda: "no worker can be started: no more processes" in world.log.text)
        sock, other = socket.socketpair()
        world.supervisor.take_socket(sock, ("192.0.2.1", 1))
        assert other.recv(10) == b""
        other.close()
        assert "192.0.2.1: refused: no worker serves just now" in world.log.text
        world.fork_error = None
        await world.until(lambda: world.supervisor.workers and world.supervisor.workers[0].ready)
        async with world.connect() as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"

    world.run(test)


def test_no_worker_is_started_while_the_server_ends(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        (pid,) = world.servers
        world.supervisor.closing = True
        world.kill(pid)
        await world.until(lambda: not world.supervisor.workers)
        world.supervisor._restart()
        assert world.supervisor.workers == []

    world.run(test)


# Lies.


@pytest.mark.parametrize(
    "lie",
    [
        b"\xff",
        messages.LoggedIn(99, "root", "none").encode(),
        messages.Address(1, "192.0.2.1", 1, "192.0.2.2", 2).encode(),
        messages.Sign(1, 1, "ssh-ed25519", bytes(65)).encode(),
        messages.Ask(1, 1, "none", b"").encode(),
        messages.Prepare(1, 1, "root", b"").encode(),
        bytes((messages.Ask.number,)),
        bytes((messages.Sign.number,)) + b"\xff" * 20,
    ],
)
def test_r1_a_lie_ends_the_worker_and_nobody_is_let_in(make: Make, lie: bytes) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        client = await raw(world)
        await world.until(lambda: world.supervisor.workers[0].logins)
        (pid,) = world.servers
        world.servers[pid]._link.send(lie)
        await world.until(lambda: pid in world.killed)
        await world.until(lambda: client.ended and any(w.ready for w in world.supervisor.workers))
        assert world.supervisor.startups.count == 0

    world.run(test)
    assert world.supervisor.sessions == {}


def test_messages_about_connections_that_have_ended_mean_nothing(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        (server,) = world.servers.values()
        for message in (
            messages.Sign(1, 99, "ssh-ed25519", bytes(32)),
            messages.Prepare(1, 99, "root", b""),
            messages.Ask(1, 99, "none", b""),
            messages.Failed(99, "root", "none", ""),
            messages.Ended(99, "crash", 0, 0, ""),
        ):
            with open(os.devnull, "rb") as file:
                server._link.send(message.encode(), (file.fileno(),))  # nobody wants it: it is closed
        async with world.connect() as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"

    world.run(test)
    assert world.killed == [] or "is started again" not in world.log.text


def test_who_separates_no_privileges_may_say_who_is_logged_in_but_once(make: Make) -> None:
    world = make("Workers 1", separated=False)

    async def test(world: World) -> None:
        async with world.connect():
            (pid,) = world.servers
            (number,) = world.supervisor.workers[0].logins
            world.servers[pid]._link.send(messages.LoggedIn(number, "x", "none").encode())
            await world.until(lambda: pid in world.killed)

    world.run(test)
    assert "somebody is said to be logged in who cannot be" in world.log.text


# A verdict that comes late, and a session that cannot be.


def test_r5_a_late_verdict_starts_no_session_and_counts_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sshkit.server.login_policy import LoginPolicy

    world = make("Workers 1")
    waiting: Deferred[Any] = Deferred()
    asked: list[str] = []

    def public_key(self: Any, user: str, *_: object) -> Any:
        asked.append(user)
        return waiting

    monkeypatch.setattr(LoginPolicy, "public_key", public_key)

    async def test(world: World) -> None:
        opening = sshkit_task(world.connect())
        await world.until(lambda: asked)
        for server in world.servers.values():
            for connection in tuple(server.connections):
                connection.layer.transport.abort()  # type: ignore[union-attr]
        await world.until(lambda: world.supervisor.startups.count == 0)
        waiting.callback(Grant(USER, "publickey"))
        await opening
        assert world.supervisor.startups.count == 0
        assert world.supervisor.sessions == {}

    world.run(test)
    assert "the client has gone" in world.log.text


def sshkit_task(opening: Any) -> Deferred[Any]:
    """Begin to connect; fires when that has ended, however."""
    from sshkit.deferred import ensure_deferred

    async def connect() -> None:
        try:
            connection = await opening
        except (ConnectionLost, AuthenticationFailed):
            return
        connection.close()

    return ensure_deferred(connect())


def test_who_gets_no_process_may_try_again(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        def full() -> None:
            world.before_session = lambda: None
            raise OSError(errno.EAGAIN, "no more processes")

        world.before_session = full
        again = generate_private_key("ed25519")
        with open(world.folder / "authorized_keys", "a") as file:
            file.write(again.public.to_line() + "\n")
        async with world.connect(identities=[world.key, again]) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
    assert "no session for" in world.log.text


# Limits.


def test_r42_limits_and_penalties_count_over_all_workers(make: Make) -> None:
    world = make("Workers 2", "MaxStartups 3:100:3", "PerSourceMaxStartups 2")

    async def test(world: World) -> None:
        first, second = await raw(world), await raw(world)
        await world.until(lambda: world.supervisor.startups.count == 2)
        assert sorted(len(worker.logins) for worker in world.supervisor.workers) == [1, 1]
        third = await raw(world)
        await world.until(lambda: third.ended)
        sock, other = socket.socketpair()
        world.supervisor.take_socket(sock, ("192.0.2.1", 1))
        await world.turn()
        late, end = socket.socketpair()
        world.supervisor.take_socket(late, ("192.0.2.2", 1))
        assert end.recv(100) == b""
        for each in (other, end):
            each.close()
        for client in (first, second):
            client.transport.close()
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
    assert "127.0.0.1: refused: 2 connections of 127.0.0.1 are not logged in" in world.log.text
    assert "MaxStartups" in world.log.text


def test_r42_failures_in_one_worker_are_punished_in_all(make: Make) -> None:
    world = make("Workers 2", "PerSourcePenalties authfail:60 noauth:1 min:5")

    async def test(world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            await world.connect(identities=[generate_private_key("ed25519")])
        await world.until(lambda: world.supervisor.penalties)
        for _ in range(2):
            client = await raw(world)
            await world.until(lambda client=client: client.ended)  # type: ignore[misc]
            assert client.data == b""

    world.run(test)
    assert world.supervisor.metrics.refused is not None


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 22\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes((192, 0, 2, 7, 192, 0, 2, 1)) + b"\x0f\xa0\x00\x16",
    ],
)
@pytest.mark.parametrize("separated", [True, False])
def test_clients_behind_a_proxy_are_punished_one_by_one(make: Make, header: bytes, separated: bool) -> None:
    world = make(
        "Workers 2", "ProxyProtocol required", "PerSourcePenalties noauth:60 min:5", separated=separated
    )

    async def test(world: World) -> None:
        first = await raw(world, header + b"GET / HTTP/1.0\r\n\r\n")
        await world.until(lambda: first.ended)
        await world.until(lambda: world.supervisor.penalties)
        again = await raw(world, header + b"SSH-2.0-x\r\n")
        await world.until(lambda: again.ended)
        other = await raw(world, header.replace(b"192.0.2.7", b"192.0.2.8").replace(b"\x02\x07", b"\x02\x08"))
        await world.until(lambda: b"SSH-2.0" in other.data)
        assert not other.ended
        other.transport.close()
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
    assert "192.0.2.7: refused" in world.log.text


@pytest.mark.parametrize("separated", [True, False])
@pytest.mark.parametrize("proxies", ["127.0.0.0/8", "none", "192.0.2.0/24"])
def test_only_the_proxies_that_are_configured_are_believed(make: Make, proxies: str, separated: bool) -> None:
    world = make(
        "Workers 1",
        "ProxyProtocol required",
        f"ProxyProtocolFrom {proxies}",
        "LogLevel VERBOSE",
        separated=separated,
    )
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 22\r\n"

    async def test(world: World) -> None:
        client = await raw(world, header + b"SSH-2.0-x\r\n")
        await world.until(lambda: client.ended if proxies == "192.0.2.0/24" else b"SSH-2.0" in client.data)
        (worker,) = world.supervisor.workers
        if not client.ended:
            assert [login.source for login in worker.logins.values()] == ["192.0.2.7"]
            client.transport.close()
        await world.until(lambda: world.supervisor.startups.count == 0 and not worker.logins)

    world.run(test)
    assert ("127.0.0.1: PROXY header: not a trusted proxy" in world.log.text) == (proxies == "192.0.2.0/24")


def test_r1_a_worker_cannot_make_a_proxy_of_a_stranger(make: Make) -> None:
    world = make("Workers 1", "ProxyProtocol yes", "ProxyProtocolFrom 192.0.2.0/24")

    async def test(world: World) -> None:
        client = await raw(world)
        await world.until(lambda: world.supervisor.workers[0].logins)
        (pid,) = world.servers
        world.servers[pid]._link.send(messages.Address(1, "192.0.2.1", 1, "192.0.2.2", 2).encode())
        await world.until(lambda: pid in world.killed)
        await world.until(lambda: client.ended)

    world.run(test)
    assert "by the word of a proxy that is not trusted" in world.log.text


@pytest.mark.parametrize("separated", [True, False])
def test_a_header_that_is_damaged_ends_the_connection(make: Make, separated: bool) -> None:
    world = make("Workers 1", "ProxyProtocol required", separated=separated)

    async def test(world: World) -> None:
        client = await raw(world, b"SSH-2.0-x\r\n")
        await world.until(lambda: client.ended)
        await world.until(lambda: world.supervisor.startups.count == 0)

    world.run(test)
    assert "PROXY header" in world.log.text
    assert world.supervisor.metrics.refused.value("proxy_header") == 1


@pytest.mark.parametrize("separated", [True, False])
@pytest.mark.parametrize("text", [b"", b"PROXY TCP4 192.0.2.7"])
def test_r42_who_goes_before_his_header_counts_no_longer(make: Make, text: bytes, separated: bool) -> None:
    world = make("Workers 1", "ProxyProtocol yes", "MaxStartups 2", separated=separated)

    async def test(world: World) -> None:
        for _ in range(5):  # as the checks of a proxy do that only look whether the port answers
            client = await raw(world, text)
            await world.until(lambda: world.supervisor.startups.count == 1)
            client.transport.close()
            await world.until(lambda: world.supervisor.startups.count == 0)
        assert not world.supervisor.workers[0].logins

    world.run(test)


@pytest.mark.parametrize("separated", [True, False])
def test_refuse_connection_ends_the_connection_and_punishes_its_source(make: Make, separated: bool) -> None:
    lines = ("RefuseConnection yes", "PerSourcePenalties refuseconnection:60 min:1")
    world = make("Workers 1", "MaxAuthTries 6", *lines, separated=separated)

    async def test(world: World) -> None:
        with pytest.raises((AuthenticationFailed, ConnectionLost)) as caught:
            await world.connect()
        assert "RefuseConnection" not in str(caught.value)  # why is the administrator's affair
        await world.until(lambda: world.supervisor.penalties)
        await world.until(lambda: world.supervisor.startups.count == 0)
        client = await raw(world)
        await world.until(lambda: client.ended)
        assert client.data == b""

    world.run(test)
    refused = world.supervisor.metrics.refused
    assert (refused.value("refused_by_config"), refused.value("penalty")) == (1, 1)


# Other plans, and ends.


def test_a_reload_gives_new_connections_the_new_plan_and_lets_old_ones_go_on(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        old = await world.connect()
        plan = world.make_plan("Workers 2", "ForceCommand echo forced", "PerSourcePenalties authfail:1")
        before = world.plan
        done: list[object] = []
        world.supervisor.wait_for(before).add_callback(done.append)
        await world.supervisor.replace(plan)
        async with world.connect() as new:
            assert (await new.run("echo own")).stdout == b"forced\n"
        assert (await old.run("echo own")).stdout == b"own\n"
        assert done == []
        old.close()
        await world.until(lambda: done)
        assert world.supervisor.penalties is not None

    world.run(test)


def test_a_reload_without_a_process_for_it_changes_nothing(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        before = world.supervisor.plan
        world.fork_error = OSError(errno.EAGAIN, "no more processes")
        with pytest.raises(OSError, match="no more processes"):
            world.supervisor.replace(world.make_plan("Workers 2", "ForceCommand echo forced"))
        world.fork_error = None
        assert world.supervisor.plan is before
        async with world.connect() as connection:
            assert (await connection.run("echo own")).stdout == b"own\n"

    world.run(test)


def test_to_drain_ends_who_is_not_logged_in_and_waits_for_the_others(make: Make) -> None:
    world = make("Workers 2")

    async def test(world: World) -> None:
        connection = await world.connect()
        stranger = await raw(world)
        await world.until(lambda: world.supervisor.startups.count == 1)
        world.supervisor.drain()
        await world.until(lambda: stranger.ended)
        assert (await connection.run("echo in")).stdout == b"in\n"
        late = await raw(world)
        await world.until(lambda: late.ended)
        connection.close()
        await world.supervisor.wait_closed()

    world.run(test)
    assert "refused: no worker serves just now" in world.log.text


def test_to_drain_softly_lets_strangers_log_in(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        stranger = await raw(world)
        await world.until(lambda: stranger.data)
        world.supervisor.drain_softly()
        world.supervisor.workers[0].drain()  # a second time is the same
        await world.turn()
        assert not stranger.ended
        stranger.transport.close()
        await world.supervisor.wait_closed()

    world.run(test)


def test_workers_end_everything_when_the_monitor_has_gone(make: Make) -> None:
    world = make("Workers 1")

    async def test(world: World) -> None:
        client = await raw(world)
        await world.until(lambda: client.data)
        world.supervisor.closing = True
        world.supervisor.workers[0].link._fail(ConnectionResetError("dead"))
        await world.until(lambda: client.ended)

    world.run(test)


@pytest.mark.parametrize("pipes", [False, True])
def test_a_connection_that_is_there_already_is_served(make: Make, pipes: bool) -> None:
    world = make("Workers 1")
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    fds = (theirs.fileno(), os.dup(theirs.fileno())) if pipes else (theirs.fileno(),)

    async def test(world: World) -> None:
        world.supervisor.adopt(*fds)
        got = b""

        def more() -> bytes:
            nonlocal got
            try:
                got += ours.recv(100)
            except BlockingIOError:
                pass
            return got

        await world.until(lambda: b"SSH-2.0" in more())

    world.run(test)
    for fd in fds[1:]:
        os.close(fd)
    ours.close()
    theirs.close()


# Who the workers are.


def test_workers_become_a_user_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit.server import accounts

    real = accounts.find_account
    monkeypatch.setattr(accounts, "find_account", lambda name: None if name == "sshd" else real(name))
    assert unprivileged() == other_account()
    root = real("root")
    monkeypatch.setattr(accounts, "find_account", lambda name: root)
    with pytest.raises(AccountError, match="neither a user sshd nor a user nobody"):
        unprivileged()
    monkeypatch.setattr(accounts, "find_account", lambda name: None)
    with pytest.raises(AccountError):
        unprivileged()


def test_a_process_that_has_gone_is_not_killed_twice() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    supervisor._kill(pid)
