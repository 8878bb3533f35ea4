"""Hashes of passwords as they are stored: bcrypt, scrypt, PBKDF2, and crypt(3) where it is handed in.

Called by the checkers (through `password_check`), in threads, and by programs to make a line of a file.
scrypt is RFC 7914, PBKDF2 is RFC 8018 section 5.2; both are written ``$kind$cost$salt$key`` with base64 that
has no padding (a "." for PBKDF2's "+"), the form of the modular crypt format that other programs know.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from sshkit.cred.errors import HashError

#: crypt(3): (password, setting) to hash, None or a text with "*" where it does not know the setting.
Crypt = Callable[[str, str], str | None]

MAX_SCRYPT_MEMORY: Final = 256 * 1024 * 1024  #: bytes for one check: a line of a file must not take it all
MAX_SCRYPT_LANES: Final = 16
MAX_ROUNDS: Final = 10_000_000  #: of PBKDF2: several seconds
MIN_KEY: Final = 16  #: bytes of a stored key; fewer could be hit by chance
MAX_FIELD: Final = 1024  #: characters of a stored hash

SCRYPT_COST: Final = 15  #: the logarithm of N for new hashes: 32 MiB, about 0.1 s
PBKDF2_ROUNDS: Final = 600_000
BCRYPT_COST: Final = 12
SALT_SIZE: Final = 16
KEY_SIZE: Final = 32
_BCRYPT_SIZE: Final = 72  #: bytes of a password that bcrypt looks at

_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}")
_SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_PBKDF2 = re.compile(r"\$pbkdf2-(sha1|sha256|sha512)\$(\d{1,9})\$([A-Za-z0-9./]*)\$([A-Za-z0-9./]+)")
#: md5, sha256, sha512, yescrypt, gost-yescrypt, and scrypt as crypt(3) writes it.
_CRYPT = re.compile(r"\$(?:1|5|6|7|y|gy)\$[!-9;-~]+")

_KINDS = re.compile(r"\$(?:2|scrypt\$|pbkdf2-|[1567y]\$|gy\$)")


def is_hash(stored: str) -> bool:
    """Tell whether a stored text is meant to be a hash, and no password."""
    return _KINDS.match(stored) is not None


def check_form(stored: str, crypt: Crypt | None = None) -> None:
    """Raise HashError, which does not show it, unless `stored` is a hash that `is_right` can check."""
    if len(stored) > MAX_FIELD:
        raise HashError(f"a hash of over {MAX_FIELD} characters")
    if _BCRYPT.fullmatch(stored):
        return
    if _SCRYPT.fullmatch(stored):
        _scrypt_fields(stored)
    elif _PBKDF2.fullmatch(stored):
        _pbkdf2_fields(stored)
    elif not _CRYPT.fullmatch(stored):
        raise HashError("no bcrypt hash, nor one of scrypt, PBKDF2 or crypt(3)")
    elif crypt is None:
        raise HashError("a hash of crypt(3), which was not handed in (crypt=)")


def is_right(password: bytes, stored: str, crypt: Crypt | None = None) -> bool:
    """Hash `password` as `stored` was, and compare in constant time; HashError where that is not possible.

    Slow on purpose: call it in a thread.
    """
    check_form(stored, crypt)
    if stored.startswith("$2"):
        import bcrypt

        return bcrypt.checkpw(password[:_BCRYPT_SIZE], stored.encode())
    if stored.startswith("$scrypt$"):
        return _scrypt_right(password, stored)
    if stored.startswith("$pbkdf2-"):
        return _pbkdf2_right(password, stored)
    assert crypt is not None  # `check_form` has seen to it
    if b"\0" in password:  # crypt(3) would end there
        return False
    made = crypt(password.decode("utf-8", "surrogatepass"), stored) or "*"
    return compare_digest(made.encode(), stored.encode()) and not made.startswith("*")


def hash_password(password: str, kind: str = "scrypt") -> str:
    """Return a hash to be stored: of kind "scrypt", "pbkdf2" or "bcrypt".  Slow on purpose."""
    import os
    from hashlib import pbkdf2_hmac

    entered = password.encode("utf-8", "surrogatepass")
    salt = os.urandom(SALT_SIZE)
    if kind == "scrypt":
        key = _scrypt(entered, salt, SCRYPT_COST, 8, 1, KEY_SIZE)
        return f"$scrypt$ln={SCRYPT_COST},r=8,p=1${_base64(salt)}${_base64(key)}"
    if kind == "pbkdf2":
        key = pbkdf2_hmac("sha256", entered, salt, PBKDF2_ROUNDS, KEY_SIZE)
        fields = (_base64(part).replace("+", ".") for part in (salt, key))
        return f"$pbkdf2-sha256${PBKDF2_ROUNDS}${'$'.join(fields)}"
    if kind == "bcrypt":
        import bcrypt

        return bcrypt.hashpw(entered[:_BCRYPT_SIZE], bcrypt.gensalt(BCRYPT_COST)).decode()
    raise HashError(f"no kind of hash: {kind!r}; there are scrypt, pbkdf2 and bcrypt")


def _scrypt_fields(stored: str) -> tuple[int, int, int, bytes, bytes]:
    found = _SCRYPT.fullmatch(stored)
    assert found is not None
    cost, blocks, lanes = (int(text) for text in found.groups()[:3])
    if (
        not (cost >= 1 and blocks >= 1 and 1 <= lanes <= MAX_SCRYPT_LANES)
        or (128 * blocks << cost) > MAX_SCRYPT_MEMORY
    ):
        raise HashError("a scrypt hash whose cost is out of bounds")
    return cost, blocks, lanes, _bytes(found[4]), _key(found[5])


def _scrypt_right(password: bytes, stored: str) -> bool:
    cost, blocks, lanes, salt, key = _scrypt_fields(stored)
    return compare_digest(_scrypt(password, salt, cost, blocks, lanes, len(key)), key)


def _scrypt(password: bytes, salt: bytes, cost: int, blocks: int, lanes: int, size: int) -> bytes:
    from hashlib import scrypt

    memory = 2 * MAX_SCRYPT_MEMORY  # what OpenSSL may take: the table, and some for each lane
    try:
        return scrypt(password, salt=salt, n=1 << cost, r=blocks, p=lanes, maxmem=memory, dklen=size)
    except ValueError as error:
        raise HashError(f"a scrypt hash that cannot be computed: {error}") from None


def _pbkdf2_fields(stored: str) -> tuple[str, int, bytes, bytes]:
    found = _PBKDF2.fullmatch(stored)
    assert found is not None
    rounds = int(found[2])
    if not 1 <= rounds <= MAX_ROUNDS:
        raise HashError("a PBKDF2 hash whose cost is out of bounds")
    return found[1], rounds, _bytes(found[3].replace(".", "+")), _key(found[4].replace(".", "+"))


def _pbkdf2_right(password: bytes, stored: str) -> bool:
    from hashlib import pbkdf2_hmac

    name, rounds, salt, key = _pbkdf2_fields(stored)
    return compare_digest(pbkdf2_hmac(name, password, salt, rounds, len(key)), key)


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return a2b_base64(text + "=" * (-len(text) % 4))
    except Base64Error:
        raise HashError("a hash whose base64 is damaged") from None


def _key(text: str) -> bytes:
    key = _bytes(text)
    if len(key) < MIN_KEY:
        raise HashError(f"a hash of fewer than {MIN_KEY} bytes")
    return key
