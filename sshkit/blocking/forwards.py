"""Forwards and direct streams that wait; made by `BlockingConnection`."""

from typing import Any

from sshkit.blocking.client import READ_TIMEOUT, BlockingReader, BlockingWriter
from sshkit.blocking.thread import ReactorThread
from sshkit.forwarding.forward import Forward
from sshkit.forwarding.stream import ForwardStream

CLOSE_TIMEOUT = 40.0  #: seconds; the server's answer has a deadline of its own, which is shorter


class BlockingForward:
    """A forward in force.  `forward` is the library's own object, for the reactor's thread."""

    def __init__(self, thread: ReactorThread, forward: Forward) -> None:
        self._thread = thread
        self.forward = forward

    def __repr__(self) -> str:
        return repr(self.forward)

    @property
    def address(self) -> tuple[str, int] | str:
        """Where it listens: (host, port) with the port that was really bound, or a path."""
        return self.forward.address

    @property
    def port(self) -> int:
        """The port where it listens; 0 for a UNIX socket."""
        return self.forward.port

    @property
    def kind(self) -> str:
        """Local, remote, dynamic or remote-dynamic."""
        return self.forward.kind

    @property
    def destination(self) -> Any:
        """Where the connections go; None for SOCKS."""
        return self.forward.destination

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self.forward.open

    @property
    def total(self) -> int:
        """Connections so far."""
        return self.forward.total

    @property
    def refused(self) -> int:
        """Connections that led nowhere."""
        return self.forward.refused

    @property
    def bytes_in(self) -> int:
        """Bytes that came by the SSH connection."""
        return self.forward.bytes_in

    @property
    def bytes_out(self) -> int:
        """Bytes that left by the SSH connection."""
        return self.forward.bytes_out

    def close(self, *, timeout: float = CLOSE_TIMEOUT) -> None:
        """Listen no more, at the server too."""
        if self._thread.is_alive:
            self._thread.call(self.forward.close, timeout=timeout)

    def wait_closed(self, *, timeout: float | None = None) -> None:
        """Wait until it listens no more."""
        self._thread.call(self.forward.wait_closed, timeout=timeout)

    def __enter__(self) -> "BlockingForward":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class BlockingStream:
    """A connection made from the server.  `stream` is the library's own object."""

    def __init__(self, thread: ReactorThread, stream: ForwardStream) -> None:
        self._thread = thread
        self.stream = stream
        self.reader = BlockingReader(thread, stream.reader)
        self.writer = BlockingWriter(thread, stream.writer)

    def read(self, size: int = -1, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read up to `size` bytes as soon as there are any; -1 reads to the end.  b"" is the end."""
        return self._thread.call(self.stream.read, size, timeout=timeout)

    def readexactly(self, size: int, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read `size` bytes; EOFError if the stream ends before."""
        return self._thread.call(self.stream.readexactly, size, timeout=timeout)

    def readuntil(self, separator: bytes = b"\n", *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read to `separator`, which stays at the end; without one, the rest."""
        return self._thread.call(self.stream.readuntil, separator, timeout=timeout)

    def write(self, data: bytes | str, *, timeout: float | None = READ_TIMEOUT) -> None:
        """Send bytes, or text as UTF-8; waits while the peer takes no more."""
        self.writer.write(data, timeout=timeout)

    def write_eof(self) -> None:
        """Say that nothing more comes; reading goes on."""
        self._thread.do(self.stream.write_eof)

    def close(self, *, timeout: float = CLOSE_TIMEOUT) -> None:
        """Close after what was written has left."""
        if self._thread.is_alive:
            self._thread.call(self.stream.close, timeout=timeout)

    def __enter__(self) -> "BlockingStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
