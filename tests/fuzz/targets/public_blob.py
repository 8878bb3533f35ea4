"""Public keys as they travel."""

from sshkit_keys import parse_public_key


def parse(data: bytes) -> None:
    key = parse_public_key(data)
    assert key.blob == data
    assert key.bits > 0
    key.fingerprint()
