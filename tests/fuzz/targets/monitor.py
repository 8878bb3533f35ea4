"""What a worker in a stranger's hands says to the monitor: messages about logins that are under way.

Whatever it is, the answer is an error that ends the worker, or a message back; and nobody is let in who has
not signed with his key.
"""

from types import SimpleNamespace
from typing import Any

from sshkit.config.sshd_addresses import AddressList
from sshkit.deferred import Deferred
from sshkit.server.metrics import Metrics
from sshkit.server.server import Settings
from sshkit.server.users import Users
from sshkit.server.workers.monitor import MonitoredLogin
from sshkit.server.workers.supervisor import Worker
from tests.fuzz.targets.keyless import KEY, calm, check_ending
from tests.fuzz.targets.pieces import pieces

#: Where the connections come from, before a worker says that a proxy speaks for others.
PROXIES = AddressList("192.0.2.1")


class Everybody(Users):
    """Each user has the key and a password that nobody knows."""

    takes_certificates = True

    def check_key(self, user: str, key: Any) -> Any:
        assert user.isprintable()
        return key.blob == KEY.public.blob

    def check_password(self, user: str, password: str) -> Any:
        return Deferred() if password == "later" else False

    def check_host(self, user: str, key: Any, host: str, local_user: str) -> Any:
        return False


class Link:
    """Counts what is answered."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: bytes, fds: Any = ()) -> None:
        self.sent.append(data)
        assert len(data) < 64 * 1024


class Monitor:
    """What the supervisor of a worker does, and what it lets happen."""

    worker_account = "somebody"

    def __init__(self) -> None:
        self.started = 0
        self.metrics = Metrics()

    def log(self, level: str, text: str, error: BaseException | None = None) -> None:
        assert text.isprintable(), repr(text)
        check_ending(error)

    def login_failed(self, login: Any, method: str) -> None:
        assert method.isprintable()

    def connection_ended(self, login: Any, cause: str) -> None:
        pass

    def worker_ready(self, worker: Any) -> None:
        pass

    def let_in(self, login: Any) -> None:
        raise AssertionError("a worker cannot let anybody in")

    def moved(self, login: Any, places: Any) -> bool:
        return bool(places[1] % 2)

    def start_session(self, login: MonitoredLogin, grant: Any) -> int:
        raise AssertionError("let in without a signature")


def parse(data: bytes) -> None:
    proxied = bool(data[:1] == b"\1")
    options: Any = SimpleNamespace(
        proxy_protocol=SimpleNamespace(value="yes" if proxied else "no"),
        proxy_protocol_from=SimpleNamespace(value=PROXIES),
    )
    plan: Any = SimpleNamespace(
        settings=Settings(), host_keys=(KEY,), users=Everybody({"user": "never"}), options=options
    )
    worker = Worker.__new__(Worker)
    monitor: Any = Monitor()
    link: Any = Link()
    worker.supervisor, worker.plan, worker.link = monitor, plan, link
    worker.logins, worker.draining, worker.ready = {}, False, False
    for number in (1, 2):
        worker.logins[number] = MonitoredLogin(number, "192.0.2.1", ("192.0.2.1", 1, "::1", 22), plan, worker)
    with calm():
        for count, piece in enumerate(pieces(data[1:]), 1):
            if piece:  # the kernel gives none that is empty
                worker._received(piece, [])
            assert len(link.sent) <= count
