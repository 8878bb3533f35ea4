"""The relay of proxied programs, alone: a server that breaks the rules, and numbers that come back."""

from collections.abc import Callable
from typing import Any

import pytest

from sshkit.client.sharing.relay import RELAYING, Relay, Route
from sshkit.deferred import Deferred
from sshkit.ssh.channels.forwarded_tcpip import ForwardedTcpip
from sshkit.ssh.channels.streamlocal import ForwardedStreamlocal
from sshkit.ssh.connection.connection import RUNNING_CLIENT
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.errors import ChannelOpenFailed, RemoteProtocolError
from sshkit.ssh.messages import connection as messages
from sshkit.ssh.messages.record import Message
from sshkit.ssh.transport.bare import BareOpener, BareSealer


class Layer:
    """What a connection sends with."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.lost: BaseException | None = None
        self.phase: Any = None
        self.writer = self
        self.packet_limit = 0
        self.is_client = True
        self.ready = True

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    def set_phase(self, handlers: Any, target: Any) -> None:
        self.phase = handlers, target


class Program:
    """A program in proxy mode that only listens."""

    def __init__(self) -> None:
        self.routes: dict[int, Route] = {}
        self.pending = 0
        self.heard: list[bytes] = []
        self.offered: list[int] = []
        self.resumed = 0

    def send(self, payload: bytes) -> None:
        self.heard.append(payload)

    def confirmed(self, route: Route) -> None:
        self.pending -= 1
        self.routes[route.peer] = route

    def offer(self, number: int, payload: memoryview) -> None:
        self.offered.append(number)

    def go_on(self) -> None:
        self.resumed += 1

    def end(self) -> None:
        self.heard.append(b"the end")


class Owner:
    """Refuses what the server opens."""

    def channel_requested(self, kind: str, body: bytes) -> ChannelProtocol:
        raise ChannelOpenFailed(1, "no")

    def global_requested(self, kind: str, body: bytes) -> None:
        return None

    def channel_ended(self, channel: Any) -> None:
        """Nothing is counted."""


class Place:
    """A relay with one program and a route of it."""

    def __init__(self) -> None:
        from sshkit.ssh.connection.connection import Connection

        self.layer = Layer()
        self.connection = Connection(self.layer, Owner())  # type: ignore[arg-type]
        self.relay = Relay(self.connection)
        self.program = Program()
        self.relay.add(self.program)  # type: ignore[arg-type]
        self.route = self.relay.reserve(77, self.program)  # type: ignore[arg-type]
        self.program.pending = 1
        self.layer.sent.clear()

    def receive(self, message: Message) -> None:
        payload = memoryview(message.encode())
        RELAYING[payload[0]](self.relay, payload)

    def confirm(self) -> None:
        self.receive(messages.ChannelOpenConfirmation(self.route.number, 9, 1000, 1000, b"rest"))


def test_messages_come_with_the_programs_own_numbers() -> None:
    place = Place()
    place.confirm()
    place.receive(messages.ChannelData(place.route.number, b"data"))
    assert place.program.heard == [
        messages.ChannelOpenConfirmation(77, 9, 1000, 1000, b"rest").encode(),
        messages.ChannelData(77, b"data").encode(),
    ]
    assert place.program.pending == 0
    assert place.connection.next_free() != place.route.number


def test_a_refused_channel_leaves_nothing() -> None:
    place = Place()
    place.receive(messages.ChannelOpenFailure(place.route.number, 1, b"no", b""))
    assert not place.relay.routes
    assert not place.connection.channels
    assert place.program.pending == 0


@pytest.mark.parametrize("server_first", [True, False])
def test_a_channel_is_forgotten_when_both_sides_have_closed_it(server_first: bool) -> None:
    place = Place()
    place.confirm()
    close = messages.ChannelClose(place.route.number)
    if server_first:
        place.receive(close)
        assert place.relay.routes
        place.relay.close_sent(place.route)
    else:
        place.relay.close_route(place.route)
        place.relay.close_route(place.route)  # once is enough
        assert place.layer.sent == [messages.ChannelClose(9).encode()]
        place.receive(close)
    assert not place.relay.routes
    assert not place.program.routes
    assert not place.connection.channels
    with pytest.raises(RemoteProtocolError):
        place.receive(close)


def confirm_twice(place: Place) -> None:
    place.confirm()
    place.confirm()


def confirm_a_number_twice(place: Place) -> None:
    place.confirm()
    another = place.relay.reserve(78, place.program)  # type: ignore[arg-type]
    place.receive(messages.ChannelOpenConfirmation(another.number, 9, 1, 1, b""))


def data_too_early(place: Place) -> None:
    place.receive(messages.ChannelData(place.route.number, b"x"))


def refuse_what_is_open(place: Place) -> None:
    place.confirm()
    place.receive(messages.ChannelOpenFailure(place.route.number, 1, b"", b""))


def close_twice(place: Place) -> None:
    place.confirm()
    place.receive(messages.ChannelClose(place.route.number))
    place.receive(messages.ChannelClose(place.route.number))


def a_channel_of_nobody(place: Place) -> None:
    place.receive(messages.ChannelData(4711, b"x"))


def without_a_channel(place: Place) -> None:
    RELAYING[messages.CHANNEL_EOF](place.relay, memoryview(b"\x60\0"))


def open_twice(place: Place) -> None:
    place.confirm()
    place.relay.forwards["here", 5] = place.program  # type: ignore[assignment]
    place.receive(
        messages.ChannelOpen("forwarded-tcpip", 9, 1, 1, ForwardedTcpip("here", 5, "x", 1).encode())
    )


@pytest.mark.parametrize(
    "server",
    [
        confirm_twice,
        confirm_a_number_twice,
        data_too_early,
        refuse_what_is_open,
        close_twice,
        a_channel_of_nobody,
        without_a_channel,
        open_twice,
    ],
)
def test_r25_a_server_that_breaks_the_order_ends_the_connection(server: Callable[[Place], None]) -> None:
    with pytest.raises(Exception, match=r"channel|CHANNEL|bytes|twice|before") as raised:
        server(Place())
    assert isinstance(raised.value, Exception)


def test_r27_a_channel_that_the_server_opens_is_its_forwards_or_refused() -> None:
    place = Place()
    place.relay.forwards[b"/run/x"] = place.program  # type: ignore[assignment]
    body = ForwardedStreamlocal(b"/run/x", b"").encode()
    place.receive(messages.ChannelOpen("forwarded-streamlocal@openssh.com", 5, 1, 1, body))
    assert place.program.offered == [5]
    for kind, rest in (
        ("forwarded-tcpip", ForwardedTcpip("h", 5, "x", 1).encode()),
        ("session", b""),
    ):
        place.receive(messages.ChannelOpen(kind, 6, 1, 1, rest))
        assert place.layer.sent.pop()[0] == messages.CHANNEL_OPEN_FAILURE


def test_a_program_that_goes_leaves_its_channels_to_end() -> None:
    place = Place()
    place.confirm()
    opening = place.relay.reserve(78, place.program)  # type: ignore[arg-type]
    place.relay.forwards["h", 5] = place.program  # type: ignore[assignment]
    place.relay.forwards[b"/x"] = place.program  # type: ignore[assignment]
    place.relay.remove(place.program)  # type: ignore[arg-type]
    kinds = [payload[0] for payload in place.layer.sent]
    assert kinds == [messages.GLOBAL_REQUEST, messages.GLOBAL_REQUEST, messages.CHANNEL_CLOSE]
    assert not place.relay.forwards
    place.receive(messages.ChannelData(place.route.number, b"dropped"))
    place.receive(messages.ChannelClose(place.route.number))
    place.receive(messages.ChannelOpenConfirmation(opening.number, 10, 1, 1, b""))
    assert place.layer.sent[-1] == messages.ChannelClose(10).encode()
    assert place.layer.phase == (RELAYING, place.relay)
    place.receive(messages.ChannelClose(opening.number))
    assert place.layer.phase == (RUNNING_CLIENT, place.connection)
    assert not place.connection.channels


def test_a_channel_that_only_the_server_has_closed_is_closed_for_a_program_that_goes() -> None:
    place = Place()
    place.confirm()
    place.receive(messages.ChannelClose(place.route.number))
    place.relay.remove(place.program)  # type: ignore[arg-type]
    assert place.layer.sent == [messages.ChannelClose(9).encode()]
    assert not place.relay.routes


def test_everybody_goes_on_when_the_network_takes_data_again() -> None:
    place = Place()
    place.relay.writable()
    assert place.program.resumed == 1
    place.relay.close()
    assert place.program.heard == [b"the end"]
    answer: Deferred[bytes] = place.connection.global_request("x")
    answer.cancel()
    answer.add_errback(lambda _: None)


def test_bare_packets_have_no_padding() -> None:
    buffer = memoryview(bytearray(64))
    buffer[4:11] = bytes([4]) + b"\x5e" + b"X" + b"pad!"  # padding 4, two bytes of payload
    assert BareSealer().seal(buffer, 0, 7) == 7
    assert bytes(buffer[:7]) == b"\0\0\0\3\0\x5eX"
    opener = BareOpener()
    assert opener.open(buffer, 0, 3) is None
    assert opener.needed == 4
    assert opener.open(buffer, 0, 6) is None
    assert opener.needed == 7
    opened = opener.open(buffer, 0, 64)
    assert opened is not None
    assert (bytes(opened[0]), opened[1]) == (b"\x5eX", 7)
