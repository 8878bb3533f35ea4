"""The table of key file formats: what each is called, and how it is written.

Called by sshkit-keygen for -m, -e and -p.  Reading needs no name: `key_files` tells it from the bytes.
A new format is one file, one line here, and one line in `key_files`.
"""

from collections.abc import Callable
from typing import NamedTuple

from .errors import UnsupportedKey
from .key import PrivateKey, PublicKey
from .text import quoted

#: What seals a private key: the passphrase, and os.urandom or a test's own.
Passphrase = bytes | None
RandomBytes = Callable[[int], bytes]


class KeyFormat(NamedTuple):
    """One format; where a function is None, such keys are read and not written, or do not exist."""

    title: str
    write_private: Callable[[PrivateKey, Passphrase, RandomBytes], bytes] | None
    write_public: Callable[[PublicKey], bytes] | None
    #: Whether private keys of the format are read.
    reads_private: bool = True


def _line(key: PublicKey) -> bytes:
    return f"{key.to_line()}\n".encode()


def _openssh(key: PrivateKey, passphrase: Passphrase, random_bytes: RandomBytes) -> bytes:
    return key.to_openssh(passphrase, random_bytes=random_bytes)


def _pkcs8(key: PrivateKey, passphrase: Passphrase, random_bytes: RandomBytes) -> bytes:
    return key.to_pkcs8(passphrase)


def _der(key: PrivateKey, passphrase: Passphrase, random_bytes: RandomBytes) -> bytes:
    return key.to_pkcs8(passphrase, der=True)


def _pem(key: PrivateKey, passphrase: Passphrase, random_bytes: RandomBytes) -> bytes:
    return key.to_pem(passphrase)


def _putty(key: PrivateKey, passphrase: Passphrase, random_bytes: RandomBytes) -> bytes:
    return key.to_putty(passphrase, random_bytes=random_bytes)


def _public_der(key: PublicKey) -> bytes:
    from .spki import format_spki

    return format_spki(key, der=True)


#: By the name that a command takes; ssh-keygen knows the second to the fourth.
FORMATS: dict[str, KeyFormat] = {
    "OpenSSH": KeyFormat("OpenSSH's own", _openssh, _line),
    "RFC4716": KeyFormat("RFC 4716, public keys only", None, PublicKey.to_rfc4716, False),
    "PKCS8": KeyFormat("PKCS#8 in PEM", _pkcs8, PublicKey.to_spki_pem),
    "PEM": KeyFormat("PKCS#1 and SEC 1 in PEM", _pem, PublicKey.to_pkcs1_pem),
    "DER": KeyFormat("PKCS#8 without PEM's armour", _der, _public_der),
    "PUTTY": KeyFormat("PuTTY's PPK", _putty, None),
    "JWK": KeyFormat("JSON Web Key, read only", None, None),
}


def find_format(name: str) -> KeyFormat:
    """Return a format by its name, whatever the case; raises UnsupportedKey, which names them all."""
    for known, form in FORMATS.items():
        if known.lower() == name.lower():
            return form
    raise UnsupportedKey(f"unknown key format {quoted(name, 32)}; {', '.join(FORMATS)} are known")
