"""What the passphrase of a PuTTY key file becomes: a cipher's key, its first block, a MAC's key.

Called by `putty`.  Version 2 hashes the passphrase once with SHA-1; version 3 stretches it with Argon2
(RFC 9106), whose costs the file names and which are bounded here before anything runs (rule R22).
"""

from typing import NamedTuple, Self

from .errors import KeyFormatError, UnsupportedKey
from .text import quoted

BLOCK_BYTES = 16
_KEY_BYTES = 32
_MAC_BYTES = 32

#: PuTTY writes 8 MiB; this is 256 MiB, what scrypt is allowed too.
MAX_MEMORY_KIB = 262144
#: Memory times passes: 8 GiB filled take some seconds; PuTTY's default of a tenth of a second fills 0.1 GiB.
MAX_COST_KIB = 8 << 20
MAX_PARALLELISM = 16
#: PuTTY writes 16 bytes of salt; Argon2 takes no less than 8.
SALT_BYTES = range(8, 65)
#: What is written: 8 MiB and 21 passes, PuTTY's default on a common machine.
_MEMORY_KIB, _PASSES = 8192, 21

FLAVOURS = (b"Argon2id", b"Argon2i", b"Argon2d")


class Derivation(NamedTuple):
    """The parameters of Argon2 as the file names them."""

    flavour: bytes
    memory: int  #: KiB
    passes: int
    parallelism: int
    salt: bytes

    @classmethod
    def default(cls, salt: bytes) -> Self:
        """Return the parameters that new files get."""
        return cls(FLAVOURS[0], _MEMORY_KIB, _PASSES, 1, salt)

    def check(self, place: str) -> None:
        """Raise unless the derivation is possible and affordable."""
        if self.flavour not in FLAVOURS:
            raise UnsupportedKey(f"key derivation {quoted(self.flavour, 64)} is not supported", place)
        if self.memory > MAX_MEMORY_KIB or self.memory * self.passes > MAX_COST_KIB:
            shown = f"{self.passes} passes over {self.memory} KiB"
            limit = f"at most {MAX_MEMORY_KIB} KiB, and {MAX_COST_KIB} in all passes, allowed"
            raise UnsupportedKey(f"a key derivation of {shown}; {limit}", place)
        if self.parallelism > MAX_PARALLELISM:
            raise UnsupportedKey(
                f"a key derivation of {self.parallelism} lanes, at most {MAX_PARALLELISM} allowed", place
            )
        if not self.passes or not self.parallelism or self.memory < 8 * self.parallelism:
            raise KeyFormatError("the parameters of Argon2 cannot be", place)
        if len(self.salt) not in SALT_BYTES:
            raise KeyFormatError(f"{len(self.salt)} bytes of salt cannot be", place)

    def lines(self) -> list[str]:
        """Return the lines that say so."""
        return [
            f"Key-Derivation: {self.flavour.decode('ascii')}",
            f"Argon2-Memory: {self.memory}",
            f"Argon2-Passes: {self.passes}",
            f"Argon2-Parallelism: {self.parallelism}",
            f"Argon2-Salt: {self.salt.hex()}",
        ]


class Secrets(NamedTuple):
    """Three secrets; the first two are empty for a file that is not encrypted."""

    version: int
    cipher_key: bytes
    iv: bytes
    mac_key: bytes

    def __repr__(self) -> str:
        return "<Secrets>"

    def mac(self, data: bytes) -> bytes:
        """Return the MAC of `data`."""
        import hmac

        return hmac.digest(self.mac_key, data, "sha1" if self.version == 2 else "sha256")

    def matches(self, data: bytes, mac: bytes) -> bool:
        """Compare in constant time."""
        import hmac

        return hmac.compare_digest(self.mac(data), mac)


def derive(version: int, passphrase: bytes | None, derivation: Derivation | None) -> Secrets:
    """Return the secrets of a file; `passphrase` is None for one that is not encrypted."""
    import hashlib

    if version == 2:
        text = passphrase or b""
        mac_key = hashlib.sha1(b"putty-private-key-file-mac-key" + text, usedforsecurity=False).digest()
        halves = (hashlib.sha1(bytes((0, 0, 0, n)) + text, usedforsecurity=False).digest() for n in (0, 1))
        return Secrets(2, b"".join(halves)[:_KEY_BYTES], bytes(BLOCK_BYTES), mac_key)
    if passphrase is None or derivation is None:
        return Secrets(3, b"", b"", b"")
    from cryptography.hazmat.primitives.kdf import argon2

    flavours = (argon2.Argon2id, argon2.Argon2i, argon2.Argon2d)
    made = flavours[FLAVOURS.index(derivation.flavour)](
        salt=derivation.salt,
        length=_KEY_BYTES + BLOCK_BYTES + _MAC_BYTES,
        iterations=derivation.passes,
        lanes=derivation.parallelism,
        memory_cost=derivation.memory,
    ).derive(passphrase)
    return Secrets(
        3,
        made[:_KEY_BYTES],
        made[_KEY_BYTES : _KEY_BYTES + BLOCK_BYTES],
        made[_KEY_BYTES + BLOCK_BYTES :],
    )


def crypt(secrets: Secrets, data: bytes, seal: bool) -> bytes:
    """Seal or open the private half with AES-256-CBC."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(secrets.cipher_key), modes.CBC(secrets.iv))
    context = cipher.encryptor() if seal else cipher.decryptor()
    return context.update(data) + context.finalize()
