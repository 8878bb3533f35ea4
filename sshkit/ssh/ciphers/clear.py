"""Packets before the first NEWKEYS: in the clear, nothing else (RFC 4253 section 6).

Not in the table: "none" can never be negotiated (R16).
"""

from sshkit.ssh.ciphers.packet import LENGTH, MAX_CLEAR_LENGTH, Opened, payload_of
from sshkit.ssh.errors import RemoteProtocolError

BLOCK = 8


class ClearSealer:
    """Leaves packets as they are."""

    __slots__ = ("sequence",)
    mask = BLOCK - 1
    overhead = 4
    tag_size = 0

    def __init__(self) -> None:
        self.sequence = 0

    def seal(self, buffer: memoryview, start: int, length: int) -> int:
        self.sequence += 1
        return start + 4 + length


class ClearOpener:
    """Takes packets as they are."""

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
        if (length + 4) % BLOCK or not 12 <= length <= MAX_CLEAR_LENGTH:
            raise RemoteProtocolError(f"bad packet length {length} before the key exchange")
        after = body + length
        if end < after:
            self.needed = length + 4
            return None
        self.sequence += 1
        if self.sequence > 0xFFFFFFFF:
            raise RemoteProtocolError("the sequence number wrapped during the first key exchange")
        return payload_of(buffer, body, length), after
