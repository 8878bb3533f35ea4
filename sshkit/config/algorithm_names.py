"""Lists of algorithms as configuration files have them, for a program that does not have all of OpenSSH's.

Called by whoever obeys Ciphers, MACs and their like.  A name that OpenSSH knows and sshkit does not is left
out with a note, so that files which serve OpenSSH serve here too; a name that nobody knows is an error.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sshkit_keys.text import quoted

from .parser import ConfigError, Setting

#: Signatures with SHA-1 or DSA: weak, and not there at all.
_WEAK_KEYS = ("ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com")
_HARDWARE_KEYS = (
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
)

#: What OpenSSH has or had and sshkit leaves out.  The key is the keyword.
OTHERS: dict[str, tuple[str, ...]] = {
    "Ciphers": ("rijndael-cbc@lysator.liu.se", "none"),
    "MACs": (
        "hmac-sha1-96",
        "hmac-md5",
        "hmac-md5-96",
        "hmac-sha1-96-etm@openssh.com",
        "hmac-md5-etm@openssh.com",
        "hmac-md5-96-etm@openssh.com",
    ),
    "KexAlgorithms": ("diffie-hellman-group1-sha1",),  # 1024 bits: R14
    "HostKeyAlgorithms": (*_WEAK_KEYS, *_HARDWARE_KEYS),
    "PubkeyAcceptedAlgorithms": _WEAK_KEYS,
    "HostbasedAcceptedAlgorithms": _WEAK_KEYS,
    "CASignatureAlgorithms": ("ssh-rsa", "ssh-dss"),
}
#: The keyword -> which list of `sshkit.ssh.algorithms.Algorithms` it edits.
CATEGORIES: dict[str, str] = {
    "Ciphers": "ciphers",
    "MACs": "macs",
    "KexAlgorithms": "key_exchanges",
    "HostKeyAlgorithms": "host_keys",
    "PubkeyAcceptedAlgorithms": "user_keys",
    "HostbasedAcceptedAlgorithms": "hostbased_keys",
    "CASignatureAlgorithms": "ca_signatures",
}


def usable_list(
    keyword: str, setting: Setting[str | None], known: Sequence[str]
) -> tuple[str | None, list[str]]:
    """Return the list without what only OpenSSH has, and what was left out; None where nothing is left of a
    list that adds or takes away."""
    text = setting.value
    if text is None:
        return None, []
    sign = text[0] if text[:1] in ("+", "-", "^") else ""
    kept: list[str] = []
    left_out: list[str] = []
    weak = _by_name(keyword)
    for name in text.removeprefix(sign).split(","):
        if name in weak or any(fnmatchcase(candidate, name) for candidate in known):
            kept.append(name)
        elif any(fnmatchcase(candidate, name) for candidate in OTHERS[keyword]):
            left_out.append(name)
        else:
            raise ConfigError(
                f"{keyword}: unknown algorithm {quoted(name)}; there are {', '.join(known)}", setting.place
            )
    if not kept and not sign:
        raise ConfigError(f"{keyword}: none of {quoted(text)} is supported here", setting.place)
    return (sign + ",".join(kept) if kept else None), left_out


def _by_name(keyword: str) -> Sequence[str]:
    """Return the algorithms that are there for who asks by their whole names."""
    from sshkit.ssh.algorithms import TABLES

    return [entry.name for entry in TABLES[CATEGORIES[keyword]][1]]
