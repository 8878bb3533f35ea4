"""mlkem768nistp256-sha256 and mlkem1024nistp384-sha384 (draft-ietf-sshm-mlkem-hybrid-kex)."""

from typing import Any

from sshkit.ssh.key_exchange.ecdh_nist import EcdhNistp256, EcdhNistp384
from sshkit.ssh.key_exchange.hybrid import Hybrid
from sshkit.ssh.key_exchange.mlkem768x25519 import MLKEM768


class MLKEM768Nistp256(MLKEM768):
    """ML-KEM-768 with ECDH on P-256."""

    __slots__ = ()
    name = "mlkem768nistp256-sha256"
    hash_name = "sha256"
    classic = EcdhNistp256


class MLKEM1024Nistp384(Hybrid):
    """ML-KEM-1024 (sizes: FIPS 203, table 3) with ECDH on P-384."""

    __slots__ = ()
    name = "mlkem1024nistp384-sha384"
    hash_name = "sha384"
    classic = EcdhNistp384
    public_size = 1568
    ciphertext_size = 1568

    def make_pair(self) -> tuple[Any, bytes]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey

        private = MLKEM1024PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()

    def decapsulate(self, ciphertext: bytes) -> bytes:
        secret: bytes = self._private.decapsulate(ciphertext)
        return secret

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PublicKey

        return MLKEM1024PublicKey.from_public_bytes(public).encapsulate()
