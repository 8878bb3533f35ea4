"""Masters that break the rules: whoever wants to ride them gets an error that says so, and nothing hangs."""

import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import wire

import sshkit
from sshkit.client.sharing import messages, rider
from sshkit.client.sharing.errors import MasterLost, MasterRefused, MuxProtocolError, SharingError
from sshkit.client.sharing.messages import SessionRequest, packet
from sshkit.client.sharing.rider import Rider
from sshkit.config.forwards import Endpoint, Forward
from sshkit.ssh.messages import connection as ssh_messages
from tests.sharing.world import descriptors, in_thread

HELLO = messages.hello(messages.KNOWS_INFO)
FORWARD = Forward("local", Endpoint(None, 1), Endpoint("h", 1))


class Master:
    """A socket that answers what a test says, whatever it is asked."""

    def __init__(self, path: Path, *answers: bytes, hold: bool = False) -> None:
        self.path = str(path / "control")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(5)
        self._answers = answers
        self._hold = hold
        self.heard = b""
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(20)
        with sock:
            try:
                for number, answer in enumerate(self._answers):
                    sock.sendall(answer)
                    if not number:  # HELLO alone: what is asked may be here already
                        self.heard += sock.recv(4, socket.MSG_WAITALL)
                        self.heard += sock.recv(int.from_bytes(self.heard), socket.MSG_WAITALL)
                    else:
                        self.heard += sock.recv(100_000)
            except (BrokenPipeError, ConnectionResetError):  # who asked has gone
                return
            if self._hold:
                self._go_on.wait(20)

    def __enter__(self) -> "Master":
        return self

    def __exit__(self, *exception: object) -> None:
        self._go_on.set()
        self._thread.join(20)
        self._listener.close()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "has gone"),
        (b"\0\0\0", "has gone"),
        (b"\0\0\0\4abcd", "damaged"),
        (b"SSH-2.0-x\r\n", "a packet of"),
        (b"\xff\xff\xff\xff", "a packet of"),
        (wire.string(struct.pack(">II", messages.HELLO, 9)), "version 9"),
        (packet(messages.OK, 0), "in the place of HELLO"),
    ],
)
def test_what_is_no_master_is_told(tmp_path: Path, answer: bytes, cause: str) -> None:
    before = descriptors()
    with Master(tmp_path, answer) as master, pytest.raises(sshkit.SSHKitError, match=cause):
        Rider(master.path)
    assert descriptors() <= before


def test_a_master_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rider, "PATIENCE", 0.05)
    with Master(tmp_path, hold=True) as master, pytest.raises(MasterLost, match=r"within 0\.05 seconds"):
        Rider(master.path)


Ask = Callable[[Rider], Any]


@pytest.mark.parametrize(
    ("answer", "ask", "error", "cause"),
    [
        (packet(messages.ALIVE, 0), Rider.alive, MuxProtocolError, "damaged answer"),
        (packet(messages.ALIVE, 5, b"\0" * 4), Rider.alive, MuxProtocolError, "request 5"),
        (packet(messages.OK, 0), Rider.alive, MuxProtocolError, "0x80000001"),
        (packet(messages.FAILURE, 0), Rider.alive, MasterRefused, "no reason"),
        (
            packet(messages.FAILURE, 0, wire.string(b"no\x1b[31m")),
            Rider.alive,
            MasterRefused,
            r"no\\x1b\[31m",
        ),
        (packet(messages.PERMISSION_DENIED, 0, wire.string(b"no")), Rider.terminate, MasterRefused, "no"),
        (packet(messages.INFORMATION, 0), lambda it: it.information("x"), MuxProtocolError, "damaged"),
        (packet(messages.PROXYING, 0) + b"more", Rider.proxy, MuxProtocolError, None),
        (b"", Rider.alive, MasterLost, "has gone"),
        (
            packet(messages.SESSION_OPENED, 0),
            lambda it: it.open_session(SessionRequest(b"x"), (0, 1, 2)),
            MuxProtocolError,
            "damaged",
        ),
        (packet(messages.REMOTE_PORT, 0), lambda it: it.cancel(FORWARD), MuxProtocolError, "as an answer"),
    ],
)
def test_r37_an_answer_that_makes_no_sense_is_an_error(
    tmp_path: Path, answer: bytes, ask: Ask, error: type[BaseException], cause: str | None
) -> None:
    with Master(tmp_path, HELLO, answer, hold=bool(answer)) as master, Rider(master.path) as riding:
        if cause is None:
            # What comes too early may be read with the answer, or after it by whoever has the socket.
            try:
                ask(riding)
            except error:
                pass
        else:
            with pytest.raises(error, match=cause):
                ask(riding)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (packet(messages.EXIT_MESSAGE, 4, b"\0\0\0\1"), "during a session"),
        (packet(messages.OK, 3), "during a session"),
        (packet(messages.EXIT_MESSAGE, 3), "damaged"),
        (packet(messages.EXIT_MESSAGE, 3, b"\0\0\0\1") * 2, "twice"),
    ],
)
def test_a_session_that_ends_in_no_order_is_an_error(tmp_path: Path, answer: bytes, cause: str) -> None:
    with Master(tmp_path, HELLO, answer) as master, Rider(master.path) as riding:
        riding.sock.sendall(b"x")
        with pytest.raises(MuxProtocolError, match=cause):
            riding.wait(3, lambda: None)


def test_a_master_that_goes_is_noticed_by_whoever_asks(tmp_path: Path) -> None:
    with Master(tmp_path, HELLO) as master, Rider(master.path) as riding:
        riding.sock.shutdown(socket.SHUT_RDWR)
        for ask in (
            riding.alive,
            lambda: riding.open_session(SessionRequest(b"x"), (0, 1, 2)),
        ):
            with pytest.raises(MasterLost):
                ask()
        riding.terminate()  # gone is gone
        assert riding.wait(1, lambda: None) is None


def test_a_master_that_takes_no_descriptors_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OSError(1, "Operation not permitted")

    with Master(tmp_path, HELLO, b"") as master, Rider(master.path) as riding:
        monkeypatch.setattr(socket, "send_fds", refuse)
        with pytest.raises(MasterLost, match="takes no descriptors: Operation not permitted"):
            riding.open_stdio(Endpoint("h", 1), (0, 1))


def test_a_master_without_a_word_for_it_is_not_asked(tmp_path: Path) -> None:
    refused = pytest.raises(MasterRefused, match="does not know")
    with Master(tmp_path, messages.hello()) as master, Rider(master.path) as riding, refused:
        riding.information("connection")


# The library rides.


def connect_to(path: str, timeout: float = 10.0) -> BaseException | None:
    """Return what becomes of riding a master; None: it is ridden, and closed."""
    failed: list[BaseException] = []

    async def main() -> None:
        try:
            async with sshkit.connect("me@host", control_path=path, timeout=timeout) as connection:
                await connection.run("x")
        except sshkit.SSHKitError as error:
            failed.append(error)

    sshkit.run(main())
    return failed[0] if failed else None


PROXYING = packet(messages.PROXYING, 0)


def ssh(payload: bytes) -> bytes:
    return wire.string(b"\0" + payload)


@pytest.mark.parametrize(
    ("answers", "error", "cause"),
    [
        ((b"",), MasterLost, "has gone"),
        ((b"\xff\xff\xff\xff",), MuxProtocolError, "a packet of"),
        ((b"\0\0\0\0",), MuxProtocolError, "a packet of"),
        ((messages.packet(messages.OK, 0),), MuxProtocolError, "HELLO"),
        ((HELLO + packet(messages.FAILURE, 0, wire.string(b"no")),), MasterRefused, "proxy mode"),
        ((HELLO + packet(messages.OK, 0),), MuxProtocolError, "0x80000001"),
        ((HELLO + packet(messages.PROXYING, 3),), MuxProtocolError, "0x8000000f"),
        ((HELLO[:7], HELLO[7:] + PROXYING), MasterLost, "has gone"),
        ((HELLO + PROXYING, ssh(b"\x14" + bytes(60))), sshkit.RemoteProtocolError, "message 20"),
        ((HELLO + PROXYING + ssh(b"\x01" + bytes(12)),), sshkit.RemoteProtocolError, "message 1"),
        ((HELLO + PROXYING, ssh(b"\xc1\0\0\0\0")), sshkit.RemoteProtocolError, "message 193"),
        ((HELLO + PROXYING, b"\xff\xff\xff\xff"), sshkit.RemoteProtocolError, "a packet of"),
        ((HELLO + PROXYING, b"\0\0\0\1\0"), sshkit.RemoteProtocolError, "a packet of 1"),
        (
            (HELLO + PROXYING, ssh(ssh_messages.ChannelData(77, b"x").encode())),
            sshkit.RemoteProtocolError,
            "channel",
        ),
    ],
)
def test_r15_a_hostile_master_is_left_at_once(
    tmp_path: Path, answers: tuple[bytes, ...], error: type[BaseException], cause: str
) -> None:
    before = descriptors()
    with Master(tmp_path, *answers) as master:
        failed = connect_to(master.path)
    assert descriptors() <= before
    assert isinstance(failed, error), failed
    assert cause in str(failed)


def test_a_master_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    before = descriptors()
    with Master(tmp_path, HELLO, hold=True) as master:
        failed = connect_to(master.path, timeout=0.1)
    assert descriptors() <= before
    assert isinstance(failed, MasterLost)
    assert "within 0.1 seconds" in str(failed)


def test_an_openssh_master_is_asked_for_nothing_that_it_does_not_pass_on(tmp_path: Path) -> None:
    with Master(tmp_path, messages.hello() + PROXYING, hold=True) as master:

        async def main() -> None:
            connection = await sshkit.connect("me@host", control_path=master.path)
            connection.no_more_sessions()
            forward = await connection.forward_remote("127.0.0.1:4000", "127.0.0.1:1")
            for listen in ("127.0.0.1:0", "/run/socket"):
                with pytest.raises(sshkit.ForwardRefused):
                    await connection.forward_remote(listen, "127.0.0.1:1")
            await forward.close()
            await connection.close()

        sshkit.run(main())
    heard = master.heard[len(messages.hello() + packet(messages.PROXY, 0)) :]
    request = ssh_messages.GlobalRequest("tcpip-forward", False, wire.string("127.0.0.1") + wire.uint32(4000))
    assert heard in (b"", ssh(request.encode()))


def test_a_master_that_goes_while_it_is_ridden_ends_all_with_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        with await in_thread(Master, tmp_path, HELLO + PROXYING) as master:
            connection = await sshkit.connect("me@host", control_path=master.path)
            with pytest.raises(MasterLost, match="the master of the shared connection has gone"):
                await connection.run("x")
            with pytest.raises(MasterLost):
                await connection.core.global_request("tcpip-forward")
            await connection.wait_closed()

    sshkit.run(main())


def test_a_path_that_leads_nowhere_is_an_error_of_sharing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = connect_to(os.fspath(tmp_path / "file"))
    assert isinstance(failed, SharingError)
