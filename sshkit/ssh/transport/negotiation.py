"""Which algorithms two proposals agree on (RFC 4253 section 7.1)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sshkit_keys.text import printable

from sshkit.ssh.algorithms import Algorithms
from sshkit.ssh.ciphers.packet import Cipher
from sshkit.ssh.compression import NONE
from sshkit.ssh.compression.method import Compression
from sshkit.ssh.errors import KeyExchangeFailed
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.macs.mac import MAC
from sshkit.ssh.messages.transport import KEXINIT, KexInit

COOKIE_SIZE = 16
REMEMBERED = 32  #: pairs of proposals whose result is kept for the next connection
MOST_REMEMBERED = 4 * 1024  #: bytes of a peer's proposal; longer ones than programs make are not kept
EXT_INFO_CLIENT = "ext-info-c"  #: RFC 8308 section 2.1
EXT_INFO_SERVER = "ext-info-s"
STRICT_CLIENT = "kex-strict-c-v00@openssh.com"  #: OpenSSH's PROTOCOL section 1.10
STRICT_SERVER = "kex-strict-s-v00@openssh.com"
#: Markers are not methods: they are never chosen, and mean nothing after the first KEXINIT (R13).
MARKERS = frozenset({EXT_INFO_CLIENT, EXT_INFO_SERVER, STRICT_CLIENT, STRICT_SERVER})


class Negotiated(NamedTuple):
    """What both sides agreed on; *out* and *in* are seen from this side."""

    key_exchange: type[Method]
    host_key: str
    cipher_out: Cipher
    cipher_in: Cipher
    mac_out: MAC | None
    mac_in: MAC | None
    guess_was_wrong: bool  #: the peer guessed a first packet, and that packet is to be skipped
    peer_markers: frozenset[str]  #: what the peer's proposal says beside its algorithms
    compression_out: Compression = NONE
    compression_in: Compression = NONE

    @property
    def compresses(self) -> bool:
        """Some compression was agreed on."""
        return not (self.compression_out is self.compression_in is NONE)

    def summary(self) -> str:
        """Return one line for people: ``mlkem768x25519-sha256, ssh-ed25519, aes128-gcm@openssh.com``."""
        names = [self.key_exchange.name, self.host_key, self.cipher_out.name]
        if self.mac_out:
            names.append(self.mac_out.name)
        if (self.cipher_in, self.mac_in) != (self.cipher_out, self.mac_out):
            names.append("in: " + self.cipher_in.name + (f" {self.mac_in.name}" if self.mac_in else ""))
        names += dict.fromkeys(
            method.name for method in (self.compression_out, self.compression_in) if method is not NONE
        )
        return ", ".join(names)


def propose(algorithms: Algorithms, host_keys: Sequence[str], markers: Sequence[str], cookie: bytes) -> bytes:
    """Return the payload of a KEXINIT that offers `algorithms`."""
    ciphers = tuple(cipher.name for cipher in algorithms.ciphers)
    macs = tuple(mac.name for mac in algorithms.macs)
    compressions = tuple(method.name for method in algorithms.compressions)
    proposal = KexInit(
        key_exchanges=(*(method.name for method in algorithms.key_exchanges), *markers),
        host_keys=tuple(host_keys),
        ciphers_to_server=ciphers,
        ciphers_to_client=ciphers,
        macs_to_server=macs,
        macs_to_client=macs,
        compressions_to_server=compressions,
        compressions_to_client=compressions,
        languages_to_server=(),
        languages_to_client=(),
        first_packet_follows=False,
        reserved=0,
    )
    payload = proposal.encode()
    return payload[:1] + cookie + payload[1:]


def parse_proposal(payload: bytes) -> KexInit:
    """Return the record in the payload of a KEXINIT; the cookie is skipped."""
    return KexInit.decode(payload[:1] + _without_cookie(payload))


def negotiate(algorithms: Algorithms, ours: bytes, theirs: bytes, *, is_client: bool) -> Negotiated:
    """Return what the payloads of two KEXINITs agree on.

    KeyExchangeFailed names both lists where they do not.  Proposals of one program are all alike, so a server
    answers from memory; connections share the result.
    """
    agree = _agree if len(theirs) <= MOST_REMEMBERED else _agree.__wrapped__
    return agree(algorithms, _without_cookie(ours), _without_cookie(theirs), is_client)


def _without_cookie(payload: bytes) -> bytes:
    if len(payload) < 1 + COOKIE_SIZE:
        raise KeyExchangeFailed(f"KEXINIT of {len(payload)} bytes")
    return payload[1 + COOKIE_SIZE :]


@lru_cache(REMEMBERED)
def _agree(algorithms: Algorithms, our_lists: bytes, their_lists: bytes, is_client: bool) -> Negotiated:
    number = bytes((KEXINIT,))
    ours, theirs = KexInit.decode(number + our_lists), KexInit.decode(number + their_lists)
    client, server = (ours, theirs) if is_client else (theirs, ours)
    methods = {method.name: method for method in algorithms.key_exchanges}
    ciphers = {cipher.name: cipher for cipher in algorithms.ciphers}
    macs = {mac.name: mac for mac in algorithms.macs}
    compressions = {method.name: method for method in algorithms.compressions}

    def choose(category: str, of_client: Sequence[str], of_server: Sequence[str]) -> str:
        offered = set(of_server) - MARKERS
        for name in of_client:
            if name in offered:
                return name
        our_names, their_names = (of_client, of_server) if is_client else (of_server, of_client)
        raise KeyExchangeFailed(
            f"no common {category}: we offer {_shown(our_names)}; the peer offers {_shown(their_names)}"
        )

    method = choose("key exchange method", client.key_exchanges, server.key_exchanges)
    host_key = choose("host key algorithm", client.host_keys, server.host_keys)
    to_server = choose("cipher (client to server)", client.ciphers_to_server, server.ciphers_to_server)
    to_client = choose("cipher (server to client)", client.ciphers_to_client, server.ciphers_to_client)
    mac_to_server = mac_to_client = None
    if ciphers[to_server].needs_mac:
        mac_to_server = macs[choose("MAC (client to server)", client.macs_to_server, server.macs_to_server)]
    if ciphers[to_client].needs_mac:
        mac_to_client = macs[choose("MAC (server to client)", client.macs_to_client, server.macs_to_client)]
    zip_to_server = choose(
        "compression (client to server)", client.compressions_to_server, server.compressions_to_server
    )
    zip_to_client = choose(
        "compression (server to client)", client.compressions_to_client, server.compressions_to_client
    )
    guess_was_wrong = theirs.first_packet_follows and (
        client.key_exchanges[:1] != server.key_exchanges[:1] or client.host_keys[:1] != server.host_keys[:1]
    )
    cipher_out, cipher_in = (to_server, to_client) if is_client else (to_client, to_server)
    mac_out, mac_in = (mac_to_server, mac_to_client) if is_client else (mac_to_client, mac_to_server)
    zip_out, zip_in = (zip_to_server, zip_to_client) if is_client else (zip_to_client, zip_to_server)
    return Negotiated(
        key_exchange=methods[method],
        host_key=host_key,
        cipher_out=ciphers[cipher_out],
        cipher_in=ciphers[cipher_in],
        mac_out=mac_out,
        mac_in=mac_in,
        guess_was_wrong=guess_was_wrong,
        peer_markers=MARKERS.intersection(theirs.key_exchanges),
        compression_out=compressions[zip_out],
        compression_in=compressions[zip_in],
    )


def _shown(names: Sequence[str]) -> str:
    return printable(",".join(name for name in names if name not in MARKERS), 1000) or "nothing"
