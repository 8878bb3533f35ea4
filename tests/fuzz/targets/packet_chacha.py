"""Packets under chacha20-poly1305@openssh.com."""

from sshkit.ssh.ciphers.chacha20_poly1305 import CHACHA20_POLY1305
from tests.fuzz.targets import sealed


def parse(data: bytes) -> None:
    sealed.run(((CHACHA20_POLY1305, None),), data)
