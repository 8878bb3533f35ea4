"""A network in memory that has UNIX sockets, programs and readable descriptors too."""

from collections.abc import Callable, Sequence
from typing import Any

from sshkit.deferred import Deferred, fail, succeed
from sshkit.interfaces import ExitStatus
from sshkit.reactor.errors import ConnectError, ListenError
from sshkit.testing import MemoryReactor, connect_in_memory
from tests.forwarding.world import ForwardWorld


class UnixListener:
    """A socket in memory."""

    def __init__(self, network: "UnixReactor", path: str) -> None:
        self.address = path
        self.addresses = [path]
        self._network = network

    def close(self) -> None:
        self._network.sockets.pop(self.address, None)


class FakeProcess:
    """A program that does what a function says; `run` gets the arguments and the input."""

    def __init__(
        self, protocol: Any, argv: Sequence[str], run: Callable[..., tuple[int, bytes] | None]
    ) -> None:
        self.argv = tuple(argv)
        self.input = b""
        self.closed = False
        self.signals: list[int] = []
        self._protocol = protocol
        self.run = run

    def write(self, data: bytes) -> None:
        self.input += data

    def write_eof(self) -> None:
        outcome = self.run(self.argv, self.input)
        if outcome is None:  # it hangs
            return
        status, output = outcome
        self._protocol.pause_writing()
        self._protocol.resume_writing()
        self._protocol.output_received(2, b"a warning")
        if output:
            self._protocol.output_received(1, output)
        self._protocol.output_closed(1)
        self._protocol.process_exited(ExitStatus(code=status))
        self._protocol.output_closed(2)

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def close(self) -> None:
        self.closed = True


class UnixReactor(MemoryReactor):
    """MemoryReactor with UNIX sockets by path, and programs by `program`."""

    __slots__ = ("environments", "processes", "program", "readers", "sockets", "unix_mode")

    def __init__(self) -> None:
        super().__init__()
        self.sockets: dict[str, Callable[[], Any]] = {}
        self.unix_mode: int | None = None
        self.program: Callable[..., tuple[int, bytes] | None] = lambda argv, data: (0, b"")
        self.processes: list[FakeProcess] = []
        self.environments: list[Any] = []
        self.readers: dict[int, Callable[[], object]] = {}

    def connect_unix(self, path: str, factory: Callable[[], Any], *, timeout: float = 30.0) -> Deferred[Any]:
        if path not in self.sockets:
            return fail(ConnectError(f"{path}: nothing listens in memory"))
        protocol = factory()
        self.pairs.append(connect_in_memory(protocol, self.sockets[path](), self))
        return succeed(protocol)

    def listen_unix(
        self, path: str, factory: Callable[[], Any], *, mode: int | None = None, backlog: int = 0
    ) -> Deferred[UnixListener]:
        if path in self.sockets:
            return fail(ListenError(f"{path} is in use in memory"))
        self.sockets[path] = factory
        self.unix_mode = mode
        return succeed(UnixListener(self, path))

    def spawn_process(self, protocol: Any, argv: Sequence[str], *, env: Any = None, cwd: Any = None) -> Any:
        process = FakeProcess(protocol, argv, self.program)
        self.processes.append(process)
        self.environments.append(env)
        protocol.process_started(process)
        return process

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None


class UnixWorld(ForwardWorld):
    """A client and a server in such a network."""

    network: UnixReactor

    def __init__(self) -> None:
        super().__init__()
        self.network = UnixReactor()
