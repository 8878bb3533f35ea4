"""Groups over the loopback interface, with our sockets and with socat."""

import errno
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sshkit.reactor import MulticastError
from sshkit.reactor.transports import multicast

from .datagram_helpers import Datagrams
from .helpers import later

Run = Callable[[Any], Any]

#: Groups for local use (RFC 2365 section 6.1, RFC 4291 section 2.7: interface-local).
FOUR, OTHER_FOUR = "239.255.77.1", "239.255.77.2"
SIX = "ff01::7:77"
LO = socket.if_nametoindex("lo")


def six_interface() -> str:
    """Return an interface with a route for groups of IPv6, which the loopback interface has seldom."""
    for index, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 0)
            try:
                sock.sendto(b"", (SIX, 9))
                return name
            except OSError:
                continue
    raise AssertionError("no interface here has a route for groups of IPv6: ip -6 route add ff00::/8 dev lo")


def six_address() -> str:
    """Return an address of that interface."""
    with open("/proc/net/if_inet6", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[5] == six_interface() and not fields[0].startswith("fe80"):
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
    raise AssertionError("the interface has no address that is not of its link only")


async def member(reactor: Any, six: bool = False) -> Datagrams:
    protocol: Datagrams = await reactor.open_udp(Datagrams, local=("::" if six else "0.0.0.0", 0))
    return protocol


async def sender(reactor: Any, six: bool = False) -> Datagrams:
    protocol: Datagrams = await reactor.open_udp(Datagrams, local=(six_address() if six else "127.0.0.1", 0))
    protocol.transport.set_multicast(interface=six_interface() if six else "lo", hops=0, loopback=True)
    return protocol


@pytest.mark.parametrize("interface", ["lo", LO, "127.0.0.1"])
def test_members_hear_what_is_sent_to_the_group_until_they_leave(run: Run, interface: Any) -> None:
    async def main(reactor: Any) -> None:
        listener, speaker = await member(reactor), await sender(reactor)
        port = listener.address[1]
        listener.transport.join_group(FOUR, interface)
        speaker.transport.sendto(b"hello", (FOUR, port))
        await listener.has_received(1)
        assert listener.received == [(b"hello", speaker.address)]
        listener.transport.leave_group(FOUR, interface)
        speaker.transport.sendto(b"not heard", (FOUR, port))
        speaker.transport.sendto(b"direct", ("127.0.0.1", port))
        await listener.has_received(2)
        assert listener.data == [b"hello", b"direct"]

    run(main)


@pytest.mark.parametrize("by", ["name", "index", "address"])
def test_groups_of_ipv6_work_alike(run: Run, by: str) -> None:
    interface: Any = six_interface()
    if by == "index":
        interface = socket.if_nametoindex(interface)
    elif by == "address":
        interface = six_address()

    async def main(reactor: Any) -> None:
        listener, speaker = await member(reactor, six=True), await sender(reactor, six=True)
        port = listener.address[1]
        listener.transport.join_group(SIX, interface)
        speaker.transport.sendto(b"hello", (SIX, port))
        await listener.has_received(1)
        listener.transport.leave_group(SIX, interface)
        speaker.transport.sendto(b"not heard", (SIX, port))
        speaker.transport.sendto(b"direct", (speaker.address[0], port))
        await listener.has_received(2)
        assert listener.data == [b"hello", b"direct"]

    run(main)


def test_a_socket_does_not_hear_the_groups_that_another_one_joined(run: Run) -> None:
    async def main(reactor: Any) -> None:
        one = await reactor.open_udp(Datagrams, local=("0.0.0.0", 0), reuse_port=True)
        two = await reactor.open_udp(Datagrams, local=one.address, reuse_port=True)
        one.transport.join_group(FOUR, "lo")
        two.transport.join_group(OTHER_FOUR, "lo")
        speaker = await sender(reactor)
        speaker.transport.sendto(b"for one", (FOUR, one.address[1]))
        speaker.transport.sendto(b"for two", (OTHER_FOUR, one.address[1]))
        await one.has_received(1)
        await two.has_received(1)
        await later(reactor)
        assert (one.data, two.data) == ([b"for one"], [b"for two"])

    run(main)


def test_without_loopback_this_machine_hears_nothing(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener, speaker = await member(reactor), await sender(reactor)
        listener.transport.join_group(FOUR, "lo")
        sock = speaker.transport.get_extra_info("socket")
        speaker.transport.set_multicast(loopback=False, hops=7)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 7
        six = await sender(reactor, six=True)
        six.transport.set_multicast(hops=255, loopback=False)
        sock = six.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS) == 255
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP) == 0
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF) == socket.if_nametoindex(
            six_interface()
        )

    run(main)


@pytest.mark.parametrize("six", [False, True])
def test_a_member_for_one_source_hears_only_that(run: Run, six: bool) -> None:
    group, ours, other = (SIX, six_address(), "2001:db8::9") if six else (FOUR, "127.0.0.1", "127.0.0.9")
    interface = six_interface() if six else "lo"

    async def main(reactor: Any) -> None:
        listener, speaker = await member(reactor, six), await sender(reactor, six)
        port = listener.address[1]
        listener.transport.join_group(group, interface, source=other)
        speaker.transport.sendto(b"not of the source", (group, port))
        speaker.transport.sendto(b"direct", (ours, port))
        await listener.has_received(1)
        assert listener.data == [b"direct"]
        listener.transport.join_group(group, interface, source=ours)
        speaker.transport.sendto(b"of the source", (group, port))
        await listener.has_received(2)
        listener.transport.leave_group(group, interface, source=ours)
        listener.transport.leave_group(group, interface, source=other)

    run(main)


def test_what_cannot_be_joined_is_named_with_the_cause(run: Run) -> None:
    async def main(reactor: Any) -> None:
        four = (await member(reactor)).transport
        six = (await member(reactor, six=True)).transport
        four.join_group(FOUR, "lo")

        def refused(call: Callable[[], None]) -> str:
            with pytest.raises(MulticastError) as caught:
                call()
            return str(caught.value)

        text = f"cannot join the group {FOUR} on lo: Address already in use"
        assert refused(lambda: four.join_group(FOUR, "lo")) == text
        text = f"cannot leave the group {OTHER_FOUR}: "
        assert refused(lambda: four.leave_group(OTHER_FOUR)).startswith(text)
        text = "cannot join the group 10.0.0.1: it is not the address of a group"
        assert refused(lambda: four.join_group("10.0.0.1")) == text
        assert refused(lambda: six.join_group("fe80::1")).endswith("it is not the address of a group")
        assert refused(lambda: four.join_group(SIX)).endswith(f"{SIX} is not an IPv4 address")
        assert refused(lambda: six.join_group(FOUR)).endswith(f"{FOUR} is not an IPv6 address")
        text = f"cannot join the group {FOUR} of nobody\\x1b: nobody\\x1b is not an IPv4 address"
        assert refused(lambda: four.join_group(FOUR, source="nobody\x1b")) == text
        for where in ("no-such", 9999, "198.51.100.7", -1, "a\0b"):
            assert "there is no interface" in refused(partial(four.join_group, FOUR, where))
        assert "there is no interface" in refused(lambda: six.join_group(SIX, "2001:db8::7"))
        assert "0 to 255" in refused(lambda: four.set_multicast(hops=256))
        assert "there is no interface" in refused(lambda: four.set_multicast(interface="no-such"))

    run(main)


def test_other_faults_and_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        family = socket.AF_INET

        def setsockopt(self, *args: Any) -> None:
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    sock: Any = Refusing()
    with pytest.raises(MulticastError, match="cannot send to groups so: Protocol not available"):
        multicast.set_sending(sock, 1, None, None)
    monkeypatch.setattr(multicast, "_LINUX", False)
    with pytest.raises(MulticastError, match="supported on Linux only"):
        multicast.change_membership(sock, FOUR, None, "127.0.0.1", join=True)
    with pytest.raises(MulticastError, match=f"cannot join the group {FOUR}: Protocol not available"):
        multicast.change_membership(sock, FOUR, None, None, join=True)


@pytest.mark.peer("socat")
def test_socat_in_a_group_hears_us_and_we_hear_it() -> None:
    from .helpers import ENGINES

    async def main(reactor: Any) -> None:
        listener, speaker = await member(reactor), await sender(reactor)
        port = listener.address[1]
        listener.transport.join_group(FOUR, "lo")
        peer = ["socat", "-u", "STDIN", f"UDP4-DATAGRAM:{FOUR}:{port},ip-multicast-if=127.0.0.1"]
        subprocess.run(peer, input=b"from socat", check=True, timeout=20)
        await listener.has_received(1)
        assert listener.data == [b"from socat"]
        listener.transport.abort()
        await listener.lost
        options = f"ip-add-membership={OTHER_FOUR}:127.0.0.1"
        process = subprocess.Popen(
            ["socat", "-u", f"UDP4-RECV:{port},{options}", "STDOUT"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        heard: list[bytes] = []
        output = process.stdout.fileno()

        def read() -> None:
            heard.append(process.stdout.read1(100))  # type: ignore[union-attr]
            reactor.remove_reader(output)

        reactor.add_reader(output, read)
        while not heard:
            speaker.transport.sendto(b"to socat", (OTHER_FOUR, port))
            await later(reactor, 0.02)
        process.kill()
        process.communicate()
        assert heard == [b"to socat"]

    ENGINES["native"](main)
