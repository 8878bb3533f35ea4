"""Public keys of every format."""

from sshkit_keys import parse_public_file, parse_public_key


def parse(data: bytes) -> None:
    key = parse_public_file(data)
    if not key.key_type.endswith("-cert-v01@openssh.com"):
        assert parse_public_key(key.blob) == key
    assert parse_public_file(f"{key.to_line()}\n".encode()) == key
