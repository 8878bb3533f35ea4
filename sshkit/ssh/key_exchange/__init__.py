"""The table of key exchange methods, best first."""

from sshkit.ssh.key_exchange.curve25519 import Curve25519, Curve25519LibSSH
from sshkit.ssh.key_exchange.diffie_hellman import DiffieHellman14, DiffieHellman16
from sshkit.ssh.key_exchange.ecdh_nist import EcdhNistp256, EcdhNistp384, EcdhNistp521
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.key_exchange.mlkem768x25519 import MLKEM768X25519

KEY_EXCHANGES: tuple[type[Method], ...] = (
    MLKEM768X25519,
    Curve25519,
    Curve25519LibSSH,
    EcdhNistp256,
    EcdhNistp384,
    EcdhNistp521,
    DiffieHellman16,
    DiffieHellman14,
)
