"""The keys that let somebody in, with their options."""

from sshkit_keys import parse_authorized_keys


def parse(data: bytes) -> None:
    found = parse_authorized_keys(data, "authorized_keys")
    for entry in found.entries:
        assert repr(entry).isprintable()
    for warning in found.warnings:
        assert warning.isprintable()
