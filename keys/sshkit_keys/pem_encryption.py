"""The older protection of keys in PEM: headers Proc-Type and DEK-Info (RFC 1421 section 4.6).

Called by `pkcs8`.  OpenSSL makes the key from the passphrase with one round of MD5, so such files are weak
whatever the cipher; they are read, and written only where somebody asks for PKCS#1 or SEC 1 by name.
"""

from .errors import KeyFormatError, UnsupportedKey, WrongPassphrase
from .text import quoted

#: Name in DEK-Info: the algorithm's, and the sizes of its key and of its block in bytes.
CIPHERS = {
    "AES-128-CBC": ("AES", 16, 16),
    "AES-192-CBC": ("AES", 24, 16),
    "AES-256-CBC": ("AES", 32, 16),
    "DES-EDE3-CBC": ("DES", 24, 8),
    "DES-CBC": ("DES", 8, 8),
    "CAMELLIA-128-CBC": ("Camellia", 16, 16),
    "CAMELLIA-192-CBC": ("Camellia", 24, 16),
    "CAMELLIA-256-CBC": ("Camellia", 32, 16),
}


def read_dek_info(headers: dict[str, str], place: str = "") -> tuple[str, bytes]:
    """Return the cipher's name, which is known, and the first block."""
    name, _, text = headers.get("DEK-Info", "").partition(",")
    name = name.strip().upper()
    if name not in CIPHERS:
        raise UnsupportedKey(f"cipher {quoted(name, 64)} is not supported", place)
    try:
        iv = bytes.fromhex(text)
    except ValueError:
        iv = b""
    if len(iv) != CIPHERS[name][2]:
        raise KeyFormatError(
            f"the DEK-Info header of {name} names no block of {CIPHERS[name][2]} bytes", place
        )
    return name, iv


def open_pem(name: str, iv: bytes, sealed: bytes, passphrase: bytes, place: str = "") -> bytes:
    """Return the DER inside; raises WrongPassphrase."""
    import hashlib
    import warnings

    from cryptography.hazmat.decrepit.ciphers import algorithms as decrepit
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    kind, key_bytes, block_bytes = CIPHERS[name]
    if not sealed or len(sealed) % block_bytes:
        raise KeyFormatError(f"{len(sealed)} encrypted bytes are not whole blocks", place)
    key = digest = b""
    while len(key) < key_bytes:
        digest = hashlib.md5(digest + passphrase + iv[:8], usedforsecurity=False).digest()
        key += digest
    key = key[:key_bytes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "AES":
            context = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        elif kind == "DES":
            context = Cipher(decrepit.TripleDES((key * 3)[:24]), modes.CBC(iv)).decryptor()
        else:
            context = Cipher(decrepit.Camellia(key), modes.CBC(iv)).decryptor()
        plain = context.update(sealed) + context.finalize()
    size = plain[-1]
    if not 1 <= size <= block_bytes or plain[-size:] != bytes((size,)) * size:
        raise WrongPassphrase("wrong passphrase, or the key is damaged", place)
    return plain[:-size]
