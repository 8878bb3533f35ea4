"""A server and its clients in memory: what most tests of the client library begin with."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

import sshkit
from sshkit.opening import Opening
from sshkit.testing import MemoryPair, MemoryReactor

T = TypeVar("T")
HOST_KEY: PrivateKey = generate_private_key("ed25519", comment="the host's")
USER_KEY: PrivateKey = generate_private_key("ed25519", comment="the user's")
OTHER_KEY: PrivateKey = generate_private_key("ed25519", comment="another")
ECDSA_KEY: PrivateKey = generate_private_key("ecdsa", 256, "an ecdsa key")


async def echo(session: sshkit.Session) -> int:
    """Answer "exit N" with that status, "cat" with what comes; else write both streams and end well."""
    command = session.command or ""
    if command.startswith("exit "):
        return int(command[5:])
    if command == "cat":
        while data := await session.stdin.read(65536):
            session.stdout.write(data)
            await session.stdout.drain()
        return 0
    session.stdout.write(f"out {command}\n")
    session.stderr.write(f"err {command}\n")
    return 0


async def hang(session: sshkit.Session) -> None:
    """Wait until the client goes."""
    await sshkit.Deferred()


class World:
    """One network in memory, whose host is "host" at port 22."""

    def __init__(self) -> None:
        self.network = MemoryReactor()
        self.said: list[str] = []
        self.log: list[str] = []

    def serve(self, handler: Any = echo, address: str = "host:22", **options: Any) -> Opening[sshkit.Server]:
        """Serve `handler`; by default for the user's key."""
        options.setdefault("host_keys", [HOST_KEY])
        if not options.keys() & {"users", "passwords", "authorized_keys"}:
            options["authorized_keys"] = [USER_KEY.public]
        options.setdefault("log", lambda level, text, error: self.log.append(text))
        return sshkit.serve(address, handler, reactor=self.network, **options)  # type: ignore[arg-type]

    def connect(self, where: str = "me@host", **options: Any) -> Opening[sshkit.ClientConnection]:
        """Connect; by default with the user's key, to a host whose key is known."""
        options.setdefault("identities", [USER_KEY])
        if not options.keys() & {"known_hosts", "host_keys"}:
            options["host_keys"] = [HOST_KEY.public]
        options.setdefault("warn", self.said.append)
        return sshkit.connect(where, reactor=self.network, **options)  # type: ignore[arg-type]

    def run(self, main: Awaitable[T]) -> T:
        """Run a coroutine to its end."""
        return self.network.run(main)

    def with_server(
        self,
        main: Callable[[sshkit.ClientConnection], Awaitable[T]],
        handler: Any = echo,
        settings: sshkit.Settings | None = None,
        **options: Any,
    ) -> T:
        """Run `main` with a connection to a server of `handler`; nothing may be left behind."""

        async def body() -> T:
            async with (
                self.serve(handler, settings=settings or sshkit.Settings()),
                self.connect(**options) as connection,
            ):
                return await main(connection)

        result = self.run(body())
        self.is_clean()
        return result

    async def tick(self) -> None:
        """Let the network take one step.  A coroutine must not pump it: it runs inside a step itself."""
        done: sshkit.Deferred[None] = sshkit.Deferred()
        self.network.call_soon(lambda: done.callback(None))
        await done

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        done: sshkit.Deferred[None] = sshkit.Deferred()
        self.network.call_later(seconds, done.callback, None)
        await done

    async def settled(self) -> None:
        """Wait until nothing moves any more: then the clock jumps, here by a thousandth of a second."""
        await self.sleep(0.001)

    def is_clean(self) -> None:
        """Nothing is left: no listener, no end of a connection, no timer but those that let transports go."""
        self.network.settle()
        assert not self.network.listeners
        for pair in self.network.pairs:
            assert pair.client.closed
            assert pair.server.closed

    @property
    def pair(self) -> MemoryPair:
        """The newest connection."""
        return self.network.pairs[-1]


def key_file(
    folder: Path, name: str, key: PrivateKey, passphrase: bytes | None = None, *, public: bool = True
) -> Path:
    """Write a key pair; return the private key's path."""
    path = folder / name
    write_private_key(path, key.to_openssh(passphrase, rounds=1, random_bytes=os.urandom))
    if public:
        write_public_key(f"{path}.pub", key.public)
    return path


def known_line(name: str, key: PrivateKey, marker: str = "") -> str:
    """Return a line of known_hosts."""
    kind, text = key.public.to_line().split(" ")[:2]
    return f"{marker}{' ' if marker else ''}{name} {kind} {text}\n"
