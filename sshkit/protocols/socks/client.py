"""SOCKS 5 from the client's side: where to go, in; bytes for the proxy, out (RFC 1928, RFC 1929).

Called by the socks5 endpoint.  `SocksClient.start` gives the first bytes; `feed` takes what the proxy says
and gives the next, until `granted`.  Names are sent as names: the proxy looks them up.
"""

from ipaddress import ip_address
from typing import Final

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from .server import CONNECT, IPV4, IPV6, NAME, NO_AUTHENTICATION, NO_METHOD, VERSION_5

PASSWORD: Final = 2  #: method "username/password"
PASSWORD_VERSION: Final = 1  #: RFC 1929 section 2
MAX_FIELD: Final = 255  #: bytes of a name or password

#: What the proxy's answers mean (RFC 1928 section 6).
ANSWERS: Final = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network cannot be reached",
    4: "the host cannot be reached",
    5: "the connection was refused",
    6: "the time to live ran out",
    7: "it does not serve CONNECT",
    8: "it does not know this kind of address",
}


class SocksRefused(SSHKitError):
    """The proxy does not let us through, or is no SOCKS 5 proxy; the message says which."""


class SocksClient:
    """One connection through a proxy, up to the first byte of plain data."""

    __slots__ = ("_buffer", "_password", "_port", "_step", "_target", "_user", "bound", "granted")

    def __init__(self, host: str, port: int, user: str | None = None, password: str | None = None) -> None:
        self._target = _encoded(host)
        self._port = port
        self._user = _field(user, "user name")
        self._password = _field(password or "", "password")
        self._buffer = bytearray()
        self._step = self._method
        self.granted = False
        #: The address that the proxy says it connects from.
        self.bound: tuple[str, int] | None = None

    def start(self) -> bytes:
        """Return the greeting: the methods that we can."""
        methods = bytes((NO_AUTHENTICATION,)) if self._user is None else bytes((NO_AUTHENTICATION, PASSWORD))
        return bytes((VERSION_5, len(methods))) + methods

    def feed(self, data: bytes) -> bytes:
        """Take some of the proxy's answers; return what to send next.  Raises SocksRefused.

        Once `granted` is true, `rest` has what came behind the last answer.
        """
        self._buffer += data
        out = b""
        while not self.granted:
            answer = self._step()
            if answer is None:
                break
            out += answer
        return out

    def rest(self) -> bytes:
        """Return, once, what came behind the last answer."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _method(self) -> bytes | None:
        if len(self._buffer) < 2:
            if self._buffer and self._buffer[0] != VERSION_5:
                raise SocksRefused(f"no SOCKS 5 proxy: it began with {printable(bytes(self._buffer[:40]))!r}")
            return None
        version, method = self._buffer[:2]
        if version != VERSION_5:
            raise SocksRefused(f"no SOCKS 5 proxy: it began with {printable(bytes(self._buffer[:40]))!r}")
        del self._buffer[:2]
        if method == PASSWORD and self._user is not None:
            self._step = self._authenticated
            user, password = self._user, self._password or b""
            return b"".join((bytes((PASSWORD_VERSION, len(user))), user, bytes((len(password),)), password))
        if method == NO_METHOD:
            wants = "wants a user name and password" if self._user is None else "takes none of our methods"
            raise SocksRefused(f"the proxy {wants}")
        if method != NO_AUTHENTICATION:
            raise SocksRefused(f"the proxy chose method {method}, which was not offered")
        return self._request()

    def _authenticated(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        status = self._buffer[1]
        del self._buffer[:2]
        if status:
            raise SocksRefused("the proxy refused the user name and password")
        return self._request()

    def _request(self) -> bytes:
        self._step = self._answered
        return bytes((VERSION_5, CONNECT, 0)) + self._target + self._port.to_bytes(2, "big")

    def _answered(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 5:
            if len(buffer) > 1:
                self._check_answer()
            return None
        self._check_answer()
        kind = buffer[3]
        size = {IPV4: 4, IPV6: 16, NAME: 1 + buffer[4]}.get(kind)
        if size is None:
            raise SocksRefused(f"the proxy answered with an address of kind {kind}")
        end = 4 + size
        if len(buffer) < end + 2:
            return None
        address = bytes(buffer[4:end])
        host = printable(address[1:]) if kind == NAME else str(ip_address(address))
        self.bound = (host, int.from_bytes(buffer[end : end + 2], "big"))
        del buffer[: end + 2]
        self.granted = True
        return b""

    def _check_answer(self) -> None:
        version, code = self._buffer[:2]
        if version != VERSION_5:
            raise SocksRefused(f"the proxy answered with version {version}")
        if code:
            raise SocksRefused(f"the proxy says: {ANSWERS.get(code, f'answer {code}')}")


def _encoded(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii" if host.isascii() else "idna")
        if not 0 < len(name) <= MAX_FIELD:
            raise SocksRefused(f"a host name of {len(name)} bytes does not fit into SOCKS") from None
        return bytes((NAME, len(name))) + name
    return bytes((IPV4 if address.version == 4 else IPV6,)) + address.packed


def _field(text: str | None, what: str) -> bytes | None:
    if text is None:
        return None
    data = text.encode()
    if len(data) > MAX_FIELD:
        raise SocksRefused(f"a {what} of {len(data)} bytes does not fit into SOCKS, {MAX_FIELD} are the most")
    return data
