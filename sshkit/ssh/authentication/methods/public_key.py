"""The method `publickey` (RFC 4252 section 7, RFC 8332 for RSA)."""

from typing import TYPE_CHECKING

from sshkit_keys import parse_public_key
from sshkit_keys.errors import SSHKitError
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.deferred import Deferred
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import SERVICE, Grant, Verdict
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.authentication import USERAUTH_REQUEST, UserauthPublicKeyOk, UserauthRequest

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey

    from sshkit.ssh.authentication.client import Identity
    from sshkit.ssh.authentication.server import ServerAuthentication


def signed_data(session_id: bytes, user: str, algorithm: str, key: bytes) -> bytes:
    """Return what the signature covers (RFC 4252 section 7)."""
    return (
        string(session_id)
        + bytes((USERAUTH_REQUEST,))
        + string(user)
        + string(SERVICE)
        + string("publickey")
        + boolean(True)
        + string(algorithm)
        + string(key)
    )


def serve_public_key(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Answer a query, or verify a signature and ask the policy.

    The signed blob is rebuilt from our session id and this request's own fields (R6); a query leaves
    nothing behind (R4).
    """
    signed = reader.boolean("signed")
    algorithm = reader.text("algorithm")
    blob = reader.string("key")
    signature = reader.string("signature") if signed else b""
    reader.finish("publickey request")
    layer = server.layer
    try:
        key = parse_public_key(blob)
        if algorithm not in layer.algorithms.user_keys or algorithm not in key.signature_algorithms:
            return None
        if signed:
            key.verify(algorithm, signed_data(layer.session_id, request.user, algorithm, blob), signature)
    except SSHKitError:
        return None
    verdict = server.ask(lambda: server.policy.public_key(request.user, key, signed))
    if isinstance(verdict, Deferred):
        return verdict.add_callback(_answer, signed, algorithm, key)
    return _answer(verdict, signed, algorithm, key)


def _answer(verdict: object, signed: bool, algorithm: str, key: "PublicKey") -> Verdict | bytes:
    """Return the verdict for a signature, PK_OK for a query that would be granted."""
    if verdict is None:
        return None
    if not signed:
        return UserauthPublicKeyOk(algorithm, key.blob).encode()
    if isinstance(verdict, Grant) and verdict.key is None:
        verdict.key = key.fingerprint()
    return verdict  # type: ignore[return-value]


class PublicKeyClient(ClientMethod):
    """Offers each identity once; signs for the key that the server just accepted, and no other (R12).

    A single identity whose private key is at hand is signed with at once, without asking first.
    """

    __slots__ = ("_identity", "_next", "_signed")
    name = "publickey"

    def try_next(self) -> bool:
        client = self.client
        identities = client.credentials.identities
        position = getattr(self, "_next", 0)
        if position >= len(identities):
            return False
        self._next = position + 1
        self._identity = identity = identities[position]
        self._signed = False
        algorithm = self._algorithm(identity.public)
        if algorithm is None:
            client.note(self.name, self.detail(), "the server takes no signature algorithm of this key")
            return self.try_next()
        if len(identities) == 1 and identity.private is not None:
            self._sign(identity.private)
            return True
        client.request(self.name, boolean(False) + string(algorithm) + string(identity.public.blob))
        return True

    def message_received(self, payload: memoryview) -> None:
        message = UserauthPublicKeyOk.decode(payload)
        if self._signed or message.key != self._identity.public.blob:
            raise RemoteProtocolError("PK_OK for a key that was not offered")
        identity = self._identity
        if not self.client.ask(identity.load, self._sign):
            self.client.next_try(self.name, self.detail(), "the private key could not be read")

    def detail(self) -> str:
        identity: Identity = self._identity
        return f"{identity.public.key_type} {identity.public.fingerprint()} {identity.source}"

    def _sign(self, private: "PrivateKey | None") -> bool:
        if private is None:
            return False
        public = private.public
        if public.blob != self._identity.public.blob:
            raise RemoteProtocolError(
                f"{self._identity.source}: the private key is not that of its .pub file"
            )
        algorithm = self._algorithm(public) or public.signature_algorithms[0]
        client = self.client
        data = signed_data(client.layer.session_id, client.user, algorithm, public.blob)
        self._signed = True
        body = boolean(True) + string(algorithm) + string(public.blob)
        client.request(self.name, body + string(private.sign(algorithm, data)))
        return True

    def _algorithm(self, key: "PublicKey") -> str | None:
        """Return the best algorithm of `key` that both sides take; servers without EXT_INFO take any."""
        offered = self.client.layer.peer_signatures
        for name in key.signature_algorithms:
            if name in self.client.layer.algorithms.user_keys and (offered is None or name in offered):
                return name
        return None
