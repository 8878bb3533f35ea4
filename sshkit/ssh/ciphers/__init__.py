"""The table of ciphers, best first: AES-GCM is the fastest wherever the processor has AES."""

from sshkit.ssh.ciphers.aes_ctr import AES128_CTR, AES192_CTR, AES256_CTR
from sshkit.ssh.ciphers.aes_gcm import AES128_GCM, AES256_GCM
from sshkit.ssh.ciphers.chacha20_poly1305 import CHACHA20_POLY1305
from sshkit.ssh.ciphers.packet import Cipher

CIPHERS: tuple[Cipher, ...] = (
    AES128_GCM,
    AES256_GCM,
    CHACHA20_POLY1305,
    AES256_CTR,
    AES192_CTR,
    AES128_CTR,
)
