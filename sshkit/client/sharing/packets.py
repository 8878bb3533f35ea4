"""SSH packets on a control socket in proxy mode: no padding, no encryption (PROTOCOL.mux, section 9).

A length, a zero in the place of the padding's length, and the payload.  The reader and the writer of the
transport layer do the work, with these in the place of a cipher; used by `proxied` and `relay`.
"""

from struct import Struct
from typing import Final

from sshkit.ssh.ciphers.packet import LENGTH, MAX_PACKET_LENGTH, Opened
from sshkit.ssh.errors import RemoteProtocolError

_HEAD = Struct(">IB")
MIN_LENGTH: Final = 2  #: the zero, and a message number


class BareSealer:
    """Takes the padding away that the writer has put behind the payload."""

    __slots__ = ("sequence",)
    mask = 0
    overhead = 0
    tag_size = 0

    def __init__(self) -> None:
        self.sequence = 0

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        length -= buffer[start + 4]
        _HEAD.pack_into(buffer, start, length, 0)
        return start + 4 + length


class BareOpener:
    """Takes packets as they are; what stands in the place of the padding's length is not looked at."""

    __slots__ = ("needed", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self.needed = 4

    def open(self, buffer: memoryview, start: int, end: int) -> Opened | None:
        body = start + 4
        if end < body:
            self.needed = 4
            return None
        (length,) = LENGTH.unpack_from(buffer, start)
        if not MIN_LENGTH <= length <= MAX_PACKET_LENGTH:
            raise RemoteProtocolError(f"a packet of {length} bytes on a control socket")
        after: int = body + length
        if end < after:
            self.needed = length + 4
            return None
        return buffer[body + 1 : after], after
