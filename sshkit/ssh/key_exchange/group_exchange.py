"""diffie-hellman-group-exchange-sha256, and -sha1 by name only: the server chooses the group (RFC 4419).

Two messages come before those of the other methods: the client tells which sizes it takes (RFC 8270: 2048
bits at least), the server answers with a group.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from sshkit_keys import wire

from sshkit.ssh.errors import KeyExchangeFailed
from sshkit.ssh.key_exchange.diffie_hellman import EXPONENT_SIZE, GENERATOR, GROUP14, GROUP16, GROUP18
from sshkit.ssh.key_exchange.method import Method, bad_value
from sshkit.ssh.key_exchange.moduli import MAX_BITS, MIN_BITS, Group, is_usable
from sshkit.ssh.messages.transport import KexGroup, KexGroupInit, KexGroupReply, KexGroupRequest

#: What a client asks for, by the bytes of the key that it will protect: as strong as that (NIST SP 800-57
#: part 1, table 2, with the least of RFC 8270).
PREFERRED_BITS = {14: 3072, 16: 3072, 24: 7680}
STRONGEST_BITS = 8192
#: A server without a moduli file gives out those of RFC 3526.
FIXED = tuple(Group(prime, GENERATOR) for prime in (GROUP14, GROUP16, GROUP18))


class GroupExchange(Method):
    """The method on whatever group the server gives out."""

    __slots__ = ("_exponent", "_group", "_public", "_random_bytes", "_request", "group_hash")
    name = "diffie-hellman-group-exchange-sha256"
    hash_name = "sha256"
    chooses_group = True
    init = KexGroupInit
    reply = KexGroupReply
    groups: ClassVar[Sequence[Group]] = FIXED

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        self._random_bytes = random_bytes
        self.group_hash = b""
        self._request = KexGroupRequest(MIN_BITS, PREFERRED_BITS[16], MAX_BITS)
        self._group = FIXED[0]

    @classmethod
    def with_groups(cls, groups: Sequence[Group]) -> type["GroupExchange"]:
        """Return the method with a server's own groups."""
        return type(cls.__name__, (cls,), {"__slots__": (), "groups": (*groups,) or FIXED})

    @staticmethod
    def encode_public(value: int) -> bytes:
        return wire.mpint(value)

    @property
    def sizes(self) -> str:
        """What is asked for, as OpenSSH's messages have it."""
        request = self._request
        return f"{request.minimum}<{request.preferred}<{request.maximum}"

    @property
    def bits_set(self) -> str:
        """Bits that are set in our public value, of those that the group has."""
        return f"{self._public.bit_count()}/{self._group.prime.bit_length()}"

    def ask(self, largest: int = MAX_BITS, key_size: int = 16) -> KexGroupRequest:
        """Client: return what to ask for to protect a key of `key_size` bytes.

        `largest` is for a server that is known to choke on more.
        """
        self._request.maximum = largest
        self._request.preferred = min(PREFERRED_BITS.get(key_size, STRONGEST_BITS), largest)
        return self._request

    def group_received(self, group: KexGroup) -> None:
        """Client: take the server's group, if it is what was asked for (R14)."""
        chosen = Group(group.prime, group.generator)
        if not is_usable(chosen) or chosen.prime.bit_length() > self._request.maximum:
            raise KeyExchangeFailed(
                f"{self.name}: the server's group of {chosen.prime.bit_length()} bits is not one to use"
            )
        self._enter(chosen)

    def choose(self, request: KexGroupRequest) -> KexGroup:
        """Server: return the group nearest to what was asked for; impossible requests are refused (R14)."""
        low, high = max(request.minimum, MIN_BITS), min(request.maximum, MAX_BITS)
        sizes = {group.prime.bit_length() for group in self.groups}
        fitting = sorted(size for size in sizes if low <= size <= high)
        if not request.minimum <= request.preferred <= request.maximum or not fitting:
            raise KeyExchangeFailed(
                f"{self.name}: no group of {request.minimum} to {request.maximum} bits, "
                f"best {request.preferred}"
            )
        size = next((size for size in fitting if size >= request.preferred), fitting[-1])
        groups = [group for group in self.groups if group.prime.bit_length() == size]
        self._request = request
        self._enter(groups[int.from_bytes(self._random_bytes(4), "big") % len(groups)])
        return KexGroup(self._group.prime, self._group.generator)

    def client_public(self) -> int:
        return self._public

    def client_secret(self, server_public: int) -> bytes:
        prime = self._group.prime
        if not 1 < server_public < prime - 1:
            raise bad_value(self.name)
        return pow(server_public, self._exponent, prime).to_bytes((prime.bit_length() + 7) // 8, "big")

    def server_respond(self, client_public: int) -> tuple[int, bytes]:
        return self._public, self.client_secret(client_public)

    def _enter(self, group: Group) -> None:
        self._group = group
        request = self._request
        sizes = wire.uint32(request.minimum) + wire.uint32(request.preferred) + wire.uint32(request.maximum)
        self.group_hash = sizes + wire.mpint(group.prime) + wire.mpint(group.generator)
        self._exponent = int.from_bytes(b"\x80" + self._random_bytes(EXPONENT_SIZE - 1), "big")
        self._public = pow(group.generator, self._exponent, group.prime)


class GroupExchangeSHA1(GroupExchange):
    """The same with SHA-1 (RFC 4419 section 2): for old devices, by name only."""

    __slots__ = ()
    name = "diffie-hellman-group-exchange-sha1"
    hash_name = "sha1"
