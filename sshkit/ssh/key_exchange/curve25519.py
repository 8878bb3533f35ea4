"""curve25519-sha256 and its first name (RFC 8731)."""

from collections.abc import Callable

from sshkit.ssh.key_exchange.method import Method, bad_value


class Curve25519(Method):
    """X25519; the all-zero secret is refused (RFC 7748 section 6.1)."""

    __slots__ = ("_private",)
    name = "curve25519-sha256"
    hash_name = "sha256"

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private: X25519PrivateKey = X25519PrivateKey.generate()

    def client_public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def client_secret(self, server_public: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(server_public))
        except ValueError:  # wrong length, or a point of small order
            raise bad_value(self.name) from None

    def server_respond(self, client_public: bytes) -> tuple[bytes, bytes]:
        return self.client_public(), self.client_secret(client_public)


class Curve25519LibSSH(Curve25519):
    """The same under the name it had before the RFC."""

    __slots__ = ()
    name = "curve25519-sha256@libssh.org"
