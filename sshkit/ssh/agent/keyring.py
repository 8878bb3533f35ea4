"""The keys of an agent: held, expired, locked.

Made by whoever serves an agent and shared by all its connections.  A key that is removed or whose time is
over is dropped at once (rule R43).  Anything with `public`, `comment` and `sign` can be held: a private key,
or a program's own object that asks somewhere else.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.ssh.agent.destinations import Destination
from sshkit.ssh.agent.errors import AgentError
from sshkit.ssh.agent.lock import Lock
from sshkit.ssh.agent.messages import MAX_KEYS

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Clock, DelayedCall


class Signer(Protocol):
    """What can be held."""

    @property
    def public(self) -> "PublicKey":
        """The public key."""
        ...

    @property
    def comment(self) -> str:
        """What people call it."""
        ...

    def sign(self, algorithm: str, data: bytes) -> "bytes | Deferred[bytes]":
        """Return the signature blob, now or later."""
        ...


class HeldKey:
    """One key and what limits its use."""

    __slots__ = ("comment", "confirm", "destinations", "expiry", "provider", "public", "signer")

    def __init__(
        self,
        signer: Signer,
        public: "PublicKey",
        comment: str,
        confirm: bool,
        destinations: tuple[Destination, ...],
        provider: str,
    ) -> None:
        self.signer = signer
        self.public = public  #: a certificate, where it was added with one
        self.comment = comment
        self.confirm = confirm
        self.destinations = destinations
        self.provider = provider  #: the token's library, "" for a key of its own
        self.expiry: DelayedCall | None = None

    def __repr__(self) -> str:
        return f"<HeldKey {self.public.key_type} {self.public.fingerprint()} {printable(self.comment)!r}>"


class Keyring:
    """Keys by their blobs, in the order in which they came."""

    __slots__ = ("_clock", "_keys", "_lock", "lifetime")

    def __init__(self, clock: "Clock", *, random_bytes: Callable[[int], bytes], lifetime: int = 0) -> None:
        """`lifetime` is that of keys added without one, in seconds (0: for ever)."""
        self._clock = clock
        self._keys: dict[bytes, HeldKey] = {}
        self._lock = Lock(clock, random_bytes)
        self.lifetime = lifetime

    def __iter__(self) -> Iterator[HeldKey]:
        return iter(tuple(self._keys.values()))

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, blob: bytes) -> HeldKey | None:
        """Return a key by its public blob, that of the certificate where it has one."""
        return self._keys.get(blob)

    def add(
        self,
        signer: Signer,
        *,
        certificate: "PublicKey | None" = None,
        comment: str | None = None,
        lifetime: int = 0,
        confirm: bool = False,
        destinations: Sequence[Destination] = (),
        provider: str = "",
    ) -> HeldKey:
        """Hold a key; one that is held already gets the new comment and limits.  AgentError if full."""
        public = certificate or signer.public
        if public.blob not in self._keys and len(self._keys) >= MAX_KEYS:
            raise AgentError(f"the agent holds {MAX_KEYS} keys already")
        name = signer.comment if comment is None else comment
        held = HeldKey(signer, public, name, confirm, tuple(destinations), provider)
        before = self._keys.get(public.blob)
        if before is not None and before.expiry is not None:
            before.expiry.cancel()
        self._keys[public.blob] = held
        seconds = lifetime or self.lifetime
        if seconds:
            # The timer knows the blob only: it may outlive the key, which must not live on in it.
            held.expiry = self._clock.call_later(seconds, self.remove, public.blob)
        return held

    def remove(self, blob: bytes) -> bool:
        """Drop a key; False if it was not held."""
        held = self._keys.pop(blob, None)
        if held is None:
            return False
        if held.expiry is not None:
            held.expiry.cancel()
        return True

    def remove_provider(self, provider: str) -> int:
        """Drop the keys of one token; returns how many."""
        blobs = [blob for blob, held in self._keys.items() if held.provider == provider]
        for blob in blobs:
            self.remove(blob)
        return len(blobs)

    def clear(self) -> None:
        """Drop all keys."""
        for blob in tuple(self._keys):
            self.remove(blob)

    @property
    def locked(self) -> bool:
        """Whether the keyring is locked: nothing is listed, signed, added or removed."""
        return self._lock.locked

    def lock(self, passphrase: bytes) -> bool:
        """Lock; False if that cannot be: locked already, or an empty passphrase."""
        return self._lock.close(passphrase)

    def unlock(self, passphrase: bytes) -> Deferred[bool]:
        """Unlock; fires with False after a while if the passphrase is wrong."""
        return self._lock.open(passphrase)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)} keys{', locked' if self.locked else ''}>"
