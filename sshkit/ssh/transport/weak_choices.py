"""What is weak about the algorithms that were agreed on, in words for people.

Called once the keys are in force, by whoever talks to a user: each text is a warning to print (WarnWeakCrypto
of ssh_config).  Only what somebody asked for by name can be weak, except that a peer may not have a key
exchange that withstands quantum computers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sshkit.ssh.transport.negotiation import Negotiated

#: Beginnings of the names of key exchanges that a quantum computer does not break.
POST_QUANTUM = ("mlkem", "sntrup")


def is_post_quantum(key_exchange: str) -> bool:
    """Return whether what is recorded today stays secret when quantum computers come."""
    return key_exchange.startswith(POST_QUANTUM)


def weak_choices(negotiated: "Negotiated") -> list[str]:
    """Return a sentence for each weak choice; nothing where all is well."""
    warnings: list[str] = []
    method = negotiated.key_exchange
    if not is_post_quantum(method.name):
        warnings.append(
            f"the key exchange {method.name} does not withstand quantum computers: what is recorded today "
            "may be read some day. A newer server has one that does."
        )
    if method.hash_name == "sha1":
        warnings.append(f"the key exchange {method.name} relies on SHA-1, which is broken")
    for name in dict.fromkeys((negotiated.cipher_out.name, negotiated.cipher_in.name)):
        if name == "3des-cbc":
            warnings.append(f"the cipher {name} has blocks of 64 bits, which is too little for much data")
        elif name.endswith("-cbc"):
            warnings.append(f"the cipher {name} is of a mode that has leaked plaintext before")
    for mac in dict.fromkeys((negotiated.mac_out, negotiated.mac_in)):
        if mac is not None and "sha1" in mac.name:
            warnings.append(f"the MAC {mac.name} relies on SHA-1")
        if mac is not None and mac.tag_size < 16:
            warnings.append(f"the MAC {mac.name} has a tag of {8 * mac.tag_size} bits only")
    if negotiated.compression_out.begins == "keys" or negotiated.compression_in.begins == "keys":
        warnings.append("compression began before the login: its success tells about the password's packet")
    return warnings
