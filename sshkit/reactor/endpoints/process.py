"""``process:COMMAND``: a program's standard input and output as a connection.

The command is split as a shell would, and started without one.  What it writes to standard error is logged,
escaped, to "sshkit.endpoints".
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit.deferred import Deferred, maybe_deferred
from sshkit.interfaces.derive import implementer
from sshkit.interfaces.process import ExitStatus, IProcessProtocol, ProcessTransport
from sshkit.interfaces.protocol import receive_into_buffer
from sshkit.interfaces.transport import ITransport, Writable

from ..errors import FAULTS
from ..text import shown
from .arguments import Arguments
from .base import ClientPlace
from .errors import EndpointError

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

_P = TypeVar("_P")

_SIGHUP = 1
_SIGKILL = 9
#: Seconds that a program may run on when its input has ended, before SIGHUP; and again before SIGKILL.
PATIENCE = 10.0
#: Seconds that standard error is waited for after the end; a child of the program may hold it open.
LAST_WORDS = 1.0
#: Characters of one logged piece of standard error.
MAX_LOGGED = 2000


class ProcessEnded(EndpointError):
    """The program of an endpoint ended otherwise than with status 0."""


@implementer(ITransport, IProcessProtocol)
class ProcessStream:
    """The transport of `protocol`; for the process it is the protocol."""

    __slots__ = (
        "_closing",
        "_command",
        "_error",
        "_open",
        "_ours",
        "_process",
        "_protocol",
        "_reactor",
        "_status",
        "_timer",
        "_words_open",
    )

    copies_on_write = True

    def __init__(self, reactor: Any, command: str, protocol: Any) -> None:
        self._reactor = reactor
        self._command = command
        self._protocol: Any = protocol
        self._process: ProcessTransport | None = None
        self._closing = False
        self._open = True  # its output
        self._words_open = True  # its standard error
        self._ours = False  # the end came from this side: a status says nothing then
        self._error: BaseException | None = None
        self._status: ExitStatus | None = None
        self._timer: Any = None

    # -- as the process' protocol -----------------------------------------------------------------

    def process_started(self, transport: ProcessTransport) -> None:
        """Introduce the protocol."""
        self._process = transport
        self._protocol.connection_made(self)

    def output_received(self, descriptor: int, data: bytes) -> None:
        """Hand output on, and log what is for people."""
        if descriptor == 2:
            import logging

            text = shown(data[:MAX_LOGGED].rstrip())
            logging.getLogger("sshkit.endpoints").warning("%s says: %s", self._command, text)
        elif not self._closing:
            protocol = self._protocol
            try:
                if hasattr(protocol, "get_buffer"):
                    receive_into_buffer(protocol, data)
                else:
                    protocol.data_received(data)
            except FAULTS as error:
                self._reactor.report(f"data_received of {type(protocol).__name__} failed", error)
                self._error = error
                self.abort()

    def output_closed(self, descriptor: int) -> None:
        """Standard output has ended: the protocol decides whether input goes on."""
        if descriptor != 1:
            self._words_open = False
            self._finish_perhaps()
            return
        self._open = False
        if not self._closing:
            try:
                keep_open = self._protocol.eof_received()
            except FAULTS as error:
                self._reactor.report(f"eof_received of {type(self._protocol).__name__} failed", error)
                self._error = error
                keep_open = False
            if not keep_open:
                self.close()
        self._finish_perhaps()

    def pause_writing(self) -> None:
        """The program reads slowly."""
        self._tell("pause_writing", self._protocol.pause_writing)

    def resume_writing(self) -> None:
        """The program has read."""
        self._tell("resume_writing", self._protocol.resume_writing)

    def _tell(self, name: str, method: Callable[[], object]) -> None:
        try:
            method()
        except FAULTS as error:
            self._reactor.report(f"{name} of {type(self._protocol).__name__} failed", error)
            self._error = error
            self.abort()

    def process_exited(self, status: ExitStatus) -> None:
        """Remember how it ended; its output may still come."""
        self._status = status
        if self._timer is not None:
            self._timer.cancel()
        if self._closing and self._process is not None:
            self._process.close()
            self._open = self._words_open = False
        elif self._words_open:
            self._timer = self._reactor.call_later(LAST_WORDS, self._enough)
        self._finish_perhaps()

    def _enough(self) -> None:
        self._words_open = False
        self._finish_perhaps()

    def _finish_perhaps(self) -> None:
        if self._status is None or self._open or self._words_open or self._protocol is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        error = self._error
        status = self._status
        if error is None and not self._ours and (status.code or status.signal):
            how = f"signal {status.signal}" if status.signal is not None else f"status {status.code}"
            error = ProcessEnded(f"{self._command} ended with {how}")
        protocol, self._protocol = self._protocol, None
        process, self._process = self._process, None
        if process is not None:
            process.close()
        self._closing = True
        try:
            protocol.connection_lost(error)
        except FAULTS as fault:
            self._reactor.report(f"connection_lost of {type(protocol).__name__} failed", fault)

    # -- as the protocol's transport --------------------------------------------------------------

    def write(self, data: Writable) -> None:
        """Write to the program."""
        if self._process is not None and not self._closing:
            self._process.write(data)

    def writelines(self, list_of_data: Iterable[Writable]) -> None:
        """Write several buffers as one."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """End the program's input."""
        if self._process is not None and not self._closing:
            self._process.write_eof()

    def can_write_eof(self) -> bool:
        """Input and output end one by one."""
        return True

    def close(self) -> None:
        """End its input once all was written; a program that goes on is hung up on, at last killed."""
        process = self._process
        if self._closing or process is None:
            return
        self._closing = True
        self._ours = self._open
        process.write_eof()
        process.resume_reading(1)  # nobody looks, but a program that is stuck writing would never end
        if self._status is None:
            self._timer = self._reactor.call_later(PATIENCE, self._impatient, _SIGHUP)

    def _impatient(self, number: int) -> None:
        if self._process is not None:
            self._ours = True
            self._process.send_signal(number)
            self._timer = self._reactor.call_later(PATIENCE, self._impatient, _SIGKILL)

    def abort(self) -> None:
        """Kill it."""
        self._closing = self._ours = True
        if self._process is not None:
            self._process.send_signal(_SIGKILL)
            self._process.close()
        self._open = self._words_open = False
        self._reactor.call_soon(self._finish_perhaps)

    def is_closing(self) -> bool:
        """Tell whether it is closing or closed."""
        return self._closing

    def pause_reading(self) -> None:
        """Let the program wait with its output."""
        if self._process is not None:
            self._process.pause_reading(1)

    def resume_reading(self) -> None:
        """Take output again."""
        if self._process is not None:
            self._process.resume_reading(1)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return "process" (the process' transport), "pid", "peername" (the command), or `default`."""
        if name == "peername":
            return self._command
        if self._process is not None and name in ("process", "pid"):
            return self._process if name == "process" else self._process.pid
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes."""
        if self._process is not None:
            self._process.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return 0 if self._process is None else self._process.get_write_buffer_size()

    def set_protocol(self, protocol: Any) -> None:
        """Hand everything from now on to `protocol`."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the present protocol, None after the end."""
        return self._protocol


class ProcessClient(ClientPlace):
    """A program to start."""

    __slots__ = ("argv",)

    def __init__(self, argv: Sequence[str], *, reactor: "Reactor | None" = None) -> None:
        super().__init__(reactor)
        self.argv = tuple(argv)

    @property
    def shown(self) -> str:
        """The text that means it."""
        from shlex import join

        return f"process:{shown(join(self.argv))}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> Deferred[_P]:
        def connect() -> _P:
            protocol = factory()
            reactor = self.reactor
            reactor.spawn_process(ProcessStream(reactor, shown(self.argv[0]), protocol), self.argv)
            return protocol

        return maybe_deferred(connect)


def client(arguments: Arguments, reactor: "Reactor | None") -> ProcessClient:
    """Read ``process:COMMAND``: all that follows is the command."""
    command, position = arguments.rest("a command")
    from shlex import split

    try:
        argv = split(command)
    except ValueError as error:
        raise arguments.fault(f"process: {error}", position) from None
    if not argv:
        raise arguments.fault("process: needs a command here", position)
    return ProcessClient(argv, reactor=reactor)
