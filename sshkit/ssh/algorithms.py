"""The algorithms that one side offers: ordered tables, and the lists people write to change them.

`Algorithms()` is what both commands and the library start from.  A program passes its own with
``Algorithms(ciphers=(*CIPHERS, MINE))``; a configuration file edits by name with `Algorithms.edited`.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import quoted

from sshkit.ssh.ciphers import BY_NAME as CIPHERS_BY_NAME
from sshkit.ssh.ciphers import CIPHERS
from sshkit.ssh.ciphers.chacha20_poly1305 import CHACHA20_POLY1305
from sshkit.ssh.ciphers.packet import Cipher
from sshkit.ssh.compression import BY_NAME as COMPRESSIONS_BY_NAME
from sshkit.ssh.compression import COMPRESSIONS, DELAYED
from sshkit.ssh.compression.method import Compression
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.key_exchange import BY_NAME as KEY_EXCHANGES_BY_NAME
from sshkit.ssh.key_exchange import KEY_EXCHANGES
from sshkit.ssh.key_exchange.group_exchange import GroupExchange
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.macs import BY_NAME as MACS_BY_NAME
from sshkit.ssh.macs import MACS
from sshkit.ssh.macs.mac import MAC

if TYPE_CHECKING:
    from sshkit.ssh.key_exchange.moduli import Group

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


class Algorithms:
    """What one side offers, best first, in each category."""

    __slots__ = (
        "ca_signatures",
        "ciphers",
        "compressions",
        "host_keys",
        "hostbased_keys",
        "key_exchanges",
        "macs",
        "user_keys",
    )

    def __init__(
        self,
        *,
        key_exchanges: Sequence[type[Method]] = KEY_EXCHANGES,
        host_keys: Sequence[str] = SIGNATURES,
        ciphers: Sequence[Cipher] = CIPHERS,
        macs: Sequence[MAC] = MACS,
        compressions: Sequence[Compression] = COMPRESSIONS,
        user_keys: Sequence[str] = USER_KEYS,
        hostbased_keys: Sequence[str] = USER_KEYS,
        ca_signatures: Sequence[str] = USER_SIGNATURES,
    ) -> None:
        for category, entries in (
            ("key exchange", key_exchanges),
            ("host key", host_keys),
            ("cipher", ciphers),
            ("compression", compressions),
        ):
            if not entries:
                raise LocalProtocolError(f"no {category} algorithm left to offer")
        if not macs and any(cipher.needs_mac for cipher in ciphers):
            raise LocalProtocolError("no MAC left to offer, and a cipher needs one")
        self.key_exchanges = tuple(key_exchanges)
        self.host_keys = tuple(host_keys)
        self.ciphers = tuple(ciphers)
        self.macs = tuple(macs)
        self.compressions = tuple(compressions)
        self.user_keys = tuple(user_keys)
        self.hostbased_keys = tuple(hostbased_keys)  #: of hosts that vouch for their users
        self.ca_signatures = tuple(ca_signatures)  #: under which an authority may have signed a certificate

    def _with(self, **changed: Any) -> "Algorithms":
        return Algorithms(**{name: getattr(self, name) for name in self.__slots__} | changed)

    def with_host_keys(self, names: Sequence[str]) -> "Algorithms":
        """Return a copy with these host key algorithms, in this order."""
        return self if self.host_keys == tuple(names) else self._with(host_keys=names)

    def with_compression(self) -> "Algorithms":
        """Return a copy that asks for compression from the login on, where the peer has it (R21)."""
        return self._with(compressions=DELAYED)

    def with_groups(self, groups: "Sequence[Group]") -> "Algorithms":
        """Return a copy whose group exchange, as a server, gives out `groups` (of a moduli file)."""
        return self._with(
            key_exchanges=[
                method.with_groups(groups) if issubclass(method, GroupExchange) else method
                for method in self.key_exchanges
            ]
        )

    def without_key_exchanges(self, pattern: str) -> "Algorithms":
        """Return a copy without the key exchanges whose names fit."""
        return self._with(
            key_exchanges=[each for each in self.key_exchanges if not fnmatchcase(each.name, pattern)]
        )

    def for_processor(self, *, fast_aes: bool) -> "Algorithms":
        """Return the list in the order that is fastest: a processor without AES does ChaCha20 first.

        Only the order of our own strong defaults changes; a list that somebody wrote stays as it is.
        """
        if fast_aes or self.ciphers != CIPHERS:
            return self
        return self._with(ciphers=sorted(CIPHERS, key=lambda cipher: cipher is not CHACHA20_POLY1305))

    def edited(
        self,
        *,
        key_exchanges: str | None = None,
        host_keys: str | None = None,
        ciphers: str | None = None,
        macs: str | None = None,
        compressions: str | None = None,
        user_keys: str | None = None,
        hostbased_keys: str | None = None,
        ca_signatures: str | None = None,
    ) -> "Algorithms":
        """Return a copy with lists as ssh_config(5) has them: ``a,b``, ``+a``, ``-a*``, ``^a``.

        Weak and slow ones are taken by their whole names only: no pattern means them.  A name that does not
        exist here raises LocalProtocolError with the names that do.
        """
        return self._with(
            key_exchanges=_edit_table("key exchange", self.key_exchanges, "key_exchanges", key_exchanges),
            host_keys=_edit("host key", self.host_keys, known_names("host_keys"), (), host_keys),
            ciphers=_edit_table("cipher", self.ciphers, "ciphers", ciphers),
            macs=_edit_table("MAC", self.macs, "macs", macs),
            compressions=_edit_table("compression", self.compressions, "compressions", compressions),
            user_keys=_edit("signature", self.user_keys, USER_KEYS, (), user_keys),
            hostbased_keys=_edit("signature", self.hostbased_keys, USER_KEYS, (), hostbased_keys),
            ca_signatures=_edit("signature", self.ca_signatures, USER_SIGNATURES, (), ca_signatures),
        )


DEFAULT = Algorithms()
#: What a server offers unless it is told: who needs the curves of NIST, whose seeds nobody explained, adds
#: them by a pattern (``+*nistp*``).  Every client that has them has a group of Diffie-Hellman as well.
SERVER_DEFAULT = DEFAULT.without_key_exchanges("*nistp*")


#: Category -> what a pattern may mean, and what is taken by its whole name only.
TABLES: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "key_exchanges": (KEY_EXCHANGES, KEY_EXCHANGES_BY_NAME),
    "ciphers": (CIPHERS, CIPHERS_BY_NAME),
    "macs": (MACS, MACS_BY_NAME),
    "compressions": (DELAYED, COMPRESSIONS_BY_NAME),
    "host_keys": ((*HOST_CERTIFICATES, *SIGNATURES), ()),
    "user_keys": (USER_KEYS, ()),
    "hostbased_keys": (USER_KEYS, ()),
    "ca_signatures": (USER_SIGNATURES, ()),
}


def known_names(category: str) -> tuple[str, ...]:
    """Return every name of a category of Algorithms, the weak ones last."""
    return tuple(
        entry if isinstance(entry, str) else entry.name for table in TABLES[category] for entry in table
    )


def _edit_table(category: str, current: Sequence[Any], table: str, text: str | None) -> tuple[Any, ...]:
    if text is None:
        return tuple(current)
    strong, weak = TABLES[table]
    by_name = {entry.name: entry for entry in (*strong, *weak, *current)}
    names = [entry.name for entry in current]
    plain = dict.fromkeys([*(entry.name for entry in strong), *names])
    return tuple(by_name[name] for name in _edit(category, names, plain, [e.name for e in weak], text))


def _edit(
    category: str, current: Sequence[str], known: Iterable[str], by_name: Sequence[str], text: str | None
) -> tuple[str, ...]:
    if text is None:
        return tuple(current)
    sign = text[0] if text[:1] in ("+", "-", "^") else ""
    patterns = [name for name in text.removeprefix(sign).split(",") if name]
    names = _expand(category, patterns, tuple(known), by_name, sign)
    if sign == "+":
        return (*current, *(name for name in names if name not in current))
    if sign == "-":
        return tuple(name for name in current if name not in names)
    if sign == "^":
        return (*names, *(name for name in current if name not in names))
    return tuple(names)


def _expand(
    category: str, patterns: list[str], known: tuple[str, ...], by_name: Sequence[str], sign: str
) -> list[str]:
    names: list[str] = []
    for pattern in patterns:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if pattern in by_name:
            found = [pattern]
        if not found and sign != "-":  # taking away what is not there is no mistake
            every = ", ".join((*known, *by_name))
            raise LocalProtocolError(f"unknown {category} algorithm {quoted(pattern)}; known: {every}")
        names += [name for name in found if name not in names]
    if not patterns:
        raise LocalProtocolError(f"an empty list of {category} algorithms")
    return names
