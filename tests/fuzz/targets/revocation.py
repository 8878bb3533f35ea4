"""Revocation lists, binary and of lines."""

from sshkit_keys.revocation import parse_revocation


def parse(data: bytes) -> None:
    parse_revocation(data)
