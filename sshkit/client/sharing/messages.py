"""The messages of OpenSSH's multiplexing protocol, version 4 (its PROTOCOL.mux).

Every packet is a length, a message number, for all but HELLO the number of a request, and a body.  Both
sides use these: `rider` and `proxied` ask, `master` and its peers answer.
"""

import os
from struct import Struct
from typing import Final

from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.client.sharing.errors import MuxProtocolError
from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward

VERSION: Final = 4
HELLO: Final = 0x00000001
NEW_SESSION: Final = 0x10000002
ALIVE_CHECK: Final = 0x10000004
TERMINATE: Final = 0x10000005
OPEN_FORWARD: Final = 0x10000006
CLOSE_FORWARD: Final = 0x10000007
NEW_STDIO_FORWARD: Final = 0x10000008
STOP_LISTENING: Final = 0x10000009
PROXY: Final = 0x1000000F
INFO: Final = 0x20000001  #: OpenSSH 10.3: what `-O conninfo` and `-O channels` ask
OK: Final = 0x80000001
PERMISSION_DENIED: Final = 0x80000002
FAILURE: Final = 0x80000003
EXIT_MESSAGE: Final = 0x80000004
ALIVE: Final = 0x80000005
SESSION_OPENED: Final = 0x80000006
REMOTE_PORT: Final = 0x80000007
TERMINAL_REFUSED: Final = 0x80000008
PROXYING: Final = 0x8000000F
INFORMATION: Final = 0x90000001

MAX_PACKET: Final = 256 * 1024  #: bytes of one packet: a command line and an environment fit
MAX_VARIABLES: Final = 4096  #: of one session
NO_ESCAPE: Final = 0xFFFFFFFF  #: in the place of an escape character
PATH_PORT: Final = 0xFFFFFFFE  #: in the place of a port: the host is the path of a UNIX socket
FORWARD_KINDS: Final = {1: LOCAL, 2: REMOTE, 3: DYNAMIC}
_KIND_NUMBERS: Final = {kind: number for number, kind in FORWARD_KINDS.items()}
SOCKS: Final = "socks"  #: in the place of a host: the client of a remote forward says where to
#: An extension in our HELLO: a proxied program may make any global request and gets its answer.
ANSWERS: Final = b"global-requests@sshkit"
#: The extension of OpenSSH 10.3 that says that INFO is known.
KNOWS_INFO: Final = b"info"
MAX_EXTENSIONS: Final = 64

_TWO = Struct(">II")
_THREE = Struct(">III")


def hello(*extensions: bytes) -> bytes:
    """Return the packet that each side sends first."""
    pairs = b"".join(wire.string(name) + wire.string(b"0") for name in extensions)
    return wire.string(_TWO.pack(HELLO, VERSION) + pairs)


def packet(number: int, request: int, body: bytes = b"") -> bytes:
    """Return a whole packet."""
    return _THREE.pack(8 + len(body), number, request) + body


def read_hello(payload: bytes | memoryview) -> tuple[bytes, ...]:
    """Return the names of the peer's extensions; MuxProtocolError where it speaks another version."""
    reader = WireReader(payload)
    names: list[bytes] = []
    try:
        number, version = reader.uint32("message"), reader.uint32("version")
        if number != HELLO:
            raise MuxProtocolError(f"message {number:#x} in the place of HELLO")
        if version != VERSION:
            raise MuxProtocolError(
                f"version {version} of the multiplexing protocol; {VERSION} is spoken here"
            )
        while reader.position < reader.end:
            names.append(reader.string("extension"))
            reader.view("value")
            if len(names) > MAX_EXTENSIONS:
                raise MuxProtocolError(f"more than {MAX_EXTENSIONS} extensions")
    except WireError as error:
        raise MuxProtocolError(f"a damaged HELLO: {error}") from None
    return tuple(names)


class Packet:
    """A packet that came: its number, its request (or session), and a reader of its body."""

    __slots__ = ("body", "number", "request")

    def __init__(self, payload: bytes | memoryview) -> None:
        reader = WireReader(payload)
        try:
            self.number = reader.uint32("message")
            self.request = reader.uint32("request")
        except WireError as error:
            raise MuxProtocolError(f"a damaged message: {error}") from None
        self.body = reader

    def __repr__(self) -> str:
        return f"<Packet {self.number:#x} {self.request}>"


class SessionRequest:
    """The body of NEW_SESSION."""

    __slots__ = (
        "agent_wanted",
        "command",
        "environment",
        "escape",
        "subsystem",
        "terminal",
        "terminal_type",
        "x11_wanted",
    )

    def __init__(
        self,
        command: bytes = b"",
        *,
        terminal: bool = False,
        terminal_type: str = "",
        subsystem: bool = False,
        escape: int | None = None,
        x11_wanted: bool = False,
        agent_wanted: bool = False,
        environment: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.command = command  #: b"": the login shell
        self.terminal = terminal
        self.terminal_type = terminal_type
        self.subsystem = subsystem
        self.escape = escape  #: the character, None for none
        self.x11_wanted = x11_wanted
        self.agent_wanted = agent_wanted
        self.environment = environment

    def encode(self) -> bytes:
        flags = (self.terminal, self.x11_wanted, self.agent_wanted, self.subsystem)
        return b"".join(
            [
                wire.string(b""),
                *(wire.uint32(int(flag)) for flag in flags),
                wire.uint32(NO_ESCAPE if self.escape is None else self.escape),
                wire.string(self.terminal_type),
                wire.string(self.command),
                *(wire.string(name + b"=" + value) for name, value in self.environment),
            ]
        )

    @classmethod
    def decode(cls, reader: WireReader) -> "SessionRequest":
        """Read it; WireError where it is damaged.  What is no variable is left out."""
        reader.view("reserved")
        flags = [reader.uint32("flag") != 0 for _ in range(4)]
        escape = reader.uint32("escape character")
        terminal_type = reader.text("terminal type")
        command = reader.string("command")
        environment: list[tuple[bytes, bytes]] = []
        count = 0
        while reader.position < reader.end:
            name, equals, value = reader.string("variable").partition(b"=")
            count += 1
            if count > MAX_VARIABLES:
                raise WireError(f"more than {MAX_VARIABLES} variables")
            if name and equals and b"\0" not in name + value:
                environment.append((name, value))
        return cls(
            command,
            terminal=flags[0],
            x11_wanted=flags[1],
            agent_wanted=flags[2],
            subsystem=flags[3],
            escape=escape if escape < 256 else None,
            terminal_type=terminal_type,
            environment=tuple(environment),
        )


def encode_endpoint(endpoint: Endpoint) -> bytes:
    """Return host and port as NEW_STDIO_FORWARD has them."""
    if endpoint.path is not None:
        return wire.string(os.fsencode(endpoint.path)) + wire.uint32(PATH_PORT)
    return wire.string(endpoint.host or "") + wire.uint32(endpoint.port)


def decode_endpoint(reader: WireReader) -> Endpoint:
    """Read a host with its port, or a path; WireError where the port is none."""
    host, port = reader.string("host"), reader.uint32("port")
    if b"\0" in host:
        raise WireError("host: a NUL")
    if port == PATH_PORT:
        if not host:
            raise WireError("path: empty")
        return Endpoint(None, 0, os.fsdecode(host))
    if port > 65535:
        raise WireError(f"port: {port}")
    try:
        return Endpoint(host.decode("utf-8"), port)
    except UnicodeDecodeError:
        raise WireError("host: not UTF-8") from None


def encode_forward(forward: Forward) -> bytes:
    """Return the body of OPEN_FORWARD and CLOSE_FORWARD."""
    listen, target = forward.listen, forward.target
    if listen.path is None and listen.host == "":
        listen = listen._replace(host="*")  # "" says that nothing was said
    if target is None:
        target = Endpoint(SOCKS if forward.kind == REMOTE else "", 0)
    return wire.uint32(_KIND_NUMBERS[forward.kind]) + encode_endpoint(listen) + encode_endpoint(target)


def decode_forward(reader: WireReader) -> Forward:
    """Read the forward that is to begin or to end; WireError where it makes no sense."""
    number = reader.uint32("kind")
    listen, target = decode_endpoint(reader), decode_endpoint(reader)
    kind = FORWARD_KINDS.get(number)
    if kind is None:
        raise WireError(f"kind: {number}")
    if listen.path is None and not listen.host:
        listen = listen._replace(host=None)
    if kind == DYNAMIC or (kind == REMOTE and target == Endpoint(SOCKS, 0)):
        if kind == DYNAMIC and listen.path is not None:
            raise WireError("a dynamic forward at a path")
        return Forward(kind, listen, None)
    if target.path is None and (not target.host or not target.port):
        raise WireError("a forward to nowhere")
    return Forward(kind, listen, target)
