"""Certificates, as lines."""

from sshkit_keys.certificates import parse_key_or_certificate_line


def parse(data: bytes) -> None:
    parse_key_or_certificate_line(data.decode("utf-8", "replace"))
