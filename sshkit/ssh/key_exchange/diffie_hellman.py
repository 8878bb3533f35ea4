"""diffie-hellman-group14-sha256 and -group16-sha512 (RFC 8268), on the groups of RFC 3526.

Computed with `pow`: the library that brings the other methods is giving up Diffie-Hellman over finite
fields.  Both exponents are used once, so that their timing tells nothing that could be used again.
"""

from collections.abc import Callable
from typing import ClassVar

from sshkit_keys import wire

from sshkit.ssh.key_exchange.method import Method, bad_value
from sshkit.ssh.messages.transport import KexDHInit, KexDHReply

#: 2048 bits, generator 2: RFC 3526 section 3
GROUP14 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)
#: 4096 bits, generator 2: RFC 3526 section 5
GROUP16 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7"
    "88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6"
    "287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9"
    "93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
    16,
)
GENERATOR = 2
#: Bytes of a private exponent: twice the strength of either group and more (RFC 4419 section 6.2).
EXPONENT_SIZE = 64


class DiffieHellman14(Method):
    """Diffie-Hellman over group 14; 1 < value < p - 1 is demanded of the peer (RFC 4253 section 8)."""

    __slots__ = ("_exponent", "_public")
    name = "diffie-hellman-group14-sha256"
    hash_name = "sha256"
    init = KexDHInit
    reply = KexDHReply
    prime: ClassVar[int] = GROUP14

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        super().__init__(random_bytes)
        self._exponent = int.from_bytes(b"\x80" + random_bytes(EXPONENT_SIZE - 1), "big")
        self._public = pow(GENERATOR, self._exponent, self.prime)

    @staticmethod
    def encode_public(value: int) -> bytes:
        return wire.mpint(value)

    def client_public(self) -> int:
        return self._public

    def client_secret(self, server_public: int) -> bytes:
        if not 1 < server_public < self.prime - 1:
            raise bad_value(self.name)
        secret = pow(server_public, self._exponent, self.prime)
        return secret.to_bytes((self.prime.bit_length() + 7) // 8, "big")

    def server_respond(self, client_public: int) -> tuple[int, bytes]:
        return self.client_public(), self.client_secret(client_public)


class DiffieHellman16(DiffieHellman14):
    """The same over group 16."""

    __slots__ = ()
    name = "diffie-hellman-group16-sha512"
    hash_name = "sha512"
    prime = GROUP16
