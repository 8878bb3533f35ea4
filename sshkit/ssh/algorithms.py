"""The algorithms that one side offers: ordered tables, and the lists people write to change them.

`Algorithms()` is what both commands and the library start from.  A program passes its own with
``Algorithms(ciphers=(*CIPHERS, MINE))``; a configuration file edits by name with `Algorithms.edited`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from sshkit.ssh.ciphers import CIPHERS
from sshkit.ssh.ciphers.packet import Cipher
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.key_exchange import KEY_EXCHANGES
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.macs import MACS
from sshkit.ssh.macs.hmac_sha2 import MAC

#: Signature algorithms for host keys, best first.
SIGNATURES: tuple[str, ...] = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


#: Signature algorithms of users' keys.
USER_SIGNATURES: tuple[str, ...] = (
    *SIGNATURES,
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com",
    "ssh-ed448",
)
CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
#: The same for hosts; asked for where an authority for the host is known.
HOST_CERTIFICATES: tuple[str, ...] = tuple(
    name.removesuffix("@openssh.com") + CERTIFICATE_SUFFIX for name in SIGNATURES
)
#: What a user may log in with: certificates first, as in OpenSSH.
USER_KEYS: tuple[str, ...] = (
    *(
        name.removesuffix("@openssh.com") + CERTIFICATE_SUFFIX
        for name in USER_SIGNATURES
        if not name.startswith("webauthn-")
    ),
    *USER_SIGNATURES,
)


class Named(Protocol):
    """A line of a table."""

    @property
    def name(self) -> str: ...


NamedType = TypeVar("NamedType", bound=Named)


class Algorithms:
    """What one side offers, best first, in each category."""

    __slots__ = ("ciphers", "host_keys", "key_exchanges", "macs", "user_keys")

    def __init__(
        self,
        *,
        key_exchanges: Sequence[type[Method]] = KEY_EXCHANGES,
        host_keys: Sequence[str] = SIGNATURES,
        ciphers: Sequence[Cipher] = CIPHERS,
        macs: Sequence[MAC] = MACS,
        user_keys: Sequence[str] = USER_KEYS,
    ) -> None:
        for category, entries in (
            ("key exchange", key_exchanges),
            ("host key", host_keys),
            ("cipher", ciphers),
        ):
            if not entries:
                raise LocalProtocolError(f"no {category} algorithm left to offer")
        if not macs and any(cipher.needs_mac for cipher in ciphers):
            raise LocalProtocolError("no MAC left to offer, and a cipher needs one")
        self.key_exchanges = tuple(key_exchanges)
        self.host_keys = tuple(host_keys)
        self.ciphers = tuple(ciphers)
        self.macs = tuple(macs)
        self.user_keys = tuple(user_keys)

    def with_host_keys(self, names: Sequence[str]) -> "Algorithms":
        """Return a copy with these host key algorithms, in this order."""
        if self.host_keys == tuple(names):
            return self
        return Algorithms(
            key_exchanges=self.key_exchanges,
            host_keys=names,
            ciphers=self.ciphers,
            macs=self.macs,
            user_keys=self.user_keys,
        )

    def edited(
        self,
        *,
        key_exchanges: str | None = None,
        host_keys: str | None = None,
        ciphers: str | None = None,
        macs: str | None = None,
        user_keys: str | None = None,
    ) -> "Algorithms":
        """Return a copy with lists as ssh_config(5) has them: ``a,b``, ``+a``, ``-a*``, ``^a``.

        A name that does not exist here raises LocalProtocolError with the names that do.
        """
        return Algorithms(
            key_exchanges=_edit_table("key exchange", self.key_exchanges, KEY_EXCHANGES, key_exchanges),
            host_keys=_edit("host key", self.host_keys, (*HOST_CERTIFICATES, *SIGNATURES), host_keys),
            ciphers=_edit_table("cipher", self.ciphers, CIPHERS, ciphers),
            macs=_edit_table("MAC", self.macs, MACS, macs),
            user_keys=_edit("signature", self.user_keys, USER_KEYS, user_keys),
        )


DEFAULT = Algorithms()


def _edit_table(
    category: str, current: Sequence[NamedType], known: Sequence[NamedType], text: str | None
) -> tuple[NamedType, ...]:
    by_name = {entry.name: entry for entry in (*known, *current)}
    return tuple(by_name[name] for name in _edit(category, [entry.name for entry in current], by_name, text))


def _edit(category: str, current: Sequence[str], known: Iterable[str], text: str | None) -> tuple[str, ...]:
    if text is None:
        return tuple(current)
    known = tuple(known)
    sign = text[0] if text[:1] in ("+", "-", "^") else ""
    names = _expand(category, [name for name in text.removeprefix(sign).split(",") if name], known, sign)
    if sign == "+":
        return (*current, *(name for name in names if name not in current))
    if sign == "-":
        return tuple(name for name in current if name not in names)
    if sign == "^":
        return (*names, *(name for name in current if name not in names))
    return tuple(names)


def _expand(category: str, patterns: list[str], known: tuple[str, ...], sign: str) -> list[str]:
    names: list[str] = []
    for pattern in patterns:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found and sign != "-":  # taking away what is not there is no mistake
            raise LocalProtocolError(f"unknown {category} algorithm {pattern!r}; known: {', '.join(known)}")
        names += [name for name in found if name not in names]
    if not patterns:
        raise LocalProtocolError(f"an empty list of {category} algorithms")
    return names
