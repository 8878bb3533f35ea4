"""Names of hosts as known_hosts writes them: plain, with wildcards, negated and hashed (sshd(8)).

Called by `known_hosts`.
"""

import binascii
from collections.abc import Callable

from .errors import TrustFileError
from .text import quoted

SSH_PORT = 22
#: HMAC-SHA1's size, which the salt has too.
_HASH_BYTES = 20
# Characters that mean something in the first field of a line, so that no name may hold them.
_SPECIAL = frozenset(",*?!|#@[]\"'\\")
#: Longer than any name in the DNS (253) or any address with its zone.
_MAX_HOST_CHARACTERS = 255


def host_name(host: str, port: int) -> str:
    """Return the name under which a host is looked up: in lower case, "[host]:port" off port 22."""
    host = host.lower()
    return host if port == SSH_PORT else f"[{host}]:{port}"


def check_host(host: str, port: int) -> None:
    """Raise TrustFileError for a name that must not be written into a file (rule R38)."""
    if not host or len(host) > _MAX_HOST_CHARACTERS:
        raise TrustFileError(f"a host name of {len(host)} characters")
    for character in host:
        if character in _SPECIAL or character.isspace() or not character.isprintable():
            raise TrustFileError(f"the host name {quoted(host)} holds a character that known_hosts cannot")
    if not 0 < port < 65536:
        raise TrustFileError(f"port {port} is not from 1 to 65535")


def matches_glob(pattern: str, name: str) -> bool:
    """Match `*` and `?`; the time is bounded by the product of the lengths, whatever the pattern."""
    at = place = 0
    star, restart = -1, 0
    while place < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, restart = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[place]):
            at += 1
            place += 1
        elif star >= 0:
            restart += 1
            at, place = star + 1, restart
        else:
            return False
    return not pattern[at:].strip("*")


class HostPatterns:
    """The first field of a line, taken apart once."""

    __slots__ = ("digest", "salt", "text", "unwanted", "wanted")

    def __init__(self, text: str, place: str = "") -> None:
        """Read the field; raises TrustFileError if it is hashed and damaged, or names nothing."""
        self.text = text
        self.salt = self.digest = b""
        self.wanted: tuple[str, ...] = ()
        self.unwanted: tuple[str, ...] = ()
        if text.startswith("|"):
            self.salt, self.digest = _parse_hashed(text, place)
            return
        names = [name.lower() for name in text.split(",")]
        if not all(name.removeprefix("!") for name in names):
            raise TrustFileError("an empty host name", place)
        self.wanted = tuple(name for name in names if not name.startswith("!"))
        self.unwanted = tuple(name[1:] for name in names if name.startswith("!"))

    def matches(self, name: str) -> bool:
        """Say whether the line is about `name`, which host_name made."""
        if self.digest:
            from hmac import compare_digest

            return compare_digest(self.digest, _hash(self.salt, name))
        if any(matches_glob(pattern, name) for pattern in self.unwanted):
            return False
        return any(matches_glob(pattern, name) for pattern in self.wanted)


def hashed_name(name: str, random_bytes: Callable[[int], bytes]) -> str:
    """Return the field "|1|salt|hash" that hides a name from who reads the file."""
    salt = random_bytes(_HASH_BYTES)
    parts = (binascii.b2a_base64(part, newline=False).decode("ascii") for part in (salt, _hash(salt, name)))
    return "|1|" + "|".join(parts)


def _hash(salt: bytes, name: str) -> bytes:
    import hmac

    return hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")


def _parse_hashed(text: str, place: str) -> tuple[bytes, bytes]:
    fields = text.split("|")
    try:
        if len(fields) != 4 or fields[1] != "1":
            raise ValueError
        salt, digest = (binascii.a2b_base64(field.encode("ascii"), strict_mode=True) for field in fields[2:])
        if len(salt) != _HASH_BYTES or len(digest) != _HASH_BYTES:
            raise ValueError
    except ValueError:
        raise TrustFileError("a damaged hashed host name", place) from None
    return salt, digest
