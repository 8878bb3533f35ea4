"""Whose signatures count, and for what."""

from sshkit_keys.allowed_signers import parse_allowed_signers


def parse(data: bytes) -> None:
    parse_allowed_signers(data, "allowed_signers").match_principals("me@example.org")
