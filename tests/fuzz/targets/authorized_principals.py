"""The names in certificates that let somebody in."""

from sshkit_keys.authorized_principals import parse_authorized_principals


def parse(data: bytes) -> None:
    parse_authorized_principals(data, "authorized_principals").find(["root", "web"])
