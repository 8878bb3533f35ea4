"""An SFTP server on two descriptors that block: the command sshkit-sftp-server, under any sshd.

One request after the other, as the kernel gives them; no reactor, nothing is loaded that is not needed.
Requests are read into one large buffer and handled where they lie; it is page-aligned, as are READ's answers.
"""

import os
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit.sftp.errors import SFTPProtocolError
from sshkit.sftp.packets import MAX_REQUEST

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

_BUFFER = 1 << 20
_unpack_length = Struct(">I").unpack_from


class PipeTransport:
    """Writes answers; waits until they are taken."""

    __slots__ = ("_descriptor", "closed")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.closed = False

    def write(self, data: bytes | memoryview) -> None:
        """Write everything; raises OSError where nobody reads."""
        done = os.write(self._descriptor, data)
        if done < len(data):
            view = memoryview(data)
            while done < len(data):
                done += os.write(self._descriptor, view[done:])

    def close(self) -> None:
        """Note that the session is over."""
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing is read between two requests anyway."""

    def resume_reading(self) -> None:
        """The same."""


def serve_pipes(
    server: "SFTPServer", read_from: int, write_to: int, on_start: Callable[[], object] | None = None
) -> None:
    """Serve until the stream ends.  Raises SFTPProtocolError where the client broke the protocol."""
    from mmap import mmap

    transport = PipeTransport(write_to)
    server.connection_made(transport)
    buffer = memoryview(mmap(-1, _BUFFER))
    start = end = 0
    packet, flush = server.packet, server.flush
    lost: OSError | None = None
    try:
        while not transport.closed:
            got = os.readv(read_from, (buffer[end:],))
            if not got:
                if end > start:
                    raise SFTPProtocolError("the stream ended within a packet")
                break
            end += got
            while end - start >= 4:
                (length,) = _unpack_length(buffer, start)
                if not 1 <= length <= MAX_REQUEST:
                    raise SFTPProtocolError(f"a packet of {length} bytes; 1 to {MAX_REQUEST} are allowed")
                stop = start + 4 + length
                if stop > end:
                    break
                packet(buffer[start + 4], buffer[start + 4 : stop])
                start = stop
            flush()
            if start == end:
                start = end = 0
            elif _BUFFER - start < MAX_REQUEST + 4:  # the rest of the packet would not fit
                size = end - start
                buffer[:size] = buffer[start:end]
                start, end = 0, size
    except OSError as error:
        lost = error
    except SFTPProtocolError:
        flush()
        raise
    finally:
        server.connection_lost(lost)
