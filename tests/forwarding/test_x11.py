"""X11 forwarding in memory: cookies, time-outs, displays, and both ends of it (R26, R27, R28, R29)."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred
from sshkit.forwarding.addresses import TcpPlace, UnixPlace
from sshkit.forwarding.errors import NoDisplay
from sshkit.forwarding.programs import MAX_OUTPUT, run_program
from sshkit.forwarding.x11 import X11Options
from sshkit.forwarding.x11_displays import parse_display
from sshkit.reactor.errors import SpawnError
from sshkit.server import x11 as server_x11
from sshkit.server.forward_policy import X11Policy
from sshkit.server.key_limits import KeyLimits
from sshkit.ssh.channels.x11 import X11Request
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.forwarding.unix_world import UnixReactor, UnixWorld
from tests.forwarding.world import End
from tests.ssh.channels.test_x11 import FAKE, REAL, first_packet

DISPLAY = "screen:3.1"
PORT = 6003  #: of the X server
FIRST = 6010  #: of the display at the server
POLICY = sshkit.ForwardPolicy(x11=X11Policy(environment={"HOME": "/home/of/ann"}))


class X11World(UnixWorld):
    """With an X server that says back what it hears, and an xauth."""

    def __init__(self) -> None:
        super().__init__()
        self.network.program = self.xauth
        self.cookie: bytes | None = REAL
        self.filed: list[str] = []

    def xauth(self, argv: tuple[str, ...], data: bytes) -> tuple[int, bytes]:
        if argv[1:3] == ("-q", "-"):
            self.filed += data.decode().splitlines()
            return 0, b""
        if "generate" in argv or self.cookie is None:
            return 1, b""
        return 0, b"vm/unix:3  MIT-MAGIC-COOKIE-1  " + self.cookie.hex().encode() + b"\nrest\n"

    def with_display(
        self,
        main: Any,
        forwards: Any = POLICY,
        handler: Any = None,
        options: Any = None,
        **settings: Any,
    ) -> Any:
        """Run ``main(connection, process)`` with a session that has a display."""
        wanted = options or X11Options(DISPLAY, trusted=True)

        async def stay(session: sshkit.Session) -> int:
            session.stdout.write(f"{session.display}\n")
            return len(await session.stdin.read()) and 0

        async def body(connection: sshkit.ClientConnection) -> Any:
            screen = await self.listen(End, PORT)
            process = await connection.start("x", forward_x11=wanted)
            result = await main(connection, process)
            await self.settled()
            process.close()
            await self.settled()
            screen.close()
            return result

        return self.with_forwards(body, handler=handler or stay, forwards=forwards, **settings)

    def false_cookie(self) -> bytes:
        """Return what the server was given."""
        (line,) = [line for line in self.filed if line.startswith("add")]
        return bytes.fromhex(line.split()[-1])


@pytest.fixture
def world() -> X11World:
    return X11World()


def test_an_x_client_at_the_server_reaches_the_display_with_the_real_cookie(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        assert await process.stdout.read_line() == b"localhost:10.1\n"
        assert not process.refused
        client = await world.dial(FIRST, first_packet(cookie=world.false_cookie())[:20])
        await world.settled()
        client.transport.write(first_packet(cookie=world.false_cookie())[20:])
        await world.settled()
        screen = world.targets[0]
        assert bytes(screen.data) == first_packet(cookie=REAL)
        client.transport.write(b"requests")
        screen.transport.write(b"replies")
        await world.settled()
        assert bytes(screen.data).endswith(b"requests")
        assert bytes(client.data) == b"replies"
        assert connection.x11_forwarding is not None
        assert connection.x11_forwarding.tally.open == 1
        client.transport.write_eof()
        await world.settled()
        assert screen.ended
        screen.transport.close()
        await world.settled()

    world.with_display(main)
    false = world.filed[1].split()[-1]
    assert false != REAL.hex()
    assert world.filed == [
        "remove unix:10.1",
        f"add unix:10.1 MIT-MAGIC-COOKIE-1 {false}",
        "remove unix:10.1",
    ]
    assert ("/usr/bin/xauth", "list", DISPLAY) in [process.argv for process in world.network.processes]
    assert {"HOME": "/home/of/ann"} in world.network.environments


@pytest.mark.parametrize(
    "packet",
    [first_packet(cookie=REAL), first_packet(cookie=FAKE), b"GET / HTTP/1.1\r\n", b"\xff" * 4000],
    ids=["the real cookie", "another", "no X client", "rubbish"],
)
def test_r29_an_x_client_without_the_false_cookie_reaches_nothing(world: X11World, packet: bytes) -> None:
    notes: list[str] = []

    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        assert connection.x11_forwarding is not None
        connection.x11_forwarding.note = notes.append
        client = await world.dial(FIRST, packet)
        await world.settled()
        client.transport.write(packet)
        await world.settled()
        assert client.ended
        assert not world.targets[0].data
        assert connection.x11_forwarding.tally.refused == 1

    world.with_display(main)
    assert "was refused" in notes[0]


def test_each_session_has_a_cookie_of_its_own(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        first = world.false_cookie()
        world.filed.clear()
        other = await connection.start("y", forward_x11=X11Options(DISPLAY, trusted=True))
        assert await other.stdout.read_line() == b"localhost:11.1\n"
        assert world.false_cookie() != first
        for port, cookie in ((FIRST, first), (FIRST + 1, world.false_cookie())):
            await world.dial(port, first_packet(cookie=cookie))
        await world.settled()
        assert [bytes(target.data) for target in world.targets] == [first_packet(cookie=REAL)] * 2
        other.close()

    world.with_display(main)


def test_a_single_connection_is_one(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        packet = first_packet(cookie=world.false_cookie())
        await world.dial(FIRST, packet)
        await world.settled()
        assert bytes(world.targets[0].data) == first_packet(cookie=REAL)
        with pytest.raises(sshkit.ConnectError):
            await world.dial(FIRST, packet)
        forwarding = connection.x11_forwarding
        assert forwarding is not None
        with pytest.raises(sshkit.ChannelOpenFailed, match="any more"):
            forwarding.channel_requested()

    world.with_display(main, options=X11Options(DISPLAY, trusted=True, single_connection=True))


def test_untrusted_programs_come_for_a_while_only(world: X11World) -> None:
    made: list[tuple[str, ...]] = []

    def xauth(argv: tuple[str, ...], data: bytes) -> tuple[int, bytes]:
        made.append(argv)
        if "generate" in argv:
            assert os.stat(os.path.dirname(argv[2])).st_mode & 0o777 == 0o700
            return 0, b""
        return X11World.xauth(world, argv, data)

    world.network.program = xauth

    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        packet = first_packet(cookie=world.false_cookie())
        await world.sleep(90)
        await world.dial(FIRST, packet)
        await world.settled()
        assert bytes(world.targets[0].data) == first_packet(cookie=REAL)
        waiting = await world.dial(FIRST, packet[:10])
        await world.settled()
        await world.sleep(20)
        waiting.transport.write(packet[10:])  # it came in time, and its cookie too late
        late = await world.dial(FIRST, packet)
        await world.settled()
        assert late.lost
        assert waiting.ended
        assert not world.targets[1].data
        assert not world.targets[0].lost  # who is in stays

    world.with_display(main, options=X11Options(DISPLAY, timeout=100))
    (folder,) = {os.path.dirname(argv[2]) for argv in made if argv[1] == "-f"}
    assert not os.path.exists(folder)
    generate = made[0]
    assert generate[3:] == ("generate", DISPLAY, "MIT-MAGIC-COOKIE-1", "untrusted", "timeout", "160")


def test_zero_is_no_timeout(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        packet = first_packet(cookie=world.false_cookie())
        await world.sleep(1_000)
        await world.dial(FIRST, packet)
        await world.settled()
        assert bytes(world.targets[0].data) == first_packet(cookie=REAL)

    world.with_display(main, options=X11Options(DISPLAY, timeout=0))
    assert "timeout" not in world.network.processes[0].argv


def test_a_revoked_grant_lets_nobody_in(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        grant = await connection.allow_x11(X11Options(DISPLAY, trusted=True))
        assert grant.body
        assert grant.takes(FAKE) is False
        forwarding = connection.x11_forwarding
        assert forwarding is not None
        grant.revoke()
        with pytest.raises(sshkit.ChannelOpenFailed):
            forwarding.channel_requested()

    world.with_forwards(main)


def test_without_a_cookie_of_the_users_a_false_one_is_tried(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        for cookie in (None, b"short"):
            world.cookie = cookie
            assert (await connection.allow_x11(X11Options(DISPLAY, trusted=True))).is_open_display
        options = X11Options(DISPLAY, trusted=True, xauth="none")
        assert (await connection.allow_x11(options)).is_open_display

        def absent(*_: object, **__: object) -> None:
            raise SpawnError("cannot start xauth")

        world.network.program = lambda argv, data: None  # it hangs
        assert (await connection.allow_x11(X11Options(DISPLAY, trusted=True))).is_open_display
        assert world.network.processes[-1].signals == [9]

    world.with_forwards(main)


@pytest.mark.parametrize("trusted", [True, False])
def test_a_missing_xauth_is_no_cookie(
    world: X11World, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    def spawn_process(*_: object, **__: object) -> None:
        raise SpawnError("cannot start /usr/bin/xauth: no such file")

    monkeypatch.setattr(UnixReactor, "spawn_process", spawn_process)

    async def main(connection: sshkit.ClientConnection) -> None:
        opening = connection.allow_x11(X11Options(DISPLAY, trusted=trusted))
        if trusted:
            assert (await opening).is_open_display
        else:
            with pytest.raises(NoDisplay, match="no such file"):
                await opening

    world.with_forwards(main)


def test_untrusted_programs_need_a_cookie(world: X11World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        with pytest.raises(NoDisplay, match="no cookie for untrusted"):
            await connection.allow_x11(X11Options(DISPLAY, xauth="none"))
        world.cookie = None
        with pytest.raises(NoDisplay, match="may not know how"):
            await connection.start("x", forward_x11=X11Options(DISPLAY))
        monkeypatch.delenv("DISPLAY", raising=False)
        with pytest.raises(NoDisplay, match="DISPLAY names no display"):
            await connection.allow_x11()
        monkeypatch.setenv("DISPLAY", "-f:0")
        with pytest.raises(NoDisplay, match="is no display"):
            await connection.allow_x11(True)

    world.with_forwards(main)


@pytest.mark.parametrize(
    ("text", "place", "screen", "name"),
    [
        (":77", UnixPlace("\0/tmp/.X11-unix/X9977"), 0, "unix:77"),
        ("host:10.2", TcpPlace("host", 6010), 2, "host:10.2"),
        ("localhost:10.0", TcpPlace("localhost", 6010), 0, "unix:10.0"),
        ("[::1]:1", TcpPlace("::1", 6001), 0, "[::1]:1"),
    ],
)
def test_display_has_many_forms(text: str, place: Any, screen: int, name: str) -> None:
    found = parse_display(text.replace(":77", ":9977"))
    assert (found.place, found.screen, found.name) == (place, screen, name.replace(":77", ":9977"))
    assert parse_display("unix:9977.1")._replace(screen=0) == parse_display(":9977")._replace(
        name="unix:9977.1"
    )


def test_a_display_may_be_the_path_of_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "org.xquartz:0"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        for text in (str(path), f"{path}.1"):
            found = parse_display(text)
            assert (found.place, found.name) == (UnixPlace(str(path)), text)
    (tmp_path / "plain").touch()
    for text in (f"{tmp_path}/plain:0", f"{tmp_path}/none:0"):
        with pytest.raises(NoDisplay, match="no such socket"):
            parse_display(text)


@pytest.mark.parametrize(
    "text",
    ["", "-x:0", "host", "host:", "host:x", "host:1.x", "host::0", ":99999999", ":60000", "a b:0", "$(x):0"],
)
def test_r29_what_is_no_display_never_reaches_a_program(text: str) -> None:
    with pytest.raises(NoDisplay, match="is no display"):
        parse_display(text)


def test_the_socket_of_a_local_display_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda path: True)
    assert parse_display(":5").place == UnixPlace("/tmp/.X11-unix/X5")
    with pytest.raises(NoDisplay, match="reached from here"):
        parse_display("a/b:0")


# The server's side.


async def ask(connection: sshkit.ClientConnection, body: bytes) -> bool:
    channel = await connection.open_session(ChannelProtocol())
    try:
        await channel.request("x11-req", body)
    except sshkit.ChannelRequestFailed:
        return False
    finally:
        channel.close()
    return True


GOOD = X11Request(False, "MIT-MAGIC-COOKIE-1", "00" * 16, 0)


@pytest.mark.parametrize(
    "bad",
    [
        X11Request(False, "MIT;rm", "00" * 16, 0),
        X11Request(False, "MIT\nadd", "00" * 16, 0),
        X11Request(False, "", "00" * 16, 0),
        X11Request(False, "MIT-MAGIC-COOKIE-1", "00\nremove x", 0),
        X11Request(False, "MIT-MAGIC-COOKIE-1", "", 0),
        X11Request(False, "MIT-MAGIC-COOKIE-1", "00" * 16, 401),
    ],
)
def test_r29_words_that_are_none_never_reach_xauth(world: X11World, bad: X11Request) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert not await ask(connection, bad.encode())
        assert not world.filed
        assert await ask(connection, GOOD.encode())
        await world.settled()

    world.with_forwards(main, forwards=POLICY)
    assert world.filed[1] == f"add unix:10.0 MIT-MAGIC-COOKIE-1 {'00' * 16}"


@pytest.mark.parametrize(
    ("forwards", "limits"),
    [
        (False, None),
        (True, None),
        (POLICY, KeyLimits("key:1", permit_x11_forwarding=False)),
    ],
)
def test_r28_the_policy_and_the_key_may_forbid_it(world: X11World, forwards: Any, limits: Any) -> None:
    class Limited(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return limits or True

        def methods(self) -> tuple[str, ...]:
            return ("publickey",)

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x", forward_x11=X11Options(DISPLAY, trusted=True))
        assert process.refused == ["x11"]
        process.close()
        await world.settled()

    world.with_forwards(main, forwards=forwards, users=Limited({}))
    assert not world.filed


def test_a_session_has_one_display(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        channel = await connection.open_session(ChannelProtocol())
        await channel.request("x11-req", GOOD.encode())
        with pytest.raises(sshkit.ChannelRequestFailed):
            await channel.request("x11-req", GOOD.encode())
        both = [channel.request("x11-req", GOOD.encode()) for _ in range(2)]
        for answer in both:
            with pytest.raises(sshkit.ChannelRequestFailed):
                await answer
        channel.close()
        await world.settled()

    world.with_forwards(main, forwards=POLICY)


def test_what_is_asked_for_meanwhile_waits_for_the_display(world: X11World) -> None:
    """xauth takes its time; command, input and end of input come at once, and none is lost."""
    waiting: list[Any] = []
    started: list[str] = []

    def slow(argv: tuple[str, ...], data: bytes) -> Any:
        if argv[1:3] != ("-q", "-"):
            return world.xauth(argv, data)
        waiting.append(world.network.processes[-1])
        return None

    world.network.program = slow

    async def handler(session: sshkit.Session) -> int:
        started.append(session.display)
        data = await session.stdin.read()
        session.stdout.write(f"{session.display} {data.decode()} {session.environment} {session.command}")
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        options = X11Options(DISPLAY, trusted=True, xauth="none")
        for data in ("input", None):
            running: Any = connection.start("x", forward_x11=options, environment={"LANG": "C"})
            running.add_callback(lambda process, data=data: process.communicate(data))
            await world.settled()
            process = waiting.pop()
            assert not started
            process.run = world.xauth
            process.write_eof()
            result: Any = await running
            assert result.text == f"{started.pop()} {data or ''} {{'LANG': 'C'}} x"
        world.network.program = world.xauth

    world.with_forwards(main, forwards=POLICY, handler=handler)


def test_a_session_that_ends_meanwhile_starts_nothing(world: X11World) -> None:
    started: list[str] = []
    world.network.program = lambda argv, data: None

    async def handler(session: sshkit.Session) -> int:
        started.append(session.command or "")
        return 0

    async def main(connection: sshkit.ClientConnection) -> None:
        channel = await connection.open_session(ChannelProtocol())
        asked = [channel.request("x11-req", GOOD.encode()), channel.request("exec", b"\0\0\0\1x")]
        asked.append(channel.request("exec", b"\0\0"))
        for answer in asked:
            answer.add_errback(lambda _: None)
        await world.settled()
        channel.close()
        await world.sleep(60)  # xauth is given up

    world.with_forwards(main, forwards=POLICY, handler=handler)
    assert not started


def test_a_cookie_that_cannot_be_filed_is_told_in_the_log(
    world: X11World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.network.program = lambda argv, data: (1, b"")
    real = UnixReactor.spawn_process

    async def main(connection: sshkit.ClientConnection) -> None:
        assert await ask(connection, GOOD.encode())

        def absent(*arguments: Any, **options: Any) -> Any:
            raise SpawnError("cannot start xauth")

        monkeypatch.setattr(UnixReactor, "spawn_process", absent)
        assert await ask(connection, GOOD.encode())
        await world.settled()
        monkeypatch.setattr(UnixReactor, "spawn_process", real)

    world.with_forwards(main, forwards=POLICY)
    assert sum("xauth did not file a cookie" in line for line in world.log) == 2


def test_displays_that_others_have_are_passed_over(world: X11World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_x11, "MAX_DISPLAYS", 2)
    policy = sshkit.ForwardPolicy(x11=X11Policy(use_localhost=False, xauth="none"))

    async def main(connection: sshkit.ClientConnection) -> None:
        taken = [await world.listen(End, FIRST)]
        process = await connection.start("x", forward_x11=X11Options(DISPLAY, trusted=True))
        assert await process.stdout.read_line() == f"{os.uname().nodename}:11.1\n".encode()
        process.close()
        await world.settled()
        taken.append(await world.listen(End, FIRST + 1))
        assert not await ask(connection, GOOD.encode())
        for listener in taken:
            listener.close()

    async def show(session: sshkit.Session) -> int:
        session.stdout.write(f"{session.display}\n")
        await session.stdin.read()
        return 0

    world.with_forwards(main, forwards=policy, handler=show)
    assert any("no display from 10 on is free" in line for line in world.log)
    assert not world.filed


def test_there_is_no_port_behind_the_last_one(world: X11World) -> None:
    policy = sshkit.ForwardPolicy(x11=X11Policy(display_offset=59536, xauth="none"))

    async def main(connection: sshkit.ClientConnection) -> None:
        assert not await ask(connection, GOOD.encode())

    world.with_forwards(main, forwards=policy)


def test_x_clients_end_with_the_connection(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        await world.dial(FIRST, first_packet(cookie=world.false_cookie()))
        await world.settled()
        await connection.close()
        await world.settled()
        assert world.targets[0].lost

    world.with_display(main)
    assert world.filed[-1] == "remove unix:10.1"


def test_an_x_client_outlives_its_session(world: X11World) -> None:
    async def main(connection: sshkit.ClientConnection, process: Any) -> None:
        client = await world.dial(FIRST, first_packet(cookie=world.false_cookie()))
        await world.settled()
        idle = connection.wait_idle()
        process.close()
        await world.settled()
        with pytest.raises(sshkit.ConnectError):
            await world.dial(FIRST)
        client.transport.write(b"more")
        await world.settled()
        assert bytes(world.targets[0].data).endswith(b"more")
        assert not idle.called
        client.transport.close()
        await world.settled()
        world.targets[0].transport.close()
        await world.settled()
        assert idle.called
        await connection.wait_idle()

    world.with_display(main)


def test_what_a_program_writes_is_bounded() -> None:
    network = UnixReactor()
    network.program = lambda argv, data: (0, b"x" * MAX_OUTPUT * 2)
    finished = run_program(network, ("prog",), b"input").result()  # type: ignore[arg-type]
    assert finished.ok
    assert len(finished.output) == MAX_OUTPUT
    assert network.processes[0].input == b"input"
    assert network.processes[0].closed
    assert isinstance(run_program(network, ("prog",)), Deferred)  # type: ignore[arg-type]
