"""UDP on every engine: datagrams stay whole, errors are told, nothing grows or blocks."""

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.interfaces import IDatagramProtocol, IDatagramTransport, IMulticastTransport
from sshkit.reactor import ConnectError, ListenError, ReactorClosed, new_reactor
from sshkit.reactor.transports import datagram, udp

from .datagram_helpers import Datagrams, EchoDatagrams
from .helpers import later

Run = Callable[[Any], Any]


class Stubborn:
    """A socket whose calls fail as told, then work."""

    def __init__(self, sock: Any, *failures: OSError, only: str = "send") -> None:
        self._sock = sock
        self._only = only
        self.failures = list(failures)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._sock, name)
        if not name.startswith(self._only):
            return real

        def call(*args: Any) -> Any:
            if self.failures:
                raise self.failures.pop(0)
            return real(*args)

        return call


def stubborn(protocol: Datagrams, *failures: OSError, only: str = "send") -> None:
    transport = protocol.transport
    transport._socket = Stubborn(transport._socket, *failures, only=only)


def full() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "full")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_datagrams_stay_whole_and_say_where_they_come_from(run: Run, host: str) -> None:
    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(EchoDatagrams, local=(host, 0))
        client = await reactor.open_udp(Datagrams, local=(host, 0))
        assert verifyObject(IDatagramTransport, server.transport)
        assert verifyObject(IMulticastTransport, server.transport)
        assert IDatagramProtocol is not None
        messages = [b"one", b"", bytes(60000), b"four"]
        for message in messages:
            client.transport.sendto(memoryview(message), server.address)
        await client.has_received(4)
        assert client.data == messages
        assert {address[:2] for _, address in client.received} == {server.address[:2]}
        assert server.received[0][1] == client.address
        assert f"at {server.address!r}" in repr(server.transport)
        client.transport.close()
        client.transport.close()
        client.transport.sendto(b"too late", server.address)
        assert client.transport.is_closing()
        assert await client.lost is None
        assert client.transport.get_protocol() is None
        assert client.events == ["made", "lost"]
        server.transport.abort()
        assert await server.lost is None

    run(main)


def test_a_connected_socket_takes_only_what_its_peer_sends(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(EchoDatagrams)
        client = await reactor.open_udp(Datagrams, remote=server.address)
        assert client.transport.get_extra_info("peername") == server.address
        assert server.transport.get_extra_info("peername", "none") == "none"
        assert client.transport.get_extra_info("color") is None
        assert isinstance(client.transport.get_extra_info("socket"), socket.socket)
        stranger = await reactor.open_udp(Datagrams)
        stranger.transport.sendto(b"forged", client.address)
        client.transport.sendto(b"mine")
        client.transport.sendto(b"too", server.address)
        await client.has_received(2)
        assert client.data == [b"mine", b"too"]
        with pytest.raises(ValueError, match=r"sends to .* only, not to"):
            client.transport.sendto(b"x", stranger.address)
        with pytest.raises(ValueError, match="not connected: sendto needs an address"):
            server.transport.sendto(b"x")

    run(main)


def test_a_closed_port_is_told_and_the_socket_lives(run: Run) -> None:
    async def main(reactor: Any) -> None:
        gone = await reactor.open_udp(Datagrams)
        address = gone.address
        gone.transport.abort()
        await gone.lost
        client = await reactor.open_udp(Datagrams, local=("127.0.0.1", 0), remote=address)
        client.transport.sendto(b"lost")
        await client.has_failed()
        assert client.errors[0].errno == errno.ECONNREFUSED
        again = await reactor.open_udp(Datagrams, local=address)
        client.transport.sendto(b"arrives")
        await again.has_received(1)

    run(main)


def test_the_error_of_an_earlier_datagram_does_not_take_the_next_one_with_it(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(Datagrams)
        client = await reactor.open_udp(Datagrams, remote=server.address)
        refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        stubborn(client, refused)
        client.transport.sendto(b"arrives")
        assert client.errors == []  # never inside sendto
        await server.has_received(1)
        await client.has_failed()
        assert client.errors == [refused]
        stubborn(client, refused, refused)
        client.transport.sendto(b"lost")
        await client.has_failed(2)
        client.transport.sendto(b"x" * 70000)
        client.transport.abort()
        await client.lost
        assert len(client.errors) == 2  # after the end nothing is told

    run(main)


def test_a_datagram_too_large_to_send_is_told(run: Run) -> None:
    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams)
        one.transport.sendto(bytes(70000), one.address)
        await one.has_failed()
        assert one.errors[0].errno == errno.EMSGSIZE

    run(main)


def test_r18_a_datagram_larger_than_allowed_is_thrown_away_and_counted(run: Run) -> None:
    async def main(reactor: Any) -> None:
        small = await reactor.open_udp(Datagrams, max_size=4)
        for message in (b"12345", bytes(5000), b"1234"):
            small.transport.sendto(message, small.address)
        await small.has_received(1)
        assert small.data == [b"1234"]
        assert small.transport.oversized == 2

    run(main)


def test_a_name_is_refused_for_looking_it_up_would_block(run: Run) -> None:
    async def main(reactor: Any) -> None:
        four = await reactor.open_udp(Datagrams, broadcast=True)
        six = await reactor.open_udp(Datagrams, local=("::1", 0))
        for transport, host, kind in (
            (four.transport, "localhost", "IPv4"),
            (four.transport, "::1", "IPv4"),
            (six.transport, "127.0.0.1", "IPv6"),
            (six.transport, "<broadcast>", "IPv6"),
            (four.transport, "a\0b", "IPv4"),
        ):
            with pytest.raises(ValueError, match=f"is not a numeric {kind} address"):
                transport.sendto(b"x", (host, 9))
        four.transport.check_address(("<broadcast>", 9))
        six.transport.check_address(("fe80::1%lo", 9, 0, 1))

    run(main)


def test_the_memory_of_known_addresses_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "KNOWN_ADDRESSES", 2)

    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams)
        for port in range(1, 8):
            one.transport.check_address(("127.0.0.1", port))
        assert len(one.transport._known) <= 2

    run(main)


def test_what_the_kernel_does_not_take_waits_in_order_and_past_the_limit_is_counted(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(Datagrams)
        client = await reactor.open_udp(Datagrams)
        client.transport.set_write_buffer_limits(high=1000, low=100)
        stubborn(client, full(), InterruptedError(errno.EINTR, "signal"))
        data = bytearray(b"first")
        client.transport.sendto(data, server.address)
        data[:] = b"xxxxx"
        assert client.transport.get_write_buffer_size() == 5 + datagram.ENTRY_COST
        assert "pause" not in client.events
        client.transport.sendto(bytes(1000), server.address)
        assert client.events == ["made", "pause"]
        client.transport.sendto(b"", server.address)
        client.transport.sendto(bytes(datagram.QUEUE_LIMIT), server.address)
        assert client.transport.dropped == 1
        await server.has_received(3)
        assert server.data == [b"first", bytes(1000), b""]
        assert client.events == ["made", "pause", "resume"]
        assert client.transport.get_write_buffer_size() == 0

    run(main)


def test_r18_empty_datagrams_do_not_fill_the_memory_either(run: Run) -> None:
    async def main(reactor: Any) -> None:
        client = await reactor.open_udp(Datagrams)
        stubborn(client, *[full() for _ in range(3)])
        for _ in range(10000):
            client.transport.sendto(b"", client.address)
        assert client.transport.dropped == 10000 - datagram.QUEUE_LIMIT // datagram.ENTRY_COST
        assert client.events == ["made", "pause"]

    run(main)


def test_an_error_of_a_waiting_datagram_is_told_and_the_next_goes(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(Datagrams)
        client = await reactor.open_udp(Datagrams)
        stubborn(client, full(), OSError(errno.EPERM, "no"), OSError(errno.ENOBUFS, "none"))
        for number in range(4):
            client.transport.sendto(b"%d" % number, server.address)
        await server.has_received(2)
        assert server.data == [b"2", b"3"]
        assert [error.errno for error in client.errors] == [errno.EPERM]
        assert client.transport.dropped == 1

    run(main)


def test_closing_sends_what_waits_but_not_for_ever(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram, "CLOSE_TIMEOUT", 0.01)

    async def main(reactor: Any) -> None:
        server = await reactor.open_udp(Datagrams)
        client = await reactor.open_udp(Datagrams)
        stubborn(client, full())
        client.transport.sendto(b"last words", server.address)
        client.transport.close()
        await server.has_received(1)
        assert await client.lost is None
        assert client.transport.dropped == 0

    run(main)

    class Deaf(udp.UdpTransport):
        def wait_for_room(self) -> None:
            """Never hear of room."""

    monkeypatch.setattr("sshkit.reactor.datagrams.UdpTransport", Deaf)

    async def deaf(reactor: Any) -> None:
        client = await reactor.open_udp(Datagrams)
        stubborn(client, full())
        client.transport.sendto(b"never", client.address)
        client.transport.close()
        assert await client.lost is None
        assert client.transport.dropped == 1

    run(deaf)


def test_the_marks_can_be_moved_while_datagrams_wait(run: Run) -> None:
    async def main(reactor: Any) -> None:
        client = await reactor.open_udp(Datagrams)
        stubborn(client, full())
        client.transport.sendto(bytes(1000), client.address)
        client.transport.set_write_buffer_limits(high=500)
        assert client.events == ["made", "pause"]
        client.transport.set_write_buffer_limits(high=5000)
        assert client.events == ["made", "pause", "resume"]

    run(main)


def test_a_pause_holds_and_another_protocol_takes_over(run: Run) -> None:
    async def main(reactor: Any) -> None:
        class Pauser(Datagrams):
            def datagram_received(self, data: bytes, address: Any) -> None:
                super().datagram_received(data, address)
                self.transport.pause_reading()

        class Hander(Datagrams):
            def datagram_received(self, data: bytes, address: Any) -> None:
                super().datagram_received(data, address)
                self.transport.set_protocol(second)

        second = Datagrams()
        pauser = await reactor.open_udp(Pauser)
        for message in (b"1", b"2"):
            pauser.transport.sendto(message, pauser.address)
        await pauser.has_received(1)
        await later(reactor, 0.01)
        assert pauser.data == [b"1"]
        pauser.transport.resume_reading()
        await pauser.has_received(2)
        pauser.transport.close()
        pauser.transport.resume_reading()
        hander = await reactor.open_udp(Hander)
        for message in (b"1", b"2"):
            hander.transport.sendto(message, hander.address)
        await second.has_received(1)
        assert (hander.data, second.data) == ([b"1"], [b"2"])
        assert hander.transport.get_protocol() is second

    run(main)


def test_one_turn_takes_a_batch_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram, "DATAGRAMS_A_TURN", 2)

    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams)
        for number in range(5):
            one.transport.sendto(b"%d" % number, one.address)
        one.transport.read_ready()
        assert one.data == [b"0", b"1"]
        stubborn(one, full())
        for number in range(5, 9):
            one.transport.sendto(b"%d" % number, one.address)
        one.transport.write_ready()
        assert one.transport.get_write_buffer_size() > 0
        await one.has_received(9)

    run(main)


@pytest.mark.parametrize("where", ["datagram_received", "error_received", "pause_writing", "resume_writing"])
def test_r41_a_handler_that_raises_ends_its_socket_only_and_is_logged_once(
    run: Run, where: str, reports: list[str]
) -> None:
    def broken(*args: Any) -> None:
        raise LookupError("bug")

    async def main(reactor: Any) -> None:
        other = await reactor.open_udp(EchoDatagrams)
        bad = await reactor.open_udp(Datagrams)
        setattr(bad, where, broken)
        bad.transport.set_write_buffer_limits(high=100)
        if where == "error_received":
            bad.transport.sendto(bytes(70000), bad.address)
        else:
            if where != "datagram_received":
                stubborn(bad, full())
            bad.transport.sendto(bytes(200), other.address)
        assert isinstance(await bad.lost, LookupError)
        assert reports == [f"{where} of Datagrams failed: bug"]
        good = await reactor.open_udp(Datagrams, remote=other.address)
        good.transport.sendto(b"alive")
        await good.has_received(1)

    run(main)


def test_connection_made_and_connection_lost_may_raise(run: Run, reports: list[str]) -> None:
    class Refuser(Datagrams):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            raise LookupError("made")

        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            raise LookupError("lost")

    made: list[Refuser] = []

    def factory() -> Refuser:
        made.append(Refuser())
        return made[-1]

    def no_factory() -> Any:
        raise LookupError("factory")

    async def main(reactor: Any) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(LookupError, match="made"):
            await reactor.open_udp(factory)
        assert isinstance(await made.pop().lost, LookupError)
        await later(reactor)
        assert reports == ["connection_lost of Refuser failed: lost"]
        with pytest.raises(LookupError, match="factory"):
            await reactor.open_udp(no_factory)
        assert len(os.listdir("/proc/self/fd")) == before

    run(main)


def test_what_cannot_be_opened_is_named_with_the_address(run: Run) -> None:
    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams)
        text = rf"cannot open UDP at 127.0.0.1:{one.address[1]}: Address already in use"
        with pytest.raises(ListenError, match=text):
            await reactor.open_udp(Datagrams, local=one.address)
        with pytest.raises(ListenError, match=r"cannot open UDP at \[2001:db8::1\]:7: "):
            await reactor.open_udp(Datagrams, local=("2001:db8::1", 7))
        with pytest.raises(ConnectError, match=r"cannot send UDP to 255.255.255.255:9: Permission denied"):
            await reactor.open_udp(Datagrams, remote=("255.255.255.255", 9))
        first = await reactor.open_udp(Datagrams, reuse_port=True)
        await reactor.open_udp(Datagrams, local=first.address, reuse_port=True)

    run(main)


def test_the_end_of_the_reactor_is_told() -> None:
    reactor = new_reactor("native")
    protocol = Datagrams()

    async def main() -> None:
        await reactor.open_udp(lambda: protocol)
        stubborn(protocol, *[full() for _ in range(100)])
        protocol.transport.sendto(b"x", protocol.address)
        protocol.transport.close()

    reactor.run_until(main())
    reactor.close()
    assert isinstance(protocol.lost.result(), ReactorClosed)
    protocol.transport._finish()


def test_errors_of_receiving_are_told_and_a_useless_socket_is_closed(run: Run) -> None:
    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams)
        stubborn(one, OSError(errno.EHOSTUNREACH, "far"), only="recvfrom_into")
        one.transport.read_ready()
        assert [error.errno for error in one.errors] == [errno.EHOSTUNREACH]
        bad = OSError(errno.EBADF, "bad")
        stubborn(one, bad, only="recvfrom_into")
        one.transport.read_ready()
        assert await one.lost is bad
        two = await reactor.open_udp(Datagrams)
        stubborn(two, OSError(errno.EBADF, "bad"), only="getsockname")
        assert two.transport.get_extra_info("sockname", "unknown") == "unknown"

    run(main)
