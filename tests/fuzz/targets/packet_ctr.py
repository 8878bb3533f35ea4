"""Packets under AES-CTR (RFC 4344) with every MAC, over the cipher's text and over the plain one."""

from sshkit.ssh.ciphers.aes_ctr import AES128_CTR
from sshkit.ssh.macs import MACS
from tests.fuzz.targets import sealed

SUITES = [(AES128_CTR, mac) for mac in MACS]


def parse(data: bytes) -> None:
    sealed.run(SUITES, data)
