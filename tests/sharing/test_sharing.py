"""A connection that a program shares: riders, forwards and proxied programs, all of our own making."""

import contextlib
import os
import pty
import socket
import struct
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

import sshkit
from sshkit.client.sharing import master, messages
from sshkit.client.sharing.errors import MasterLost, MasterRefused, NoMaster, SharingError
from sshkit.client.sharing.messages import SessionRequest
from sshkit.client.sharing.rider import Rider, variables
from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward
from tests.client.world import HOST_KEY
from tests.sharing.world import RawPeer, Shared, in_thread, in_world, pipes, until


def session(path: str, request: SessionRequest, data: bytes = b"") -> tuple[int | None, bytes, bytes]:
    """Run a session as the command does it: status, output and errors."""
    with pipes() as (given, out, err), Rider(path) as rider:
        number = rider.open_session(request, (given[0], out[1], err[1]))
        os.write(given[1], data)
        os.close(given[1])
        status = rider.wait(number, lambda: None)
        os.close(out[1])
        os.close(err[1])
        return status, os.read(out[0], 65536), os.read(err[0], 65536)


@contextlib.contextmanager
def a_terminal(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """Return a terminal's two sides, the program's raw."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    resize(theirs, columns, rows)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def resize(fd: int, columns: int, rows: int) -> None:
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def talk(address: tuple[str, int] | str) -> bytes:
    """Return the first bytes of what answers there."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(address)
        return sock.recv(100)


def test_a_session_over_a_shared_connection_is_as_one_of_ones_own(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        outcome = await in_thread(session, place.path, SessionRequest(b"hello"))
        assert outcome == (0, b"out hello\n", b"err hello\n")
        assert (await in_thread(session, place.path, SessionRequest(b"exit 7")))[0] == 7
        assert (await in_thread(session, place.path, SessionRequest(b"cat"), b"input"))[1] == b"input"
        request = SessionRequest(b"env LC_X", environment=variables({"LC_X": "value"}))
        assert (await in_thread(session, place.path, request))[1] == b"value\n"
        assert (await in_thread(session, place.path, SessionRequest(b"")))[1] == b"the shell\n"
        request = SessionRequest(b"mine", subsystem=True)
        assert (await in_thread(session, place.path, request))[1] == b"subsystem mine\n"
        await until(lambda: not place.shared.is_used)
        assert "0 programs" in repr(place.shared)
        assert "open" in repr(place.shared)

    in_world(tmp_path, body)


def test_large_output_and_input_arrive_whole(tmp_path: Path) -> None:
    data = os.urandom(6_000_000)
    (tmp_path / "given").write_bytes(data)

    def run(path: str) -> int | None:
        with (
            (tmp_path / "given").open("rb") as given,
            (tmp_path / "out").open("wb") as out,
            Rider(path) as rider,
        ):
            number = rider.open_session(SessionRequest(b"cat"), (given.fileno(), out.fileno(), 2))
            return rider.wait(number, lambda: None)

    async def body(place: Shared) -> None:
        assert await in_thread(run, place.path) == 0

    in_world(tmp_path, body)
    assert (tmp_path / "out").read_bytes() == data


def test_a_reader_that_is_slow_stops_the_command(tmp_path: Path) -> None:
    size = 12_000_000

    def run(path: str) -> int:
        with pipes() as (given, out, err), Rider(path) as rider:
            rider.open_session(SessionRequest(b"cat"), (given[0], out[1], err[1]))
            os.close(out[1])
            os.set_blocking(given[1], False)
            left, read, blocked = size, 0, 0
            piece = bytes(65536)
            while left or read < size:
                try:
                    left -= os.write(given[1], piece[: min(left, len(piece))]) if left else 0
                except BlockingIOError:
                    blocked += 1
                    read += len(os.read(out[0], 1 << 20))
                else:
                    if not left:
                        read += len(os.read(out[0], 1 << 20))
            assert blocked
            return read

    async def body(place: Shared) -> None:
        assert await in_thread(run, place.path) == size

    in_world(tmp_path, body)


def test_a_command_that_loses_its_reader_is_told(tmp_path: Path) -> None:
    async def flood(session: sshkit.Session) -> int:
        if session.command == "flood":
            with contextlib.suppress(sshkit.SSHKitError):
                while True:
                    session.stdout.write(bytes(65536))
                    await session.stdout.drain()
        return 4

    def run(path: str) -> None:
        with pipes() as (given, out, err), Rider(path) as rider:
            rider.open_session(SessionRequest(b"flood"), (given[0], out[1], err[1]))
            os.close(out[1])
            os.read(out[0], 100)
            os.close(out[0])

    async def body(place: Shared) -> None:
        await in_thread(run, place.path)
        await until(lambda: not place.shared.is_used and not place.connection.core.channels)

    in_world(tmp_path, body, serve=flood)


def test_a_terminals_size_and_its_changes_are_passed_on(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        with a_terminal(111, 33) as (ours, theirs):
            rider = await in_thread(Rider, place.path)
            request = SessionRequest(b"size", terminal=True, terminal_type="vt220", escape=126)
            number = await in_thread(rider.open_session, request, (theirs, theirs, theirs))
            os.write(ours, b"1\r")
            assert b"columns=111, rows=33" in await in_thread(os.read, ours, 1000)
            resize(theirs, 99, 44)
            place.shared.resized()
            place.shared.resized()  # nothing has changed meanwhile
            os.write(ours, b"2\r")
            assert b"columns=99, rows=44" in await in_thread(os.read, ours, 1000)
            os.write(ours, b"\x04")
            await in_thread(rider.wait, number, lambda: None)
            rider.close()

    in_world(tmp_path, body)


def test_a_server_without_terminals_is_told_to_the_program(tmp_path: Path) -> None:
    refused: list[bool] = []

    def run(path: str) -> int | None:
        with a_terminal(80, 24) as (_, theirs), Rider(path) as rider:
            number = rider.open_session(SessionRequest(b"exit 3", terminal=True), (theirs, theirs, theirs))
            return rider.wait(number, lambda: refused.append(True))

    async def body(place: Shared) -> None:
        assert await in_thread(run, place.path) == 3
        assert refused == [True]

    in_world(tmp_path, body, settings=sshkit.Settings(permit_terminal=False))


def test_a_program_that_goes_ends_its_session(tmp_path: Path) -> None:
    def run(path: str) -> None:
        with pipes() as (given, out, err), Rider(path) as rider:
            rider.open_session(SessionRequest(b"wait"), (given[0], out[1], err[1]))
            assert os.read(out[0], 100) == b"waiting\n"

    async def body(place: Shared) -> None:
        await in_thread(run, place.path)
        await until(lambda: not place.connection.core.channels and not place.shared.is_used)

    in_world(tmp_path, body)


def test_a_program_that_goes_while_its_session_opens_leaves_nothing(tmp_path: Path) -> None:
    def come_and_go(path: str) -> None:
        with RawPeer(path) as peer, pipes() as (given, out, err):
            peer.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SessionRequest(b"wait").encode()))
            peer.give(given[0], out[1], err[1])

    async def body(place: Shared) -> None:
        for _ in range(20):
            await in_thread(come_and_go, place.path)
        await until(lambda: not place.shared.peers and not place.connection.core.channels)

    in_world(tmp_path, body)


def test_the_end_of_the_sharing_is_heard_by_who_rides(tmp_path: Path) -> None:
    def run(path: str) -> int | None:
        with pipes() as (given, out, err), Rider(path) as rider:
            number = rider.open_session(SessionRequest(b"wait"), (given[0], out[1], err[1]))
            return rider.wait(number, lambda: None)

    async def body(place: Shared) -> None:
        riding = sshkit.current_reactor().defer_to_thread(run, place.path)
        proxied = await place.ride()
        await until(lambda: place.connection.core.channels)
        closed = place.shared.wait_closed()
        await place.shared.close()
        await place.shared.close()
        await closed
        await place.shared.wait_closed()
        assert await riding is None
        await proxied.wait_closed()
        with pytest.raises(MasterLost, match="has gone"):
            await proxied.run("x")
        assert not os.path.exists(place.path)
        assert "closed" in repr(place.shared)
        await until(lambda: not place.connection.core.channels)

    in_world(tmp_path, body)


def test_a_lost_connection_ends_the_sharing(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        proxied = await place.ride()
        process = await proxied.start("wait")
        await process.stdout.read_line()
        await place.connection.close()
        with pytest.raises(MasterLost):
            await process.wait()
        await until(lambda: not place.shared.peers)
        assert not os.path.exists(place.path)
        raise Ended

    with pytest.raises(Ended):
        in_world(tmp_path, body)


class Ended(Exception):
    """The end that a test wants; the connection is closed."""


def test_the_words_of_o_work(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        with await in_thread(Rider, place.path) as rider:
            assert await in_thread(rider.alive) == os.getpid()
            assert "algorithms: " in await in_thread(rider.information, "connection")
            assert await in_thread(rider.information, "channels") == "no channels are open\n"
            process = await place.connection.start("wait")
            assert "session, open" in await in_thread(rider.information, "channels")
            await process.communicate(b"")
            with pytest.raises(MasterRefused, match="unknown kind"):
                await in_thread(rider.information, "weather")
            await in_thread(rider.stop_listening)
            assert not os.path.exists(place.path)
            await in_thread(rider.stop_listening)
            assert await in_thread(rider.alive) == os.getpid()
            with pytest.raises(NoMaster):
                await in_thread(Rider, place.path)

    in_world(tmp_path, body)


def test_terminate_ends_the_connection(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        with await in_thread(Rider, place.path) as rider:
            await in_thread(rider.terminate)
        await place.connection.wait_closed()
        raise Ended

    with pytest.raises(Ended):
        in_world(tmp_path, body)


def test_forwards_begin_and_end_by_way_of_the_master(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        port = place.server.address[1]
        target = Endpoint("127.0.0.1", port)
        local = Forward(LOCAL, Endpoint(None, 0, str(tmp_path / "local")), target)
        remote = Forward(REMOTE, Endpoint("127.0.0.1", 0), target)
        dynamic = Forward(DYNAMIC, Endpoint("127.0.0.1", 0), None)
        socks = Forward(REMOTE, Endpoint("127.0.0.1", 0), None)
        with await in_thread(Rider, place.path) as rider:
            assert await in_thread(rider.forward, local) is None
            assert await in_thread(rider.forward, local) is None  # it is there already
            assert (await in_thread(talk, str(tmp_path / "local"))).startswith(b"SSH-2.0-")
            chosen = await in_thread(rider.forward, remote)
            assert await in_thread(rider.forward, remote) == chosen
            assert (await in_thread(talk, ("127.0.0.1", chosen))).startswith(b"SSH-2.0-")
            assert await in_thread(rider.forward, dynamic) is None
            assert await in_thread(rider.forward, socks)
            assert len(place.shared.forwards) == 4
            for forward in (local, remote, dynamic, socks):
                await in_thread(rider.cancel, forward)
                with pytest.raises(MasterRefused, match="port not forwarded"):
                    await in_thread(rider.cancel, forward)
            assert not place.shared.forwards
            with pytest.raises(MasterRefused, match="cannot listen"):
                await in_thread(rider.forward, Forward(LOCAL, Endpoint(None, 0, "/no/such/folder"), target))
            assert not place.shared.forwards
            with pytest.raises(MasterRefused, match="Invalid forwarding"):
                await in_thread(rider.forward, Forward(LOCAL, Endpoint(None, 1), Endpoint("", 0)))
            with pytest.raises(MasterRefused, match="Invalid forwarding"):
                await in_thread(rider.cancel, Forward(LOCAL, Endpoint(None, 1), Endpoint("", 0)))

    in_world(tmp_path, body, forwards=True)


def test_r26_forwards_of_programs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "MAX_FORWARDS", 1)

    async def body(place: Shared) -> None:
        target = Endpoint("127.0.0.1", 1)
        with await in_thread(Rider, place.path) as rider:
            await in_thread(rider.forward, Forward(LOCAL, Endpoint(None, 0, str(tmp_path / "a")), target))
            with pytest.raises(MasterRefused, match="1 forwards"):
                await in_thread(rider.forward, Forward(LOCAL, Endpoint(None, 0, str(tmp_path / "b")), target))

    in_world(tmp_path, body)


def test_input_and_output_are_joined_to_a_connection_that_the_server_makes(tmp_path: Path) -> None:
    def run(path: str, endpoint: Endpoint) -> bytes:
        with pipes(2) as (given, out), Rider(path) as rider:
            number = rider.open_stdio(endpoint, (given[0], out[1]))
            data = os.read(out[0], 100)
            os.close(given[1])
            rider.wait(number, lambda: None)
            return data

    async def body(place: Shared) -> None:
        endpoint = Endpoint("127.0.0.1", place.server.address[1])
        assert (await in_thread(run, place.path, endpoint)).startswith(b"SSH-2.0-")
        with pytest.raises(MasterRefused, match="refused"):
            await in_thread(run, place.path, Endpoint(None, 0, str(tmp_path / "nobody")))

    in_world(tmp_path, body, forwards=True)


# Proxy mode.


def test_a_program_rides_with_the_whole_library(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        async with await place.ride() as riding:
            assert riding.user == "me"
            assert "open" in repr(riding)
            result = await riding.run("hello")
            assert (result.stdout, result.stderr, result.exit_status) == (b"out hello\n", b"err hello\n", 0)
            data = os.urandom(5_000_000)
            assert (await riding.run("cat", input=data)).stdout == data
            assert (await riding.run("exit 3")).exit_status == 3
            processes = [await riding.start("cat") for _ in range(5)]
            for number, process in enumerate(processes):
                await process.communicate(str(number).encode())
            riding.no_more_sessions()
            riding.rekey()
            assert (await riding.run("again")).exit_status == 0
            with pytest.raises(sshkit.LocalProtocolError):
                riding.negotiated  # noqa: B018
            with pytest.raises(sshkit.LocalProtocolError):
                riding.verify_host_key(HOST_KEY.public)
        assert not place.connection.is_closed
        await until(lambda: not place.shared.peers)
        assert (await place.connection.run("exit 2")).exit_status == 2

    in_world(tmp_path, body)


def test_a_riding_program_forwards_both_ways(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        target = ("127.0.0.1", place.server.address[1])
        async with await place.ride() as riding:
            async with riding.forward_local("127.0.0.1:0", target) as forward:
                assert (await in_thread(talk, forward.address)).startswith(b"SSH-2.0-")
            async with riding.forward_remote("127.0.0.1:0", target) as forward:
                assert forward.port
                assert (await in_thread(talk, ("127.0.0.1", forward.port))).startswith(b"SSH-2.0-")
            with pytest.raises(ConnectionRefusedError):
                await in_thread(talk, ("127.0.0.1", forward.port))
            path = str(tmp_path / "remote")
            async with riding.forward_remote(path, target):
                assert (await in_thread(talk, path)).startswith(b"SSH-2.0-")
            left = await riding.forward_remote("127.0.0.1:0", target)
            held = socket.create_connection(("127.0.0.1", left.port))
        held.close()
        await until(lambda: not place.connection.core.channels)

        def nobody() -> bool:
            with contextlib.suppress(OSError):
                talk(("127.0.0.1", left.port))
                return False
            return True

        while not await in_thread(nobody):
            pass

    in_world(tmp_path, body, forwards=True)


def test_riding_programs_do_not_disturb_each_other_nor_the_master(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        first, second = await place.ride(), await place.ride()
        data = os.urandom(3_000_000)
        everything = await sshkit.gather(
            *[each.run("cat", input=data) for each in (first, second, place.connection) for _ in range(3)]
        )
        assert all(result.stdout == data for result in everything)
        place.connection.rekey()
        waiting = first.run("cat", input=data)
        await first.run("x")
        running = await second.start("wait")
        await running.stdout.read_line()
        second.layer.abort(sshkit.ClosedByApplication("just so"))
        assert (await waiting).stdout == data
        await first.close()
        await until(lambda: not place.connection.core.channels)

    in_world(tmp_path, body)


def test_a_rekey_of_the_master_makes_a_riding_program_wait_only(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        async with await place.ride() as riding:
            data = os.urandom(4_000_000)
            running = riding.run("cat", input=data)
            for _ in range(5):
                await riding.run("x")
                place.connection.rekey()
            assert (await running).stdout == data

    in_world(tmp_path, body)


def test_sftp_works_over_a_shared_connection(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()

    async def body(place: Shared) -> None:
        async with await place.ride() as riding, riding.sftp() as sftp:
            data = os.urandom(2_000_000)
            await sftp.write_bytes("/name", data)
            assert await sftp.read_bytes("/name") == data

    in_world(tmp_path, body, sftp=sshkit.LocalBackend(tmp_path / "files"))


def test_nobody_at_the_socket_is_an_error_at_once(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        with pytest.raises(NoMaster, match="No such file"):
            await sshkit.connect("me@host", control_path=tmp_path / "nobody")
        with pytest.raises(SharingError, match="exists already"):
            await sshkit.share(place.connection, place.path)

    in_world(tmp_path, body)


def test_giving_up_leaves_no_socket(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        opening = sshkit.connect("me@host", control_path=place.path)
        opening.cancel()
        with pytest.raises(sshkit.CancelledError):
            await opening
        await until(lambda: not place.shared.peers)

    in_world(tmp_path, body)
