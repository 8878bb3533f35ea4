"""What every key exchange method has in common: two messages, a shared secret, a hash.

`TransportLayer` drives a method; the methods of this folder only know their mathematics.  The client
sends its public value (KEX_INIT), the server answers with host key, public value and signature
(KEX_REPLY): RFC 4253 section 8, RFC 5656 section 4, RFC 8731.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from sshkit_keys import wire

from sshkit.ssh.errors import KeyExchangeFailed
from sshkit.ssh.messages.transport import (
    KexDHInit,
    KexDHReply,
    KexEcdhInit,
    KexEcdhReply,
    KexGroupInit,
    KexGroupReply,
)


class Method:
    """One run of a method.  Values are bytes, or numbers where `init` says so."""

    __slots__ = ()
    name: ClassVar[str]
    hash_name: ClassVar[str]  #: of hashlib
    init: ClassVar[type[KexEcdhInit] | type[KexDHInit] | type[KexGroupInit]] = KexEcdhInit
    reply: ClassVar[type[KexEcdhReply] | type[KexDHReply] | type[KexGroupReply]] = KexEcdhReply
    chooses_group: ClassVar[bool] = False  #: two messages more come first; see `group_exchange`
    group_hash = b""  #: what the exchange hash covers of them

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Make this side's key pair; a method whose library brings its own randomness takes that."""

    @staticmethod
    def encode_public(value: Any) -> bytes:
        """Encode a public value for the exchange hash."""
        return wire.string(value)

    @staticmethod
    def encode_secret(secret: bytes) -> bytes:
        """Encode the shared secret: as the number that its bytes are, most significant first."""
        return wire.mpint(int.from_bytes(secret, "big"))

    def client_public(self) -> Any:
        """Make the client's key pair; return what goes to the server."""
        raise NotImplementedError

    def client_secret(self, server_public: Any) -> bytes:
        """Return the shared secret; KeyExchangeFailed if the server's value is not a valid one (R14)."""
        raise NotImplementedError

    def server_respond(self, client_public: Any) -> tuple[Any, bytes]:
        """Return what goes to the client, and the shared secret; KeyExchangeFailed as above."""
        raise NotImplementedError


def bad_value(name: str) -> KeyExchangeFailed:
    """Return the error for a public value that its specification forbids."""
    return KeyExchangeFailed(f"{name}: the peer's public value is not valid")
