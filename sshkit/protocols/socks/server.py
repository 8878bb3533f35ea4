"""SOCKS 4, 4a and 5 from the server's side: bytes in, one request out, bytes to answer (RFC 1928).

Called by the dynamic forwards.  `SocksServer.feed` takes what comes until it knows where the client wants
to go; then somebody connects, and `granted` or `refused` gives the last bytes before plain data.  Only
CONNECT is served: BIND and UDP ASSOCIATE are refused in words of the protocol.  Nobody is asked who he is:
the forward listens at an address of this machine.
"""

from typing import Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

VERSION_4: Final = 4
VERSION_5: Final = 5
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
COMMANDS: Final = {BIND: "BIND", UDP_ASSOCIATE: "UDP ASSOCIATE"}
NO_AUTHENTICATION: Final = 0
NO_METHOD: Final = 0xFF
IPV4, NAME, IPV6 = 1, 3, 4

# Answers of version 5 (RFC 1928 section 6).
GRANTED: Final = 0
GENERAL_FAILURE: Final = 1
NOT_ALLOWED: Final = 2
HOST_UNREACHABLE: Final = 4
CONNECTION_REFUSED: Final = 5
COMMAND_NOT_SUPPORTED: Final = 7
ADDRESS_TYPE_NOT_SUPPORTED: Final = 8
# And of version 4.
GRANTED_4: Final = 90
REFUSED_4: Final = 91

MAX_TEXT = 255  #: bytes of a user or host name of version 4; version 5 has a byte for the length


class SocksError(SSHKitError):
    """What came is no SOCKS, or nothing that is served; `answer` goes to the client before the end."""

    def __init__(self, message: str, answer: bytes = b"") -> None:
        super().__init__(message)
        self.answer = answer


class SocksRequest(NamedTuple):
    """Where the client wants to go; `host` is a name or a numeric address."""

    version: int
    host: str
    port: int


class SocksServer:
    """One client, from its first byte to the answer."""

    __slots__ = ("_buffer", "_greeted", "request")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False  # version 5: the method was chosen
        self.request: SocksRequest | None = None

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take bytes; return what to send now.  Raises SocksError where this leads nowhere.

        When `request` is set, `rest` has what came behind it.
        """
        buffer = self._buffer
        buffer += data
        answer = b""
        if self.request is None and buffer:
            version = buffer[0]
            if version == VERSION_4:
                self._version_4()
            elif version == VERSION_5:
                if not self._greeted:
                    answer = self._greeting()
                if self._greeted and buffer:
                    self._version_5()
            else:
                raise SocksError(f"the first byte is {version}: neither SOCKS 4 nor SOCKS 5")
        return answer

    def rest(self) -> bytes:
        """Return, once, what came behind the request: the first bytes for the destination."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def granted(self) -> bytes:
        """Return the answer after which plain data flows."""
        return self._answer(GRANTED)

    def refused(self, reason: int = GENERAL_FAILURE) -> bytes:
        """Return the answer that ends the matter; `reason` is one of version 5."""
        return self._answer(reason)

    def _answer(self, code: int) -> bytes:
        if self.request is None:
            return b""
        return answer_4(code) if self.request.version == VERSION_4 else answer_5(code)

    def _version_4(self) -> None:
        """SOCKS 4 and 4a: version, command, port, address, user NUL, and for 4a the name NUL."""
        buffer = self._buffer
        if len(buffer) < 9:
            return
        user_end = buffer.find(0, 8, 8 + MAX_TEXT + 1)
        if user_end < 0:
            if len(buffer) > 8 + MAX_TEXT:
                raise SocksError(f"a user name of more than {MAX_TEXT} bytes", answer_4(GENERAL_FAILURE))
            return
        end = user_end + 1
        address = bytes(buffer[4:8])
        if address[:3] == b"\0\0\0" and address[3]:  # 4a: the name follows
            name_end = buffer.find(0, end, end + MAX_TEXT + 1)
            if name_end < 0:
                if len(buffer) > end + MAX_TEXT:
                    raise SocksError(f"a host name of more than {MAX_TEXT} bytes", answer_4(GENERAL_FAILURE))
                return
            host = host_name(bytes(buffer[end:name_end]), answer_4(GENERAL_FAILURE))
            end = name_end + 1
        else:
            host = ".".join(str(byte) for byte in address)
        command, port = buffer[1], int.from_bytes(buffer[2:4], "big")
        check_command(command, answer_4(COMMAND_NOT_SUPPORTED))
        self._found(SocksRequest(VERSION_4, host, port), end)

    def _greeting(self) -> bytes:
        """Choose a method of authentication: none, if the client offers that (RFC 1928 section 3)."""
        buffer = self._buffer
        if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
            return b""
        methods = buffer[2 : 2 + buffer[1]]
        if NO_AUTHENTICATION not in methods:
            raise SocksError("the client wants to authenticate itself", bytes((VERSION_5, NO_METHOD)))
        del buffer[: 2 + len(methods)]
        self._greeted = True
        return bytes((VERSION_5, NO_AUTHENTICATION))

    def _version_5(self) -> None:
        """The request: version, command, 0, address type, address, port (RFC 1928 section 4)."""
        buffer = self._buffer
        if buffer[0] != VERSION_5:
            raise SocksError(f"version {buffer[0]} in a request of version 5", answer_5(GENERAL_FAILURE))
        if len(buffer) < 5:
            return
        kind = buffer[3]
        start, size = 4, {IPV4: 4, IPV6: 16}.get(kind, 0)
        if kind == NAME:
            start, size = 5, buffer[4]
        elif not size:
            raise SocksError(f"address type {kind}", answer_5(ADDRESS_TYPE_NOT_SUPPORTED))
        end = start + size + 2
        if len(buffer) < end:
            return
        address = bytes(buffer[start : start + size])
        if kind == NAME:
            host = host_name(address, answer_5(GENERAL_FAILURE))
        elif kind == IPV4:
            host = ".".join(str(byte) for byte in address)
        else:
            from ipaddress import IPv6Address

            host = str(IPv6Address(address))
        check_command(buffer[1], answer_5(COMMAND_NOT_SUPPORTED))
        self._found(SocksRequest(VERSION_5, host, int.from_bytes(buffer[end - 2 : end], "big")), end)

    def _found(self, request: SocksRequest, end: int) -> None:
        if not request.port:
            answer = answer_4 if request.version == VERSION_4 else answer_5
            raise SocksError("port 0 is none to connect to", answer(GENERAL_FAILURE))
        self.request = request
        del self._buffer[:end]


def check_command(command: int, answer: bytes) -> None:
    """Raise SocksError, which carries `answer`, for anything but CONNECT."""
    if command != CONNECT:
        name = COMMANDS.get(command, f"command {command}")
        raise SocksError(f"{name} is not served, only CONNECT", answer)


def host_name(data: bytes, answer: bytes) -> str:
    """Return a name as text; SocksError where it cannot be one (R39)."""
    text = data.decode("ascii", "backslashreplace")
    if not data.isascii() or not text or not text.isprintable() or " " in text or text.startswith("-"):
        raise SocksError(f"{quoted(text)} is not a host name", answer)
    return text


def answer_4(code: int) -> bytes:
    """Return an answer of version 4 for a code of version 5."""
    return bytes((0, GRANTED_4 if code == GRANTED else REFUSED_4, 0, 0, 0, 0, 0, 0))


def answer_5(code: int) -> bytes:
    """Return an answer of version 5; the address in it tells nothing."""
    return bytes((VERSION_5, code, 0, IPV4, 0, 0, 0, 0, 0, 0))
