"""Packets before the first keys."""

from sshkit.ssh.ciphers.clear import ClearOpener, ClearSealer
from tests.fuzz.targets import sealed


def parse(data: bytes) -> None:
    sealed.open_all(ClearOpener(), ClearSealer(), data)
