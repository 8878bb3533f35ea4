"""Cuts a byte stream into SFTP packets (draft-ietf-secsh-filexfer-02 section 3).  Used by both sides.

A packet that lies whole in what was fed is handed on as a view, without a copy.  Of others the bytes are
put together in one buffer that is used again; or, for long ones whose owner wants that (DATA at a
client, WRITE at a server), only the head is: the rest goes to him in pieces as they arrive.

A length that is too large or zero is an error before anything is kept for it (R18, R33).
"""

from collections.abc import Callable
from struct import Struct

from sshkit.sftp.errors import SFTPProtocolError

#: Bytes of one packet at most: 256 KiB of data, and room for what stands before it (R33).
MAX_REQUEST = 256 * 1024 + 1024
MAX_ANSWER = 256 * 1024 + 1024
_LENGTH = Struct(">I")
_unpack_length = _LENGTH.unpack_from

#: handler(kind, payload): the payload begins with the byte of the kind, so records can decode it; the
#: view is valid during the call only.
PacketHandler = Callable[[int, memoryview], object]
#: Called with each piece of a long packet, in order; views are valid during the call only.
PieceHandler = Callable[[memoryview], object]
#: begin(kind, length, head): shall the packet of `length` bytes, whose first bytes are `head`, come in
#: pieces?  Returns None, or the number of bytes of the head that belong to the header (the rest of the head
#: is the first piece) and who takes the pieces.
Begin = Callable[[int, int, memoryview], "tuple[int, PieceHandler] | None"]


class PacketReader:
    """Takes views of any size, gives whole packets.  After an error it must not be fed again."""

    __slots__ = (
        "_begin",
        "_buffer",
        "_handler",
        "_have",
        "_head",
        "_left",
        "_piece",
        "_wanted",
        "limit",
        "stopped",
    )

    def __init__(
        self,
        handler: PacketHandler,
        limit: int = MAX_REQUEST,
        *,
        begin: Begin | None = None,
        head: int = 9,
    ) -> None:
        """`begin` is asked for a packet that did not come whole, once `head` of its bytes are there."""
        self.limit = limit
        self.stopped = False  #: a handler sets it to have the rest thrown away
        self._handler = handler
        self._begin = begin
        self._head = head
        self._buffer = memoryview(b"")
        self._have = 0  # bytes of the packet in the buffer, with those of the length
        self._wanted = 0  # bytes to have before something can be done; 0: nothing was begun
        self._left = 0  # bytes still to come for `_piece`
        self._piece: PieceHandler | None = None

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not whole yet: the stream must not end here."""
        return self._have + self._left

    @property
    def streaming(self) -> bool:
        """A packet is coming in pieces, and more of them are to come."""
        return self._left > 0

    def handle_with(self, handler: PacketHandler) -> None:
        """Give the packets from the next one on to `handler`."""
        self._handler = handler

    def feed(self, data: memoryview) -> None:
        """Take bytes; calls the handler for every packet that is whole now."""
        position, end = 0, len(data)
        if self._wanted or self._left:
            position = self._go_on(data)
        limit = self.limit
        while end - position >= 4:
            (length,) = _unpack_length(data, position)
            start = position + 4
            if not 1 <= length <= limit:
                raise SFTPProtocolError(f"a packet of {length} bytes; 1 to {limit} are allowed")
            if length > end - start:
                break
            position = start + length
            self._handler(data[start], data[start:position])
            if self.stopped:
                return
        if position < end and not self.stopped:
            self._keep(data[position:])

    def _keep(self, data: memoryview) -> None:
        """Begin a packet with its first bytes, which are not all of it."""
        size = len(data)
        if size >= 4:
            (length,) = _unpack_length(data)
            if self._begin is not None and size >= 4 + self._head and self._stream(length, data[4:]):
                return
            self._wanted = 4 + length
        else:
            self._wanted = 4
        if len(self._buffer) < size:
            self._grow(size)
        self._buffer[:size] = data
        self._have = size

    def _grow(self, size: int) -> None:
        """Make room for `size` bytes, and some more of the packet: a length alone costs nothing (R18).

        The old buffer stays as it is: somebody's traceback may still look at it.
        """
        grown = memoryview(bytearray(max(size, min(self._wanted, max(2 * size, 4096)))))
        grown[: self._have] = self._buffer[: self._have]
        self._buffer = grown

    def _stream(self, length: int, head: memoryview) -> bool:
        """Ask the owner whether he wants the packet in pieces, and give him the first."""
        begin = self._begin
        assert begin is not None
        taken = begin(head[0], length, head)
        if taken is None:
            return False
        skipped, piece = taken
        self._wanted = self._have = 0
        self._left = length - len(head)
        self._piece = piece if self._left else None
        if len(head) > skipped:
            piece(head[skipped:])
        return True

    def _go_on(self, data: memoryview) -> int:
        """Take what belongs to the packet that was begun; return how many bytes that was."""
        position, end = 0, len(data)
        if self._left:
            size = min(self._left, end)
            self._left -= size
            piece = self._piece
            assert piece is not None
            if not self._left:
                self._piece = None
            piece(data[:size] if size < end else data)
            return end if self.stopped else size
        while position < end:
            have = self._have
            goal = self._wanted
            asked = self._begin is not None and goal > 4 and have < 4 + self._head
            if asked:
                goal = min(goal, 4 + self._head)
            size = min(goal - have, end - position)
            if len(self._buffer) < have + size:
                self._grow(have + size)
            self._buffer[have : have + size] = data[position : position + size]
            position += size
            self._have = have = have + size
            if have < goal:
                break
            if goal == 4 and self._wanted == 4:
                (length,) = _unpack_length(self._buffer)
                if not 1 <= length <= self.limit:
                    raise SFTPProtocolError(f"a packet of {length} bytes; 1 to {self.limit} are allowed")
                self._wanted = 4 + length
                continue
            payload = self._buffer[4:have]
            if have < self._wanted:
                if asked and self._stream(self._wanted - 4, payload):
                    return position + self._go_on(data[position:])
                continue
            self._wanted = self._have = 0
            self._handler(payload[0], payload)
            break
        return end if self.stopped else position
