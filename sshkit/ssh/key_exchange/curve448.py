"""curve448-sha512 (RFC 8731)."""

from collections.abc import Callable

from sshkit.ssh.key_exchange.method import Method, bad_value


class Curve448(Method):
    """X448; the all-zero secret is refused (RFC 7748 section 6.2)."""

    __slots__ = ("_private",)
    name = "curve448-sha512"
    hash_name = "sha512"

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey

        self._private: X448PrivateKey = X448PrivateKey.generate()

    def client_public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def client_secret(self, server_public: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.x448 import X448PublicKey

        try:
            return self._private.exchange(X448PublicKey.from_public_bytes(server_public))
        except ValueError:  # wrong length, or a point of small order
            raise bad_value(self.name) from None

    def server_respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        return self.client_public(), self.client_secret(client_public)
