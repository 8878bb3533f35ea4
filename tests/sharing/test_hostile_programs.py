"""Programs at the control socket that break the rules: each ends alone, and nothing of it stays."""

import errno
import os
import random
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import wire

import sshkit
from sshkit.client.sharing import master, messages, peer, proxied_program, stream
from sshkit.client.sharing.errors import MasterRefused
from sshkit.client.sharing.master import ProgramSharing
from sshkit.client.sharing.messages import SessionRequest
from sshkit.client.sharing.rider import Rider
from sshkit.config.forwards import Endpoint, Forward
from sshkit.deferred import Deferred, fail
from sshkit.ssh.channels.forwarded_tcpip import TcpipForward
from sshkit.ssh.messages import connection as ssh_messages
from tests.sharing.world import RawPeer, Shared, in_thread, in_world, pipes, until

SESSION = SessionRequest(b"wait").encode()


def say(*data: bytes, welcome: bool = True) -> Callable[[str], bool]:
    """Return a program that says this, and waits to be cut off."""

    def program(path: str) -> bool:
        with RawPeer(path, welcome=welcome) as program:
            for piece in data:
                try:
                    program.sock.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            return program.is_cut_off()

    return program


def framed(payload: bytes) -> bytes:
    return wire.string(payload)


@pytest.mark.parametrize(
    "program",
    [
        say(b"SSH-2.0-OpenSSH\r\n", welcome=False),
        say(framed(b""), welcome=False),
        say(struct.pack(">I", messages.MAX_PACKET + 1), welcome=False),
        say(b"\xff\xff\xff\xff", welcome=False),
        say(messages.packet(messages.ALIVE_CHECK, 1), welcome=False),
        say(framed(struct.pack(">II", messages.HELLO, 5)), welcome=False),
        say(framed(b"\0\0\0\1\0\0\0\4\0\0\0\7"), welcome=False),
        say(messages.hello()),
        say(framed(struct.pack(">II", messages.HELLO, 4))),
        say(framed(b"\0" * 4)),
        say(messages.packet(messages.ALIVE_CHECK, 1, b"more")),
        say(messages.packet(messages.TERMINATE, 1, b"more")),
        say(messages.packet(messages.STOP_LISTENING, 1, b"more")),
        say(messages.packet(messages.PROXY, 1, b"more")),
        say(messages.packet(messages.INFO, 1, wire.string(b"\xff"))),
        say(messages.packet(messages.INFO, 1)),
        say(messages.packet(messages.NEW_SESSION, 1, b"\0\0\0\1")),
        say(messages.packet(messages.NEW_SESSION, 1, SESSION), b"abcd"),
        say(messages.packet(messages.NEW_SESSION, 1, SESSION + b"\0\0\0\7")),
        say(messages.packet(messages.NEW_STDIO_FORWARD, 1, wire.string(b"") + wire.string(b"h"))),
        say(
            messages.packet(
                messages.NEW_STDIO_FORWARD, 1, wire.string(b"") + wire.string(b"h") + wire.uint32(70000)
            )
        ),
    ],
)
def test_r41_what_breaks_the_protocol_ends_its_own_connection(
    tmp_path: Path, program: Callable[[str], bool]
) -> None:
    async def body(place: Shared) -> None:
        riding = await place.ride()
        assert await in_thread(program, place.path)
        assert (await riding.run("still here")).exit_status == 0
        await riding.close()
        await until(lambda: not place.shared.peers)

    in_world(tmp_path, body)


def test_r41_random_bytes_end_their_own_connection(tmp_path: Path) -> None:
    source = random.Random(4)

    def program(path: str) -> None:
        for count in range(60):
            with RawPeer(path, welcome=bool(count % 2)) as raw:
                data = source.randbytes(source.randrange(1, 400))
                if count % 3 == 0:
                    data = framed(struct.pack(">II", source.choice(list(peer.HANDLERS)), 1) + data)
                raw.sock.sendall(data)

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)
        await until(lambda: not place.shared.peers and not place.connection.core.channels)

    in_world(tmp_path, body)


def test_r18_random_bytes_in_proxy_mode_end_their_own_connection(tmp_path: Path) -> None:
    source = random.Random(5)

    def program(path: str) -> None:
        for count in range(60):
            with RawPeer(path) as raw:
                raw.ask(messages.PROXY)
                data = source.randbytes(source.randrange(2, 200))
                if count % 2:
                    data = framed(bytes([0, source.randrange(80, 101)]) + data)
                raw.sock.sendall(data)

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)
        await until(lambda: not place.shared.peers and not place.connection.core.channels)

    in_world(tmp_path, body)


def test_what_is_not_known_is_refused_and_no_more(tmp_path: Path) -> None:
    def program(path: str) -> None:
        with RawPeer(path) as raw:
            number, request, body = raw.ask(0x10000042, b"whatever", request=9)
            assert (number, request) == (messages.FAILURE, 9)
            assert b"unsupported" in body
            assert raw.ask(messages.ALIVE_CHECK)[0] == messages.ALIVE

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)

    in_world(tmp_path, body)


def test_r26_thousands_of_requests_whose_answers_nobody_reads_stop_being_read(tmp_path: Path) -> None:
    def program(path: str) -> int:
        with RawPeer(path) as raw:
            raw.sock.setblocking(False)
            asked = messages.packet(messages.INFO, 1, wire.string(b"connection")) * 100
            sent = 0
            quiet = 0
            while quiet < 200 and sent < 100_000_000:
                try:
                    sent += raw.sock.send(asked)
                    quiet = 0
                except BlockingIOError:
                    quiet += 1
                    raw.sock.settimeout(0.005)
                    try:
                        sent += raw.sock.send(asked)
                    except TimeoutError:
                        pass
                    raw.sock.setblocking(False)
            return sent

    async def body(place: Shared) -> None:
        sent = await in_thread(program, place.path)
        assert sent < 10_000_000
        await until(lambda: not place.shared.peers)

    in_world(tmp_path, body)


def test_thousands_of_requests_that_are_read_are_answered_in_order(tmp_path: Path) -> None:
    def program(path: str) -> None:
        with RawPeer(path) as raw:
            for start in range(0, 5000, 100):
                raw.sock.sendall(
                    b"".join(messages.packet(messages.ALIVE_CHECK, start + each) for each in range(100))
                )
                assert [raw.answer()[1] for _ in range(100)] == list(range(start, start + 100))

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)

    in_world(tmp_path, body)


def test_a_program_that_says_nothing_loses_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "HELLO_TIMEOUT", 0.05)

    async def body(place: Shared) -> None:
        assert await in_thread(say(welcome=False), place.path)

    in_world(tmp_path, body)


def test_r26_programs_and_sessions_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "MAX_PEERS", 2)
    monkeypatch.setattr(master, "MAX_SESSIONS", 1)

    def program(path: str) -> None:
        with RawPeer(path) as first, RawPeer(path) as second, pipes() as (given, out, err):
            with RawPeer(path, welcome=False) as third:
                assert third.is_cut_off()
            fds = (given[0], out[1], err[1])
            first.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
            first.give(*fds)
            assert first.answer()[0] == messages.SESSION_OPENED
            second.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
            second.give(*fds)
            assert b"too many sessions" in second.answer()[2]
            first.sock.sendall(messages.packet(messages.NEW_SESSION, 2, SESSION))
            first.give(*fds)
            assert b"Multiple sessions" in first.answer()[2]
            assert b"session is open" in first.ask(messages.PROXY)[2]

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)
        await until(lambda: not place.connection.core.channels)

    in_world(tmp_path, body)


def test_a_session_that_the_server_refuses_is_refused(tmp_path: Path) -> None:
    def program(path: str) -> None:
        refused = pytest.raises(MasterRefused, match="Session open refused by peer")
        with pipes() as (given, out, err), Rider(path) as rider, refused:
            rider.open_session(SessionRequest(b"wait"), (given[0], out[1], err[1]))

    async def body(place: Shared) -> None:
        process = await place.connection.start("wait")
        await in_thread(program, place.path)
        await process.communicate(b"")

    in_world(tmp_path, body, settings=sshkit.Settings(max_sessions=1))


def test_descriptors_that_nobody_has_asked_for_end_the_connection(tmp_path: Path) -> None:
    def unasked(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.give(0)
            return raw.is_cut_off()

    def too_many(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
            socket.send_fds(raw.sock, [b"\0"], [0] * 50)
            return raw.is_cut_off()

    def one_by_one(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.sock.sendall(struct.pack(">I", 1000))  # a packet that never comes
            for _ in range(5):
                try:
                    raw.give(0)
                except OSError:
                    break
            return raw.is_cut_off()

    def without(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION) + b"\0\0\0\0")
            return raw.is_cut_off()

    def leaves(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
            raw.give(0, 1)
        return True

    async def body(place: Shared) -> None:
        for program in (unasked, too_many, one_by_one, without, leaves):
            assert await in_thread(program, place.path)
        await until(lambda: not place.shared.peers)

    in_world(tmp_path, body)


def test_descriptors_that_cannot_be_used_cost_the_session_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, mode: int) -> Any:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("sshkit.client.sharing.descriptors.unblocked", refuse)

    def program(path: str) -> None:
        with RawPeer(path) as raw, pipes() as (given, out, err):
            raw.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
            raw.give(given[0], out[1], err[1])
            assert b"cannot be used: Permission denied" in raw.answer()[2]
            assert raw.ask(messages.ALIVE_CHECK)[0] == messages.ALIVE

    async def body(place: Shared) -> None:
        await in_thread(program, place.path)

    in_world(tmp_path, body)


def test_another_users_program_is_not_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(place: Shared) -> None:
        monkeypatch.setattr(master, "is_ours", lambda sock: False)
        assert await in_thread(say(welcome=False), place.path)
        assert not place.shared.peers

    in_world(tmp_path, body)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EPERM])
def test_r41_a_lack_of_descriptors_is_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(master, "EXHAUSTED_PAUSE", 0.02)
    told: list[BaseException] = []

    async def body(place: Shared) -> None:
        real = place.shared._control.sock
        monkeypatch.setattr(master.SharedConnection, "report", lambda self, error: told.append(error))

        class Exhausted:
            """The listening socket, for once without a descriptor to give."""

            def __init__(self) -> None:
                self.fileno = real.fileno
                self.close = real.close

            def accept(self) -> Any:
                place.shared._control.sock = real
                raise OSError(number, os.strerror(number))

        place.shared._control.sock = Exhausted()  # type: ignore[assignment]
        riding = await place.ride()
        await riding.close()
        place.shared._control.sock = Exhausted()  # type: ignore[assignment]
        opening = place.ride()
        late = sshkit.ensure_deferred(opening)
        await until(lambda: place.shared._pause is not None)
        place.shared.stop_listening()
        late.cancel()
        with pytest.raises((sshkit.SSHKitError, sshkit.CancelledError)):
            await late

    in_world(tmp_path, body)
    assert len(told) == (2 if number == errno.EPERM else 0)


class Owner(ProgramSharing):
    """An owner who says what a test wants."""

    answer: Any = False

    def allow(self, question: str) -> Any:
        self.question = question
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def open_forward(self, forward: Forward) -> "Deferred[int | None]":
        return fail(RuntimeError("a mistake"))


def test_who_shares_may_refuse_everything(tmp_path: Path) -> None:
    def program(path: str) -> None:
        with pipes() as (given, out, err), Rider(path) as rider:
            fds = (given[0], out[1], err[1])
            asks: tuple[Callable[[], Any], ...] = (
                lambda: rider.open_session(SessionRequest(b"wait"), fds),
                lambda: rider.open_stdio(Endpoint("h", 1), fds[:2]),
                rider.terminate,
                rider.stop_listening,
                lambda: rider.forward(Forward("local", Endpoint(None, 1), Endpoint("{}%s", 1))),
            )
            for ask in asks:
                with pytest.raises(MasterRefused, match="Permission denied"):
                    ask()
            assert rider.alive() == os.getpid()

    async def body(place: Shared) -> None:
        place.shared.owner = Owner(place.connection)
        await in_thread(program, place.path)

    in_world(tmp_path, body)


def test_r30_a_fault_of_ours_is_no_answer_to_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(master.SharedConnection, "report", lambda self, error: told.append(error))

    def program(path: str) -> None:
        with Rider(path) as rider, pytest.raises(MasterRefused, match="internal error"):
            rider.forward(Forward("local", Endpoint(None, 1), Endpoint("h", 1)))

    async def body(place: Shared) -> None:
        owner = place.shared.owner = Owner(place.connection)
        owner.answer = True
        await in_thread(program, place.path)
        owner.answer = ValueError("another mistake")
        await in_thread(program, place.path)

    in_world(tmp_path, body)
    assert [type(error) for error in told] == [RuntimeError, ValueError]


def test_a_program_that_goes_while_a_person_thinks_is_forgotten(tmp_path: Path) -> None:
    async def body(place: Shared) -> None:
        owner = place.shared.owner = Owner(place.connection)
        answer: Deferred[bool] = Deferred()
        owner.answer = answer

        def program(path: str) -> None:
            with RawPeer(path) as raw, pipes() as (given, out, err):
                raw.sock.sendall(messages.packet(messages.NEW_SESSION, 1, SESSION))
                raw.give(given[0], out[1], err[1])

        await in_thread(program, place.path)
        await until(lambda: not place.shared.peers)
        answer.callback(True)
        assert not place.connection.core.channels

    in_world(tmp_path, body)


# Proxy mode.


def proxied(*payloads: bytes) -> Callable[[str], bool]:
    """Return a program in proxy mode that says this, and waits to be cut off."""

    def program(path: str) -> bool:
        with RawPeer(path) as raw:
            assert raw.ask(messages.PROXY)[0] == messages.PROXYING
            try:
                for payload in payloads:
                    raw.sock.sendall(framed(b"\0" + payload))
            except (BrokenPipeError, ConnectionResetError):
                pass
            return raw.is_cut_off()

    return program


OPEN = ssh_messages.ChannelOpen("session", 5, 1000, 1000, b"")


@pytest.mark.parametrize(
    "program",
    [
        proxied(b"\x01\0\0\0\2\0\0\0\0\0\0\0\0"),  # DISCONNECT would end it for all
        proxied(b"\x14" + bytes(40)),  # KEXINIT
        proxied(b"\x32rest"),  # a login
        proxied(b"\xc0\0\0\0\0"),  # a ping
        proxied(ssh_messages.RequestSuccess(b"").encode()),
        proxied(ssh_messages.ChannelData(0, b"to another's channel").encode()),
        proxied(ssh_messages.ChannelClose(0).encode()),
        proxied(ssh_messages.ChannelRequest(0, "exec", True, wire.string(b"x")).encode()),
        proxied(ssh_messages.ChannelOpenConfirmation(0, 1, 2, 3, b"").encode()),
        proxied(ssh_messages.ChannelOpenFailure(0, 1, b"", b"").encode()),
        proxied(b"\x5e\0\0"),
        proxied(b"\x5a\0\0\0\xff"),
        proxied(b"\x50\0\0\0\xff"),
        proxied(*[ssh_messages.GlobalRequest("tcpip-forward", True, b"\0\0").encode()]),
    ],
)
def test_r25_a_proxied_program_touches_its_own_channels_only(
    tmp_path: Path, program: Callable[[str], bool]
) -> None:
    async def body(place: Shared) -> None:
        process = await place.connection.start("wait")  # the server's channel 0
        riding = await place.ride()
        other = await riding.start("wait")
        assert await in_thread(program, place.path)
        assert (await other.communicate(b"")).exit_status == 0
        assert (await process.communicate(b"")).exit_status == 0
        await riding.close()

    in_world(tmp_path, body)


def test_r26_channels_of_a_proxied_program_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxied_program, "MAX_CHANNELS", 2)

    async def body(place: Shared) -> None:
        async with await place.ride() as riding:
            processes = [await riding.start("wait") for _ in range(2)]
            with pytest.raises(sshkit.ChannelOpenFailed, match="too many channels"):
                await riding.start("wait")
            for process in processes:
                await process.communicate(b"")
            assert (await riding.run("x")).exit_status == 0

    in_world(tmp_path, body)


def test_r26_forwards_and_requests_of_a_proxied_program_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxied_program, "MAX_FORWARDS", 1)
    monkeypatch.setattr(proxied_program, "MAX_REQUESTS", 2)

    async def body(place: Shared) -> None:
        async with await place.ride() as riding, await place.ride() as another:
            first = await riding.forward_remote("127.0.0.1:0", "127.0.0.1:1")
            with pytest.raises(sshkit.ForwardRefused):
                await riding.forward_remote("127.0.0.1:0", "127.0.0.1:1")
            body = TcpipForward("127.0.0.1", first.port).encode()
            with pytest.raises(sshkit.ChannelRequestFailed):  # another's
                await another.core.global_request("cancel-tcpip-forward", body)
            with pytest.raises(sshkit.ChannelRequestFailed):
                await riding.core.global_request("keepalive@openssh.com")
            with pytest.raises(sshkit.ForwardRefused):  # the server has refused
                await another.forward_remote(f"127.0.0.1:{place.server.address[1]}", "127.0.0.1:1")
        request = ssh_messages.GlobalRequest(
            "tcpip-forward", True, TcpipForward("127.0.0.1", 0).encode()
        ).encode()
        assert await in_thread(proxied(*[request] * 200), place.path)
        await until(lambda: not place.shared.peers)

    in_world(tmp_path, body, forwards=True)


def test_r24_a_proxied_program_that_reads_nothing_is_stopped_then_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxied_program, "TOO_MUCH_UNREAD", 3_000_000)

    async def flood(session: sshkit.Session) -> int:
        if session.command == "flood":
            for _ in range(1000):
                session.stdout.write(bytes(65536))
                await session.stdout.drain()
        return 4

    def program(path: str) -> bool:
        with RawPeer(path) as raw:
            raw.ask(messages.PROXY)
            opening = ssh_messages.ChannelOpen("session", 5, 0xFFFFFFFF, 32768, b"").encode()
            raw.sock.sendall(framed(b"\0" + opening))
            confirmed = ssh_messages.ChannelOpenConfirmation.decode(raw.packet()[1:])
            request = ssh_messages.ChannelRequest(confirmed.sender, "exec", True, wire.string(b"flood"))
            raw.sock.sendall(framed(b"\0" + request.encode()))
            sent = 0
            raw.sock.settimeout(0.5)
            try:
                while sent < 1_000_000:  # it is read no more long before it is cut off
                    sent += raw.sock.send(framed(b"\0" + request.encode()))
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
            raw.sock.settimeout(20)
            return raw.is_cut_off()

    async def body(place: Shared) -> None:
        assert await in_thread(program, place.path)
        await until(lambda: not place.shared.peers and not place.connection.core.channels)

    in_world(tmp_path, body, serve=flood)


def test_the_sizes_of_what_waits_are_bounded() -> None:
    assert stream.MAX_UNREAD <= 1 << 20
    assert messages.MAX_PACKET <= 1 << 20
