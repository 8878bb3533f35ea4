"""The layer between reactor and services: ends, faults, back-pressure, extensions."""

from typing import Any

import pytest
from sshkit_keys.errors import SSHKitError

from sshkit.ssh.errors import (
    AuthenticationFailed,
    ClosedByApplication,
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
    ServiceNotAvailable,
    farewell,
)
from sshkit.ssh.messages import connection, transport
from sshkit.ssh.transport import layer as layer_module
from sshkit.ssh.transport.layer import LINGER, MAX_UNSENT
from tests.ssh.harness import Duo, Owner, Recorder, Scene, channel_of, make_layer

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])


@BOTH_ROLES
def test_closing_tells_the_peer_once_and_lets_go_of_everything(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.run()
    scene.layer.disconnect()
    scene.layer.disconnect(RuntimeError("later"))
    scene.settle()
    assert isinstance(scene.owner.lost, ClosedByApplication)
    assert scene.told.code == 11
    assert scene.raw.numbers() == []
    assert scene.raw.eof
    assert scene.clock.next_due() is None


def test_a_peer_that_does_not_take_the_last_words_is_cut_off() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    scene.raw_end.pause_reading()
    scene.layer.disconnect()
    scene.settle()
    assert not scene.core_end.lost
    scene.clock.advance(LINGER)
    scene.settle()
    assert scene.core_end.aborted
    assert isinstance(scene.raw.ended, ConnectionResetError)


def test_disconnecting_before_the_connection_is_made_keeps_it_from_being_made() -> None:
    from sshkit.testing import MemoryClock, MemoryTransport

    owner = Owner()
    layer = make_layer(owner, MemoryClock(), is_client=True)
    layer.disconnect()
    assert isinstance(owner.lost, ClosedByApplication)
    transport_ = MemoryTransport(layer)
    layer.connection_made(transport_)
    assert transport_.aborted
    assert transport_.total == 0
    layer.abort(RuntimeError())
    layer.resume_writing()
    layer.rekey()
    assert transport_.total == 0


def test_an_abort_sends_nothing_and_tells_its_own_reason() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    error = ConnectionLost("enough")
    scene.layer.abort(error)
    scene.settle()
    assert scene.owner.lost is error
    assert scene.raw.numbers() == []
    assert isinstance(scene.raw.ended, ConnectionResetError)


def test_what_is_sent_after_the_end_goes_nowhere_and_holds_no_buffer() -> None:
    scene = Scene(core_is_client=True)
    connected = scene.run()
    scene.pair.cut()
    scene.layer.send(b"\x02")
    scene.layer.suspend()
    scene.layer.resume()
    scene.settle()
    assert scene.layer.writer._buffer is None
    assert scene.layer.writer._held is None
    assert (
        connected.global_request("x").add_errback(lambda failure: failure.exception).result()
        is scene.owner.lost
    )
    opened = connected.open_channel("x", b"", Recorder())
    assert opened.add_errback(lambda failure: failure.exception).result() is scene.owner.lost


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RemoteProtocolError("window 0, peer sent 3"), 2, "window 0, peer sent 3"),
        (ClosedByApplication("good bye"), 11, "good bye"),
        (AuthenticationFailed("tried /home/user/.ssh/id_ed25519"), 14, "no more authentication methods"),
        (LocalProtocolError("/etc/secret"), 11, "internal error"),
        (SSHKitError("/etc/secret"), 11, "internal error"),
        (ValueError("hunter2"), 11, "internal error"),
    ],
)
def test_r43_the_peer_is_told_what_it_did_and_nothing_of_ours(
    error: Exception, code: int, words: str
) -> None:
    assert farewell(error) == (code, words)
    scene = Scene(core_is_client=False)
    scene.run()
    scene.layer.disconnect(error)
    scene.settle()
    told = scene.told
    assert (told.code, told.description.decode()) == (code, words)


def test_the_words_of_a_disconnect_are_short_ascii_and_harmless() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    scene.layer.disconnect(RemoteProtocolError("\x1b[2J\u202e\xe9" + "x" * 5000))
    scene.settle()
    words = scene.told.description
    assert words.startswith(b"\\x1b[2J\\u202e\\xe9xxx")
    assert len(words) < 500


def test_r41_an_exception_of_a_handler_ends_this_connection_only_and_no_traceback_is_sent() -> None:
    duo = Duo().login()

    class Faulty(Recorder):
        def data_received(self, data: memoryview) -> None:
            raise ZeroDivisionError("secret detail")

    near, far = duo.open(far=Faulty())
    channel_of(near).write(b"x")
    duo.settle()
    assert isinstance(duo.server_owner.lost, ZeroDivisionError)
    assert str(duo.client_owner.lost) == "the peer disconnected: internal error (code 11)"
    assert far.closed == [duo.server_owner.lost]
    assert near.closed == [duo.client_owner.lost]


def test_r41_an_exception_of_the_owner_at_the_end_gets_in_nobodys_way(unhandled: list[Any]) -> None:
    scene = Scene(core_is_client=False)
    scene.handshake()

    def broken(error: BaseException) -> None:
        raise ZeroDivisionError

    scene.owner.transport_lost = broken  # type: ignore[method-assign]
    scene.send(bytes((80,)))
    assert scene.layer.lost is not None
    assert [type(failure.exception) for failure in unhandled] == [ZeroDivisionError]
    unhandled.clear()


def test_r41_an_exception_while_writing_resumes_ends_the_connection() -> None:
    scene = Scene(core_is_client=False)
    connected = scene.run()

    def broken() -> None:
        raise ZeroDivisionError

    connected.waiting[0] = type("Broken", (), {"drain": staticmethod(broken)})()  # type: ignore[assignment]
    scene.layer.pause_writing()
    scene.layer.resume_writing()
    assert isinstance(scene.owner.lost, ZeroDivisionError)


@BOTH_ROLES
@pytest.mark.parametrize("number", [8, 19, 22, 29, 54, 59, 83, 89, 101, 191, 194, 255, 0])
def test_an_unknown_number_is_answered_with_unimplemented_after_the_login(
    core_is_client: bool, number: int
) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.run()
    scene.send(transport.Ignore(b""), bytes((number,)) + b"anything")
    assert transport.Unimplemented.decode(scene.raw.take(3)).sequence == 1
    assert scene.owner.lost is None


@BOTH_ROLES
@pytest.mark.parametrize("number", range(80, 256))
def test_r2_numbers_from_80_on_end_a_connection_before_the_login(core_is_client: bool, number: int) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.handshake()
    scene.send(bytes((number,)) + bytes(8))
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert scene.owner.opens == scene.owner.requests == []


def test_messages_without_meaning_do_nothing_and_damaged_ones_end_the_connection() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    scene.send(transport.Ignore(b"\0\0\0\1x"), transport.Debug(True, b"x", b""), transport.Unimplemented(9))
    assert scene.owner.lost is None
    for damaged in (b"\x03\0", b"\x04\x01", b"\x01\0"):
        scene = Scene(core_is_client=True)
        scene.run()
        scene.send(damaged)
        assert "a damaged message" in str(scene.owner.lost)


def test_a_server_without_services_refuses_them() -> None:
    scene = Scene(core_is_client=False)
    scene.handshake()
    scene.send(transport.ServiceRequest("ssh-userauth"))
    assert isinstance(scene.owner.lost, ServiceNotAvailable)
    assert scene.told.code == 7


def extensions(*pairs: tuple[bytes, bytes], count: int | None = None) -> bytes:
    from sshkit_keys.wire import string

    body = b"".join(string(name) + string(value) for name, value in pairs)
    return transport.ExtInfo(len(pairs) if count is None else count, body).encode()


def test_r3_ext_info_right_after_newkeys_is_taken() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    scene.send(extensions((b"x@y", b"\xff"), (b"server-sig-algs", b"ssh-ed25519,rsa-sha2-512")))
    assert scene.layer.peer_signatures == ("ssh-ed25519", "rsa-sha2-512")
    server = Scene(core_is_client=False)
    server.handshake()
    server.send(extensions((b"server-sig-algs", b"x")))
    assert server.layer.peer_signatures is None
    assert server.owner.lost is None


@BOTH_ROLES
def test_r3_ext_info_anywhere_else_is_refused(core_is_client: bool) -> None:
    late = Scene(core_is_client=core_is_client)
    late.handshake()
    late.send(transport.Ignore(b""), extensions())
    assert "right after NEWKEYS" in str(late.owner.lost)
    twice = Scene(core_is_client=core_is_client)
    twice.handshake()
    twice.send(extensions(), extensions())
    assert "right after NEWKEYS" in str(twice.owner.lost)
    rekeyed = Scene(core_is_client=core_is_client)
    rekeyed.handshake()
    rekeyed.rekey()
    rekeyed.send(extensions())
    assert "right after NEWKEYS" in str(rekeyed.owner.lost)


@pytest.mark.parametrize(
    "payload",
    [
        extensions(count=65),
        extensions(count=0xFFFFFFFF),
        extensions((b"a", b"b"), count=2),
        extensions((b"a", b"b"), count=0),
        b"\x07\0",
    ],
)
def test_r18_a_damaged_ext_info_is_refused(payload: bytes) -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    scene.send(payload)
    assert isinstance(scene.owner.lost, RemoteProtocolError)


def test_r24_a_peer_that_asks_without_reading_the_answers_is_not_read_from() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    scene.raw_end.pause_reading()
    request = connection.GlobalRequest("x" * 1000, True, b"")
    answered = 0
    for _ in range(60):
        scene.raw.send(*[bytes((19,))] * 2000)
        scene.settle()
        if scene.core_end.reading_paused:
            break
    assert scene.core_end.reading_paused
    assert len(scene.core_end.outgoing) < 2 * MAX_UNSENT
    scene.raw.send(request)
    scene.settle()
    assert scene.owner.requests == []
    scene.raw_end.resume_reading()
    scene.settle()
    answered = scene.raw.numbers().count(transport.UNIMPLEMENTED)
    assert answered >= 20_000
    assert len(scene.owner.requests) == 1
    assert not scene.core_end.reading_paused


def test_a_suspended_reader_is_not_woken_by_the_writer() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    layer = scene.layer
    scene.raw_end.pause_reading()
    layer.suspend()
    layer._throttled = True
    layer.pause_writing()
    layer.resume_writing()
    assert scene.core_end.reading_paused
    layer._throttled = True
    layer.resume()
    assert scene.core_end.reading_paused  # the writer still has too much
    layer.resume_writing()
    assert not scene.core_end.reading_paused


def test_a_transport_that_keeps_what_it_is_given_gets_bytes() -> None:
    from sshkit.testing import MemoryClock, MemoryTransport

    written: list[Any] = []

    class Keeping(MemoryTransport):
        __slots__ = ()
        copies_on_write = False

        def write(self, data: Any) -> None:
            written.append(data)

    layer = make_layer(Owner(), MemoryClock(), is_client=True)
    layer.connection_made(Keeping(layer))
    assert [type(data) for data in written] == [bytes]


def test_rest_lets_the_contexts_go_and_any_packet_makes_them_again() -> None:
    for ciphers in ("aes128-gcm@openssh.com", "aes128-ctr"):
        duo = Duo(algorithms=layer_module.DEFAULT.edited(ciphers=ciphers)).login()
        near, far = duo.open()
        for _ in range(2):
            duo.client.rest()
            duo.server.rest()
            channel_of(near).write(b"x")
            channel_of(far).write(b"y")
            duo.settle()
        assert (far.data, near.data) == (b"xx", b"yy")


def test_the_end_leaves_no_circle_through_phase_and_target() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    scene.pair.cut()
    assert scene.layer.target is None
    assert scene.layer.phase[1] is None
