"""Files in which keys are looked for by trying."""

from sshkit_keys import find_public_keys


def parse(data: bytes) -> None:
    for key in find_public_keys(data):
        key.to_line()
