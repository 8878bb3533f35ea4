"""mlkem768x25519-sha256: ML-KEM-768 and X25519 together (draft-ietf-sshm-mlkem-hybrid-kex).

Public values are the post-quantum part followed by the X25519 part; the secret is the SHA-256 of both
secrets and, unlike in the older methods, is a string in the exchange hash.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from sshkit_keys import wire

from sshkit.ssh.key_exchange.curve25519 import Curve25519
from sshkit.ssh.key_exchange.method import Method, bad_value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

PUBLIC_SIZE = 1184  # FIPS 203, table 3
CIPHERTEXT_SIZE = 1088
X25519_SIZE = 32


class MLKEM768X25519(Method):
    """The hybrid of FIPS 203's ML-KEM-768 with X25519."""

    __slots__ = ("_classic", "_private")
    name = "mlkem768x25519-sha256"
    hash_name = "sha256"

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        self._classic = Curve25519(random_bytes)
        self._private: MLKEM768PrivateKey | None = None

    @staticmethod
    def encode_secret(secret: bytes) -> bytes:
        return wire.string(secret)

    def client_public(self) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        self._private = MLKEM768PrivateKey.generate()
        return self._private.public_key().public_bytes_raw() + self._classic.client_public()

    def client_secret(self, server_public: bytes) -> bytes:
        assert self._private is not None  # client_public made it
        if len(server_public) != CIPHERTEXT_SIZE + X25519_SIZE:
            raise bad_value(self.name)
        quantum = self._private.decapsulate(server_public[:CIPHERTEXT_SIZE])
        classic = self._classic.client_secret(server_public[CIPHERTEXT_SIZE:])
        return sha256(quantum + classic).digest()

    def server_respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

        if len(client_public) != PUBLIC_SIZE + X25519_SIZE:
            raise bad_value(self.name)
        try:
            key = MLKEM768PublicKey.from_public_bytes(client_public[:PUBLIC_SIZE])
        except ValueError:  # FIPS 203 section 7.2: the modulus check
            raise bad_value(self.name) from None
        quantum, ciphertext = key.encapsulate()
        public, classic = self._classic.server_respond(client_public[PUBLIC_SIZE:])
        return ciphertext + public, sha256(quantum + classic).digest()
