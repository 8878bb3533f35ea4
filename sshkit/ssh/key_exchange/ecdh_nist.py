"""ecdh-sha2-nistp256, -nistp384 and -nistp521 (RFC 5656 section 4)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from sshkit.ssh.key_exchange.method import Method, bad_value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


class EcdhNistp256(Method):
    """ECDH on P-256; the library checks that the peer's point is on the curve and not at infinity."""

    __slots__ = ("_private",)
    name = "ecdh-sha2-nistp256"
    hash_name = "sha256"
    curve: ClassVar[str] = "SECP256R1"

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        from cryptography.hazmat.primitives.asymmetric import ec

        self._private: EllipticCurvePrivateKey = ec.generate_private_key(getattr(ec, self.curve)())

    def client_public(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._private.public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def client_secret(self, server_public: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._private.curve, server_public)
        except ValueError:
            raise bad_value(self.name) from None
        return self._private.exchange(ec.ECDH(), point)

    def server_respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        return self.client_public(), self.client_secret(client_public)


class EcdhNistp384(EcdhNistp256):
    """The same on P-384."""

    __slots__ = ()
    name = "ecdh-sha2-nistp384"
    hash_name = "sha384"
    curve = "SECP384R1"


class EcdhNistp521(EcdhNistp256):
    """The same on P-521."""

    __slots__ = ()
    name = "ecdh-sha2-nistp521"
    hash_name = "sha512"
    curve = "SECP521R1"
