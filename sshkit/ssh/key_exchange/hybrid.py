"""What the hybrid methods have in common: a key encapsulation and an elliptic curve together.

Base of `mlkem768x25519`, `mlkem_nist` and `sntrup761x25519` (draft-ietf-sshm-mlkem-hybrid-kex and
draft-ietf-sshm-ntruprime-ssh).  Public values are the post-quantum part followed by the elliptic part; the
secret is the hash of both secrets and, unlike in the older methods, is a string in the exchange hash.
"""

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar

from sshkit_keys import wire

from sshkit.ssh.key_exchange.method import Method, bad_value


class Hybrid(Method):
    """A method of two halves; the secret is safe as long as one of them is."""

    __slots__ = ("_classic", "_private", "_random_bytes")
    classic: ClassVar[type[Method]]
    public_size: ClassVar[int]  #: bytes of the post-quantum part that the client sends
    ciphertext_size: ClassVar[int]  #: and of that which the server sends

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        self._random_bytes = random_bytes
        self._classic = self.classic(random_bytes)
        self._private: Any = None

    @staticmethod
    def encode_secret(secret: bytes) -> bytes:
        return wire.string(secret)

    def client_public(self) -> bytes:
        self._private, public = self.make_pair()
        both: bytes = public + self._classic.client_public()
        return both

    def client_secret(self, server_public: bytes) -> bytes:
        size = self.ciphertext_size
        if len(server_public) <= size:
            raise bad_value(self.name)
        classic = self._classic.client_secret(server_public[size:])  # first: it is the half that can be wrong
        return self._hash(self.decapsulate(server_public[:size]) + classic)

    def server_respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        size = self.public_size
        if len(client_public) <= size:
            raise bad_value(self.name)
        public, classic = self._classic.server_respond(client_public[size:])
        try:
            quantum, ciphertext = self.encapsulate(client_public[:size])
        except ValueError:  # FIPS 203 section 7.2: the modulus check
            raise bad_value(self.name) from None
        return ciphertext + public, self._hash(quantum + classic)

    def _hash(self, secrets: bytes) -> bytes:
        return hashlib.new(self.hash_name, secrets).digest()

    def make_pair(self) -> tuple[Any, bytes]:
        """Return a private key of the post-quantum half, and its public half."""
        raise NotImplementedError

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the secret in `ciphertext`, which has the right size."""
        raise NotImplementedError

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return a secret and its ciphertext; ValueError where `public` is no public value."""
        raise NotImplementedError
