"""Packets under AES-GCM (RFC 5647, and OpenSSH's names)."""

from sshkit.ssh.ciphers.aes_gcm import AES128_GCM, AES256_GCM
from tests.fuzz.targets import sealed


def parse(data: bytes) -> None:
    sealed.run(((AES128_GCM, None), (AES256_GCM, None)), data)
