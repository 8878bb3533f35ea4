"""The method `publickey` (RFC 4252 section 7, RFC 8332 for RSA)."""

from typing import TYPE_CHECKING

from sshkit_keys import parse_public_key
from sshkit_keys.errors import SSHKitError
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.deferred import Deferred
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import SERVICE, Grant, Verdict
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.authentication import USERAUTH_REQUEST, UserauthPublicKeyOk, UserauthRequest

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.ssh.authentication.client import ClientAuthentication, Identity, Signer
    from sshkit.ssh.authentication.server import AuthenticationPolicy, ServerAuthentication


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
        key = _parse(blob, algorithm, server.policy)
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


def _parse(blob: bytes, algorithm: str, policy: "AuthenticationPolicy") -> "PublicKey":
    """Read the request's key, or its certificate, whose authority's signature is verified at once."""
    if algorithm.endswith(CERTIFICATE_SUFFIX) and policy.takes_certificates:
        from sshkit_keys.certificates import parse_certificate

        return parse_certificate(blob)
    return parse_public_key(blob)


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
    _identity: "Identity"  # the one that is being tried

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._next = 0
        self._signed = False

    def try_next(self) -> bool:
        client = self.client
        identities = client.credentials.identities
        while self._next < len(identities):
            self._identity = identity = identities[self._next]
            self._next += 1
            self._signed = False
            algorithm = self._algorithm(identity.public)
            if algorithm is None:
                client.note(self.name, self.detail(), "the server takes no signature algorithm of this key")
            elif len(identities) == 1 and identity.private is not None:
                self._sign(identity.private)
                return True
            else:
                client.request(self.name, boolean(False) + string(algorithm) + string(identity.public.blob))
                return True
        return False

    def message_received(self, payload: memoryview) -> None:
        message = UserauthPublicKeyOk.decode(payload)
        if self._signed or message.key != self._identity.public.blob:
            raise RemoteProtocolError("PK_OK for a key that was not offered")
        self.client.ask(self._identity.load, self._sign, self._no_private_key)

    def detail(self) -> str:
        identity = self._identity
        return f"{identity.public.key_type} {identity.public.fingerprint()} {identity.source}"

    def _sign(self, signer: "Signer") -> None:
        client, public = self.client, self._identity.public
        held = signer.public
        if held is None or _plain(held).blob != _plain(public).blob:
            client.next_try(self.name, self.detail(), "the private key is not that of its .pub file")
            return
        algorithm = self._algorithm(public)
        assert algorithm is not None  # `try_next` saw that there is one
        data = signed_data(client.layer.session_id, client.user, algorithm, public.blob)
        # A certificate's key signs under its own plain name; an agent does the same for the certificate.
        label = algorithm if held.key_type.endswith(CERTIFICATE_SUFFIX) else _label(algorithm)
        try:
            signature = signer.sign(label, data)
        except SSHKitError as error:
            client.next_try(self.name, self.detail(), f"cannot sign: {error}")
            return
        if isinstance(signature, Deferred):
            waiting = signature
            client.ask(lambda: waiting, self._send, self._not_signed)
        else:
            self._send(signature)

    def _send(self, signature: bytes) -> None:
        public = self._identity.public
        algorithm = self._algorithm(public)
        assert algorithm is not None
        self._signed = True
        head = boolean(True) + string(algorithm) + string(public.blob)
        self.client.request(self.name, head + string(signature))

    def _not_signed(self) -> None:
        self.client.next_try(self.name, self.detail(), "not signed")

    def _no_private_key(self) -> None:
        self.client.next_try(self.name, self.detail(), "the private key could not be read")

    def _algorithm(self, key: "PublicKey") -> str | None:
        """Return the best algorithm of `key` that both sides take; servers without EXT_INFO take any."""
        offered = self.client.layer.peer_signatures
        for name in key.signature_algorithms:
            if name in self.client.layer.algorithms.user_keys and (
                offered is None or _label(name) in offered
            ):
                return name
        return None


def _plain(key: "PublicKey") -> "PublicKey":
    """Return the key itself, or the one that a certificate is about."""
    if not key.key_type.endswith(CERTIFICATE_SUFFIX):
        return key
    from sshkit_keys.signatures import plain_key

    return plain_key(key)


def _label(algorithm: str) -> str:
    """Return the name under which a signature made with `algorithm` is labelled."""
    if not algorithm.endswith(CERTIFICATE_SUFFIX):
        return algorithm
    from sshkit_keys.certificates import plain_name

    return plain_name(algorithm)
