"""The monitor: it listens, counts, decides, and starts and restarts the processes that serve.

Run by the command sshkit-server, as its first and only process with rights.  It hands each connection to the
worker that has the fewest; limits and penalties are therefore those of the whole server.  It never reads a
byte of a client's.  A reload starts new workers and lets the old ones finish what they have.
"""

import os
import socket
from collections.abc import Callable
from errno import ECONNABORTED
from time import time
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.server.limits import DropLog, Startups
from sshkit.server.login_records import LoginRecords
from sshkit.server.metrics import Metrics
from sshkit.server.penalties import REFUSE_CONNECTION, Penalties
from sshkit.server.source_blocks import plain_address
from sshkit.server.workers import messages
from sshkit.server.workers.forking import fork
from sshkit.server.workers.link import Link, LinkBroken, pair
from sshkit.server.workers.monitor import LoginOwner, MonitoredLogin

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, ExitStatus, Reactor
    from sshkit.server.accounts import Account
    from sshkit.server.configured import Plan
    from sshkit.server.system_users import SystemLogin
    from sshkit.ssh.authentication.verdicts import Grant

QUICK: Final = 1.0  #: seconds: a worker that lives less is started again with a pause
LONGEST_PAUSE: Final = 10.0
MAX_DOUBLINGS: Final = 10  #: of the pause, which is the longest by then
MAX_TERMINALS: Final = 64  #: of one client that are written down
MAX_NUMBER: Final = 0xFFFFFFFF


class Worker(LoginOwner):
    """One worker, as the monitor has it."""

    def __init__(self, supervisor: "Supervisor", plan: "Plan") -> None:
        ours, theirs = pair()
        self.supervisor = supervisor
        self.plan = plan
        self.logins: dict[int, MonitoredLogin] = {}
        self.draining = False
        self.ready = False
        self.began = supervisor.reactor.seconds()
        account, log = supervisor.worker_account, supervisor.log

        def main() -> int:
            from sshkit.server.workers.worker import run_worker

            return run_worker(theirs, plan, log, account)

        try:
            self.pid = fork(main, (theirs.fileno(), *supervisor.log_descriptors), "worker")
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.link = Link(supervisor.reactor, ours, self._received, self._ended)

    def serve(self, number: int, source: str, places: tuple[str, int, str, int], *fds: int) -> None:
        """Hand a connection over."""
        self.logins[number] = MonitoredLogin(number, source, places, self.plan, self)
        self.link.send(messages.NewConnection(number).encode(), fds)

    def drain(self, now: bool = False) -> None:
        """Give it no more connections, and let it end with its last one."""
        if not self.draining or now:
            self.draining = True
            self.link.send(messages.Drain(now).encode())

    # The owner of its logins.

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        self.supervisor.log(level, text, error)

    def login_failed(self, login: MonitoredLogin, user: str, method: str) -> None:
        self.supervisor.login_failed(login, method)
        if login.is_prohibited:
            self.link.send(messages.Drop(login.number).encode())

    # Inside.

    def _received(self, data: bytes, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)  # it has none that anybody here wants
        take = HANDLERS.get(data[0])
        if take is None:
            raise LinkBroken(f"a message {data[0]}")
        take(self, data)

    def _login(self, number: int) -> MonitoredLogin | None:
        return self.logins.get(number)

    def _send(self, answer: messages.Answer, fds: tuple[int, ...]) -> None:
        self.link.send(answer.encode(), fds)
        for fd in fds:
            os.close(fd)

    def _ready(self, data: bytes) -> None:
        self.ready = True
        self.supervisor.worker_ready(self)

    def _sign(self, data: bytes) -> None:
        question = messages.Sign.decode(data)
        login = self._login(question.connection)
        if login is not None:
            login.sign(question, self._send)

    def _prepare(self, data: bytes) -> None:
        question = messages.Prepare.decode(data)
        login = self._login(question.connection)
        if login is not None:
            login.prepare(question, self._send)

    def _ask(self, data: bytes) -> None:
        question = messages.Ask.decode(data)
        login = self._login(question.connection)
        if login is not None:
            login.ask(question, self._send, self._start_session)

    def _start_session(self, login: MonitoredLogin, grant: "Grant") -> int:
        """Start it, unless the client has gone while his password was checked: he was counted as gone."""
        try:
            if self._login(login.number) is not login:
                raise ConnectionAbortedError(ECONNABORTED, "the client has gone")
            return self.supervisor.start_session(login, grant)
        except OSError:
            login.grant = None  # he is not in: he may try again, and he still counts
            raise

    def _failed(self, data: bytes) -> None:
        message = messages.Failed.decode(data)
        login = self._login(message.connection)
        if login is None:
            return
        if self.supervisor.worker_account is None:
            self.supervisor.login_failed(login, message.method)
        else:
            login.failed(message)

    def _logged_in(self, data: bytes) -> None:
        message = messages.LoggedIn.decode(data)
        login = self._login(message.connection)
        if login is None or login.grant is not None or self.supervisor.worker_account is not None:
            raise LinkBroken("somebody is said to be logged in who cannot be")
        from sshkit.ssh.authentication.verdicts import Grant

        login.grant = Grant(message.user, message.method)
        self.supervisor.let_in(login)

    def _address(self, data: bytes) -> None:
        message = messages.Address.decode(data)
        login = self._login(message.connection)
        if login is None or self.plan.options.proxy_protocol.value == "no" or login.grant is not None:
            raise LinkBroken("an address that nobody has asked for")
        places = (message.host, message.port, message.local_host, message.local_port)
        proxies, proxy = self.plan.options.proxy_protocol_from.value, login.addresses()[0]
        speaks_for_another = proxy not in (message.host, "UNKNOWN")
        if proxies is not None and speaks_for_another and not proxies.holds(plain_address(proxy)):
            raise LinkBroken("an address by the word of a proxy that is not trusted")
        if not self.supervisor.moved(login, places):
            self.link.send(messages.Drop(message.connection).encode())

    def _connection_ended(self, data: bytes) -> None:
        message = messages.Ended.decode(data)
        login = self.logins.pop(message.connection, None)
        if login is not None:
            self.supervisor.metrics.traffic.add(message.received, "in")
            self.supervisor.metrics.traffic.add(message.sent, "out")
            if message.key_exchange:
                self.supervisor.metrics.key_exchanges.add(1, message.key_exchange)
            self.supervisor.connection_ended(login, message.cause)

    def _ended(self, error: BaseException) -> None:
        """Forget it with all that it had: it has ended, or is not to be trusted any more."""
        logins, self.logins = self.logins, {}
        for login in logins.values():
            self.supervisor.connection_ended(login, "")
        self.supervisor.worker_ended(self, error)


HANDLERS: "dict[int, Callable[[Worker, bytes], None]]" = {
    messages.Ready.number: Worker._ready,
    messages.Sign.number: Worker._sign,
    messages.Prepare.number: Worker._prepare,
    messages.Ask.number: Worker._ask,
    messages.Failed.number: Worker._failed,
    messages.LoggedIn.number: Worker._logged_in,
    messages.Address.number: Worker._address,
    messages.Ended.number: Worker._connection_ended,
}


class Supervisor:
    """All workers of a server, and what they share."""

    def __init__(
        self, reactor: "Reactor", plan: "Plan", log: Any, *, log_descriptors: tuple[int, ...] = ()
    ) -> None:
        self.reactor = reactor
        self.plan = plan
        self.log = log
        self.log_descriptors = log_descriptors
        self.worker_account: Account | None = None if plan.account is not None else unprivileged()
        self.workers: list[Worker] = []
        self.closing = False
        self.started = False
        self._plan_waiters: list[tuple[Plan, Deferred[None]]] = []
        self.sessions: dict[int, MonitoredLogin] = {}  #: by process
        self._number = 0
        self._quick = 0  # workers that did not live long, one after the other
        self._closed_waiters: list[Deferred[None]] = []
        self._ready_waiters: list[Deferred[None]] = []
        settings = plan.settings
        self.startups = Startups(
            settings.max_startups, settings.max_startups_per_source, os.urandom, settings.source_blocks
        )
        self.penalties = penalties_of(plan, reactor, log)
        methods = settings.algorithms.key_exchanges
        self.metrics = Metrics(key_exchanges=[method.name for method in methods])
        self._records = LoginRecords()
        self.gave_up = False  #: a connection ended before its login
        self._drops = DropLog(reactor, log, settings.max_startups.start)

    # Life.

    def start(self) -> "Deferred[None]":
        """Start the workers; fires when all of them serve."""
        self.started = True
        for _ in range(max(1, self.plan.workers) - len(self._serving())):
            self.workers.append(Worker(self, self.plan))
        waiter: Deferred[None] = Deferred()
        self._ready_waiters.append(waiter)
        return waiter

    def replace(self, plan: "Plan") -> "Deferred[None]":
        """Go on with another plan: new workers take what comes, the old ones finish what they have.

        Raises OSError where there is no process for them: then nothing has changed.
        """
        old_times = self.plan.options.per_source_penalties.value
        old = self._serving()
        fresh: list[Worker] = []
        try:
            for _ in range(max(1, plan.workers)):
                fresh.append(Worker(self, plan))
                self.workers.append(fresh[-1])
        except OSError:
            for worker in fresh:
                worker.drain()
            raise
        self.plan = plan
        waiter: Deferred[None] = Deferred()
        self._ready_waiters.append(waiter)
        settings = plan.settings
        self.startups.limit = settings.max_startups
        if plan.options.per_source_penalties.value != old_times:
            self.penalties = penalties_of(plan, self.reactor, self.log)

        def drain(_: None) -> None:
            for worker in old:
                worker.drain()

        return waiter.add_callback(drain)

    def drain_softly(self) -> None:
        """Take no more connections, and let all that are here go on."""
        self.closing = True
        for worker in self.workers:
            worker.drain()
        self._tell_closed()

    def wait_for(self, plan: "Plan") -> "Deferred[None]":
        """Wait until no worker serves with `plan` any more."""
        waiter: Deferred[None] = Deferred()
        self._plan_waiters.append((plan, waiter))
        self._tell_plans()
        return waiter

    def drain(self) -> None:
        """Take no more connections; those that are logged in go on, and with the last one the server ends."""
        self.closing = True
        for worker in self.workers:
            worker.drain(now=True)
        self._tell_closed()

    def end(self) -> None:
        """End all connections."""
        self.closing = True
        for worker in self.workers:
            worker.drain()
            worker.link.send(messages.End().encode())
        self._tell_closed()

    def wait_closed(self) -> "Deferred[None]":
        """Wait until the last worker has ended, after `drain` or `end`."""
        waiter: Deferred[None] = Deferred()
        self._closed_waiters.append(waiter)
        self._tell_closed()
        return waiter

    # What listeners call.

    def take_socket(self, sock: socket.socket, address: Any) -> None:
        """Judge a connection that has come, and hand it to a worker."""
        source = str(address[0]) if isinstance(address, tuple) and address else "local"
        local = sock.getsockname()
        count = self.startups.count
        penalty = None if self.penalties is None else self.penalties.refusal(source)
        of_source = self.startups.source_refusal(source)
        worker = self._choose()
        if penalty is not None:
            self.metrics.refused.add(1, "penalty")
            self._drops.penalised(count, address, local, penalty)
        elif of_source is not None:
            self.metrics.refused.add(1, "per_source")
            self.log("info", f"{source}: refused: {of_source}")
        elif self.startups.common_refusal() is not None:
            self.metrics.refused.add(1, "max_startups")
            self._drops.refused(count, address, local)
        elif worker is None or self.closing:
            self.metrics.refused.add(1, "closing")
            self.log("info", f"{source}: refused: no worker serves just now")
        else:
            self._drops.accepted(count)
            self._hand(worker, source, _places(address, local), sock.fileno())
        sock.close()

    def adopt(self, *fds: int) -> None:
        """Serve the one connection on a socket, or on two pipes; the descriptors stay the caller's."""
        worker = self._choose()
        assert worker is not None
        peer: Any = None
        local: Any = None
        if len(fds) == 1:
            with socket.socket(fileno=os.dup(fds[0])) as sock:
                peer, local = sock.getpeername(), sock.getsockname()
        places = _places(peer, local)
        self._hand(worker, places[0] if peer else "local", places, *fds)

    # What workers and their logins tell.

    def worker_ready(self, worker: Worker) -> None:
        """Count one more that serves."""
        if all(each.ready for each in self._serving()):
            waiters, self._ready_waiters = self._ready_waiters, []
            for waiter in waiters:
                waiter.callback(None)

    def worker_ended(self, worker: Worker, error: BaseException) -> None:
        """Start another one in its place, unless it was to end."""
        self.workers.remove(worker)
        self._tell_plans()
        if self.worker_account is not None or not worker.draining:
            _kill(worker.pid)
        from sshkit.reactor.reaper import watch_exit

        watch_exit(cast("Any", self.reactor), worker.pid, lambda status: None)
        if worker.draining or self.closing:
            self._tell_closed()
            return
        self.log("error", f"worker {worker.pid} has ended ({error}) and is started again")
        lived = self.reactor.seconds() - worker.began
        self._restart_later(self._quick + 1 if lived < QUICK else 0)

    def let_in(self, login: MonitoredLogin) -> None:
        """Count one more that is logged in."""
        self.startups.end(login.source)
        grant = login.grant
        assert grant is not None
        self.metrics.logins.add(1, grant.method, "success")
        if self.worker_account is not None:
            key = grant.key or ""
            self.log("info", f"{login.source}: {grant.user!r} logged in by {grant.method} {key}")

    def moved(self, login: MonitoredLogin, places: tuple[str, int, str, int]) -> bool:
        """Count a connection where a proxy says that it comes from; say whether it may stay."""
        source = printable(places[0])
        self.startups.end(login.source)
        penalty = None if self.penalties is None else self.penalties.refusal(source)
        refusal = penalty or self.startups.source_refusal(source)
        self.startups.begin(source)
        login.move(source, places)
        if refusal is not None:
            self.metrics.refused.add(1, "penalty" if penalty else "per_source")
            self.log("info", f"{source}: refused: {refusal}")
        return refusal is None

    def login_failed(self, login: MonitoredLogin, method: str) -> None:
        """Count a refusal."""
        self.metrics.logins.add(1, method, "failure")
        if login.is_prohibited:
            login.failure = REFUSE_CONNECTION
        elif method != "none":
            login.failure = "invaliduser" if login.is_nobody else "authfail"

    def connection_ended(self, login: MonitoredLogin, cause: str) -> None:
        """Count one connection less."""
        login.ended()
        if login.grant is None:
            self.startups.end(login.source)
            self.gave_up = True
            if cause != REFUSE_CONNECTION:
                cause = login.failure or cause
            if cause == REFUSE_CONNECTION:
                self.metrics.refused.add(1, "refused_by_config")
            if cause == messages.BAD_PROXY_HEADER:
                self.metrics.refused.add(1, "proxy_header")
            elif cause and self.penalties is not None:
                self.penalties.add(login.source, cause)

    def start_session(self, login: MonitoredLogin, grant: "Grant") -> int:
        """Start the process of who was let in; returns the socket that leads to it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        theirs.setblocking(False)
        asked, asks = pair()
        plan, log = login.plan, self.log
        account = cast("SystemLogin", login.policy.users).account
        last_login = self._records.last_login(account.uid)
        lines: list[str] = []

        def main() -> int:
            from sshkit.server.workers.session_process import Session, run_session

            return run_session(
                Session(theirs, asks, plan, login, grant, log, self.log_descriptors, last_login)
            )

        keep = (theirs.fileno(), asks.fileno(), *self.log_descriptors)
        try:
            pid = fork(main, keep, f"session of {printable(grant.user)}")
        except OSError:
            ours.close()
            asked.close()
            raise
        finally:
            theirs.close()
            asks.close()
        self.sessions[pid] = login
        link = Link(self.reactor, asked, lambda data, fds: take(data, fds), lambda error: None)

        def take(data: bytes, fds: list[int]) -> None:
            """Have a proof of our host keys signed, or a login written down: nothing else is asked."""
            for fd in fds:
                os.close(fd)
            if data[0] == messages.Terminal.number:
                line = _line_of(messages.Terminal.decode(data).name, account)
                if line and len(lines) < MAX_TERMINALS:
                    lines.append(line)
                    self._records.opened(account, line, pid, login.source, time())
                return
            login.prove(messages.Sign.decode(data), lambda answer, _: link.send(answer.encode()))

        from sshkit.reactor.reaper import watch_exit

        def ended(status: "ExitStatus") -> None:
            link.close()
            for line in lines:
                self._records.closed(line, pid, time())
            self._session_ended(pid, status)

        watch_exit(cast("Any", self.reactor), pid, ended)
        self.let_in(login)
        return ours.detach()

    # Inside.

    def _session_ended(self, pid: int, status: "ExitStatus") -> None:
        login = self.sessions.pop(pid)
        self._tell_plans()
        if status.code:
            self.log("error", f"{login.source}: the session's process {pid} ended with {status.code}")
        elif status.signal:
            self.log(
                "error", f"{login.source}: the session's process {pid} was ended by signal {status.signal}"
            )

    def _restart_later(self, quick: int) -> None:
        self._quick = quick
        pause = min(2.0 ** min(quick, MAX_DOUBLINGS) / 10, LONGEST_PAUSE) if quick else 0.0
        self.reactor.call_later(pause, self._restart)

    def _restart(self) -> None:
        if self.closing:
            return
        try:
            self.workers.append(Worker(self, self.plan))
        except OSError as error:  # no process or descriptor is left just now
            self.log("error", f"no worker can be started: {error.strerror}")
            self._restart_later(self._quick + 1)

    def _serving(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.draining]

    def _choose(self) -> Worker | None:
        """Return the worker that has the fewest connections."""
        return min(self._serving(), key=lambda worker: len(worker.logins), default=None)

    def _hand(self, worker: Worker, source: str, places: tuple[str, int, str, int], *fds: int) -> None:
        self._number = self._number % MAX_NUMBER + 1
        self.startups.begin(source)
        self.metrics.connections.add()
        worker.serve(self._number, source, places, *fds)

    def _tell_plans(self) -> None:
        plans = {id(worker.plan) for worker in self.workers} | {
            id(login.plan) for login in self.sessions.values()
        }
        over = [entry for entry in self._plan_waiters if id(entry[0]) not in plans]
        self._plan_waiters = [entry for entry in self._plan_waiters if id(entry[0]) in plans]
        for _, waiter in over:
            waiter.callback(None)

    def _tell_closed(self) -> None:
        if self.closing and not self.workers:
            waiters, self._closed_waiters = self._closed_waiters, []
            for waiter in waiters:
                waiter.callback(None)


def penalties_of(plan: "Plan", clock: "Clock", log: Any) -> Penalties | None:
    """Return who keeps the penalties of sources; None where there are none."""
    options = plan.options
    times = options.per_source_penalties.value
    if times is None:
        return None
    exempt = options.penalty_exempt.value
    patterns = () if exempt is None else tuple(exempt.text.split(","))
    return Penalties(times, plan.settings.source_blocks, patterns, clock, log)


def _line_of(name: str, account: "Account") -> str:
    """Return what the records call a terminal, "" for what is none of the user's."""
    line = name.removeprefix("/dev/")
    if not line.removeprefix("pts/").isdecimal():
        return ""
    try:
        return line if os.stat(f"/dev/{line}").st_uid == account.uid else ""
    except OSError:
        return ""


def unprivileged() -> "Account":
    """Return the account that workers become: "sshd" where it exists, else "nobody"."""
    from sshkit.server.accounts import AccountError, find_account

    account = find_account("sshd") or find_account("nobody")
    if account is None or account.uid == 0:
        raise AccountError("there is neither a user sshd nor a user nobody for what needs no rights")
    return account


def _places(peer: Any, local: Any) -> tuple[str, int, str, int]:
    """Return host and port of both sides; "UNKNOWN" and 65535 where there is none."""
    found: list[Any] = []
    for place in (peer, local):
        found += place[:2] if isinstance(place, tuple) else ("UNKNOWN", 65535)
    return found[0], found[1], found[2], found[3]


def _kill(pid: int) -> None:
    from signal import SIGKILL

    try:
        os.kill(pid, SIGKILL)
    except ProcessLookupError:
        pass  # it has gone, and was reaped
