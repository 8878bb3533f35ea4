"""X11 forwarding: the request, the channels, and the first packet of an X client (RFC 4254 section 6.3).

Used by `sshkit.forwarding.x11` and `sshkit.server.x11`.  Names of protocols and cookies are held against
their character sets wherever they come from, since they end up in the words of a program (R29).
"""

from collections.abc import Callable
from typing import Final, Literal

from sshkit_keys.errors import SSHKitError

from sshkit.ssh.messages.record import Boolean, Record, Text, UInt32, record

REQUEST: Final = "x11-req"
KIND: Final = "x11"
#: The one protocol that everybody has: 16 random bytes.
COOKIE_PROTOCOL: Final = "MIT-MAGIC-COOKIE-1"
COOKIE_SIZE: Final = 16
FIRST_PORT: Final = 6000  #: of display 0; every further display has the next one
MAX_SCREEN: Final = 400  #: what sshd takes
MAX_NAME: Final = 64  #: characters of a protocol's name
MAX_COOKIE: Final = 512  #: bytes
HEAD: Final = 12  #: bytes of the first packet before its two strings
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+-")
_HEX = frozenset("0123456789abcdefABCDEF")


@record
class X11Request(Record):
    """The body of `x11-req`."""

    single_connection: Boolean
    protocol: Text
    cookie: Text  #: in hexadecimal
    screen: UInt32


@record
class X11Open(Record):
    """The body of CHANNEL_OPEN: who connected to the display at the server."""

    host: Text
    port: UInt32


class NotAnXClient(SSHKitError):
    """What came is not how an X client begins, or has the wrong cookie."""


def is_protocol(name: str) -> bool:
    """Tell whether a name can be that of an authentication protocol."""
    return 0 < len(name) <= MAX_NAME and not set(name) - _NAME


def is_cookie(text: str) -> bool:
    """Tell whether a text can be a cookie in hexadecimal."""
    return 0 < len(text) <= 2 * MAX_COOKIE and not len(text) % 2 and not set(text) - _HEX


class CookieExchange:
    """Takes the first packet of an X client, and gives it back with a real cookie for the spoofed one.

    The packet (X Window System Protocol, chapter 8): byte order "B" or "l", an unused byte, two versions, the
    lengths of protocol and cookie, an unused number, all of 16 bits, then both, each filled up to 4 bytes.
    """

    __slots__ = ("_data", "_find")

    def __init__(self, find: Callable[[bytes], bytes | None]) -> None:
        """`find` returns the real cookie for a spoofed one of COOKIE_PROTOCOL, or None."""
        self._find = find
        self._data = bytearray()

    def feed(self, data: bytes | memoryview) -> bytes | None:
        """Return what the display is to get, None while more has to come; raises NotAnXClient."""
        held = self._data
        held += data
        if not held:
            return None
        if held[0] not in b"Bl":
            raise NotAnXClient(f"the first byte is {held[0]}, and no byte order")
        if len(held) < HEAD:
            return None
        order: Literal["big", "little"] = "big" if held[0] == ord("B") else "little"
        name_size, cookie_size = int.from_bytes(held[6:8], order), int.from_bytes(held[8:10], order)
        # Both are known, so nothing longer is waited for (R18).
        if name_size != len(COOKIE_PROTOCOL) or cookie_size != COOKIE_SIZE:
            raise NotAnXClient(f"a protocol of {name_size} and a cookie of {cookie_size} bytes")
        start = HEAD + _filled(name_size)
        end = start + _filled(cookie_size)
        if len(held) < end:
            return None
        if held[HEAD : HEAD + name_size] != COOKIE_PROTOCOL.encode():
            raise NotAnXClient("another protocol than the cookie's")
        real = self._find(bytes(held[start : start + cookie_size]))
        if real is None:
            raise NotAnXClient("the cookie is none that was given away")
        held[8:10] = len(real).to_bytes(2, order)
        held[start:end] = real + bytes(_filled(len(real)) - len(real))
        self._data = bytearray()
        return bytes(held)


def _filled(size: int) -> int:
    return (size + 3) & ~3
