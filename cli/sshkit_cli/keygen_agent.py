"""Signing with a key that the agent holds, for sshkit-keygen -U.

A blocking face of the agent's client: each call runs the native reactor until the answer is there.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from sshkit_keys.errors import UnsupportedKey
from sshkit_keys.key import PublicKey
from sshkit_keys.signatures import plain_key

from sshkit.agent.connect import connect_agent
from sshkit.reactor.engines import new_reactor

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.client import AgentClient, AgentKey


class HeldKey:
    """A key in the agent: `public` and `sign`, as a private key has them."""

    def __init__(self, reactor: "Reactor", key: "AgentKey", public: PublicKey) -> None:
        self._reactor = reactor
        self._key = key
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """Return the whole signature blob; waits for whoever has to allow it."""

        async def sign() -> bytes:
            return await self._key.sign(algorithm, data)

        return self._reactor.run_until(sign())


@contextmanager
def agent_key(public: PublicKey) -> Iterator[HeldKey]:
    """Give the agent's private half of `public`; raises AgentError or UnsupportedKey if there is none."""
    reactor = cast("Reactor", new_reactor("native"))
    wanted = plain_key(public)

    async def find() -> "tuple[AgentClient, AgentKey | None]":
        agent = await connect_agent(os.environ.get("SSH_AUTH_SOCK", ""), reactor=reactor)
        held = [key for key in await agent.list_keys() if key.blob == wanted.blob]
        return agent, held[0] if held else None

    try:
        agent, key = reactor.run_until(find())
        if key is None:
            raise UnsupportedKey(f"the agent does not hold the key {public.fingerprint()}")
        yield HeldKey(reactor, key, wanted)

        async def close() -> None:
            await agent.close()

        reactor.run_until(close())
    finally:
        reactor.close()
