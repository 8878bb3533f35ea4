"""The tables of ciphers, best first: what is offered, and what is there for who asks by name.

AES-GCM is the fastest wherever the processor has AES; `Algorithms.for_processor` knows what to do elsewhere.
"""

from sshkit.ssh.ciphers.aes_ctr import AES128_CTR, AES192_CTR, AES256_CTR
from sshkit.ssh.ciphers.aes_gcm import AES128_GCM, AES256_GCM
from sshkit.ssh.ciphers.cbc import AES128_CBC, AES192_CBC, AES256_CBC, TRIPLE_DES_CBC
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

#: Known as well: weak ones.
BY_NAME: tuple[Cipher, ...] = (AES256_CBC, AES192_CBC, AES128_CBC, TRIPLE_DES_CBC)
