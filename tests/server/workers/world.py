"""A monitor, its workers and its sessions in one process: nothing forks, each has its part of one reactor.

What would be a process is an object with a number; what would kill it closes its sockets.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.deferred import Deferred
from sshkit.interfaces.process import ExitStatus
from sshkit.reactor import engines, reaper
from sshkit.reactor.engines import new_reactor
from sshkit.server import privileges
from sshkit.server.accounts import Account, own_account
from sshkit.server.workers import session_process, supervisor, worker
from sshkit.server.workers.link import Link
from sshkit.server.workers.session_process import Session
from sshkit.server.workers.supervisor import Supervisor
from sshkit.server.workers.worker import LinkedServer, OwnServer, WorkerServer
from tests.server.workers.parts import Log, make_key, make_plan

T = TypeVar("T")
USER = own_account().name
FIRST_PID = 2**30  #: no process has such a number
MAX_TURNS = 600


class Shared:
    """A reactor for a part that thinks that it has its own: it does not run, stop or close it."""

    def __init__(self, reactor: Any, ended: Callable[[], object]) -> None:
        self._reactor = reactor
        self._ended = ended
        self.handlers: dict[int, Callable[[], object]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def run(self) -> None:
        """It runs already."""

    def close(self) -> None:
        """It is another's."""

    def stop(self) -> None:
        self._ended()

    def add_signal_handler(self, number: int, callback: Callable[[], object]) -> None:
        self.handlers[number] = callback


class World:
    """A whole server.  `separated`: its workers have no rights, and sessions are parts of their own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, separated: bool = True
    ) -> None:
        self.folder = folder
        self.log = Log()
        self.reactor: Any = new_reactor("native")
        self.host = make_key(folder, "host")
        self.key = generate_private_key("ed25519")
        (folder / "authorized_keys").write_text(self.key.public.to_line() + "\n")
        self._separated = separated
        self.plan = self.make_plan(*lines)
        self.pid = FIRST_PID
        self.servers: dict[int, LinkedServer] = {}
        self.shared: dict[int, Shared] = {}  #: reactors of sessions
        self.exits: dict[int, Callable[[ExitStatus], None]] = {}
        self.asks: dict[int, socket.socket] = {}
        self.killed: list[int] = []
        self.die_at_once = 0
        self.fork_error: OSError | None = None
        self.before_session: Callable[[], object] = lambda: None
        own = own_account()
        monkeypatch.setattr(supervisor, "unprivileged", lambda: own)
        monkeypatch.setattr(supervisor, "fork", self.fork)
        self.links: list[Link] = []

        def linked(*arguments: Any) -> Link:
            link = Link(*arguments)
            self.links.append(link)
            return link

        monkeypatch.setattr(supervisor, "Link", linked)
        monkeypatch.setattr(supervisor, "_kill", self.kill)
        self._watch_exit = reaper.watch_exit
        monkeypatch.setattr(reaper, "watch_exit", self.watch)
        monkeypatch.setattr(privileges, "become", lambda *_: None)
        monkeypatch.setattr(os, "umask", lambda mask: mask)
        self._monkeypatch = monkeypatch
        self.supervisor = Supervisor(cast("Any", self.reactor), self.plan, self.log)
        self.port = 0

    def make_plan(self, *lines: str) -> Any:
        plan = make_plan(self.folder, *lines)
        return plan._replace(account=None) if self._separated else plan

    # In the place of the system.

    def fork(self, main: Callable[[], int], keep: tuple[int, ...], name: str) -> int:
        if self.fork_error is not None:
            raise self.fork_error
        if name != "worker":
            self.before_session()
        self.pid += 1
        pid = self.pid
        socks = [socket.socket(fileno=os.dup(fd)) for fd in keep]
        if name == "worker":
            if self.die_at_once:
                self.die_at_once -= 1
                socks[0].close()
            else:
                kind: Any = WorkerServer if self._separated else OwnServer
                server = kind(self.reactor, self.supervisor.plan, socks[0], self.log)
                self.servers[pid] = server
                server.wait_closed().add_callback(lambda _: self.close_link(server))
            return pid
        self._session(pid, main, socks)
        return pid

    def _session(self, pid: int, main: Callable[[], int], socks: list[socket.socket]) -> None:
        """Take the session out of what the process would run, and run it here."""
        taken: list[Session] = []

        def take(session: Session) -> int:
            taken.append(session)
            return 0

        with self._monkeypatch.context() as patch:
            patch.setattr(session_process, "run_session", take)
            main()
        self.asks[pid] = socks[1]
        shared = self.shared[pid] = Shared(self.reactor, lambda: self.exit(pid, ExitStatus(code=0)))
        with self._monkeypatch.context() as patch:
            patch.setattr(engines, "new_reactor", lambda _: shared)
            session_process.run_session(taken[0]._replace(sock=socks[0], asks=socks[1]))

    def close_asks(self, pid: int) -> None:
        asks = self.asks.pop(pid, None)
        if asks is not None:
            self.reactor.remove_reader(asks.fileno())
            asks.close()

    def close_link(self, server: LinkedServer) -> None:
        """What the end of a process does."""
        server._link.close()

    def kill(self, pid: int) -> None:
        self.killed.append(pid)
        server = self.servers.pop(pid, None)
        if server is not None:
            self.close_link(server)
            for connection in tuple(server.connections):
                if connection.layer.transport is not None:
                    connection.layer.transport.abort()

    def watch(self, reactor: Any, pid: int, callback: Callable[[ExitStatus], None]) -> None:
        if pid > FIRST_PID:
            self.exits[pid] = callback
        else:
            self._watch_exit(reactor, pid, callback)

    def exit(self, pid: int, status: ExitStatus) -> None:
        self.close_asks(pid)
        callback = self.exits.pop(pid, None)
        if callback is not None:
            callback(status)

    # For tests.

    def run(self, test: Callable[["World"], Awaitable[T]]) -> T:
        """Run a test while the server serves."""

        async def main() -> T:
            ready = self.supervisor.start()
            listener = await self.reactor.listen_tcp("127.0.0.1", 0, self.supervisor)
            self.port = listener.addresses[0][1]
            try:
                await ready
                return await test(self)
            finally:
                listener.close()
                self.supervisor.end()
                await self.supervisor.wait_closed()

        try:
            return self.reactor.run_until(main())  # type: ignore[no-any-return]
        finally:
            for link in self.links:
                link.close()
            for pid in tuple(self.asks):
                self.close_asks(pid)
            for worker in self.supervisor.workers:
                worker.link.close()
            for server in self.servers.values():
                self.close_link(server)
            self.reactor.close()

    def connect(self, user: str = USER, **options: Any) -> Any:
        options.setdefault("identities", [self.key])
        options.setdefault("host_keys", [self.host.public])
        return sshkit.connect(
            f"{user}@127.0.0.1",
            port=self.port,
            agent="",
            reactor=self.reactor,
            **options,
        )

    def turn(self) -> "Deferred[None]":
        """Let everything go on that is ready."""
        waiter: Deferred[None] = Deferred()
        self.reactor.call_later(0.005, waiter.callback, None)
        return waiter

    async def until(self, done: Callable[[], object]) -> None:
        """Let the others go on until it is so."""
        for _ in range(MAX_TURNS):
            if done():
                return
            await self.turn()
        raise AssertionError(f"it does not happen; the log:\n{self.log.text}")


def other_account(name: str = "nobody") -> Account:
    """Return an account that is not this process'."""
    from sshkit.server.accounts import find_account

    found = find_account(name)
    assert found is not None
    return found


__all__ = ["USER", "Shared", "World", "other_account", "worker"]
