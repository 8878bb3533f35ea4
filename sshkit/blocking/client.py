"""`connect`, `run` and `start` that wait.

Timeouts are those of the library's own calls; what has none there takes one here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sshkit.blocking.thread import ReactorThread, shared
from sshkit.client.connect import connect as connect_async
from sshkit.client.connection import CLOSE_TIMEOUT, OPEN_TIMEOUT, ClientConnection
from sshkit.client.process import ClientProcess, Result
from sshkit.deferred import Deferred
from sshkit.interfaces import TerminalSize
from sshkit.ssh.channels.streams import StreamReader, StreamWriter

if TYPE_CHECKING:
    from sshkit.blocking.forwards import BlockingForward, BlockingStream
    from sshkit.blocking.sftp import BlockingSFTP
    from sshkit.forwarding.addresses import Address
    from sshkit.forwarding.client import StreamHandler
    from sshkit.forwarding.forward import Forward
    from sshkit.opening import Opening

READ_TIMEOUT = 3600.0  #: seconds that a read or a write waits unless told otherwise


class BlockingReader:
    """Standard output or error of a command; reads wait for at most `timeout` seconds (None: for ever)."""

    def __init__(self, thread: ReactorThread, stream: StreamReader) -> None:
        self._thread = thread
        self._stream = stream

    def read(self, size: int = -1, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read up to `size` bytes as soon as there are any; -1 reads to the end.  b"" is the end."""
        return self._thread.call(self._stream.read, size, timeout=timeout)

    def read_line(self, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read to the next newline, which stays at the end; without one, the rest."""
        return self._thread.call(self._stream.read_line, timeout=timeout)

    def read_exactly(self, size: int, *, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Read `size` bytes; EOFError if the stream ends before."""
        return self._thread.call(self._stream.read_exactly, size, timeout=timeout)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.read_line():
            yield line


class BlockingWriter:
    """Standard input of a command."""

    def __init__(self, thread: ReactorThread, stream: StreamWriter) -> None:
        self._thread = thread
        self._stream = stream

    def write(self, data: bytes | str, *, timeout: float | None = READ_TIMEOUT) -> None:
        """Send bytes, or text as UTF-8; waits while the command takes no more."""

        def write() -> Deferred[None]:
            self._stream.write(data)
            return self._stream.drain()

        self._thread.call(write, timeout=timeout)

    def close(self) -> None:
        """Say that nothing more comes."""
        self._thread.do(self._stream.write_eof)


class BlockingProcess:
    """What runs on the other side."""

    def __init__(self, thread: ReactorThread, process: ClientProcess) -> None:
        self._thread = thread
        self.process = process  #: the library's own object, for the reactor's thread
        self.stdin = BlockingWriter(thread, process.stdin)
        self.stdout = BlockingReader(thread, process.stdout)
        self.stderr = BlockingReader(thread, process.stderr)

    @property
    def exit_status(self) -> int | None:
        """What it returned; None while it runs, or where a signal ended it."""
        return self.process.exit_status

    @property
    def exit_signal(self) -> str | None:
        """The signal that ended it, without SIG, or None."""
        return self.process.exit_signal

    def wait(self, *, timeout: float | None = READ_TIMEOUT) -> int | None:
        """Wait for the end; return the exit status."""
        return self._thread.call(self.process.wait, None, timeout=timeout).exit_status

    def communicate(self, data: bytes | str | None = None, *, timeout: float | None = READ_TIMEOUT) -> Result:
        """Send `data` and the end of input, read both streams to their end, and wait."""
        return self._thread.call(self.process.communicate, data, None, timeout=timeout)

    def send_signal(self, name: str) -> None:
        """Send a signal: "TERM", "INT" ..."""
        self._thread.do(self.process.send_signal, name)

    def resize(self, size: TerminalSize) -> None:
        """Tell the terminal its new size."""
        self._thread.do(self.process.resize, size)

    def close(self) -> None:
        """Close the channel."""
        if self._thread.is_alive:
            self._thread.do(self.process.close)

    def __enter__(self) -> "BlockingProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class BlockingConnection:
    """A connection that waits.  `connection` is the library's own object, for the reactor's thread."""

    def __init__(self, thread: ReactorThread, connection: ClientConnection) -> None:
        self._thread = thread
        self.connection = connection

    def run(self, command: str | None = None, **options: Any) -> Result:
        """Run a command and wait for all it writes; takes what `ClientConnection.run` takes."""
        return self._thread.call(lambda: self.connection.run(command, **options), timeout=None)

    def start(self, command: str | None = None, **options: Any) -> BlockingProcess:
        """Start a command and return its streams; takes what `ClientConnection.start` takes."""
        process = self._thread.call(lambda: self.connection.start(command, **options), timeout=None)
        return BlockingProcess(self._thread, process)

    def shell(self, *, terminal: str | None = "xterm", timeout: float = OPEN_TIMEOUT) -> BlockingProcess:
        """Start the login shell, on a terminal unless `terminal` is None."""
        return self.start(None, terminal=terminal, timeout=timeout)

    def sftp(self, **options: Any) -> "BlockingSFTP":
        """Open SFTP; takes what `ClientConnection.sftp` takes."""
        from sshkit.blocking.sftp import BlockingSFTP

        client = self._thread.call(lambda: self.connection.sftp(**options), timeout=None)
        return BlockingSFTP(self._thread, client)

    def forward_local(self, listen: "Address", destination: "Address", **options: Any) -> "BlockingForward":
        """Listen here, connect from the server; takes what `ClientConnection.forward_local` takes."""
        return self._forward(lambda: self.connection.forward_local(listen, destination, **options))

    def forward_dynamic(self, listen: "Address", **options: Any) -> "BlockingForward":
        """Listen here for SOCKS; takes what `ClientConnection.forward_dynamic` takes."""
        return self._forward(lambda: self.connection.forward_dynamic(listen, **options))

    def forward_remote(
        self, listen: "Address", destination: "Address | StreamHandler", **options: Any
    ) -> "BlockingForward":
        """Listen at the server, connect from here; a handler runs in the reactor's thread."""
        return self._forward(lambda: self.connection.forward_remote(listen, destination, **options))

    def forward_remote_dynamic(
        self, listen: "Address", permit: Sequence[str] | None = None, **options: Any
    ) -> "BlockingForward":
        """Listen at the server for SOCKS, connect from here."""
        return self._forward(lambda: self.connection.forward_remote_dynamic(listen, permit, **options))

    def open_connection(self, destination: "Address", **options: Any) -> "BlockingStream":
        """Let the server connect; takes what `ClientConnection.open_connection` takes."""
        from sshkit.blocking.forwards import BlockingStream

        stream = self._thread.call(
            lambda: self.connection.open_connection(destination, **options), timeout=None
        )
        return BlockingStream(self._thread, stream)

    def _forward(self, start: "Callable[[], Opening[Forward]]") -> "BlockingForward":
        from sshkit.blocking.forwards import BlockingForward

        return BlockingForward(self._thread, self._thread.call(start, timeout=None))

    def close(self, *, timeout: float = CLOSE_TIMEOUT) -> None:
        """Close the connection; one that has ended, or is the parent process's, needs no closing."""
        if self._thread.is_alive:
            self._thread.call(self.connection.close, timeout=timeout)

    def __enter__(self) -> "BlockingConnection":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def connect(destination: str, **options: Any) -> BlockingConnection:
    """Connect and log in; takes what `sshkit.connect` takes, and fails as it does."""
    thread = shared()
    connection = thread.call(
        lambda: connect_async(destination, reactor=thread.reactor, **options), timeout=None
    )
    return BlockingConnection(thread, connection)
