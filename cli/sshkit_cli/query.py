"""The answers to -Q: which algorithms there are.

Called by `client`.  The words that may be asked for are ssh's.
"""

from sshkit_keys.text import quoted

from sshkit.client.target import algorithm_names

from .options import UsageError

_CATEGORIES = {
    "cipher": "ciphers",
    "ciphers": "ciphers",
    "hostkeyalgorithms": "host_keys",
    "kex": "key_exchanges",
    "kexalgorithms": "key_exchanges",
    "key": "host_keys",
    "key-sig": "host_keys",
    "mac": "macs",
    "macs": "macs",
    "pubkeyacceptedalgorithms": "user_keys",
    "sig": "user_keys",
}


def answer(query: str) -> str:
    """Return the names, one a line; ``help`` lists what can be asked for."""
    word = query.lower()
    if word == "help":
        return "\n".join(_CATEGORIES)
    if word not in _CATEGORIES:
        raise UsageError(f"unknown query {quoted(query)}; -Q help lists them")
    return "\n".join(algorithm_names(_CATEGORIES[word]))
