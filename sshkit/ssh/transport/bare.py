"""The transport layer between two processes of one machine: messages in frames, and no keys.

A frame is a length, a zero in the place of the padding's length, and the payload: what OpenSSH speaks on a
control socket in proxy mode (PROTOCOL.mux, section 9), and what the processes of sshkit-server speak.
The reader and the writer of the transport layer do the work, with these in the place of a cipher.
"""

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from sshkit.ssh.ciphers.packet import LENGTH, MAX_PACKET_LENGTH, Opened
from sshkit.ssh.connection.connection import RUNNING_CLIENT, RUNNING_SERVER
from sshkit.ssh.errors import ClosedByApplication, ConnectionLost, RemoteProtocolError
from sshkit.ssh.transport.layer import TransportLayer
from sshkit.ssh.transport.phases import AFTER_LOGIN, table

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, Transport
    from sshkit.ssh.transport.layer import TransportOwner
    from sshkit.ssh.transport.packet_reader import Handlers

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
            raise RemoteProtocolError(f"a packet of {length} bytes between two processes")
        after: int = body + length
        if end < after:
            self.needed = length + 4
            return None
        return buffer[body + 1 : after], after


#: Where nothing may come.
NOTHING: "Handlers" = table("on a connection between processes")
#: The first number that means nothing to anybody.
BEHIND: Final = 192


def only_channels(handlers: "Handlers") -> "Handlers":
    """Return a phase without what is below the connection protocol."""
    return NOTHING[:AFTER_LOGIN] + handlers[AFTER_LOGIN:BEHIND] + NOTHING[BEHIND:]


_ORDINARY = {id(phase): only_channels(phase) for phase in (RUNNING_CLIENT, RUNNING_SERVER)}


class BareLayer(TransportLayer):
    """A transport layer without keys: it frames messages, and no more."""

    __slots__ = ()
    #: What is told when the other process has gone.
    gone = "the other process has gone"
    gone_error: type[ConnectionLost] = ConnectionLost

    def __init__(self, owner: "TransportOwner", clock: "Clock", *, is_client: bool) -> None:
        super().__init__(owner, clock, bytes, host_keys=None if is_client else {})
        self.opener = BareOpener()
        self.writer.sealer = BareSealer()
        self.handlers = NOTHING

    def connection_made(self, transport: "Transport") -> None:
        """Begin: everything has been said already."""
        if self.lost is not None:
            transport.abort()
            return
        self.transport = transport
        self.writer.transport = transport
        self.writer.copies = not getattr(transport, "copies_on_write", False)
        self.writer.unblock()
        self.owner.transport_ready()

    def set_phase(self, handlers: "Handlers", target: Any) -> None:
        """Enter a phase, but take nothing that is below the connection protocol."""
        super().set_phase(_ORDINARY.get(id(handlers)) or only_channels(handlers), target)

    def eof_received(self) -> bool:
        """Take the end of the stream for the end of the connection."""
        self._finish(self.gone_error(self.gone))
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody, once."""
        self._finish(self.gone_error(f"{self.gone}: {error}" if error else self.gone))
        super().connection_lost(error)

    def disconnect(self, error: BaseException | None = None) -> None:
        """End it for us; the other side hears nothing but the end of the stream."""
        self.writer.flush()
        self._finish(error or ClosedByApplication("the connection was closed"))

    def rekey(self) -> None:
        """Do nothing: keys are somebody else's business."""
