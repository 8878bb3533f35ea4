"""Sessions opened again at another host: in memory, and with ssh, sftp and scp through to a real sshd."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.key_files import write_private_key

import sshkit
from sshkit.blocking import BlockingServer
from sshkit.server.bastion import BastionRefused, Bridge, Target, forward_sessions, target_of
from sshkit.server.middleware import chain, logging
from tests.interop.peers import BACKPORTS
from tests.peers import RealSshd
from tests.server.test_serve import HOST_KEY, KEY, World

HOSTS = ("*.example", "127.0.0.1")


class Both:
    """A bastion and a target in one memory."""

    def __init__(self, target: Any, **options: Any) -> None:
        self.log: list[str] = []
        self.connected: list[Any] = []
        self.target_handler = target
        self.options = options
        self.connect: Any = None
        self.port = 0
        self.around: list[Any] = []

    def run(self, test: Any, **world_options: Any) -> None:
        both = self

        async def connect(session: sshkit.Session) -> Any:
            target = target_of(session.user, HOSTS)
            connection = await sshkit.connect(
                f"{target.user}@{target.host}",
                port=both.port,
                host_keys=[HOST_KEY.public],
                identities=[KEY],
                reactor=world.reactor,
            )
            both.connected.append(connection)
            return connection

        world = World(
            chain(forward_sessions(both.connect or connect, **self.options), *both.around),
            passwords={"ann%db.example": "secret", "ann%other": "secret", "ann": "secret"},
            **world_options,
        )

        async def inner(world: World) -> None:
            async with sshkit.serve(
                "127.0.0.1:0",
                both.target_handler,
                host_keys=[HOST_KEY],
                authorized_keys=[KEY.public],
                sftp=True,
                reactor=world.reactor,
                log=lambda level, text, error: both.log.append(text),
            ) as target:
                both.port = target.address[1]
                await test(world)

        world.run(inner)
        self.world = world


async def tool(session: sshkit.Session) -> int | None:
    session.stdout.write(f"{session.user}:{session.command}:{session.environment.get('LANG')}\n")
    session.stderr.write("complaint")
    session.stdout.write(await session.stdin.read())
    if session.command == "die":
        session.exit_by_signal("TERM", True, "killed")
        return None
    return 7


def test_a_command_runs_at_the_target_with_all_its_streams() -> None:
    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            result = await connection.run("it", input=b"\0\xff input", environment={"LANG": "C"})
            assert (result.exit_status, result.stderr) == (7, b"complaint")
            assert result.stdout == b"ann:it:C\n\0\xff input"
            result = await connection.run("die")
            assert (result.exit_signal, result.core_dumped, result.exit_message) == ("TERM", True, "killed")

    both = Both(tool)
    both.run(test)
    assert all(connection.is_closed for connection in both.connected)
    assert not [line for line in both.world.log if line.startswith("error")]


def test_a_shell_has_its_terminal_its_signals_and_its_size() -> None:
    seen: list[Any] = []

    async def shell(session: sshkit.Session) -> int:
        assert session.terminal is not None
        seen.extend((session.command, session.terminal.name, session.terminal.size, session.terminal.modes))
        session.on_resize(seen.append)
        session.on_signal(seen.append)
        session.on_break(seen.append)
        await session.stdin.read()
        return 0

    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            size = sshkit.TerminalSize(90, 30, 5, 6)
            process = await connection.start(None, terminal="vt220", size=size, modes=b"\x35\0\0\0\0\0")
            process.resize(sshkit.TerminalSize(100, 40))  # the target is not there yet
            await world.later()
            process.resize(sshkit.TerminalSize(101, 41))
            process.send_signal("INT")
            await process.send_break(300)
            with pytest.raises(sshkit.ChannelRequestFailed):
                await process.channel.request("nonsense")
            process.stdin.write_eof()
            await process.wait()
            assert process.exit_status == 0

    Both(shell).run(test)
    assert seen[:2] == [None, "vt220"]
    assert seen[2].columns in (90, 100)
    assert seen[3] == b"\x35\0\0\0\0\0"
    assert seen[-3:] == [sshkit.TerminalSize(101, 41), "INT", 300]


def test_sftp_passes_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(300_000))

    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection, connection.sftp() as sftp:
            await sftp.put(tmp_path / "file", str(tmp_path / "copy"))
            assert await sftp.listdir(str(tmp_path))

    Both(tool).run(test)
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file").read_bytes()


def test_r24_whoever_is_slow_stops_the_other_side() -> None:
    total = 20 * 1024 * 1024
    written = 0

    async def flood(session: sshkit.Session) -> int:
        nonlocal written
        while written < total:
            session.stdout.write(bytes(65536))
            written += 65536
            await session.stdout.drain()
        return 0

    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            process = await connection.start("flood")
            process.channel.pause_reading()
            await world.later(5)
            assert written < 8 * 1024 * 1024
            process.channel.resume_reading()
            assert len(await process.stdout.read()) == total

    Both(flood).run(test)

    taken = 0

    async def slow(session: sshkit.Session) -> int:
        nonlocal taken
        session.channel.pause_reading()
        await world_later(session, 5)
        session.channel.resume_reading()
        while data := await session.stdin.read(65536):
            taken += len(data)
        return 0

    async def test_input(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            process = await connection.start("slow")
            sent = 0
            while sent < total:
                process.stdin.write(bytes(65536))
                sent += 65536
                drained = process.stdin.drain()
                if not drained.called:
                    assert sent < 10 * 1024 * 1024 or taken
                await drained
            process.stdin.write_eof()
            await process.wait()
            assert taken == total

    Both(slow).run(test_input)


def world_later(session: sshkit.Session, seconds: float) -> Any:
    waiter: sshkit.Deferred[None] = sshkit.Deferred()
    session.connection.server.clock.call_later(seconds, waiter.callback, None)
    return waiter


def test_where_nobody_may_go_the_client_is_told_so() -> None:
    async def test(world: World) -> None:
        async with world.connect("ann%other") as connection:
            result = await connection.run("x")
            assert (result.exit_status, result.stderr) == (255, b"other is not reached through here\n")
        async with world.connect("ann") as connection:
            result = await connection.run("x")
            assert (result.exit_status, result.stderr) == (255, b"log in as user%host\n")

    Both(tool).run(test)


def test_a_target_that_refuses_or_is_silent_or_breaks_is_told_of() -> None:
    async def vanish(session: sshkit.Session) -> None:
        if session.command == "vanish":
            session.connection.layer.transport.abort()  # type: ignore[union-attr]
        elif session.command == "close":
            session._ended = True
            session.channel.close()
        await sshkit.Deferred()

    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            assert (await connection.run("vanish")).exit_status == 255
            result = await connection.run("close")
            assert (result.exit_status, result.exit_signal) == (None, None)
            process = await connection.subsystem("sftp")
            process.close()
            await world.later()
            assert both.connected[-1].is_closed

    both = Both(vanish)
    both.run(test)


def test_a_target_that_does_not_answer_is_given_up() -> None:
    class Silent:
        closed = False

        def open_session(self, protocol: Any) -> Any:
            return sshkit.Deferred()

        async def close(self) -> None:
            self.closed = True

    silent = Silent()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("x", input="typed")
            assert result.exit_status == 255
            assert b"starting command 'x' did not end within 5 s" in result.stderr

    both = Both(tool, timeout=5)
    both.connect = lambda session: silent
    both.run(test)
    assert silent.closed


def test_a_client_that_goes_while_the_target_is_connected_to_cancels_that() -> None:
    cancelled: list[bool] = []

    def connect(session: sshkit.Session) -> Any:
        return sshkit.Deferred(lambda _: cancelled.append(True))

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x")
            process.stdin.write("early")
            await world.later()
        await world.later()

    both = Both(tool)
    both.connect = connect
    both.run(test)
    assert cancelled == [True]


def test_a_connection_that_several_share_is_left_open() -> None:
    shared: list[Any] = []

    async def test(world: World) -> None:
        shared.append(
            await sshkit.connect(
                "ann@db",
                port=both.port,
                host_keys=[HOST_KEY.public],
                identities=[KEY],
                reactor=world.reactor,
            )
        )
        async with world.connect() as connection:
            for _ in range(2):
                result = await connection.run("x", environment={"LANG": "C"})
                assert result.stdout == b"ann:x:None\n"
        assert not shared[0].is_closed
        await shared[0].close()

    both = Both(tool, close=False, environment=False)
    both.connect = lambda session: shared[0]
    both.run(test)


@pytest.mark.parametrize(
    "name",
    [
        "ann",
        "ann%",
        "%db.example",
        "ann%db.example%x",
        "ann%db.example%0",
        "ann%db.example%65536",
        "ann%db.example%1%2",
        "ann%-oProxyCommand=x.example",
        "-x%db.example",
        "a/b%db.example",
        "ann%db.example\n",
        "ann%d$(b).example",
        "ann%db.test",
        "ann%" + "x" * 256 + ".example",
    ],
)
def test_r39_names_that_are_no_user_and_host_are_refused(name: str) -> None:
    with pytest.raises(BastionRefused):
        target_of(name, HOSTS)


def test_a_user_name_has_user_host_and_port() -> None:
    assert target_of("ann%DB.example", HOSTS) == Target("ann", "db.example", None)
    assert target_of("a.b+db.example+2222", HOSTS) == Target("a.b", "db.example", 2222)
    assert target_of("a+b%db.example", HOSTS) == Target("a+b", "db.example", None)
    assert target_of("a%b:db.example", HOSTS, ":") == Target("a%b", "db.example", None)


def test_r30_what_a_target_says_out_of_order_reaches_the_client_only_where_it_means_something() -> None:
    async def odd(session: sshkit.Session) -> None:
        channel = session.channel
        channel.notify("xon-xoff", b"\x01")
        channel.notify("eow@openssh.com")
        channel.notify("nonsense", b"x" * 100)
        channel.notify("exit-status", b"\0\0")
        channel.notify("exit-signal", b"\xff\xff\xff\xff")
        channel.notify("exit-status", b"\0\0\0\x05")
        channel.notify("exit-status", b"\0\0\0\x06")
        session._ended = True
        channel.write_eof()
        channel.close()

    entries: list[Any] = []

    async def test(world: World) -> None:
        async with world.connect("ann%db.example") as connection:
            process = await connection.start("x")
            await process.wait()
            assert (process.exit_status, process.exit_signal, process.flow_control) == (5, None, True)
            process.stdin.write("dropped")
            process.channel.notify("window-change", b"")

    both = Both(odd)
    both.around = [logging(entries.append)]
    both.run(test)
    assert "status=5" in entries[-1]


def test_a_client_that_goes_while_the_channel_is_opened_leaves_nothing_behind() -> None:
    opening: sshkit.Deferred[Any] = sshkit.Deferred()
    aborted: list[bool] = []

    class Slow:
        def open_session(self, protocol: Any) -> Any:
            opened: sshkit.Deferred[Any] = sshkit.Deferred(lambda _: None)
            opening.add_callback(opened.callback)
            return opened

        async def close(self) -> None:
            """Nothing to close."""

    class Channel:
        def abort(self) -> None:
            aborted.append(True)

    session: Any = Session()
    bridge = Bridge(session)
    assert bridge.request_received("window-change", b"")
    assert not bridge.request_received("signal", b"")
    bridge.pause_writing()
    bridge.resume_writing()
    bridge.eof_received()
    bridge.data_received(memoryview(b"early"))
    started = bridge.open(Slow(), True)
    bridge.channel_closed(None)
    opening.callback(Channel())
    failed: list[Any] = []
    started.add_errback(lambda failure: failed.append(failure.exception))
    assert isinstance(failed[0], sshkit.ChannelClosed)
    assert aborted == [True]
    assert session.closed


class Session:
    """As much of a session as a bridge touches before its target is there."""

    channel = None
    closed = False

    def request_received(self, kind: str, body: bytes) -> bool:
        return True

    def channel_closed(self, error: BaseException | None) -> None:
        self.closed = True


# Real programs through it.


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[RealSshd]:
    (tmp_path / "target").mkdir()
    with RealSshd(tmp_path / "target") as server:
        yield server


#: OpenSSH 10.0, where it is installed beside the system's.
BACKPORT = BACKPORTS / "usr" / "bin" / "ssh"
SSH = ["ssh", *([str(BACKPORT)] if BACKPORT.exists() else [])]


@pytest.fixture
def bastion(sshd: RealSshd, tmp_path: Path) -> Iterator[tuple[BlockingServer, list[str]]]:
    write_private_key(tmp_path / "key", KEY.to_openssh(random_bytes=os.urandom))

    def connect(session: sshkit.Session) -> Any:
        target = target_of(session.user, ["127.0.0.1"])
        return sshkit.connect(
            f"{target.user}@127.0.0.1",
            port=sshd.port,
            host_keys=[sshd.host_key.public],
            identities=[sshd.user_key],
        )

    with sshkit.blocking.serve(
        "127.0.0.1:0", forward_sessions(connect), host_keys=[HOST_KEY], authorized_keys=[KEY.public]
    ) as server:
        options = [
            "-F", "none", "-i", str(tmp_path / "key"), "-o", "StrictHostKeyChecking=accept-new",
            "-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-o", "IdentitiesOnly=yes",
            "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
            "-o", "User=root+127.0.0.1",
        ]  # fmt: skip
        yield server, [*options, "-o", f"Port={server.address[1]}"]


def run(*words: Any, input: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(list(words), input=input, capture_output=True, timeout=30, check=False)


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("ssh", SSH)
@pytest.mark.parametrize("user", ["root%%127.0.0.1", "root+127.0.0.1"])
def test_every_ssh_can_say_where_to(bastion: Any, ssh: str, user: str) -> None:
    if int(run(ssh, "-V").stderr.partition(b"OpenSSH_")[2].partition(b".")[0]) < 10:  # without tokens
        user = user.replace("%%", "%")
    result = run(ssh, "-o", f"User={user}", *bastion[1], "127.0.0.1", "echo $0; exit 6")
    assert (result.returncode, result.stderr) == (6, b"")


@pytest.mark.peer("sshd")
def test_ssh_runs_commands_through_it(bastion: Any) -> None:
    _, options = bastion
    result = run("ssh", *options, "127.0.0.1", "cat; echo oops >&2; exit 5", input=b"x" * 3_000_000)
    assert (result.returncode, result.stderr) == (5, b"oops\n")
    assert result.stdout == b"x" * 3_000_000
    result = run("ssh", *options, "127.0.0.1", "kill -TERM $$")
    assert result.returncode == 255
    result = run("ssh", "-tt", *options, "127.0.0.1", "stty size; tty; exit 3")
    assert result.returncode == 3
    assert b"/dev/pts/" in result.stdout


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("options", [["-s"], ["-O"]], ids=["sftp", "rcp"])
def test_scp_copies_through_it(bastion: Any, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "from").write_bytes(os.urandom(2_000_000))
    result = run("scp", *options, *bastion[1], tmp_path / "from", f"127.0.0.1:{tmp_path / 'to'}")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "to").read_bytes() == (tmp_path / "from").read_bytes()
    result = run("scp", *options, *bastion[1], f"127.0.0.1:{tmp_path / 'to'}", tmp_path / "back")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "back").read_bytes() == (tmp_path / "from").read_bytes()


@pytest.mark.peer("sshd")
def test_sftp_works_through_it(bastion: Any, tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(os.urandom(500_000))
    commands = f"put {tmp_path / 'from'} {tmp_path / 'to'}\nls -l {tmp_path}\n".encode()
    result = run("sftp", "-b", "-", *bastion[1], "127.0.0.1", input=commands)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "to").read_bytes() == (tmp_path / "from").read_bytes()
