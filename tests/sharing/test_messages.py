"""The messages of the multiplexing protocol."""

import struct

import pytest
from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.client.sharing import messages
from sshkit.client.sharing.errors import MuxProtocolError
from sshkit.client.sharing.messages import Packet, SessionRequest
from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward

HOST = Endpoint("host", 80)
PATH = Endpoint(None, 0, "/run/x")


def test_hello_says_the_version_and_the_extensions() -> None:
    packet = messages.hello(messages.ANSWERS)
    (size,) = struct.unpack_from(">I", packet)
    assert size == len(packet) - 4
    assert messages.read_hello(packet[4:]) == (messages.ANSWERS,)
    assert messages.hello() == bytes.fromhex("00000008 00000001 00000004")


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"", "damaged"),
        (struct.pack(">II", messages.HELLO, 3), "version 3"),
        (struct.pack(">II", messages.ALIVE_CHECK, 4), "in the place of HELLO"),
        (struct.pack(">II", messages.HELLO, 4) + b"\0\0\0\5abc", "damaged"),
        (struct.pack(">II", messages.HELLO, 4) + wire.string(b"name"), "damaged"),
        (struct.pack(">II", messages.HELLO, 4) + (wire.string(b"n") + wire.string(b"")) * 65, "extensions"),
    ],
)
def test_a_damaged_hello_is_refused(payload: bytes, cause: str) -> None:
    with pytest.raises(MuxProtocolError, match=cause):
        messages.read_hello(payload)


def test_a_packet_without_a_request_is_damaged() -> None:
    assert repr(Packet(messages.packet(messages.OK, 3)[4:])) == "<Packet 0x80000001 3>"
    with pytest.raises(MuxProtocolError, match="damaged"):
        Packet(b"\0\0\0\1\0\0")


def test_a_session_request_survives_the_way() -> None:
    request = SessionRequest(
        b"ls -l",
        terminal=True,
        terminal_type="vt220",
        subsystem=False,
        escape=126,
        x11_wanted=True,
        agent_wanted=True,
        environment=((b"A", b"1"), (b"B", b"x=y")),
    )
    reader = WireReader(request.encode())
    read = SessionRequest.decode(reader)
    assert [getattr(read, name) for name in SessionRequest.__slots__] == [
        getattr(request, name) for name in SessionRequest.__slots__
    ]
    assert reader.position == reader.end
    assert SessionRequest.decode(WireReader(SessionRequest(escape=None).encode())).escape is None


def test_what_is_no_variable_is_left_out() -> None:
    head = SessionRequest(b"x").encode()
    for text in (b"NONAME", b"=value", b"A=\0"):
        assert SessionRequest.decode(WireReader(head + wire.string(text))).environment == ()
    with pytest.raises(WireError, match="4096 variables"):
        SessionRequest.decode(WireReader(head + wire.string(b"A=1") * 4097))


@pytest.mark.parametrize(
    "forward",
    [
        Forward(LOCAL, Endpoint(None, 8080), HOST),
        Forward(LOCAL, Endpoint("*", 8080), HOST),
        Forward(LOCAL, Endpoint("::1", 8080), PATH),
        Forward(LOCAL, PATH, PATH),
        Forward(REMOTE, Endpoint("localhost", 0), HOST),
        Forward(REMOTE, Endpoint(None, 1080), None),
        Forward(DYNAMIC, Endpoint("localhost", 1080), None),
    ],
)
def test_a_forward_survives_the_way(forward: Forward) -> None:
    assert messages.decode_forward(WireReader(messages.encode_forward(forward))) == forward


def test_an_empty_address_to_listen_at_is_every_address() -> None:
    forward = Forward(LOCAL, Endpoint("", 8080), HOST)
    read = messages.decode_forward(WireReader(messages.encode_forward(forward)))
    assert read.listen == Endpoint("*", 8080)


def place(host: bytes, port: int) -> bytes:
    return wire.string(host) + wire.uint32(port)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (wire.uint32(4) + place(b"", 1) + place(b"h", 1), "kind"),
        (wire.uint32(1) + place(b"", 65536) + place(b"h", 1), "port"),
        (wire.uint32(1) + place(b"", 1) + place(b"", 1), "nowhere"),
        (wire.uint32(1) + place(b"", 1) + place(b"h", 0), "nowhere"),
        (wire.uint32(2) + place(b"", 1) + place(b"h", 0), "nowhere"),
        (wire.uint32(1) + place(b"", messages.PATH_PORT) + place(b"h", 1), "empty"),
        (wire.uint32(1) + place(b"a\0b", 1) + place(b"h", 1), "NUL"),
        (wire.uint32(1) + place(b"\xff", 1) + place(b"h", 1), "UTF-8"),
        (wire.uint32(3) + place(b"/x", messages.PATH_PORT) + place(b"", 0), "dynamic"),
        (wire.uint32(1) + place(b"", 1), "host"),
    ],
)
def test_r28_a_forward_that_makes_no_sense_is_refused(body: bytes, cause: str) -> None:
    with pytest.raises(WireError, match=cause):
        messages.decode_forward(WireReader(body))
