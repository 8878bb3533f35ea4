"""Ed25519 and Ed448 keys from their seeds, which PuTTY's files and JSON Web Keys hold alone.

Called by `putty_fields` and `jwk`.
"""

from .key import PrivateKey
from .key_types import wrap_private_key

#: Key type: bytes of its seed, and of its public half (RFC 8032 sections 5.1.5 and 5.2.5).
SEED_BYTES = {"ssh-ed25519": 32, "ssh-ed448": 57}


def key_from_seed(key_type: str, seed: bytes) -> PrivateKey:
    """Return the private key; `seed` has the length that SEED_BYTES says."""
    if key_type == "ssh-ed25519":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return wrap_private_key(Ed25519PrivateKey.from_private_bytes(seed))
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

    return wrap_private_key(Ed448PrivateKey.from_private_bytes(seed))
