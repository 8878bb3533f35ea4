"""A peer that says exactly what a test wants, in either role, in the clear and encrypted.

It drives the openers, sealers and key exchange methods of the library by hand and holds no rule of the
protocol itself: any payload can be sent at any time, packets can be malformed, keys can be held back.
"""

import os
from collections.abc import Sequence
from typing import Any

from sshkit_keys import PrivateKey, generate_private_key

from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.ciphers.clear import ClearOpener, ClearSealer
from sshkit.ssh.ciphers.packet import Opener, Sealer
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.messages.record import Message
from sshkit.ssh.transport.key_schedule import Transcript, derive_keys, exchange_hash
from sshkit.ssh.transport.negotiation import (
    EXT_INFO_CLIENT,
    STRICT_CLIENT,
    STRICT_SERVER,
    Negotiated,
    negotiate,
    propose,
)

IDENTIFICATION = b"SSH-2.0-raw_peer"
HOST_KEY: PrivateKey = generate_private_key("ed25519")


WORDS = (b"Invalid SSH identification", b"Protocol major versions")


class RawPeer:
    """The protocol object of one end of a connection in memory; `received` is every payload that came."""

    def __init__(
        self,
        *,
        is_client: bool,
        algorithms: Algorithms = DEFAULT,
        host_key: PrivateKey = HOST_KEY,
        identification: bytes = IDENTIFICATION,
    ) -> None:
        self.is_client = is_client
        self.algorithms = algorithms
        self.host_key = host_key
        self.identification = identification
        self.peer_identification = b""
        self.lines: list[bytes] = []
        self.received: list[bytes] = []
        self.opener: Opener = ClearOpener()
        self.sealer: Sealer = ClearSealer()
        self.strict = False
        self.session_id = b""
        self.our_proposal = b""
        self.their_proposal = b""
        self.negotiated: Negotiated | None = None
        self.transport: Any = None
        self.ended: Any = None
        self.eof = False
        self._data = bytearray()
        self._room = memoryview(bytearray(1 << 20))
        self._secret = b""
        self._hash = b""
        self._next_opener: Opener | None = None
        self._held = False  # the peer's NEWKEYS came, and we have no keys yet

    # The seam.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._data += self._room[:nbytes]
        self._parse()

    def eof_received(self) -> bool:
        self.eof = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = error or True

    def pause_writing(self) -> None:
        """Write all the same."""

    def resume_writing(self) -> None:
        """Write all the same."""

    def _parse(self) -> None:
        while not self.peer_identification:
            line, found, rest = bytes(self._data).partition(b"\n")
            if not found:
                return
            self.lines.append(line + b"\n")
            self._data = bytearray(rest)
            if line.startswith(b"SSH-"):
                self.peer_identification = line.rstrip(b"\r")
        while self._data and not self._held:
            if self._data.startswith(WORDS):
                return  # for people: what was sent was no identification
            buffer = memoryview(self._data)
            opened = self.opener.open(buffer, 0, len(buffer))
            if opened is None:
                buffer.release()
                return
            payload = bytes(opened[0])
            opened[0].release()
            buffer.release()
            del self._data[: opened[1]]
            self.received.append(payload)
            if payload[0] == messages.NEWKEYS:
                self._held = self._next_opener is None
                self._switch_opener()

    def _switch_opener(self) -> None:
        opener, self._next_opener = self._next_opener, None
        if opener is not None:
            opener.sequence = 0 if self.strict else self.opener.sequence
            self.opener = opener

    # Sending.

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transport.write(data)

    def identify(self, line: bytes | None = None) -> None:
        """Send the identification."""
        self.send_bytes(self.identification + b"\r\n" if line is None else line)

    def packet(self, payload: bytes, *, padding: int | None = None, length: int | None = None) -> bytes:
        """Return the sealed packet of `payload`; its padding, and its length field, may be any."""
        if padding is None:
            padding = 4 + (-(5 + len(payload) + self.sealer.overhead) & self.sealer.mask)
        body = bytes((padding & 255,)) + payload + bytes(padding)
        buffer = bytearray(4 + len(body) + 64)
        buffer[:4] = (len(body) if length is None else length).to_bytes(4, "big")
        buffer[4 : 4 + len(body)] = body
        with memoryview(buffer) as view:
            end = self.sealer.seal(view, 0, len(body))
        return bytes(buffer[:end])

    def send(self, *payloads: bytes | Message) -> None:
        """Send messages in one write."""
        self.send_bytes(b"".join(self.packet(p if isinstance(p, bytes) else p.encode()) for p in payloads))

    # Key exchange.

    def proposal(
        self, markers: Sequence[str] | None = None, *, first_packet_follows: bool = False, **changes: Any
    ) -> bytes:
        """Return the payload of our KEXINIT; `markers` None means those that go with the role."""
        if markers is None:
            markers = (EXT_INFO_CLIENT, STRICT_CLIENT) if self.is_client else (STRICT_SERVER,)
        host_keys = self.host_key.public.signature_algorithms
        if self.is_client:
            host_keys = self.algorithms.host_keys
        payload = propose(self.algorithms, host_keys, markers, os.urandom(16))
        if first_packet_follows or changes:
            record = messages.KexInit.decode(payload[:1] + payload[17:])
            record.first_packet_follows = first_packet_follows
            for name, value in changes.items():
                setattr(record, name, value)
            encoded = record.encode()
            payload = payload[:17] + encoded[1:]
        self.our_proposal = payload
        return payload

    def take_proposal(self) -> Negotiated:
        """Take the peer's KEXINIT from what came, and negotiate."""
        self.their_proposal = self.take(messages.KEXINIT)
        self.negotiated = negotiate(
            self.algorithms, self.our_proposal, self.their_proposal, is_client=self.is_client
        )
        return self.negotiated

    def take(self, number: int) -> bytes:
        """Take the oldest message with this number out of `received`."""
        for index, payload in enumerate(self.received):
            if payload[0] == number:
                return self.received.pop(index)
        raise AssertionError(f"no message {number} in {[payload[0] for payload in self.received]}")

    def numbers(self) -> list[int]:
        """Return the numbers of what came and was not taken."""
        return [payload[0] for payload in self.received]

    def _method(self) -> Method:
        assert self.negotiated is not None
        return self.negotiated.key_exchange(os.urandom)

    def _transcript(self) -> Transcript:
        us, them = (
            (self.identification, self.our_proposal),
            (self.peer_identification, self.their_proposal),
        )
        client, server = (us, them) if self.is_client else (them, us)
        return Transcript(client[0], server[0], client[1], server[1])

    def serve_init(
        self, public: Any = None, *, signature: bytes | None = None, host_key: bytes = b""
    ) -> bytes:
        """Server: take KEX_INIT and return the KEX_REPLY."""
        method, negotiated = self._method(), self.negotiated
        assert negotiated is not None
        client_public = method.init.decode(self.take(messages.KEX_INIT)).public
        ours, secret = method.server_respond(client_public)
        ours = ours if public is None else public
        self._secret = method.encode_secret(secret)
        blob = host_key or self.host_key.public.blob
        self._hash = exchange_hash(
            negotiated.key_exchange, self._transcript(), blob, client_public, ours, self._secret
        )
        signed = self.host_key.sign(negotiated.host_key, self._hash) if signature is None else signature
        return method.reply(blob, ours, signed).encode()

    def start_init(self) -> bytes:
        """Client: return the KEX_INIT."""
        self._running = self._method()
        self._public = self._running.client_public()
        return self._running.init(self._public).encode()

    def take_reply(self) -> None:
        """Client: take KEX_REPLY and compute the secret."""
        assert self.negotiated is not None
        method = self._running
        reply = method.reply.decode(self.take(messages.KEX_REPLY))
        self._secret = method.encode_secret(method.client_secret(reply.public))
        self._hash = exchange_hash(
            self.negotiated.key_exchange,
            self._transcript(),
            reply.host_key,
            self._public,
            reply.public,
            self._secret,
        )

    def new_keys(self) -> None:
        """Send NEWKEYS and switch to the new keys; receiving switches at the peer's."""
        self.send(bytes((messages.NEWKEYS,)))
        self.switch_sealer()
        self.prepare_opener()

    def switch_sealer(self) -> None:
        """Seal with the new keys from now on."""
        negotiated = self.negotiated
        assert negotiated is not None
        if not self.session_id:
            self.session_id = self._hash
        keys = self._keys(negotiated.cipher_out, negotiated.mac_out, to_server=self.is_client)
        sequence = 0 if self.strict else self.sealer.sequence
        self.sealer = negotiated.cipher_out.make_sealer(keys, negotiated.mac_out, sequence)

    def prepare_opener(self) -> None:
        """Open with the new keys from the peer's NEWKEYS on, which may have come already."""
        negotiated = self.negotiated
        assert negotiated is not None
        keys = self._keys(negotiated.cipher_in, negotiated.mac_in, to_server=not self.is_client)
        self._next_opener = negotiated.cipher_in.make_opener(keys, negotiated.mac_in, 0)
        if self._held:
            self._held = False
            self._switch_opener()
            self._parse()

    def _keys(self, cipher: Any, mac: Any, *, to_server: bool) -> Any:
        assert self.negotiated is not None
        return derive_keys(
            self.negotiated.key_exchange.hash_name,
            self._secret,
            self._hash,
            self.session_id or self._hash,
            cipher,
            mac,
            to_server=to_server,
        )
