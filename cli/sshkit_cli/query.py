"""The answers to -Q: which algorithms there are, from the tables of the library.

Called by `client`.  The words that may be asked for are ssh's: short ones, and the keywords of ssh_config.
"""

from collections.abc import Callable, Iterable

from sshkit_keys.text import quoted

from sshkit.config.algorithm_names import CATEGORIES
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX, TABLES, USER_KEYS, USER_SIGNATURES, known_names

from .options import UsageError


def _authenticated() -> Iterable[str]:
    return [cipher.name for table in TABLES["ciphers"] for cipher in table if not cipher.needs_mac]


def _key_types() -> list[str]:
    """Return the types of keys: RSA has one for all its signatures, and webauthn is no type."""
    names = [name for name in USER_KEYS if not name.startswith(("webauthn-", "rsa-sha2-256"))]
    return [name.replace("rsa-sha2-512", "ssh-rsa") for name in names]


def _certificates() -> Iterable[str]:
    return [name for name in _key_types() if name.endswith(CERTIFICATE_SUFFIX)]


def _plain() -> Iterable[str]:
    return [name for name in _key_types() if not name.endswith(CERTIFICATE_SUFFIX)]


#: The words that -Q help tells.
WORDS: dict[str, Callable[[], Iterable[str]]] = {
    "cipher": lambda: known_names("ciphers"),
    "cipher-auth": _authenticated,
    "compression": lambda: known_names("compressions"),
    "kex": lambda: known_names("key_exchanges"),
    "key": _key_types,
    "key-ca-sign": lambda: USER_SIGNATURES,
    "key-cert": _certificates,
    "key-plain": _plain,
    "key-sig": lambda: USER_KEYS,
    "mac": lambda: known_names("macs"),
    "protocol-version": lambda: ("2",),
    "sig": lambda: USER_SIGNATURES,
}


def answer(query: str) -> str:
    """Return the names, one a line; ``help`` lists what can be asked for."""
    word = query.lower()
    if word == "help":
        return "\n".join(WORDS)
    if word in WORDS:
        return "\n".join(WORDS[word]())
    for keyword, category in CATEGORIES.items():
        if word == keyword.lower():
            return "\n".join(known_names(category))
    raise UsageError(f"unknown query {quoted(query)}; -Q help lists them")
