"""A host to test against that needs no server: `MemoryHost`, in memory or at a loopback port.

``host = MemoryHost({"uname": "Linux\\n"}, files={"/etc/motd": b"hello"})`` answers commands from a table and
serves files over SFTP.  ``async with host.connect() as connection`` in ``host.run(...)`` takes no socket.
``with host.on_loopback() as place`` listens at a free port, for programs that are not sshkit's.
"""

import os
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sshkit.testing.reactor import MemoryReactor

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey

    from sshkit.client.connection import ClientConnection
    from sshkit.opening import Opening
    from sshkit.server.handler import Session

T = TypeVar("T")
NOT_FOUND = 127  #: the status of a command that is not there, as shells have it
USER = "tester"
NAME = "host"


class Answer(NamedTuple):
    """What a command does."""

    stdout: "str | bytes" = ""
    stderr: "str | bytes" = ""
    exit_status: int = 0


class Ran(NamedTuple):
    """A command that was run."""

    user: str
    command: str
    stdin: bytes


class Place(NamedTuple):
    """Where a host listens, and how to log in."""

    host: str
    port: int
    user: str
    identity: str  #: the file of the private key
    known_hosts: str  #: the file that has the host's key
    password: str

    @property
    def arguments(self) -> list[str]:
        """Return what `ssh`, `sftp` (-P in place of -p) and the like need to log in, without questions."""
        options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={self.known_hosts}"]
        words = ["-F", "none", "-p", str(self.port), "-i", self.identity]
        for option in options:
            words += ["-o", option]
        return [*words, f"{self.user}@{self.host}"]


class MemoryHost:
    """A host that answers from tables.  `ran` has every command that came."""

    def __init__(
        self,
        commands: "Mapping[str, Any] | None" = None,
        *,
        files: Mapping[str, bytes] | None = None,
        user: str = USER,
        password: str = "",
        network: MemoryReactor | None = None,
        otherwise: Any = None,
    ) -> None:
        """`commands`: what is answered to each; `otherwise` to every other (None: status 127).

        `files` are served over SFTP, which may change them (`host.files.get(path)`); with `password` that is
        accepted beside the key.
        """
        from sshkit_keys import generate_private_key

        from sshkit.sftp.backends.memory import MemoryBackend

        #: By command: a text, an Answer, or a function of the session, which answers by itself.
        self.commands: dict[str, Any] = dict(commands or {})
        self.otherwise = otherwise
        self.user = user
        self.password = password
        self.network = network or MemoryReactor()
        self.host_key: PrivateKey = generate_private_key("ed25519")
        self.key: PrivateKey = generate_private_key("ed25519")
        self.files: MemoryBackend = MemoryBackend(dict(files or {}))
        self.ran: list[Ran] = []
        self._opened = False

    # In memory.

    def connect(self, **options: Any) -> "Opening[ClientConnection]":
        """Connect as its user; takes what `sshkit.connect` takes."""
        from sshkit.client.connect import connect

        self.open()
        options.setdefault("identities", [self.key])
        options.setdefault("host_keys", [self.host_key.public])
        options.setdefault("reactor", self.network)
        return connect(f"{options.pop('user', self.user)}@{NAME}", **options)

    def open(self) -> None:
        """Listen on the network in memory, at port 22; `connect` does it by itself."""
        if not self._opened:
            self._opened = True
            self._serve((NAME, 22), self.network)

    def run(self, awaitable: Awaitable[T]) -> T:
        """Run a coroutine to its end on the network in memory; see `MemoryReactor.run`."""
        return self.network.run(awaitable)

    # At a port.

    @contextmanager
    def on_loopback(self, folder: "str | os.PathLike[str] | None" = None) -> Iterator[Place]:
        """Listen at a free loopback port while the block runs; `folder` gets the key and known_hosts."""
        from tempfile import TemporaryDirectory

        from sshkit_keys import write_private_key

        from sshkit.blocking.thread import ReactorThread

        with TemporaryDirectory(prefix="sshkit-host-", dir=folder) as name:
            thread = ReactorThread()
            try:
                server = thread.call(lambda: self._serve(("127.0.0.1", 0), thread.reactor), timeout=10.0)
                host, port = server.address[:2]
                identity, known_hosts = os.path.join(name, "identity"), os.path.join(name, "known_hosts")
                write_private_key(identity, self.key.to_openssh(random_bytes=os.urandom))
                with open(known_hosts, "w") as file:
                    file.write(f"[{host}]:{port} {self.host_key.public.to_line()}\n")
                yield Place(host, port, self.user, identity, known_hosts, self.password)
                thread.call(server.close, timeout=10.0)
            finally:
                thread.stop()

    # Both.

    def _serve(self, address: tuple[str, int], reactor: Any) -> "Opening[Any]":
        from sshkit.server.server import serve
        from sshkit.server.users import Users

        passwords = {self.user: self.password} if self.password else {}
        return serve(
            address,
            self._answer,
            host_keys=[self.host_key],
            users=Users(passwords, {self.user: [self.key.public]}),
            sftp=self.files,
            reactor=reactor,
            log=lambda level, text, error: None,
        )

    async def _answer(self, session: "Session") -> int:
        command = session.command or ""
        reply: Any = self.commands.get(command, self.otherwise)
        if callable(reply):
            self.ran.append(Ran(session.user, command, b""))
            status: Any = reply(session)
            if hasattr(status, "__await__"):
                status = await status
            return int(status or 0)
        stdin = b"" if session.terminal is not None else await session.stdin.read()
        self.ran.append(Ran(session.user, command, stdin))
        if reply is None:
            session.stderr.write(f"{command.split()[0] if command else 'sh'}: not found\n")
            return NOT_FOUND
        answer = reply if isinstance(reply, Answer) else Answer(reply)
        session.stdout.write(answer.stdout)
        session.stderr.write(answer.stderr)
        return answer.exit_status
