"""mlkem768x25519-sha256: ML-KEM-768 and X25519 together (draft-ietf-sshm-mlkem-hybrid-kex)."""

from typing import Any

from sshkit.ssh.key_exchange.curve25519 import Curve25519
from sshkit.ssh.key_exchange.hybrid import Hybrid


class MLKEM768(Hybrid):
    """The half that is FIPS 203's ML-KEM-768; sizes are in its table 3."""

    __slots__ = ()
    public_size = 1184
    ciphertext_size = 1088

    def make_pair(self) -> tuple[Any, bytes]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        private = MLKEM768PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()

    def decapsulate(self, ciphertext: bytes) -> bytes:
        secret: bytes = self._private.decapsulate(ciphertext)
        return secret

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

        return MLKEM768PublicKey.from_public_bytes(public).encapsulate()


class MLKEM768X25519(MLKEM768):
    """The hybrid with X25519."""

    __slots__ = ()
    name = "mlkem768x25519-sha256"
    hash_name = "sha256"
    classic = Curve25519
