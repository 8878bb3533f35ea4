"""Fingerprints from the name service, as text."""

from sshkit_keys.sshfp import parse_sshfp


def parse(data: bytes) -> None:
    parse_sshfp(data.decode("utf-8", "replace"))
