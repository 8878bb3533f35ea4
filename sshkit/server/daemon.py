"""Running a planned server: in the foreground, in the background, or for one connection that is here already.

Called by the command sshkit-server, on the native engine.  `detach` must come before any reactor exists;
the parent waits until the daemon listens, so that its exit status tells whether it does.  What serves are the
workers of `sshkit.server.workers`; this process listens, and obeys signals:

SIGTERM takes no more connections, and ends with the last session; a second one, or SIGINT, ends them all.
SIGHUP reads the configuration again; one with mistakes changes nothing.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, Failure, gather, maybe_deferred
from sshkit.server.workers.supervisor import Supervisor

if TYPE_CHECKING:
    import socket

    from sshkit.config.sshd_config import ListenPlace
    from sshkit.interfaces import Listener, Reactor
    from sshkit.server.configured import Plan
    from sshkit.server.event_log import EventLog
    from sshkit.server.workers.key_holder import KeyHolder


PASSED = "systemd"  #: in the place of a host: a socket that was there before us


class CannotListen(SSHKitError):
    """An address to listen at is not to be had."""


class Planned:
    """A plan, and the process that holds its host keys where there is one."""

    __slots__ = ("holder", "plan")

    def __init__(self, plan: "Plan", holder: "KeyHolder | None") -> None:
        self.plan = plan
        self.holder = holder


#: Reads the configuration again; raises ConfigErrors or OSError.
Replan = Callable[[], Planned]


class Daemon:
    """One server and the signals that end it."""

    def __init__(
        self,
        planned: Planned,
        log: "EventLog",
        *,
        replan: Replan | None = None,
        once: bool = False,
        log_descriptors: tuple[int, ...] = (),
    ) -> None:
        from sshkit.reactor.engines import new_reactor
        from sshkit.server.preload import preload
        from sshkit.server.systemd import Notifier

        preload()
        self.log = log
        self._planned = planned
        self._replan = replan
        self._once = once
        self._failure: Failure | None = None
        self._ready: Callable[[Daemon], object] = _nothing
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._notifier = Notifier()
        self.reactor = cast("Reactor", new_reactor("native"))
        if planned.holder is not None:
            planned.holder.attach(self.reactor, log)
        self.supervisor = Supervisor(self.reactor, planned.plan, log, log_descriptors=log_descriptors)
        self.signal: int | None = None  #: what ended it

    @property
    def plan(self) -> "Plan":
        """What is in force."""
        return self._planned.plan

    @property
    def addresses(self) -> list[Any]:
        """Where the server listens."""
        return [address for listener in self._listeners.values() for address in listener.addresses]

    def listen_and_run(self, ready: "Callable[[Daemon], object]") -> None:
        """Listen, call `ready(daemon)`, and serve until a signal; raises CannotListen."""
        self._ready = ready
        self._run(self._begin)

    def serve_descriptors(self, read_fd: int = 0, write_fd: int = 1) -> None:
        """Serve the one connection on a socket, or on two pipes, until it ends."""
        self._run(lambda: self._adopt(read_fd, write_fd))

    def _run(self, start: Callable[[], object]) -> None:
        import gc
        from signal import SIGHUP, SIGINT, SIGTERM

        reactor = self.reactor
        # What is here now stays as it is in every process that is made of this one.
        gc.collect()
        gc.freeze()
        try:
            for number in (SIGTERM, SIGINT):
                reactor.add_signal_handler(number, lambda number=number: self._end(number))  # type: ignore[misc]
            reactor.add_signal_handler(SIGHUP, self._hung_up)
            reactor.call_soon(start)
            reactor.run()
        finally:
            reactor.close()
            if self._planned.holder is not None:
                self._planned.holder.close()
        if self._failure is not None:
            self._failure.raise_exception()

    # The start.

    @property
    def gave_up(self) -> bool:
        """Say whether a connection has ended before its login."""
        return self.supervisor.gave_up

    def _begin(self) -> None:
        """Listen first: a port that is not to be had is told before anything else is begun."""
        from sshkit.server.systemd import listen_fds

        try:
            passed = [each for each in listen_fds() if each.is_listening]
        except SSHKitError as error:
            self._failed(Failure(error))
            return
        if passed:
            self._take_over([each.sock for each in passed])
            self._listening(None)
            return
        self._listen(self.plan.places).add_callbacks(self._listening, self._failed)

    def _listen(self, places: "list[ListenPlace]") -> "Deferred[Any]":
        waits: list[Deferred[Any]] = []
        family = _family(self.plan.options.address_family.value)
        for host, port, _ in places:
            opening = self.reactor.listen_tcp(host, port, cast("Any", Taker(self)), family=family)

            def listening(listener: "Listener", key: tuple[str, int] = (host, port)) -> None:
                listener.pause()
                self._listeners[key] = listener

            waits.append(opening.add_errback(_name_place, host, port).add_callback(listening))

        def tell(result: object) -> object:
            for listener in self._listeners.values():
                for address in listener.addresses:
                    self.log("verbose", f"listening on {address[0]} port {address[1]}")
            return result

        return gather(*waits).add_callback(tell)

    def _take_over(self, socks: "list[socket.socket]") -> None:
        """Listen at sockets that systemd has made."""
        from sshkit.reactor.listener import Listener

        for number, sock in enumerate(socks):
            sock.setblocking(False)
            listener = Listener(cast("Any", self.reactor), [sock], cast("Any", Taker(self)))
            listener.pause()
            self._listeners[PASSED, number] = listener

    def _serve_metrics(self) -> None:
        address = self.plan.options.metrics_address.value
        if address is None:
            return
        from sshkit.server.metrics_endpoint import serve_metrics

        supervisor = self.supervisor
        supervisor.metrics.lend("sessions_open", "Users' processes.", lambda: len(supervisor.sessions))
        supervisor.metrics.lend("workers", "Processes that serve.", lambda: len(supervisor.workers))
        supervisor.metrics.lend(
            "not_logged_in", "Connections that are not logged in.", lambda: supervisor.startups.count
        )
        supervisor.metrics.lend(
            "penalties", "Sources that are penalised.", lambda: len(supervisor.penalties or ())
        )
        place = address.path or (address.host, address.port)
        serving = maybe_deferred(serve_metrics, self.reactor, supervisor.metrics, place)
        serving.add_errback(lambda failure: self.log("error", f"MetricsAddress: {failure.exception}"))

    def _listening(self, _: object) -> None:
        self.supervisor.start().add_callback(self._serving)
        self.supervisor.wait_closed().add_callback(self._stop)

    def _serving(self, _: object) -> None:
        for listener in self._listeners.values():
            listener.resume()
        self._serve_metrics()
        self._notifier.ready()
        self._notifier.start_watchdog(self.reactor)
        self._ready(self)

    def _failed(self, failure: Failure) -> None:
        self._failure = failure
        self.reactor.stop()

    def taken(self) -> None:
        """Note that a connection has come: with -d it is the only one."""
        if self._once:
            self.reactor.call_soon(self._drain)

    def _adopt(self, read_fd: int, write_fd: int) -> None:
        import stat

        fds = (read_fd,) if stat.S_ISSOCK(os.fstat(read_fd).st_mode) else (read_fd, write_fd)

        def serve(_: object) -> None:
            self.supervisor.adopt(*fds)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in {read_fd, write_fd}:
                os.dup2(null, fd)  # the worker has it now; its peer must see when that one closes it
            os.close(null)
            self.supervisor.drain_softly()

        self.supervisor.start().add_callback(serve)
        self.supervisor.wait_closed().add_callback(self._stop)

    # The end.

    def _drain(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self.supervisor.drain_softly()

    def _stop(self, _: object) -> None:
        self.reactor.stop()

    def _end(self, number: int) -> None:
        """Take no more connections; the second time, or with SIGINT, end those that are here."""
        import signal

        again, self.signal = self.signal is not None, number
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._notifier.stopping()
        if again or number == signal.SIGINT:
            self.log("info", f"{signal.Signals(number).name}: the server ends")
            self.supervisor.end()
        else:
            self.log("info", f"{signal.Signals(number).name}: the server ends with its last session")
            self.supervisor.drain()
        if not self.supervisor.started:
            self.reactor.stop()

    # Another configuration.

    def _hung_up(self) -> None:
        import signal

        if not self._listeners:  # one connection: whoever started us for it, ssh for example, has ended
            self._end(int(signal.SIGINT))
            return
        if self._replan is None or self.signal is not None:
            return
        self._notifier.reloading()
        try:
            planned = self._replan()
        except (SSHKitError, OSError) as error:
            for line in str(error).splitlines():
                self.log("error", f"the configuration was not read again: {line}")
            self._notifier.ready("the configuration has mistakes; the one before is in force")
            return
        if planned.holder is not None:
            planned.holder.attach(self.reactor, self.log)
        wanted = {(host, port): place for place in planned.plan.places for host, port, _ in (place,)}
        if any(key[0] == PASSED for key in self._listeners):
            wanted = {key: place for key, place in wanted.items() if key in self._listeners}
        added = [place for key, place in wanted.items() if key not in self._listeners]
        self._listen(added).add_callbacks(
            lambda _: self._go_over(planned, set(wanted)), lambda failure: self._not_read(planned, failure)
        )

    def _not_read(self, planned: Planned, failure: Failure) -> None:
        self.log("error", f"the configuration was not read again: {failure.exception}")
        if planned.holder is not None:
            planned.holder.close()
        self._notifier.ready()

    def _go_over(self, planned: Planned, wanted: set[tuple[str, int]]) -> None:
        known = {place[:2] for place in self.plan.places}
        try:
            replaced = self.supervisor.replace(planned.plan)
        except OSError as error:
            for key in [key for key in self._listeners if key not in known and key[0] != PASSED]:
                self._listeners.pop(key).close()
            self._not_read(planned, Failure(error))
            return
        old, self._planned = self._planned, planned
        for key in [key for key in self._listeners if key not in wanted and key[0] != PASSED]:
            self._listeners.pop(key).close()

        def done(_: object) -> None:
            for listener in self._listeners.values():
                listener.resume()
            self.log("info", "the configuration was read again")
            self._notifier.ready()
            self._ready(self)
            if old.holder is not None:
                self.supervisor.wait_for(old.plan).add_callback(lambda _: _close(old))

        replaced.add_callback(done)


class Taker:
    """What listeners have for a factory of protocols: it takes the sockets themselves."""

    __slots__ = ("_daemon",)

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def take_socket(self, sock: Any, address: Any) -> None:
        """Hand a connection on."""
        self._daemon.supervisor.take_socket(sock, address)
        self._daemon.taken()


def _close(planned: Planned) -> None:
    if planned.holder is not None:
        planned.holder.close()


def _family(name: str) -> int:
    import socket

    return {"any": 0, "inet": int(socket.AF_INET), "inet6": int(socket.AF_INET6)}[name]


def _name_place(failure: Failure, host: str, port: int) -> NoReturn:
    cause = failure.exception.__cause__
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(failure.exception)
    raise CannotListen(f"{host or '*'} port {port}: {text}") from failure.exception


def _nothing(daemon: Daemon) -> None:
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
