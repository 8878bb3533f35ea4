"""A file of names and hashed passwords."""

from sshkit.cred.password_file import parse_passwords


def parse(data: bytes) -> None:
    for name, stored in parse_passwords(data, "passwords").items():
        assert name.isprintable()
        assert stored.startswith("$2")
