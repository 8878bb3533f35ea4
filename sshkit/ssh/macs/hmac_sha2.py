"""hmac-sha2-256 and hmac-sha2-512 (RFC 6668), and their -etm forms (OpenSSH's PROTOCOL section 1.5)."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hmac import HMAC


class MAC(NamedTuple):
    """One line of the table of MACs; the tag is as long as the key."""

    name: str
    hash_name: str  #: a class of cryptography's `hashes`
    tag_size: int
    etm: bool  #: the tag covers the ciphertext, and the length field is in the clear

    def start(self, key: bytes) -> "HMAC":
        """Return a keyed state to copy for each packet."""
        from cryptography.hazmat.primitives import hashes, hmac

        return hmac.HMAC(key, getattr(hashes, self.hash_name)())


HMAC_SHA2_256 = MAC("hmac-sha2-256", "SHA256", 32, etm=False)
HMAC_SHA2_512 = MAC("hmac-sha2-512", "SHA512", 64, etm=False)
HMAC_SHA2_256_ETM = MAC("hmac-sha2-256-etm@openssh.com", "SHA256", 32, etm=True)
HMAC_SHA2_512_ETM = MAC("hmac-sha2-512-etm@openssh.com", "SHA512", 64, etm=True)
