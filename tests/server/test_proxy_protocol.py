"""The PROXY protocol: good headers, hostile ones, and that no byte is lost or read twice."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sshkit
from sshkit.config.sshd_addresses import AddressList
from sshkit.reactor.current import current
from sshkit.server.proxy_protocol import (
    DEADLINE,
    MAX_V1,
    MAX_V2,
    MAX_WAITING,
    V2,
    BadHeader,
    Header,
    ProxiedTransport,
    ProxyGate,
    ProxyHeader,
    parse_header,
)
from sshkit.testing import MemoryClock, connect_in_memory
from tests.client.world import HOST_KEY, USER_KEY, World, echo
from tests.server.real_ssh import real_ssh, write_key

TCP4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 22\r\n"
PROXY = ("127.0.0.1", 999)
PEER4, LOCAL4 = ("192.0.2.7", 56324), ("198.51.100.1", 22)


def v2(command: int = 0x21, kind: int = 0x11, body: bytes = b"", length: int | None = None) -> bytes:
    return V2 + struct.pack(">BBH", command, kind, len(body) if length is None else length) + body


BODY4 = bytes((192, 0, 2, 7, 198, 51, 100, 1)) + struct.pack(">HH", 56324, 22)
BODY6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + struct.pack(">HH", 1, 2)
TLVS = b"\x01\0\x02h2" + b"\x03\0\x04\0\0\0\0" + b"\x04\0\x00"
UNIX = b"/run/a".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")
GOOD: dict[str, tuple[bytes, Any, Any]] = {
    "v1 tcp4": (TCP4, PEER4, LOCAL4),
    "v1 tcp6": (b"PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n", ("2001:db8::1", 0, 0, 0), ("::1", 65535, 0, 0)),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v1 unknown with more": (b"PROXY UNKNOWN ffff::f ::1 1 2\r\n", None, None),
    "v2 tcp4": (v2(body=BODY4), PEER4, LOCAL4),
    "v2 tcp4 with fields": (v2(body=BODY4 + TLVS), PEER4, LOCAL4),
    "v2 tcp6": (v2(kind=0x21, body=BODY6), ("2001:db8::1", 1, 0, 0), ("2001:db8::1", 2, 0, 0)),
    "v2 unix": (v2(kind=0x31, body=UNIX), "/run/a", "\0abstract"),
    "v2 local": (v2(0x20, 0), None, None),
    "v2 local with addresses": (v2(0x20, 0x11, BODY4), None, None),
    "v2 unspecified": (v2(0x21, 0, TLVS), None, None),
}
BAD: dict[str, bytes] = {
    "ssh": b"SSH-2.0-x\r\n",
    "http": b"GET / HTTP/1.1\r\n",
    "lower case": b"proxy TCP4",
    "no word": b"PROXY \r\n",
    "no addresses": b"PROXY TCP4\r\n",
    "another family": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "one word more": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "a name": b"PROXY TCP4 example.com 198.51.100.1 1 2\r\n",
    "the other family's address": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "an address of three parts": b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "not ASCII": b"PROXY TCP4 \xff\xfe 198.51.100.1 1 2\r\n",
    "a zero byte": b"PROXY TCP4 192.0.2.7\0 198.51.100.1 1 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "a signed port": b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
    "a port with a zero": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "a port of many digits": b"PROXY TCP4 192.0.2.7 198.51.100.1 000001 2\r\n",
    "no port": b"PROXY TCP4 192.0.2.7 198.51.100.1  2\r\n",
    "a line without an end": b"PROXY UNKNOWN " + b"x" * MAX_V1,
    "the end just too late": b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 15) + b"\r\n",
    "version 1 in binary": v2(0x11, 0x11, BODY4),
    "an unknown command": v2(0x22, 0x11, BODY4),
    "a datagram": v2(0x21, 0x12, BODY4),
    "an unknown kind": v2(0x21, 0x13, BODY4),
    "an unknown family": v2(0x21, 0x41, BODY4),
    "no family for a stream": v2(0x21, 0x01, BODY4),
    "half the addresses": v2(body=BODY4[:11]),
    "addresses of the other family": v2(kind=0x21, body=BODY4),
    "half the paths": v2(kind=0x31, body=UNIX[:215]),
    "too long": v2(length=MAX_V2 + 1),
    "as long as can be": v2(length=0xFFFF),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_header_tells_both_ends(name: str) -> None:
    data, peer, local = GOOD[name]
    assert parse_header(data) == Header(len(data), peer, local)
    assert parse_header(data + b"SSH-2.0-x\r\n") == Header(len(data), peer, local)
    for size in range(len(data)):
        assert parse_header(data[:size]) is None


@pytest.mark.parametrize("name", BAD)
def test_r18_a_header_that_is_none_is_refused_however_it_comes(name: str) -> None:
    data = BAD[name]
    with pytest.raises(BadHeader):
        parse_header(data)
    scene = Scene()
    for position in range(len(data)):
        scene.send(data[position : position + 1])
    assert scene.inner is None
    assert scene.pair.client.closed
    assert len(scene.errors) == 1
    assert scene.gate.waiting == 0
    assert scene.clock.next_due() is None


def test_r36_what_stands_in_a_bad_header_is_escaped() -> None:
    with pytest.raises(BadHeader) as raised:
        parse_header(b"PROXY \x1b[2J\n 1 2 3 4\r\n")
    assert r"\x1b[2J\n" in str(raised.value)


@given(st.binary(max_size=300))
def test_r18_any_bytes_give_a_header_or_the_wish_for_more_or_a_bad_header(data: bytes) -> None:
    for start in (b"", b"PROXY ", V2, V2 + b"\x21\x11\0\x20"):
        try:
            header = parse_header(start + data)
        except BadHeader:
            continue
        assert header is None or header.size <= len(start + data)


class Inner:
    """The protocol behind the header."""

    def __init__(self, *, pauses: bool = False, closes: bool = False, fails: bool = False) -> None:
        self.pauses, self.closes, self.fails = pauses, closes, fails
        self.transport: Any = None
        self.data = b""
        self.reads = 0
        self.ended = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.pauses:
            transport.pause_reading()
        if self.closes:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.fails:
            raise RuntimeError("a fault of the inner protocol")
        self.data += data
        self.reads += 1

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self.ended += 1

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Client(Inner):
    """The proxy."""


class Scene:
    """A proxy and a gate, in memory."""

    def __init__(
        self,
        mode: str = "required",
        trusted: tuple[str, ...] | AddressList = (),
        peer: Any = ("127.0.0.1", 999),
        **inner: bool,
    ) -> None:
        self.clock = MemoryClock()
        self.errors: list[tuple[Any, str]] = []
        self.made: list[Inner] = []

        def make() -> Inner:
            self.made.append(Inner(**inner))
            return self.made[-1]

        self.gate = ProxyGate(
            make, self.clock, mode, lambda place, why: self.errors.append((place, why)), trusted=trusted
        )
        self.client = Client()
        self.pair = connect_in_memory(self.client, self.gate.make_protocol(), self.clock, client_address=peer)

    @property
    def inner(self) -> Inner | None:
        return self.made[0] if self.made else None

    @property
    def here(self) -> Inner:
        assert self.inner is not None
        return self.inner

    def send(self, data: bytes) -> None:
        self.client.transport.write(data)
        self.pair.settle()


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_no_byte_is_lost_or_read_twice_however_they_come(name: str, step: int) -> None:
    data, peer, local = GOOD[name]
    scene = Scene()
    stream = data + b"SSH-2.0-client\r\n" + bytes(range(256))
    scene.pair.chop = lambda: step
    scene.send(stream)
    here = scene.here
    assert here.data == stream[len(data) :]
    assert here.transport.get_extra_info("peername") == (peer or ("127.0.0.1", 999))
    assert here.transport.get_extra_info("sockname") == (
        local or scene.pair.server.get_extra_info("sockname")
    )
    assert here.transport.get_extra_info("cipher", "none") == "none"
    here.transport.write(b"answer")
    scene.pair.settle()
    assert scene.client.data == b"answer"
    assert scene.clock.next_due() is None
    scene.client.transport.close()
    scene.pair.settle()
    assert here.ended == 1
    assert len(scene.made) == 1


def test_who_pauses_at_once_gets_what_followed_the_header_when_he_reads_on() -> None:
    scene = Scene(pauses=True)
    scene.send(TCP4 + b"first")
    scene.send(b"second")
    here = scene.here
    assert here.data == b""
    here.transport.resume_reading()
    assert here.data == b""  # not inside the call
    here.transport.pause_reading()
    scene.pair.settle()
    assert here.data == b""
    here.transport.resume_reading()
    here.transport.resume_reading()
    scene.pair.settle()
    assert here.data == b"firstsecond"
    here.transport.pause_reading()
    scene.send(b"third")
    assert here.data == b"firstsecond"
    here.transport.resume_reading()
    scene.pair.settle()
    assert here.data == b"firstsecondthird"


def test_who_pauses_while_he_gets_what_followed_gets_nothing_more() -> None:
    scene = Scene(pauses=True)
    scene.send(TCP4 + b"first")
    here = scene.here
    original = here.data_received

    def pause(data: bytes) -> None:
        original(data)
        here.transport.pause_reading()

    here.data_received = pause  # type: ignore[method-assign]
    here.transport.resume_reading()
    scene.send(b"second")
    assert here.data == b"first"


def test_who_closes_at_once_gets_nothing() -> None:
    scene = Scene(closes=True)
    scene.send(TCP4 + b"first")
    assert scene.here.data == b""
    assert scene.here.ended == 1


def test_r41_a_fault_behind_the_header_ends_that_connection_only() -> None:
    scene = Scene(fails=True)
    with pytest.raises(RuntimeError):
        scene.send(TCP4 + b"x")
    assert scene.pair.server.aborted


def test_r42_a_header_that_does_not_come_ends_the_connection() -> None:
    for start in (b"", TCP4[:20], V2 + b"\x21"):
        scene = Scene()
        scene.send(start)
        scene.clock.advance(DEADLINE)
        scene.pair.settle()
        assert scene.pair.client.closed
        assert scene.errors == [(("127.0.0.1", 999), "no PROXY header within 5 seconds")]
        scene.gate.make_protocol().data_received(b"late")


def test_a_proxy_that_goes_away_before_its_header_leaves_nothing() -> None:
    scene = Scene()
    scene.send(TCP4[:10])
    assert scene.gate.waiting == 1
    scene.client.transport.close()
    scene.pair.settle()
    assert scene.gate.waiting == 0
    assert scene.clock.next_due() is None
    assert scene.errors == []
    assert scene.inner is None


def test_r42_only_so_many_connections_wait_for_their_header() -> None:
    scene = Scene()
    scene.gate.waiting = MAX_WAITING
    more = connect_in_memory(Client(), scene.gate.make_protocol(), scene.clock)
    more.settle()
    assert more.server.aborted
    assert scene.gate.waiting == MAX_WAITING
    assert "1024 connections wait" in scene.errors[0][1]


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"P", b"\r\nrest", b"PROXX"])
def test_where_a_header_may_be_missing_a_client_without_one_is_served(data: bytes) -> None:
    scene = Scene("yes")
    scene.send(data[:1])
    scene.send(data[1:] + b"more")
    assert scene.here.data == data + b"more"
    assert scene.here.transport.get_extra_info("peername") == ("127.0.0.1", 999)


def test_where_a_header_may_be_missing_a_client_that_waits_for_us_is_served() -> None:
    scene = Scene("yes")
    scene.clock.advance(DEADLINE)
    scene.pair.settle()
    assert scene.here.transport is scene.pair.server
    scene.send(b"SSH-")
    assert scene.here.data == b"SSH-"
    half = Scene("yes")
    half.send(TCP4[:20])
    half.clock.advance(DEADLINE)
    assert half.inner is None
    assert half.errors


def test_where_a_header_may_be_missing_a_broken_one_is_refused() -> None:
    scene = Scene("yes")
    scene.send(b"PROXY TCP4 nonsense\r\n")
    assert scene.inner is None
    assert scene.pair.client.closed


@pytest.mark.parametrize(
    "trusted", [("192.0.2.0/24", "2001:db8::1"), AddressList("192.0.2.0/24,2001:db8::1,!198.51.100.1")]
)
def test_only_trusted_proxies_are_believed(trusted: tuple[str, ...] | AddressList) -> None:
    for peer in (("192.0.2.1", 1), ("::ffff:192.0.2.1", 1, 0, 0), ("2001:db8::1", 1, 0, 0), "/run/socket"):
        scene = Scene(trusted=trusted, peer=peer)
        scene.send(TCP4)
        assert scene.here.transport.get_extra_info("peername") == PEER4
    stranger = Scene(trusted=trusted, peer=("198.51.100.1", 1))
    stranger.send(TCP4)
    assert stranger.inner is None
    assert stranger.errors == [(("198.51.100.1", 1), "not a trusted proxy")]
    client = Scene("yes", trusted=trusted, peer=("198.51.100.1", 1))
    client.send(TCP4)
    assert client.here.data == TCP4  # which SSH will not like
    assert client.here.transport.get_extra_info("peername") == ("198.51.100.1", 1)


class Fed(ProxyHeader):
    """Gets the header before what the client sends: the client in memory knows of no proxy."""

    __slots__ = ()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.data_received(TCP4)


def test_the_client_is_known_by_the_headers_address_from_its_first_line_on() -> None:
    world = World()
    found: list[Any] = []

    async def main() -> None:
        async with world.serve() as server:
            gate = ProxyGate(server.make_protocol, world.network, "required", lambda *_: None)
            world.network.listeners[server.address[1]].factory = lambda: Fed(gate)
            async with world.connect() as connection:
                found.extend(one.addresses() for one in server.connections)
                assert (await connection.run("x")).stdout == b"out x\n"

    world.run(main())
    assert found == [(*PEER4, *LOCAL4)]
    assert any(line.startswith("192.0.2.7: ") for line in world.log)


@pytest.mark.peer("ssh")
def test_openssh_behind_a_real_proxy_is_seen_as_the_client(tmp_path: Path) -> None:
    write_key(tmp_path / "id", USER_KEY)
    script = tmp_path / "proxy.sh"
    program = """import os, socket, sys, threading
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(bytes.fromhex(sys.argv[2]) + os.read(0, 65536))
def down():
    while data := s.recv(65536): os.write(1, data)
    os._exit(0)
threading.Thread(target=down).start()
while data := os.read(0, 65536): s.sendall(data)
"""
    script.write_text(program)

    async def main() -> None:
        log: list[str] = []
        async with sshkit.serve(
            "127.0.0.1:0",
            echo,
            host_keys=[HOST_KEY],
            authorized_keys=[USER_KEY.public],
            log=lambda level, text, error: log.append(text),
        ) as server:
            gate = ProxyGate(server.make_protocol, current(), "required", lambda *_: None)
            listener: Any = await current().listen_tcp("127.0.0.1", 0, gate.make_protocol)
            port = server.address[1]
            (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {HOST_KEY.public.to_line()}\n")
            for header in (TCP4, v2(body=BODY4 + TLVS)):
                way = f"python3 {script} {listener.address[1]} {header.hex()}"
                done = await real_ssh(tmp_path, server, f"ProxyCommand={way}", command="x")
                assert (done.stdout, done.stderr) == (b"out x\n", b"err x\n")
            listener.close()
        assert sum(line.startswith("192.0.2.7: ") for line in log) >= 2

    sshkit.run(main(), engine="native")


def test_the_wrapped_transport_has_all_calls_of_a_transport() -> None:
    scene = Scene()
    scene.send(TCP4)
    proxied, real = scene.here.transport, scene.pair.server
    assert isinstance(proxied, ProxiedTransport)
    names = [name for name in dir(real) if not name.startswith("_") and callable(getattr(real, name))]
    inside = {"arrive", "deliver", "finish", "leave", "lose", "take"}
    assert [name for name in names if name not in inside and not hasattr(proxied, name)] == []
    assert proxied.copies_on_write
