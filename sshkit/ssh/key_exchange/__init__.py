"""The tables of key exchange methods, best first: what is offered, and what is there for who asks by name."""

from sshkit.ssh.key_exchange.curve448 import Curve448
from sshkit.ssh.key_exchange.curve25519 import Curve25519, Curve25519LibSSH
from sshkit.ssh.key_exchange.diffie_hellman import (
    DiffieHellman14,
    DiffieHellman14SHA1,
    DiffieHellman15,
    DiffieHellman16,
    DiffieHellman17,
    DiffieHellman18,
)
from sshkit.ssh.key_exchange.ecdh_nist import EcdhNistp256, EcdhNistp384, EcdhNistp521
from sshkit.ssh.key_exchange.group_exchange import GroupExchange, GroupExchangeSHA1
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.key_exchange.mlkem768x25519 import MLKEM768X25519
from sshkit.ssh.key_exchange.mlkem_nist import MLKEM768Nistp256, MLKEM1024Nistp384
from sshkit.ssh.key_exchange.sntrup761x25519 import Sntrup761X25519, Sntrup761X25519OpenSSH

KEY_EXCHANGES: tuple[type[Method], ...] = (
    MLKEM768X25519,
    Sntrup761X25519,
    Sntrup761X25519OpenSSH,
    MLKEM768Nistp256,
    MLKEM1024Nistp384,
    Curve25519,
    Curve25519LibSSH,
    EcdhNistp256,
    EcdhNistp384,
    EcdhNistp521,
    DiffieHellman16,
    DiffieHellman18,
    GroupExchange,
    DiffieHellman14,
)

#: Known as well: strong ones that hardly anybody asks for, then weak ones.
BY_NAME: tuple[type[Method], ...] = (
    Curve448,
    DiffieHellman15,
    DiffieHellman17,
    GroupExchangeSHA1,
    DiffieHellman14SHA1,
)
