"""Key blobs of an agent's messages: plain keys and certificates alike.

Called by the rest of this room.  Trust files take plain keys only, so `parse_public_key` refuses
certificates; an agent holds both.
"""

from sshkit_keys.key import PublicKey
from sshkit_keys.key_types import parse_public_key
from sshkit_keys.wire import WireReader

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"


def type_of(blob: bytes) -> str:
    """Return the type that a blob names; WireError if it names none."""
    return WireReader(blob).text("key type")


def parse_blob(blob: bytes, comment: str = "") -> PublicKey:
    """Read a key or a certificate; errors as parse_public_key."""
    if type_of(blob).endswith(CERTIFICATE_SUFFIX):
        from sshkit_keys.certificates import parse_certificate

        return parse_certificate(blob, comment)
    return parse_public_key(blob, comment)


def plain_key(key: PublicKey) -> PublicKey:
    """Return the key itself, or the one that a certificate certifies."""
    certified: PublicKey = getattr(key, "key", key)
    return certified


def plain_algorithm(algorithm: str) -> str:
    """Return the label that signatures carry for an algorithm: the same without "certificate" in it."""
    if not algorithm.endswith(CERTIFICATE_SUFFIX):
        return algorithm
    name = algorithm.removesuffix(CERTIFICATE_SUFFIX)
    return f"{name}@openssh.com" if name.startswith("sk-") else name
