"""One run of the key exchange, from KEXINIT to NEWKEYS (RFC 4253 sections 7 and 8).

Made by `TransportLayer` when a run starts, and dropped at the peer's NEWKEYS: an idle connection keeps
nothing of it.
"""

from typing import TYPE_CHECKING, Any, Protocol, cast

from sshkit_keys import parse_public_key, wire
from sshkit_keys.errors import SSHKitError

from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX, HOST_CERTIFICATES
from sshkit.ssh.ciphers.packet import Cipher
from sshkit.ssh.errors import (
    HostKeyNotVerified,
    HostKeySigningFailed,
    KeyExchangeFailed,
    RemoteProtocolError,
)
from sshkit.ssh.key_exchange.group_exchange import GroupExchange
from sshkit.ssh.key_exchange.moduli import MAX_BITS
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.key_schedule import Transcript, derive_keys, exchange_hash
from sshkit.ssh.transport.negotiation import (
    COOKIE_SIZE,
    EXT_INFO_CLIENT,
    EXT_INFO_SERVER,
    STRICT_CLIENT,
    STRICT_SERVER,
    negotiate,
    propose,
)
from sshkit.ssh.transport.packet_writer import PADDING
from sshkit.ssh.transport.phases import table
from sshkit.ssh.transport.quirks import Quirk, quirks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sshkit_keys import PublicKey

    from sshkit.deferred import Deferred, Failure
    from sshkit.interfaces import DelayedCall
    from sshkit.ssh.ciphers.packet import Opener, Sealer
    from sshkit.ssh.key_exchange.method import Method
    from sshkit.ssh.transport.layer import TransportLayer
    from sshkit.ssh.transport.negotiation import Negotiated
    from sshkit.ssh.transport.packet_reader import Handlers

SMALL_GROUP = 4096  #: bits; see Quirk.SMALL_GROUPS
PINGS = "ping@openssh.com"  #: the sender answers PING (OpenSSH's PROTOCOL)
EXTENSIONS_IN_LOGIN = "ext-info-in-auth@openssh.com"  #: the sender takes EXT_INFO once more during the login


class HostSigner(Protocol):
    """A server's host key: the key itself, or somebody who holds it elsewhere (an agent, a process)."""

    @property
    def public(self) -> "PublicKey":
        """The key, or the certificate about it, that the clients see."""
        ...

    def sign(self, algorithm: str, data: bytes) -> "bytes | Deferred[bytes]":
        """Return the signature blob, as PrivateKey.sign does, now or later."""
        ...


class Exchange:
    """The state of one run."""

    __slots__ = (
        "_hash",
        "_host_key",
        "_method",
        "_negotiated",
        "_our_proposal",
        "_public",
        "_secret",
        "_signing",
        "_their_proposal",
        "is_rekey",
        "peer_proposed",
        "peer_takes_extensions",
        "timer",
    )

    def __init__(self, layer: "TransportLayer", timer: "DelayedCall") -> None:
        """Propose; from now on only messages of the key exchange leave."""
        self.timer = timer
        self.is_rekey = bool(layer.session_id)
        self.peer_proposed = False
        self.peer_takes_extensions = False
        markers: tuple[str, ...] = ()
        if not self.is_rekey:
            markers = (
                (EXT_INFO_CLIENT, STRICT_CLIENT) if layer.is_client else (EXT_INFO_SERVER, STRICT_SERVER)
            )
        host_keys = layer.algorithms.host_keys
        if layer.host_keys is not None:
            vouched = (name for name in HOST_CERTIFICATES if name in layer.host_keys)
            first = (name for name in vouched if name.removesuffix(CERTIFICATE_SUFFIX) in host_keys)
            host_keys = (*first, *(name for name in host_keys if name in layer.host_keys))
        self._our_proposal = propose(layer.algorithms, host_keys, markers, layer.random_bytes(COOKIE_SIZE))
        self._their_proposal = b""
        self._negotiated: Negotiated | None = None
        self._method: Method | None = None
        self._public: Any = None
        self._secret = b""
        self._hash = b""
        self._host_key = b""
        self._signing: Deferred[bytes] | None = None
        layer.writer.send_now(self._our_proposal)
        layer.writer.block()

    def proposal_received(self, layer: "TransportLayer", payload: bytes, first: bool) -> "Handlers":
        """Take the peer's KEXINIT; return the table that holds from now on."""
        from sshkit.ssh.transport.layer import EXCHANGE_CLIENT, EXCHANGE_SERVER, GROUP_CLIENT, GROUP_SERVER

        self.peer_proposed = True
        self._their_proposal = payload
        negotiated = negotiate(layer.algorithms, self._our_proposal, payload, is_client=layer.is_client)
        if first:
            marker = STRICT_SERVER if layer.is_client else STRICT_CLIENT
            layer.strict = marker in negotiated.peer_markers
            wanted = EXT_INFO_SERVER if layer.is_client else EXT_INFO_CLIENT
            self.peer_takes_extensions = wanted in negotiated.peer_markers
            if layer.strict and layer.opener.sequence != 1:
                raise RemoteProtocolError("a message came before KEXINIT, and key exchange is strict")
        self._negotiated = negotiated
        self._method = method = negotiated.key_exchange(layer.random_bytes)
        if isinstance(method, GroupExchange):
            tables = GROUP_CLIENT if layer.is_client else GROUP_SERVER
            if layer.is_client:
                small = Quirk.SMALL_GROUPS in quirks_of(layer.peer_identification)
                protected = max(_strength(negotiated.cipher_in), _strength(negotiated.cipher_out))
                layer.writer.send_now(method.ask(SMALL_GROUP if small else MAX_BITS, protected).encode())
                if layer.trace is not None:
                    layer.trace(f"SSH2_MSG_KEX_DH_GEX_REQUEST({method.sizes}) sent")
        elif layer.is_client:
            tables = EXCHANGE_CLIENT
            self._public = method.client_public()
            layer.writer.send_now(method.init(self._public).encode())
        else:
            tables = EXCHANGE_SERVER
        strict = layer.strict and not self.is_rekey
        if negotiated.guess_was_wrong:
            return _skip_one(tables[strict])
        return tables[strict]

    def group_requested(self, layer: "TransportLayer", payload: memoryview) -> "Handlers":
        """Server: choose a group; return the table that holds from now on."""
        from sshkit.ssh.transport.layer import GROUP_INIT

        assert isinstance(self._method, GroupExchange)
        group = self._method.choose(messages.KexGroupRequest.decode(payload))
        layer.writer.send_now(group.encode())
        return GROUP_INIT[layer.strict and not self.is_rekey]

    def group_received(self, layer: "TransportLayer", payload: memoryview) -> "Handlers":
        """Client: take the server's group and send a value in it; return the table that holds from now on."""
        from sshkit.ssh.transport.layer import GROUP_REPLY

        method = self._method
        assert isinstance(method, GroupExchange)
        method.group_received(messages.KexGroup.decode(payload))
        if layer.trace is not None:
            layer.trace(f"bits set: {method.bits_set}")
        self._public = method.client_public()
        layer.writer.send_now(method.init(self._public).encode())
        return GROUP_REPLY[layer.strict and not self.is_rekey]

    def init_received(self, layer: "TransportLayer", payload: memoryview) -> None:
        """Server: take the client's value, answer, and switch to the new keys."""
        method, negotiated = self._method, self._negotiated
        assert method is not None
        assert negotiated is not None
        assert layer.host_keys is not None
        client_public = method.init.decode(payload).public
        self._public, secret = method.server_respond(client_public)
        self._secret = method.encode_secret(secret)
        key = layer.host_keys[negotiated.host_key]
        self._host_key = key.public.blob
        self._hash = exchange_hash(
            negotiated.key_exchange,
            self._transcript(layer),
            self._host_key,
            client_public,
            self._public,
            self._secret,
            method.group_hash,
        )
        signature = key.sign(negotiated.host_key, self._hash)
        if type(signature) is bytes:
            self._reply(layer, signature)
        else:
            self._await_signature(layer, cast("Deferred[bytes]", signature))

    def abandon(self) -> None:
        """Let go of what the run waits for: the connection has ended."""
        self.timer.cancel()
        if self._signing is not None:
            self._signing.cancel()

    def _reply(self, layer: "TransportLayer", signature: bytes) -> None:
        """Server: answer with the signature, and switch to the new keys."""
        assert self._method is not None
        layer.writer.send_now(self._method.reply(self._host_key, self._public, signature).encode())
        self._send_new_keys(layer)

    def _await_signature(self, layer: "TransportLayer", signing: "Deferred[bytes]") -> None:
        """Server: answer when whoever holds the host key has signed; until then no packet is looked at."""

        def signed(signature: bytes) -> None:
            self._signing = None
            if layer.lost is None:
                self._reply(layer, signature)
                layer.resume()

        def failed(failure: "Failure") -> None:
            self._signing = None
            error = HostKeySigningFailed(f"the host key did not sign: {failure.exception}")
            error.__cause__ = failure.exception
            layer.failed(error)

        self._signing = signing
        layer.suspend()
        signing.add_callbacks(signed, failed).add_errback(lambda failure: layer.failed(failure.exception))

    def reply_received(self, layer: "TransportLayer", payload: memoryview) -> None:
        """Client: verify the server's signature and host key, and switch to the new keys."""
        method, negotiated = self._method, self._negotiated
        assert method is not None
        assert negotiated is not None
        reply = method.reply.decode(payload)
        self._secret = method.encode_secret(method.client_secret(reply.public))
        self._hash = exchange_hash(
            negotiated.key_exchange,
            self._transcript(layer),
            reply.host_key,
            self._public,
            reply.public,
            self._secret,
            method.group_hash,
        )
        try:
            key = _parse(reply.host_key, negotiated.host_key)
            key.verify(negotiated.host_key, self._hash, reply.signature)
        except SSHKitError as error:
            raise KeyExchangeFailed(
                f"the server's host key or its signature is not valid: {error}"
            ) from error
        if layer.host_key is not None:
            if layer.host_key != key:
                raise HostKeyNotVerified("the server's host key changed during the connection")
            self._send_new_keys(layer)
            return
        layer.host_key_signature = reply.signature
        verdict = layer.owner.verify_host_key(key)

        def accepted(_: None) -> None:
            layer.host_key = key
            if layer.lost is None:
                self._send_new_keys(layer)

        if verdict is None:
            accepted(None)
            return
        # Until the verdict no packet is looked at: the server's NEWKEYS waits in the buffer.
        layer.suspend()
        verdict.add_callback(accepted).add_callbacks(
            lambda _: layer.resume(), lambda failure: layer.failed(failure.exception)
        )

    def make_opener(self, layer: "TransportLayer", sequence: int) -> "Opener":
        """Return the opener for the peer's new keys."""
        negotiated = self._negotiated
        assert negotiated is not None
        keys = derive_keys(
            negotiated.key_exchange.hash_name,
            self._secret,
            self._hash,
            layer.session_id,
            negotiated.cipher_in,
            negotiated.mac_in,
            to_server=not layer.is_client,
        )
        opener = negotiated.cipher_in.make_opener(keys, negotiated.mac_in, sequence)
        if not negotiated.compresses:
            return opener
        from sshkit.ssh.compression.starting import wrapped_opener

        return wrapped_opener(opener, layer, negotiated)

    def _transcript(self, layer: "TransportLayer") -> Transcript:
        us = (layer.our_identification, self._our_proposal)
        them = (layer.peer_identification, self._their_proposal)
        client, server = (us, them) if layer.is_client else (them, us)
        return Transcript(client[0], server[0], client[1], server[1])

    def _send_new_keys(self, layer: "TransportLayer") -> None:
        from sshkit.ssh.transport.layer import NEW_KEYS

        negotiated = self._negotiated
        assert negotiated is not None
        if not layer.session_id:
            layer.session_id = self._hash
        keys = derive_keys(
            negotiated.key_exchange.hash_name,
            self._secret,
            self._hash,
            layer.session_id,
            negotiated.cipher_out,
            negotiated.mac_out,
            to_server=layer.is_client,
        )
        layer.negotiated = negotiated
        writer = layer.writer
        writer.send_now(bytes((messages.NEWKEYS,)))
        if layer.trace is not None:
            layer.trace("SSH2_MSG_NEWKEYS sent")
        sequence = 0 if layer.strict else writer.sealer.sequence
        sealer: Sealer = negotiated.cipher_out.make_sealer(keys, negotiated.mac_out, sequence)
        if negotiated.compresses:
            from sshkit.ssh.compression.starting import wrapped_sealer

            sealer = wrapped_sealer(sealer, layer, negotiated)
        writer.new_keys(sealer, layer.random_bytes(PADDING))
        if self.peer_takes_extensions:
            writer.send_now(ext_info(layer))
        layer.handlers, layer.target = NEW_KEYS[layer.strict and not self.is_rekey], layer


def ext_info(layer: "TransportLayer", user_keys: "Sequence[str] | None" = None) -> bytes:
    """Return our EXT_INFO (RFC 8308).  A server's tells the signatures that it takes (section 3.1).

    `user_keys` are what one user may use; None: what everybody may.
    """
    extensions = [(PINGS, "0"), *layer.our_extensions]
    if layer.is_client:
        extensions.append((EXTENSIONS_IN_LOGIN, "0"))
        layer.takes_late_extensions = True
    else:
        # A certificate's key signs under its plain name.
        from sshkit_keys.certificates import plain_name

        if user_keys is None:
            user_keys = layer.announced_keys or layer.algorithms.user_keys
        names = dict.fromkeys(
            plain_name(name) if name.endswith(CERTIFICATE_SUFFIX) else name for name in user_keys
        )
        extensions.insert(0, ("server-sig-algs", ",".join(names)))
    body = b"".join(wire.string(part) for extension in extensions for part in extension)
    return messages.ExtInfo(count=len(extensions), body=body).encode()


def _strength(cipher: Cipher) -> int:
    """Return the bytes of key that a cipher is worth: three keys of DES no more than 14 (NIST SP 800-57)."""
    return 14 if cipher.name == "3des-cbc" else cipher.key_size


def _parse(blob: bytes, algorithm: str) -> "PublicKey":
    """Read the server's key, or its certificate if that was agreed on."""
    if algorithm.endswith(CERTIFICATE_SUFFIX):
        from sshkit_keys.certificates import parse_certificate

        return parse_certificate(blob)
    return parse_public_key(blob)


def _skip_one(after: "Handlers") -> "Handlers":
    """Return a table that skips one packet, the wrong guess, and enters `after` (R15)."""

    def skip(layer: "TransportLayer", payload: memoryview) -> None:
        layer.handlers = after

    skipped = table("while a wrongly guessed packet is awaited", dict.fromkeys(range(30, 50), skip))
    return (*skipped[:1], after[1], *skipped[2:])
