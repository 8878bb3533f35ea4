"""Running a planned server: in the foreground, in the background, or for one connection that is here already.

Called by the command sshkit-server, on the native engine.  `detach` must come before any reactor exists;
the parent waits until the daemon listens, so that its exit status tells whether it does.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, Failure, gather
from sshkit.server.server import Server, listen

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.server.configured import Plan
    from sshkit.server.event_log import EventLog


class CannotListen(SSHKitError):
    """An address to listen at is not to be had."""


class Daemon:
    """One server and the signals that end it."""

    def __init__(self, plan: "Plan", log: "EventLog", *, once: bool = False) -> None:
        from sshkit.reactor.engines import new_reactor

        self.plan = plan
        self.log = log
        self._once = once
        self._failure: Failure | None = None
        self._ready: Callable[[Server], object] = _nothing
        self.reactor = cast("Reactor", new_reactor("native"))
        self.server = Server(
            self.reactor,
            host_keys=plan.host_keys,
            users=plan.users,
            start_program=plan.sessions(self.reactor),
            settings=plan.settings,
            log=log,
        )
        self.signal: int | None = None  #: what ended it

    def listen_and_run(self, ready: Callable[[Server], object]) -> None:
        """Listen, call `ready(server)`, and serve until a signal; raises CannotListen."""
        from sshkit.server.preload import preload

        preload()
        self._ready = ready
        self._run(self._listen)

    def serve_descriptors(self, read_fd: int = 0, write_fd: int = 1) -> None:
        """Serve the one connection on a socket, or on two pipes, until it ends."""
        self._run(lambda: self._adopt(read_fd, write_fd))

    def _run(self, start: Callable[[], object]) -> None:
        from signal import SIGHUP, SIGINT, SIGTERM

        reactor = self.reactor
        try:
            for number in (SIGTERM, SIGINT):
                reactor.add_signal_handler(number, lambda number=number: self._end(number))  # type: ignore[misc]
            reactor.add_signal_handler(SIGHUP, self._hung_up)
            reactor.call_soon(start)
            reactor.run()
        finally:
            reactor.close()
        if self._failure is not None:
            self._failure.raise_exception()

    def _listen(self) -> None:
        family = _family(self.plan.options.address_family.value)
        waits: list[Deferred[Any]] = []
        if self._once:
            make = self.server.make_protocol
            self.server.make_protocol = lambda: self._one_only(make())  # type: ignore[method-assign]
        for host, port, _ in self.plan.places:
            opening = listen(self.server, host, port, self.reactor, family)
            waits.append(opening.add_errback(_name_place, host, port))
        gather(*waits).add_callbacks(self._listening, self._failed)

    def _listening(self, _: object) -> None:
        for listener in self.server.listeners:
            for address in listener.addresses:
                self.log("verbose", f"listening on {address[0]} port {address[1]}")
        self._ready(self.server)
        self.server.wait_closed().add_callback(self._stop)

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        self.reactor.stop()

    def _one_only(self, protocol: Any) -> Any:
        self.reactor.call_soon(self.server.stop_listening)
        return protocol

    def _adopt(self, read_fd: int, write_fd: int) -> None:
        import socket
        import stat

        server = self.server
        if stat.S_ISSOCK(os.fstat(read_fd).st_mode):
            self.reactor.adopt_socket(socket.socket(fileno=os.dup(read_fd)), server.make_protocol)
        else:
            self.reactor.open_pipes(server.make_protocol(), os.dup(read_fd), os.dup(write_fd))
        server.stop_listening()
        server.wait_closed().add_callback(self._stop)

    def _stop(self, _: object) -> None:
        # Not at once: the last bytes of the last connection leave in the turns that are left.
        self.reactor.stop()

    def _end(self, number: int) -> None:
        """End every connection; sessions get SIGHUP as their channels close."""
        import signal

        self.signal = number
        self.log("info", f"{signal.Signals(number).name}: the server ends")
        self.server.close()

    def _hung_up(self) -> None:
        self.log("info", "SIGHUP: reading the configuration again is not supported yet; nothing changes")


def _family(name: str) -> int:
    import socket

    return {"any": 0, "inet": int(socket.AF_INET), "inet6": int(socket.AF_INET6)}[name]


def _name_place(failure: Failure, host: str, port: int) -> NoReturn:
    cause = failure.exception.__cause__
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(failure.exception)
    raise CannotListen(f"{host or '*'} port {port}: {text}") from failure.exception


def _nothing(server: Server) -> None:
    """Nobody wants to know."""


class Detached:
    """The daemon's end of the pipe to whoever started it."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def report(self, status: int, text: str) -> None:
        """Tell the parent how it went; it prints `text` and exits with `status`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.write(fd, bytes((status,)) + text.encode("utf-8", "surrogateescape"))
            except OSError:
                pass  # the parent was killed; the daemon stays
            os.close(fd)


def detach() -> Detached:
    """Become a daemon: no terminal, session of its own, standard descriptors at /dev/null.

    Returns in the daemon only.  The process that called waits for `report`, then exits.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        _wait_for_report(read_end)
    os.close(read_end)
    os.setsid()
    if os.fork():
        os._exit(0)  # the session's leader goes, so that no terminal can become ours
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd, inheritable=True)
    if null > 2:
        os.close(null)
    return Detached(write_end)


def _wait_for_report(read_end: int) -> NoReturn:
    parts = []
    while part := os.read(read_end, 65536):
        parts.append(part)
    told = b"".join(parts) or b"\xffsshkit-server: the daemon died before it listened\n"
    try:
        os.write(2, told[1:])
    except OSError:
        pass
    os._exit(told[0])


class PidFile:
    """The file that tells a daemon's number; removed at the end if it still does."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        """Write it; raises OSError."""
        self._path = path
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, b"%d\n" % os.getpid())
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Remove it, unless another server has it by now."""
        try:
            with open(self._path, "rb") as file:
                if file.read(32).strip() == b"%d" % os.getpid():
                    os.unlink(self._path)
        except OSError:
            pass  # somebody has removed it already
