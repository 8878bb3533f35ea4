"""What every cipher has in common: its entry in the table, packet limits, and the two roles.

A *sealer* turns a packed packet in the output buffer into what goes on the wire; an *opener*
takes one packet out of the receive buffer.  The packet is RFC 4253 section 6: length, padding
length, payload, padding, tag.  Callers: `PacketWriter`, `PacketReader`, one call a packet each.
"""

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, Protocol

from sshkit.ssh.errors import MACMismatch
from sshkit.ssh.macs.mac import MAC

LENGTH = Struct(">I")
MAX_PACKET_LENGTH = 256 * 1024  #: bytes after the length field (R17, R18); RFC 4253 demands 35000 at least
MAX_CLEAR_LENGTH = 35000  #: before the first keys: nobody unknown gets more memory than RFC 4253 demands
#: Bytes of one packet from somebody who is not logged in: a small buffer is all he gets (R42).
LIMIT_BEFORE_LOGIN = 40 * 1024
MIN_PADDING = 4  #: RFC 4253 section 6
#: One text for length, padding and tag: no hint which it was (R17).  Scripts look for OpenSSH's words.
FAILED = "message authentication code incorrect"

Opened = tuple[memoryview, int]  #: the payload, and where the next packet starts


class Keys(NamedTuple):
    """The keys of one direction (RFC 4253 section 7.2)."""

    key: bytes
    iv: bytes
    mac_key: bytes

    def __repr__(self) -> str:
        return "<Keys>"  # never the bytes themselves (R43)


class Sealer(Protocol):
    """Seals packets of one direction, from one NEWKEYS to the next."""

    mask: int  #: block size minus one: what must be a multiple of the block is `overhead` + packet
    overhead: int  #: 4 where the length field counts towards the block, else 0
    tag_size: int

    @property
    def sequence(self) -> int:
        """The number of the next packet, modulo 2**32."""
        ...

    @sequence.setter
    def sequence(self, number: int) -> None: ...

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        """Seal the packet whose length field lies at `start`; return where its tag ends."""
        ...


class Opener(Protocol):
    """Opens packets of one direction, from one NEWKEYS to the next."""

    needed: int  #: after `open` gave None: so many bytes from `start` on before it is worth asking again

    @property
    def sequence(self) -> int:
        """The number of the next packet, modulo 2**32."""
        ...

    @sequence.setter
    def sequence(self, number: int) -> None: ...

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        """Open the packet at `start`, in place; None while it is not whole, MACMismatch if it is wrong."""
        ...


class Cipher(NamedTuple):
    """One line of the table of ciphers; `mac` is None for those that bring their own tag."""

    name: str
    key_size: int
    iv_size: int
    needs_mac: bool
    make_sealer: Callable[[Keys, MAC | None, int], Sealer]
    make_opener: Callable[[Keys, MAC | None, int], Opener]
    max_bytes: int = 1 << 34  #: in one direction with the same keys; see `transport.rekeying`


def payload_of(buffer: memoryview, body: int, length: int) -> memoryview:
    """Return the payload of the opened packet whose padding length lies at `body`."""
    padding = buffer[body]
    size = length - 1 - padding
    if padding < MIN_PADDING or size < 1:
        raise MACMismatch(FAILED)
    return buffer[body + 1 : body + 1 + size]
