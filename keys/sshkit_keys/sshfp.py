"""Fingerprints of host keys in the DNS: SSHFP records (RFC 4255, 6594, 7479, 8709).

Called by sshkit-keygen -r and sshkit-keyscan -D, which print them, and by a client that compares.  A match
is worth as much as the answer that brought it: trust one only if the resolver has validated it (DNSSEC).
"""

from collections.abc import Sequence
from typing import NamedTuple

from .errors import TrustFileError, UnsupportedKey
from .key import PublicKey
from .text import quoted

#: Key type -> the record's algorithm number.  Types without a number cannot be published.
ALGORITHMS = {
    "ssh-rsa": 1,
    "ssh-dss": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
    "ssh-ed448": 6,
}
#: Hash -> the record's fingerprint type.
HASHES = {"sha1": 1, "sha256": 2}
_RECORD_TYPE = 44
_LENGTHS = {1: 20, 2: 32}


class SSHFPRecord(NamedTuple):
    """One record: two numbers and the fingerprint."""

    algorithm: int
    hash_type: int
    fingerprint: bytes

    def matches(self, key: PublicKey) -> bool:
        """Say whether the record is about this key.  SHA-1 records match nothing (RFC 8624's advice)."""
        if self.hash_type != HASHES["sha256"] or ALGORITHMS.get(key.key_type) != self.algorithm:
            return False
        return _hash(key, "sha256") == self.fingerprint

    def to_text(self, generic: bool = False) -> str:
        """Return the record as a zone file has it; `generic` for servers that do not know it (RFC 3597)."""
        if generic:
            size = 2 + len(self.fingerprint)
            numbers = f"{self.algorithm:02x} {self.hash_type:02x}"
            return f"IN TYPE{_RECORD_TYPE} \\# {size} {numbers} {self.fingerprint.hex()}"
        return f"IN SSHFP {self.algorithm} {self.hash_type} {self.fingerprint.hex()}"


def sshfp_records(key: PublicKey, hashes: Sequence[str] = ("sha1", "sha256")) -> list[SSHFPRecord]:
    """Return the records of a key; UnsupportedKey if its type has no number."""
    number = ALGORITHMS.get(key.key_type)
    if number is None:
        raise UnsupportedKey(f"no SSHFP record can be made for a key of type {key.key_type}")
    for name in hashes:
        if name not in HASHES:
            raise UnsupportedKey(f"no SSHFP record has hash {quoted(name)}; sha1 and sha256 are known")
    return [SSHFPRecord(number, HASHES[name], _hash(key, name)) for name in hashes]


def parse_sshfp(text: str) -> SSHFPRecord:
    """Read "4 2 hex...", the data of a record, or a whole line of a zone file."""
    words = text.split()
    for position, word in enumerate(words):
        if word.upper() == "SSHFP":
            words = words[position + 1 :]
            break
    try:
        algorithm, hash_type = int(words[0]), int(words[1])
        fingerprint = bytes.fromhex("".join(words[2:]))
    except (ValueError, IndexError):
        raise TrustFileError(f"not an SSHFP record: {quoted(text)}") from None
    if _LENGTHS.get(hash_type, len(fingerprint)) != len(fingerprint) or not fingerprint:
        raise TrustFileError(f"an SSHFP record of hash type {hash_type} with {len(fingerprint)} bytes")
    return SSHFPRecord(algorithm, hash_type, fingerprint)


def _hash(key: PublicKey, name: str) -> bytes:
    import hashlib

    return hashlib.new(name, key.blob, usedforsecurity=False).digest()
