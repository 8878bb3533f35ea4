"""Packets in and out: every chopping equal, every length checked, buffers lent and given back."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.ciphers.packet import MAX_CLEAR_LENGTH, MAX_PACKET_LENGTH
from sshkit.ssh.errors import LocalProtocolError, MACMismatch, RemoteProtocolError
from sshkit.ssh.messages import connection, transport
from sshkit.ssh.transport import buffers
from sshkit.ssh.transport.packet_reader import PacketReader
from sshkit.ssh.transport.packet_writer import MAX_PAYLOAD, PacketWriter
from tests.ssh.harness import Duo, Recorder, Scene, channel_of

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
CIPHERS = [
    ("aes128-gcm@openssh.com", "hmac-sha2-256"),
    ("chacha20-poly1305@openssh.com", "hmac-sha2-256"),
    ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes192-ctr", "hmac-sha2-512"),
]
EVERY_CIPHER = pytest.mark.parametrize(("cipher", "mac"), CIPHERS, ids=[cipher for cipher, _ in CIPHERS])


def exchange_data(duo: Duo) -> tuple[Recorder, Recorder]:
    near, far = duo.login().open(far=Recorder(exec=True))
    channel_of(near).request("exec", b"\0\0\0\1x")
    for size in (1, 100, 5000, 40_000):
        channel_of(near).write(bytes([size & 255]) * size)
        channel_of(far).write(bytes([size & 255]) * size)
        channel_of(far).write_extended(bytes([size & 255]) * size)
    channel_of(near).write_eof()
    duo.settle()
    channel_of(far).close()
    duo.settle()
    return near, far


def joined(recorder: Recorder) -> tuple[bytes, bytes, list[Any]]:
    others = [event for event in recorder.events if event[0] not in ("data", "extended")]
    return bytes(recorder.data), bytes(recorder.errors), others


@EVERY_CIPHER
@pytest.mark.parametrize("chop", ["1", "random", "16K"])
def test_every_chopping_gives_what_the_whole_gives(cipher: str, mac: str, chop: str) -> None:
    algorithms = DEFAULT.edited(ciphers=cipher, macs=mac, key_exchanges="curve25519-sha256")
    whole = [joined(end) for end in exchange_data(Duo(algorithms=algorithms))]
    duo = Duo(algorithms=algorithms)
    source = random.Random(1)
    sizes: dict[str, Callable[[], int]] = {
        "1": lambda: 1,
        "random": lambda: source.choice((1, 2, 3, 5, 15, 16, 17, 100, 1000, 30_000)),
        "16K": lambda: 16_384,
    }
    duo.pair.chop = sizes[chop]
    if chop == "1":
        near, far = duo.login().open()
        channel_of(near).write(b"x" * 300)
        channel_of(near).write_eof()
        duo.settle()
        assert far.data == b"x" * 300
        assert far.events[-1] == "eof"
        return
    assert [joined(end) for end in exchange_data(duo)] == whole


@BOTH_ROLES
def test_truncated_at_every_byte_a_conversation_ends_without_an_exception(core_is_client: bool) -> None:
    """A recorded conversation cannot be replayed to another core past its keys; up to them it can."""
    scene = Scene(core_is_client=core_is_client)
    scene.raw.identify()
    scene.raw.send(scene.raw.proposal())
    said = bytes(scene.raw_end.outgoing)
    for end in range(0, len(said), 1):
        scene = Scene(core_is_client=core_is_client)
        scene.raw.send_bytes(said[:end])
        scene.raw_end.close()
        scene.settle()
        assert scene.owner.lost is not None
        assert "closed the connection" in str(scene.owner.lost)


def test_reset_at_every_byte_of_a_login_ends_both_sides_quietly() -> None:
    total = Duo().login().pair
    length = total.client.total
    for end in [*range(200), *range(200, length, 37), *range(length - 200, length)]:
        duo = Duo()
        left = end

        def chop(duo: Duo = duo) -> int:
            nonlocal left
            size = min(left, 500)
            left -= size
            return size

        # Only what the client says is cut short; the server's part flows.
        moved = True
        while moved:
            moved = duo.clock.turn()
            moved = bool(duo.pair.client.deliver(chop())) or moved
            moved = bool(duo.pair.server.deliver()) or moved
        duo.pair.cut()
        assert duo.client.lost is not None
        assert duo.server.lost is not None


@BOTH_ROLES
@pytest.mark.parametrize(
    "length", [0, 1, 4, 8, 11, 13, MAX_CLEAR_LENGTH + 1, 1 << 20, 0x7FFFFFFC, 0xFFFFFFFC]
)
def test_r17_r18_a_bad_length_in_the_clear_is_refused_before_anything_is_read(
    core_is_client: bool, length: int
) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.identify()
    scene.raw.send_bytes(length.to_bytes(4, "big"))
    scene.settle()
    assert f"bad packet length {length}" in str(scene.owner.lost)


@EVERY_CIPHER
@pytest.mark.parametrize("length", [0, 1, 7, 15, 17, 24 + 1, MAX_PACKET_LENGTH + 16, 0xFFFFFFF0])
def test_r17_r18_a_bad_length_under_keys_is_one_uniform_failure(cipher: str, mac: str, length: int) -> None:
    scene = Scene(core_is_client=False, algorithms=DEFAULT.edited(ciphers=cipher, macs=mac))
    scene.handshake()
    scene.raw.send_bytes(scene.raw.packet(b"\x02" + bytes(60), length=length))
    scene.settle()
    assert isinstance(scene.owner.lost, MACMismatch)
    told = scene.told
    assert (told.code, told.description) == (5, b"message authentication code incorrect")


@EVERY_CIPHER
def test_r17_a_changed_byte_anywhere_is_one_uniform_failure(cipher: str, mac: str) -> None:
    algorithms = DEFAULT.edited(ciphers=cipher, macs=mac, key_exchanges="curve25519-sha256")
    size = 0
    for place in range(200):
        scene = Scene(core_is_client=False, algorithms=algorithms)
        scene.run()
        packet = bytearray(scene.raw.packet(connection.GlobalRequest("x", True, b"").encode()))
        size = len(packet)
        if place >= size:
            break
        packet[place] ^= 0x10
        scene.raw.send_bytes(packet)
        scene.raw.send_bytes(bytes(size))  # so that a longer length finds something
        scene.settle()
        if scene.owner.lost is None:  # the length grew, and what it wants has not come yet
            assert place in (1, 2, 3)
            scene.raw.send_bytes(bytes(MAX_PACKET_LENGTH + 100))
            scene.settle()
        assert isinstance(scene.owner.lost, MACMismatch)
        assert scene.owner.requests == []
        assert scene.told.description == b"message authentication code incorrect"
    assert place == size


@EVERY_CIPHER
@pytest.mark.parametrize(
    ("payload", "padding"), [(b"\x02" * 8, 3), (b"\x02" * 8, 0), (b"", 4), (b"\x02", 255)]
)
def test_r17_bad_padding_is_the_same_failure(cipher: str, mac: str, payload: bytes, padding: int) -> None:
    scene = Scene(core_is_client=False, algorithms=DEFAULT.edited(ciphers=cipher, macs=mac))
    scene.run()
    sealer = scene.raw.sealer
    body = bytes((padding,)) + payload
    body += bytes(-(len(body) + sealer.overhead) & sealer.mask)
    if len(body) < 16:
        body += bytes(16)
    if padding != 255:  # a padding of 3 or 0 is too short; 4 and no payload leaves nothing
        body = bytes((len(body) - 1 if not payload else padding,)) + body[1:]
    buffer = bytearray(4 + len(body) + 64)
    buffer[:4] = len(body).to_bytes(4, "big")
    buffer[4 : 4 + len(body)] = body
    with memoryview(buffer) as view:
        end = sealer.seal(view, 0, len(body))
    scene.raw.send_bytes(buffer[:end])
    scene.settle()
    assert isinstance(scene.owner.lost, MACMismatch)
    assert scene.told.code == 5


def test_r17_bad_padding_in_the_clear_is_refused() -> None:
    for padding in (0, 3, 200):
        scene = Scene(core_is_client=False)
        scene.identify()
        scene.raw.send_bytes((12).to_bytes(4, "big") + bytes((padding,)) + bytes(11))
        scene.settle()
        assert isinstance(scene.owner.lost, RemoteProtocolError)


@EVERY_CIPHER
def test_packets_of_every_size_pass(cipher: str, mac: str) -> None:
    scene = Scene(core_is_client=False, algorithms=DEFAULT.edited(ciphers=cipher, macs=mac))
    scene.run()
    sizes = [*range(40), 35_000, 100_000, MAX_PACKET_LENGTH - 300]
    scene.owner.request_answer = lambda: b""
    for size in sizes:
        scene.raw.send(connection.GlobalRequest("x", False, bytes(size)))
        if size > 30_000:
            scene.settle()
    scene.settle()
    assert scene.owner.lost is None
    assert [len(body) for _, body in scene.owner.requests] == sizes


def test_the_longest_message_is_sent_and_a_longer_one_is_our_own_mistake() -> None:
    duo = Duo().login()
    fits = MAX_PAYLOAD - 1 - 5 - 1
    duo.there.global_request("x", bytes(fits)).add_errback(lambda _: None)
    duo.settle()
    assert len(duo.server_owner.requests[0][1]) == fits
    with pytest.raises(LocalProtocolError, match="fit in a packet"):
        duo.there.global_request("x", bytes(fits + 1))
    with pytest.raises(LocalProtocolError):
        duo.there.open_channel("x", bytes(fits), Recorder())
    near, _ = duo.open()
    with pytest.raises(LocalProtocolError):
        channel_of(near).request("x", bytes(MAX_PAYLOAD))
    duo.there.global_request("y").add_errback(lambda _: None)
    duo.settle()
    assert duo.server_owner.requests[1:] == [("y", b"")]  # and nothing is out of step
    assert duo.client.lost is None


def test_many_large_messages_fill_several_buffers() -> None:
    scene = Scene(core_is_client=True)
    connected = scene.run()
    scene.layer.writer.corked = True
    for size in (3, 100_000, 20, 200_000, 250_000, 250_000, 7):
        connected.global_request("x", bytes(size)).add_errback(lambda _: None)
    scene.layer.writer.corked = False
    scene.layer.writer.flush()
    scene.settle()
    assert [len(payload) for payload in scene.raw.received] == [
        1 + 5 + 1 + size for size in (3, 100_000, 20, 200_000, 250_000, 250_000, 7)
    ]


def test_an_idle_connection_holds_no_buffer() -> None:
    duo = Duo().login()
    near, _ = duo.open()
    channel_of(near).write(bytes(500_000))
    duo.settle()
    for layer in (duo.client, duo.server):
        assert layer._buffer is None
        assert layer.writer._buffer is None


def test_free_buffers_are_taken_again_and_few_are_kept() -> None:
    taken = [buffers.take(buffers.SMALL) for _ in range(buffers.KEEP + 5)]
    for buffer in taken:
        buffers.give(buffer)
    assert len(buffers.FREE[buffers.SMALL]) == buffers.KEEP
    assert buffers.take(buffers.SMALL) is taken[-1]
    buffers.FREE[buffers.SMALL].clear()
    assert len(buffers.take(buffers.SMALL)) == buffers.SMALL


def test_an_empty_pool_is_refilled_on_the_fly() -> None:
    duo = Duo().login()
    near, far = duo.open()
    for size in (10, 10_000, 100_000):
        for pool in buffers.FREE.values():
            pool.clear()
        channel_of(near).write(bytes(size))
        duo.settle()
    assert len(far.data) == 110_010


def test_a_reader_whose_buffer_was_filled_gets_a_large_one_until_little_comes() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    sizes = (16_372, *(16_388,) * 3)  # with length, padding and tag, in sum exactly a small buffer
    assert sum(sizes) == buffers.SMALL
    packets = b"".join(scene.raw.packet(b"\x02" + bytes(size - 26), padding=5 - 1) for size in sizes)
    assert len(packets) == buffers.SMALL
    scene.raw.send_bytes(packets)
    scene.settle()
    assert scene.layer._buffer is None
    assert len(scene.layer.get_buffer(-1)) > buffers.SMALL
    scene.layer.buffer_updated(0)
    scene.send(transport.Ignore(b""))
    assert len(scene.layer.get_buffer(-1)) == buffers.SMALL
    scene.layer.buffer_updated(0)
    assert scene.owner.lost is None


def test_a_read_of_nothing_gives_the_buffer_back() -> None:
    for suspended in (False, True):
        fresh = Scene(core_is_client=True)
        if suspended:
            fresh.layer.suspend()
        fresh.layer.get_buffer(-1)
        fresh.layer.buffer_updated(0)
        assert fresh.layer._buffer is None
    scene = Scene(core_is_client=True)
    scene.run()
    scene.layer.get_buffer(-1)
    scene.layer.buffer_updated(0)
    assert scene.layer._buffer is None
    scene.layer.buffer_updated(0)
    assert scene.owner.lost is None


def test_r24_a_suspended_core_holds_little_however_much_is_sent() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    scene.layer.suspend()
    for _ in range(100):
        scene.raw.send(transport.Ignore(bytes(60_000)))
    scene.settle()
    assert scene.layer._buffer is None
    assert len(scene.raw_end.outgoing) > 5_000_000
    scene.layer.resume()
    scene.send(connection.GlobalRequest("x", False, b""))
    assert scene.owner.requests == [("x", b"")]


def test_what_had_come_before_a_suspension_is_handled_after_it_in_order() -> None:
    scene = Scene(core_is_client=False)
    connected = scene.run()
    first = scene.owner.global_requested

    def suspend_once(kind: str, body: bytes) -> Any:
        if kind == "1":
            scene.layer.suspend()
        return first(kind, body)

    scene.owner.global_requested = suspend_once  # type: ignore[method-assign]
    scene.raw.send(*(connection.GlobalRequest(str(number), False, b"") for number in range(4)))
    scene.settle()
    assert [kind for kind, _ in scene.owner.requests] == ["0", "1"]
    scene.layer.resume()
    assert [kind for kind, _ in scene.owner.requests] == ["0", "1", "2", "3"]
    assert connected.layer._buffer is None


def test_the_reader_and_its_owner_agree_on_what_must_be_overridden() -> None:
    from sshkit.testing import MemoryClock

    reader = PacketReader(Any, (), None, PacketWriter(MemoryClock().call_soon))  # type: ignore[arg-type]
    for call in (reader.rekey_due, reader.throttle, lambda: reader.failed(ValueError())):
        with pytest.raises(NotImplementedError):
            call()


def test_keys_in_force_are_not_shown() -> None:
    from sshkit.ssh.ciphers.packet import Keys

    assert repr(Keys(b"secret", b"secret", b"secret")) == "<Keys>"


def test_r41_no_exception_escapes_from_random_bytes_in_any_phase() -> None:
    source = random.Random(7)
    for core_is_client in (True, False):
        for step in ("connected", "identified", "proposed", "in force", "running"):
            for _ in range(15):
                scene = Scene(core_is_client=core_is_client)
                if step == "identified":
                    scene.identify()
                elif step == "proposed":
                    scene.propose()
                elif step == "in force":
                    scene.handshake()
                elif step == "running":
                    scene.run()
                if step in ("in force", "running") or source.random() < 0.5:
                    number = source.randrange(256)
                    scene.raw.send(bytes((number,)) + source.randbytes(source.randrange(60)))
                else:
                    scene.raw.send_bytes(source.randbytes(source.randrange(200)))
                scene.settle()
