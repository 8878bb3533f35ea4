"""sntrup761x25519-sha512 and its first name: Streamlined NTRU Prime and X25519 together.

Source: draft-ietf-sshm-ntruprime-ssh.  The best that OpenSSH 9.0 to 9.8 have.  The arithmetic is loaded when
it is wanted.
"""

from typing import Any

from sshkit.ssh.key_exchange.curve25519 import Curve25519
from sshkit.ssh.key_exchange.hybrid import Hybrid


class Sntrup761X25519(Hybrid):
    """The hybrid of sntrup761 with X25519."""

    __slots__ = ()
    name = "sntrup761x25519-sha512"
    hash_name = "sha512"
    classic = Curve25519
    public_size = 1158
    ciphertext_size = 1039

    def make_pair(self) -> tuple[Any, bytes]:
        from sshkit.ssh.key_exchange.sntrup761 import generate

        private = generate(self._random_bytes)
        return private, private.public

    def decapsulate(self, ciphertext: bytes) -> bytes:
        from sshkit.ssh.key_exchange.sntrup761 import decapsulate

        return decapsulate(self._private, ciphertext)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        from sshkit.ssh.key_exchange.sntrup761 import encapsulate

        return encapsulate(public, self._random_bytes)


class Sntrup761X25519OpenSSH(Sntrup761X25519):
    """The same under the name it had before the draft."""

    __slots__ = ()
    name = "sntrup761x25519-sha512@openssh.com"
