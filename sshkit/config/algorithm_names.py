"""Lists of algorithms as configuration files have them, for a program that does not have all of OpenSSH's.

Called by the commands for Ciphers, MACs and their like.  A name that OpenSSH knows and sshkit does not is
left out with a note, so that files which serve OpenSSH serve here too; a name that nobody knows is an error.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sshkit_keys.text import quoted

from .parser import ConfigError, Setting

_KEYS = (
    "ssh-rsa",
    "ssh-dss",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
)

#: Of users' keys only the weak ones are left out.
_USER_KEYS = ("ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com")

#: What OpenSSH has or had and sshkit leaves out: weak, or not done yet.  The key is the keyword.
OTHERS: dict[str, tuple[str, ...]] = {
    "Ciphers": ("3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "rijndael-cbc@lysator.liu.se", "none"),
    "MACs": (
        "hmac-sha1",
        "hmac-sha1-96",
        "hmac-md5",
        "hmac-md5-96",
        "umac-64@openssh.com",
        "umac-128@openssh.com",
        "hmac-sha1-etm@openssh.com",
        "hmac-sha1-96-etm@openssh.com",
        "hmac-md5-etm@openssh.com",
        "hmac-md5-96-etm@openssh.com",
        "umac-64-etm@openssh.com",
        "umac-128-etm@openssh.com",
    ),
    "KexAlgorithms": (
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group-exchange-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
    ),
    "HostKeyAlgorithms": _KEYS,
    "PubkeyAcceptedAlgorithms": _USER_KEYS,
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
    for name in text.removeprefix(sign).split(","):
        if any(fnmatchcase(candidate, name) for candidate in known):
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
