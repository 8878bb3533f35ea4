"""The ciphers that protect private keys in OpenSSH's format: one table.

Called by `openssh_format` with keys that its derivation made for this one use, so a fixed nonce is right
here.  Everything that `ssh-keygen -Z` writes is read; triple DES is not written.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherAlgorithm
    from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR


class WrongTag(Exception):
    """The tag of an authenticated cipher does not match; never leaves `openssh_format`."""


class PrivateCipher(NamedTuple):
    """One cipher: its sizes in bytes, and what it does to the private section."""

    key_bytes: int
    iv_bytes: int
    block_bytes: int
    tag_bytes: int
    #: (key, iv, plain) -> sealed with its tag; None: such keys are only read.
    seal: Callable[[bytes, bytes, bytes], bytes] | None
    #: (key, iv, sealed with its tag) -> plain; raises WrongTag.
    open: Callable[[bytes, bytes, bytes], bytes]


def _encrypt(algorithm: "CipherAlgorithm", mode: "CBC | CTR | None", data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher

    context = Cipher(algorithm, mode).encryptor()
    return context.update(data) + context.finalize()


def _decrypt(algorithm: "CipherAlgorithm", mode: "CBC | CTR | None", data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher

    context = Cipher(algorithm, mode).decryptor()
    return context.update(data) + context.finalize()


def _ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    return _encrypt(algorithms.AES(key), modes.CTR(iv), data)


def _cbc_seal(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    return _encrypt(algorithms.AES(key), modes.CBC(iv), data)


def _cbc_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import algorithms, modes

    return _decrypt(algorithms.AES(key), modes.CBC(iv), data)


def _des_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import modes

    return _decrypt(TripleDES(key), modes.CBC(iv), data)


def _gcm_seal(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).encrypt(iv, data, None)


def _gcm_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(iv, data, None)
    except InvalidTag:
        raise WrongTag from None


def _chacha(key: bytes, block: int, data: bytes) -> bytes:
    """ChaCha20 under the first half of the key, from block number `block` of nonce 0."""
    from cryptography.hazmat.primitives.ciphers import algorithms

    return _encrypt(algorithms.ChaCha20(key[:32], bytes((block,)) + bytes(15)), None, data)


def _chacha_seal(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    sealed = _chacha(key, 1, data)
    return sealed + Poly1305.generate_tag(_chacha(key, 0, bytes(32)), sealed)


def _chacha_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    sealed, tag = data[:-16], data[-16:]
    try:
        Poly1305.verify_tag(_chacha(key, 0, bytes(32)), sealed, tag)
    except InvalidSignature:
        raise WrongTag from None
    return _chacha(key, 1, sealed)


#: By the name in the file; the first is what ssh-keygen writes.
PRIVATE_CIPHERS: dict[str, PrivateCipher] = {
    "aes256-ctr": PrivateCipher(32, 16, 16, 0, _ctr, _ctr),
    "aes192-ctr": PrivateCipher(24, 16, 16, 0, _ctr, _ctr),
    "aes128-ctr": PrivateCipher(16, 16, 16, 0, _ctr, _ctr),
    "aes256-gcm@openssh.com": PrivateCipher(32, 12, 16, 16, _gcm_seal, _gcm_open),
    "aes128-gcm@openssh.com": PrivateCipher(16, 12, 16, 16, _gcm_seal, _gcm_open),
    "chacha20-poly1305@openssh.com": PrivateCipher(64, 0, 8, 16, _chacha_seal, _chacha_open),
    "aes256-cbc": PrivateCipher(32, 16, 16, 0, _cbc_seal, _cbc_open),
    "aes192-cbc": PrivateCipher(24, 16, 16, 0, _cbc_seal, _cbc_open),
    "aes128-cbc": PrivateCipher(16, 16, 16, 0, _cbc_seal, _cbc_open),
    "3des-cbc": PrivateCipher(24, 8, 8, 0, None, _des_open),
}
