"""Revocation lists, binary and of lines."""

from sshkit_keys.revocation import RevocationList


def parse(data: bytes) -> None:
    RevocationList.parse(data, "revoked")
