"""The PROXY protocol, versions 1 and 2: who the client behind a proxy is (HAProxy's proxy-protocol.txt).

`ProxyGate.make_protocol` takes the place of the server's own where `ProxyProtocol` is configured.  The header
comes before anything else; once it is read, the server's protocol meets a transport whose "peername" and
"sockname" are the header's.  Whatever followed the header in the same read is its first data.
"""

import socket
from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sshkit_keys.text import printable

from sshkit.ssh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from sshkit.config.sshd_addresses import AddressList
    from sshkit.interfaces import Clock, DelayedCall, Transport

V1: Final = b"PROXY "
V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
MAX_V1: Final = 107  #: bytes of a line, its end among them
MAX_V2: Final = 4096  #: bytes of addresses and of the fields after them, which nobody reads here
DEADLINE: Final = 5.0  #: seconds for a whole header: a proxy sends it in its first packet
MAX_WAITING: Final = 1024  #: connections whose header is awaited; more are refused
YES: Final = "yes"  #: a header where there is one
REQUIRED: Final = "required"  #: nobody without a header

Address = tuple[str, int] | tuple[str, int, int, int] | str
_HEAD = Struct(">12sBBH")
_PORTS = Struct(">HH")
_INET: Final = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}
_UNIX: Final = 3
_PATH: Final = 108  #: bytes of each path of a UNIX socket


class BadHeader(RemoteProtocolError):
    """What should be a PROXY header is none."""


class Header(NamedTuple):
    """What a header says: both ends of the client's connection; None where it is the proxy's own."""

    size: int
    peer: Address | None = None
    local: Address | None = None


def parse_header(data: bytes) -> Header | None:
    """Return the header at the start of `data`, None while some of it is to come; BadHeader if it is none."""
    if data[:12] == V2[: len(data)]:
        return _parse_v2(data)
    if data[:6] == V1[: len(data)]:
        return _parse_v1(data)
    raise BadHeader("no PROXY header")


def _parse_v1(data: bytes) -> Header | None:
    line, end, _ = data[:MAX_V1].partition(b"\r\n")
    if not end:
        if len(data) >= MAX_V1:
            raise BadHeader(f"a PROXY line of more than {MAX_V1} bytes")
        return None
    words = line.split(b" ")
    size = len(line) + 2
    if words[1] == b"UNKNOWN":
        return Header(size)
    family = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}.get(words[1])
    if family is None or len(words) != 6:
        raise BadHeader(f"PROXY line: {printable(line)}")
    try:
        packed = [socket.inet_pton(family, word.decode("ascii")) for word in words[2:4]]
    except (OSError, ValueError):
        raise BadHeader(f"addresses of a PROXY line: {printable(line)}") from None
    ports = [_port(word) for word in words[4:]]
    return Header(size, _address(family, packed[0], ports[0]), _address(family, packed[1], ports[1]))


def _port(word: bytes) -> int:
    if word.isdigit() and len(word) <= 5 and (word == b"0" or word[:1] != b"0") and int(word) < 65536:
        return int(word)
    raise BadHeader(f"port of a PROXY line: {printable(word)}")


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < _HEAD.size:
        return None
    _, version, kind, length = _HEAD.unpack_from(data)
    if version not in (0x20, 0x21):
        raise BadHeader(f"version and command {version:#04x} of a PROXY header")
    if length > MAX_V2:
        raise BadHeader(f"a PROXY header of {length} bytes, {MAX_V2} allowed")
    size = _HEAD.size + length
    if len(data) < size:
        return None
    family, sort = divmod(kind, 16)
    if version == 0x20 or kind == 0:  # LOCAL: the proxy's own connection; or one that it cannot describe
        return Header(size)
    if sort != 1 or not 1 <= family <= _UNIX:
        raise BadHeader(f"family and kind {kind:#04x} of a PROXY header, and not a stream")
    body = data[_HEAD.size : size]
    needed = 2 * _PATH if family == _UNIX else 2 * _INET[family][1] + _PORTS.size
    if length < needed:
        raise BadHeader(f"{length} bytes of addresses in a PROXY header, {needed} needed")
    if family == _UNIX:
        return Header(size, _path(body[:_PATH]), _path(body[_PATH : 2 * _PATH]))
    number, width = _INET[family]
    peer_port, local_port = _PORTS.unpack_from(body, 2 * width)
    return Header(
        size,
        _address(number, body[:width], peer_port),
        _address(number, body[width : 2 * width], local_port),
    )


def _address(family: int, packed: bytes, port: int) -> Address:
    text = socket.inet_ntop(family, packed)
    return (text, port) if family == socket.AF_INET else (text, port, 0, 0)


def _path(field: bytes) -> str:
    """Return the path of a UNIX socket as Python has it; of an abstract one with the zero in front."""
    return (field[:1] + field[1:].partition(b"\0")[0]).rstrip(b"\0").decode("utf-8", "surrogateescape")


class ProxyGate:
    """What all connections that come through proxies share; `make_protocol` is a listener's factory.

    `factory` makes the protocol behind the header, `mode` is "yes" or "required", `on_error` is told the
    proxy's address and what was wrong.  Only those of `trusted`, a list or patterns of addresses, are
    believed; with "required" others are refused, and with "yes" they are clients like any other.  Empty
    trusts everybody.  `on_gone` is called for each connection that ends before `factory` was, for nobody else
    will hear of it, with whether it was refused.
    """

    __slots__ = ("clock", "deadline", "factory", "mode", "on_error", "on_gone", "trusted", "waiting")

    def __init__(
        self,
        factory: Callable[[], Any],
        clock: "Clock",
        mode: str,
        on_error: Callable[[Any, str], object],
        *,
        trusted: "Sequence[str] | AddressList" = (),
        deadline: float = DEADLINE,
        on_gone: Callable[[bool], object] = lambda refused: None,
    ) -> None:
        self.factory = factory
        self.clock = clock
        self.mode = mode
        self.on_error = on_error
        self.on_gone = on_gone
        self.trusted = trusted
        self.deadline = deadline
        self.waiting = 0

    def make_protocol(self) -> "ProxyHeader":
        """Return the protocol for one accepted connection."""
        return ProxyHeader(self)

    def believes(self, peer: Any) -> bool:
        """Say whether a header from this address counts."""
        if not self.trusted:
            return True
        if not isinstance(peer, tuple):
            return True  # a UNIX socket: its permissions say who may
        from sshkit.config.sshd_addresses import AddressList
        from sshkit.server.key_limits import address_matches
        from sshkit.server.source_blocks import plain_address

        address = plain_address(str(peer[0]))
        if isinstance(self.trusted, AddressList):
            return self.trusted.holds(address)
        return any(address_matches(address, pattern) for pattern in self.trusted)


class ProxyHeader:
    """The first protocol of one connection: reads the header and gives way to the server's."""

    __slots__ = ("_data", "_gate", "_timer", "_transport")

    def __init__(self, gate: ProxyGate) -> None:
        self._gate = gate
        self._data = b""
        self._timer: DelayedCall | None = None
        self._transport: Transport | None = None

    def connection_made(self, transport: "Transport") -> None:
        gate = self._gate
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if not gate.believes(peer):
            if gate.mode == REQUIRED:
                self._refuse("not a trusted proxy")
            else:
                self._give_way(Header(0))
            return
        if gate.waiting >= MAX_WAITING:
            self._refuse(f"{MAX_WAITING} connections wait for their PROXY header")
            return
        gate.waiting += 1
        self._timer = gate.clock.call_later(gate.deadline, self._timed_out)

    def data_received(self, data: bytes) -> None:
        """Take some of the header."""
        if self._transport is None:
            return
        self._data += data
        try:
            header = parse_header(self._data)
        except BadHeader as error:
            if self._gate.mode == REQUIRED or self._data.startswith((V1, V2)):
                self._refuse(str(error))
                return
            header = Header(0)  # a client that came without a proxy
        if header is not None:
            self._give_way(header)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self._end_wait()
        refused = self._transport is None
        self._transport = None
        self._gate.on_gone(refused)

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""

    def _timed_out(self) -> None:
        if self._gate.mode == REQUIRED or self._data:
            self._refuse(f"no PROXY header within {self._gate.deadline:g} seconds")
        else:
            self._give_way(Header(0))

    def _end_wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._gate.waiting -= 1

    def _refuse(self, why: str) -> None:
        self._end_wait()
        transport, self._transport = self._transport, None
        assert transport is not None
        self._gate.on_error(transport.get_extra_info("peername"), why)
        transport.abort()

    def _give_way(self, header: Header) -> None:
        self._end_wait()
        transport, self._transport = self._transport, None
        assert transport is not None
        rest, self._data = self._data[header.size :], b""
        protocol = self._gate.factory()
        transport.set_protocol(protocol)
        if header.peer is None and not rest:
            protocol.connection_made(transport)
            return
        proxied = ProxiedTransport(transport, header, self._gate.clock)
        protocol.connection_made(proxied)
        proxied.begin(rest)


class ProxiedTransport:
    """The transport of a proxy, with the client's addresses; the calls that matter go straight through."""

    __slots__ = (
        "_clock",
        "_header",
        "_paused",
        "_rest",
        "_transport",
        "abort",
        "can_write_eof",
        "close",
        "copies_on_write",
        "get_protocol",
        "get_write_buffer_size",
        "is_closing",
        "set_protocol",
        "set_write_buffer_limits",
        "write",
        "write_eof",
        "writelines",
    )

    def __init__(self, transport: "Transport", header: Header, clock: "Clock") -> None:
        self._transport = transport
        self._header = header
        self._clock = clock
        self._paused = False
        self._rest = b""  # what followed the header and was not delivered yet
        self.copies_on_write: bool = getattr(transport, "copies_on_write", False)
        self.abort = transport.abort
        self.can_write_eof = transport.can_write_eof
        self.close = transport.close
        self.get_protocol = transport.get_protocol
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.set_protocol = transport.set_protocol
        self.set_write_buffer_limits = transport.set_write_buffer_limits
        self.write = transport.write
        self.write_eof = transport.write_eof
        self.writelines = transport.writelines

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact of the client's connection; of the proxy's, where the header tells nothing."""
        header = self._header
        if header.peer is not None:
            if name == "peername":
                return header.peer
            if name == "sockname":
                return header.local
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again; first, and not inside this call, what came with the header."""
        self._paused = False
        if self._rest:
            self._clock.call_soon(self._deliver)
        else:
            self._transport.resume_reading()

    def begin(self, rest: bytes) -> None:
        """Deliver what came with the header, unless the protocol has paused or gone."""
        self._rest = rest
        if rest and not self._paused:
            self._deliver()

    def _deliver(self) -> None:
        if self._paused or not self._rest:
            return
        rest, self._rest = self._rest, b""
        if not self._transport.is_closing():
            try:
                self._transport.get_protocol().data_received(rest)
            except Exception:  # of this connection, and no other's affair
                self._transport.abort()
                raise
            if not self._paused:
                self._transport.resume_reading()
