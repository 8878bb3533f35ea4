"""From the shared secret to the keys of both directions (RFC 4253 section 7.2)."""

import hashlib
from typing import NamedTuple

from sshkit_keys import wire

from sshkit.ssh.ciphers.packet import Cipher, Keys
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.macs.mac import MAC


class Transcript(NamedTuple):
    """What both sides said so far: the beginning of what the exchange hash covers."""

    client_identification: bytes
    server_identification: bytes
    client_proposal: bytes
    server_proposal: bytes


def exchange_hash(
    method: type[Method],
    transcript: Transcript,
    host_key: bytes,
    client_public: object,
    server_public: object,
    secret: bytes,
    group: bytes = b"",
) -> bytes:
    """Return H (RFC 4253 section 8); `secret` is encoded already, and so is `group` (RFC 4419 section 3)."""
    parts = [wire.string(part) for part in transcript]
    parts.append(wire.string(host_key))
    parts.append(group)
    parts.append(method.encode_public(client_public))
    parts.append(method.encode_public(server_public))
    parts.append(secret)
    return hashlib.new(method.hash_name, b"".join(parts)).digest()


def derive_keys(
    hash_name: str,
    secret: bytes,
    exchange: bytes,
    session_id: bytes,
    cipher: Cipher,
    mac: MAC | None,
    *,
    to_server: bool,
) -> Keys:
    """Return the keys of one direction."""

    def derive(letter: bytes, size: int) -> bytes:
        if not size:
            return b""
        output = hashlib.new(hash_name, secret + exchange + letter + session_id).digest()
        while len(output) < size:
            output += hashlib.new(hash_name, secret + exchange + output).digest()
        return output[:size]

    iv, key, mac_key = (b"A", b"C", b"E") if to_server else (b"B", b"D", b"F")
    return Keys(
        key=derive(key, cipher.key_size),
        iv=derive(iv, cipher.iv_size),
        mac_key=derive(mac_key, mac.key_size if mac else 0),
    )
