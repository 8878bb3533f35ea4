"""Packets under the ciphers that hide nothing but their age: CBC (RFC 4253 section 6.3)."""

from sshkit.ssh.ciphers.cbc import AES128_CBC, TRIPLE_DES_CBC
from sshkit.ssh.macs import MACS
from tests.fuzz.targets import sealed

SUITES = [(cipher, mac) for cipher in (AES128_CBC, TRIPLE_DES_CBC) for mac in MACS]


def parse(data: bytes) -> None:
    sealed.run(SUITES, data)
