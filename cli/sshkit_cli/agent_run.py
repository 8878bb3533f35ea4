"""Runs an agent: in the foreground, in the background, or for one command.

Called by `agent`, on the native engine.  The parent waits until the agent listens, so that its exit status
and its output tell the truth.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit_cli.agent import Options, UsageError, shell_lines
from sshkit_cli.agent_place import Place, choose, clean

if TYPE_CHECKING:
    from sshkit.agent.serve import AgentListener
    from sshkit.deferred import Failure
    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.policy import Audit, AuditEvent, Policy

#: Seconds between two looks whether the command still runs, where the kernel does not tell.
PARENT_INTERVAL = 10.0
SIGNALLED = 2


def start(options: Options) -> int:
    """Choose the place and run the agent there."""
    policy = load_policy(options.policy) if options.policy else None
    audit_fd = _open_audit(options.audit) if options.audit else -1
    home = os.path.expanduser("~")
    if options.address:
        place = Place(os.path.abspath(options.address))
    else:
        if not options.keep_stale:
            clean(home)
        place = choose(home, options.in_temporary)
    service = Service(options, place, policy, audit_fd)
    if options.foreground or options.debug:
        return service.run(lambda: _write(1, shell_lines(options, place.path, None)))
    return _run_in_background(options, place, service)


def load_policy(name: str) -> "Policy":
    """Return the function that "module:function" names."""
    module, colon, function = name.partition(":")
    if not colon or not function:
        raise UsageError(f"--policy {quoted(name)} is not module:function")
    from importlib import import_module

    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--policy {quoted(name)}: {printable(str(error))}") from None
    if not callable(found):
        raise UsageError(f"--policy {quoted(name)} is no function")
    return cast("Policy", found)


def _open_audit(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class Service:
    """One agent and what ends it."""

    def __init__(self, options: Options, place: Place, policy: "Policy | None", audit_fd: int) -> None:
        self.options = options
        self.place = place
        self.policy = policy
        self.audit_fd = audit_fd
        # Absolute, since the daemon leaves its folder.
        self._upstreams = [os.path.abspath(path) for path in options.upstreams]
        self.parent = 0  #: the command whose end is the agent's, if any
        self._listener: AgentListener | None = None
        self._failure: Failure | None = None
        self._signal = 0

    def run(self, ready: Callable[[], object]) -> int:
        """Serve until a signal or the parent's end; `ready` is called when the socket is there."""
        from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1

        from sshkit.reactor.engines import new_reactor
        from sshkit_cli.agent_secrets import protect_memory

        done = protect_memory()
        if self.options.debug:
            self._say(f"memory: {', '.join(done) or 'not protected'}")
        reactor = cast("Reactor", new_reactor("native"))
        try:
            for number in (SIGTERM, SIGINT, SIGHUP):
                reactor.add_signal_handler(number, lambda number=number: self._end(reactor, number))  # type: ignore[misc]
            reactor.add_signal_handler(SIGUSR1, self._forget)
            reactor.call_soon(lambda: self._listen(reactor, ready))
            reactor.run()
        finally:
            reactor.close()
            self.place.remove_folder()
        if self._failure is not None:
            self._failure.raise_exception()
        return SIGNALLED if self._signal else 0

    def _listen(self, reactor: "Reactor", ready: Callable[[], object]) -> None:
        from sshkit.agent.serve import serve_agent
        from sshkit.ssh.agent.keyring import Keyring
        from sshkit.ssh.agent.policy import Restrictions
        from sshkit_cli.agent_confirm import Confirmer, open_terminal

        options = self.options
        in_front = options.foreground or options.debug
        confirmer = Confirmer(
            reactor,
            dict(os.environ),
            self._say,
            hash_name=options.hash_name,
            terminal=open_terminal if in_front else None,
        )
        opening = serve_agent(
            self.place.path,
            Keyring(reactor, random_bytes=os.urandom, lifetime=options.lifetime),
            policy=self.policy,
            confirm=confirmer.confirm,
            audit=self._audit(),
            upstreams=self._upstreams,
            restrictions=Restrictions(options.websafe, options.remote_tokens, options.providers),
            reactor=reactor,
        )

        def listening(listener: "AgentListener") -> None:
            self._listener = listener
            if self.parent:
                self._watch_parent(reactor)
            ready()

        def failed(failure: "Failure") -> None:
            self._failure = failure
            reactor.stop()

        opening.add_callback(listening).add_errback(failed)

    def _audit(self) -> "Audit | None":
        if self.audit_fd < 0 and not self.options.debug:
            return None
        from json import dumps
        from time import gmtime, strftime

        def audit(event: "AuditEvent") -> None:
            stamp = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())
            line = dumps({"time": stamp, **event.to_dict()}) + "\n"
            if self.audit_fd >= 0:
                _write(self.audit_fd, line)
            if self.options.debug:
                _write(2, f"debug1: {line}")

        return audit

    def _watch_parent(self, reactor: "Reactor") -> None:
        """End with the command."""
        opener: Callable[[int], int] | None = getattr(os, "pidfd_open", None)
        try:
            if opener is None or os.getppid() != self.parent:
                raise ProcessLookupError
            fd = opener(self.parent)
        except OSError:
            self._look_for_parent(reactor)
            return

        def ended() -> None:
            reactor.remove_reader(fd)
            self._end(reactor, 0)

        reactor.add_reader(fd, ended)

    def _look_for_parent(self, reactor: "Reactor") -> None:
        if os.getppid() != self.parent:
            self._end(reactor, 0)
        else:
            reactor.call_later(PARENT_INTERVAL, self._look_for_parent, reactor)

    def _end(self, reactor: "Reactor", number: int) -> None:
        self._signal = number
        if self._listener is not None:
            self._listener.keyring.clear()
            self._listener.close()
        reactor.stop()

    def _forget(self) -> None:
        if self._listener is not None:
            self._listener.keyring.clear()

    def _say(self, text: str) -> None:
        _write(2, f"sshkit-agent: {text}\n")


def _run_in_background(options: Options, place: Place, service: Service) -> int:
    """Fork the agent off; print how to reach it, or become the command."""
    read_end, write_end = os.pipe()
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        os.close(read_end)
        if options.command:
            service.parent = parent
        _child(service, write_end)
    os.close(write_end)
    told = _read_all(read_end)
    if told[:1] != b"\0":
        os.waitpid(pid, 0)
        _write(2, told.decode("utf-8", "replace") or "sshkit-agent: the agent died before it listened\n")
        return 1
    if options.command:
        environment = {**os.environ, "SSH_AUTH_SOCK": place.path, "SSH_AGENT_PID": str(pid)}
        os.execvpe(options.command[0], options.command, environment)
    _write(1, shell_lines(options, place.path, pid))
    return 0


def _child(service: Service, write_end: int) -> NoReturn:
    """Be the agent; never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd, inheritable=True)

        def ready() -> None:
            os.write(write_end, b"\0")
            os.close(write_end)

        status = service.run(ready)
    except (SSHKitError, OSError) as error:
        _write(write_end, f"sshkit-agent: {error}\n")
    finally:
        os._exit(status)


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


def _write(fd: int, text: str) -> None:
    """Write all of a text; where nobody takes it there is nobody to tell."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass
