"""The method `publickey` (RFC 4252 section 7, RFC 8332 for RSA), and its form that is bound to the server.

`publickey-hostbound-v00@openssh.com` signs for the server's host key as well (OpenSSH's PROTOCOL): an agent
then knows where its signature is used, and the server that it was meant.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys import parse_public_key
from sshkit_keys.errors import CertificateError, SSHKitError
from sshkit_keys.wire import WireReader, boolean, string

from sshkit.deferred import Deferred
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import SERVICE, Grant, Proof, Verdict
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.authentication import USERAUTH_REQUEST, UserauthPublicKeyOk, UserauthRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sshkit_keys import PublicKey

    from sshkit.ssh.authentication.client import ClientAuthentication, Identity, Signer
    from sshkit.ssh.authentication.server import ServerAuthentication
    from sshkit.ssh.transport.layer import TransportLayer


#: What is announced, as 0, and what is asked for then.
HOST_BOUND_EXTENSION = "publickey-hostbound@openssh.com"
HOST_BOUND = "publickey-hostbound-v00@openssh.com"


class SignatureFlags(NamedTuple):
    """What a security key saw when it signed."""

    touched: bool
    verified: bool  #: the device checked who touched it, by a PIN or a finger


def verify_signature(
    key: "PublicKey", algorithm: str, data: bytes, signature: bytes
) -> SignatureFlags | None:
    """Raise SSHKitError unless the signature is the key's; return what a security key saw, to be judged.

    A certificate that needs its user verified is refused here without that.
    """
    if not key.key_type.startswith("sk-"):
        key.verify(algorithm, data, signature)
        return None
    from sshkit_keys.security_keys import verify_security_key

    key.verify(algorithm, data, signature, touch_required=False)  # type: ignore[call-arg]
    answer = verify_security_key(key, plain_label(algorithm), data, signature)
    return SignatureFlags(answer.touched, answer.verified)


def flags_fault(options: object, flags: SignatureFlags | None) -> str:
    """Return what a grant's `options` demand of a security key that it did not see, or nothing (R6).

    Without a word from them (`touch_required`, `verify_required`), a touch is demanded.
    """
    if flags is None:
        return ""
    if getattr(options, "touch_required", True) and not flags.touched:
        return "nobody touched the security key"
    if getattr(options, "verify_required", False) and not flags.verified:
        return "the security key did not verify its user"
    return ""


def signed_data(session_id: bytes, user: str, algorithm: str, key: bytes, host_key: bytes = b"") -> bytes:
    """Return what the signature covers (RFC 4252 section 7); with a `host_key`, that of the bound form."""
    return (
        string(session_id)
        + bytes((USERAUTH_REQUEST,))
        + string(user)
        + string(SERVICE)
        + string(HOST_BOUND if host_key else "publickey")
        + boolean(True)
        + string(algorithm)
        + string(key)
        + (string(host_key) if host_key else b"")
    )


def serve_public_key(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Answer a query, or verify a signature and ask the policy.

    The signed blob is rebuilt from our session id and this request's own fields (R6); a query leaves
    nothing behind (R4).  A policy with `judges_flags` is given the SignatureFlags of a security key's
    signature as well, and has to look at them (`flags_fault`); for any other, a touch is demanded here.
    """
    signed = reader.boolean("signed")
    algorithm = reader.text("algorithm")
    blob = reader.string("key")
    host_key = reader.string("host key") if request.method == HOST_BOUND else b""
    signature = reader.string("signature") if signed else b""
    reader.finish("publickey request")
    layer, policy = server.layer, server.policy
    flags: SignatureFlags | None = None
    if request.method == HOST_BOUND and host_key != _our_host_key(layer):
        return None  # it was signed for another server
    try:
        key = parse_key(blob, algorithm, server)
        allowed = getattr(policy, "user_keys", layer.algorithms.user_keys)
        if algorithm not in allowed or algorithm not in key.signature_algorithms:
            return None
        if signed:
            data = signed_data(layer.session_id, request.user, algorithm, blob, host_key)
            flags = verify_signature(key, algorithm, data, signature)
    except SSHKitError:
        return None
    server.proof = Proof(algorithm, signature, host_key) if signed else None
    asked: tuple[Any, ...] = (request.user, key, signed)
    if flags is not None and getattr(policy, "judges_flags", False):
        asked, flags = (*asked, flags), None  # they are the policy's
    elif flags is not None and not flags.touched:
        return None
    verdict = server.ask(lambda: policy.public_key(*asked))
    if isinstance(verdict, Deferred):
        return verdict.add_callback(_answer, signed, algorithm, key, flags)
    return _answer(verdict, signed, algorithm, key, flags)


def _our_host_key(layer: "TransportLayer") -> bytes:
    """Return the host key that a server showed."""
    assert layer.host_keys is not None
    assert layer.negotiated is not None
    return layer.host_keys[layer.negotiated.host_key].public.blob


def parse_key(blob: bytes, algorithm: str, server: "ServerAuthentication") -> "PublicKey":
    """Read the request's key, or its certificate, whose authority's signature is verified at once (R7)."""
    if algorithm.endswith(CERTIFICATE_SUFFIX) and server.policy.takes_certificates:
        from sshkit_keys.certificates import parse_certificate

        certificate = parse_certificate(blob)
        if certificate.signature_algorithm not in server.layer.algorithms.ca_signatures:
            raise CertificateError(f"{certificate.signature_algorithm} is not allowed for authorities")
        return certificate
    return parse_public_key(blob)


def _answer(
    verdict: object, signed: bool, algorithm: str, key: "PublicKey", flags: SignatureFlags | None
) -> Verdict | bytes:
    """Return the verdict for a signature, PK_OK for a query that would be granted."""
    if verdict is None or (isinstance(verdict, Grant) and flags_fault(verdict.options, flags)):
        return None
    if not signed:
        return UserauthPublicKeyOk(algorithm, key.blob).encode()
    return grant_with_key(verdict, key)


def grant_with_key(verdict: object, key: "PublicKey") -> Verdict:
    """Return a verdict whose grant says which key it was."""
    if isinstance(verdict, Grant) and verdict.key is None:
        verdict.key = key.fingerprint()
    return verdict  # type: ignore[return-value]


def best_algorithm(key: "PublicKey", allowed: "Sequence[str]", offered: "Sequence[str] | None") -> str | None:
    """Return the best algorithm of `key` that both sides take; servers without EXT_INFO take any."""
    for name in key.signature_algorithms:
        if name in allowed and (offered is None or plain_label(name) in offered):
            return name
    return None


class PublicKeyClient(ClientMethod):
    """Offers each identity once; signs for the key that the server just accepted, and no other (R12).

    A single identity whose private key is at hand is signed with at once, without asking first.
    """

    __slots__ = ("_accepted", "_again", "_identity", "_next", "_passed_over", "_signed", "_signer")
    name = "publickey"
    _identity: "Identity"  # the one that is being tried

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._next = 0
        self._signed = False
        self._signer: Signer | None = None
        self._accepted: set[bytes] = set()  # blobs of keys that were a part of what lets in
        self._passed_over: list[Identity] = []  # the server takes no signature of theirs, as far as it said
        self._again: list[Identity] = []  # of these, those that it takes after all

    def try_next(self) -> bool:
        client = self.client
        identities = client.credentials.identities
        while self._again or self._next < len(identities):
            if self._again:
                identity = self._again.pop(0)
            else:
                identity = identities[self._next]
                self._next += 1
            self._identity = identity
            if identity.public.blob in self._accepted:
                continue
            self._signed = False
            algorithm = self._algorithm(identity.public)
            fault = self._fault(identity.public)
            if fault:
                client.note(self.name, self.detail(), fault, tried=self)
            elif algorithm is None:
                missing = "the server takes no signature algorithm of this key"
                self._passed_over.append(identity)
                client.note(self.name, self.detail(), missing, tried=self)
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

    def key(self) -> tuple[str, str]:
        return self._identity.public.fingerprint(), self._identity.source

    def accepted(self) -> None:
        self._accepted.add(self._identity.public.blob)
        if self._signer is not None:
            self.client.keys_used.append((self._identity, self._signer))

    def restart(self) -> None:
        self._next = 0
        self._passed_over, self._again = [], []

    def extensions_came(self) -> None:
        """Try what was passed over once more: for this user the server may take other signatures."""
        self._again, self._passed_over = self._passed_over, []

    def _fault(self, key: "PublicKey") -> str:
        """Return why a key is not used whatever the server takes, or nothing."""
        least = self.client.options.required_rsa_size
        if "rsa" in key.key_type and key.bits < least:
            return f"RSA with {key.bits} bits, RequiredRSASize is {least}"
        return ""

    def _host_key(self) -> bytes:
        """Return the host key that signatures are bound to, or nothing where they are not."""
        client = self.client
        layer = client.layer
        if not client.options.host_bound or HOST_BOUND_EXTENSION not in layer.peer_extensions:
            return b""
        return b"" if layer.host_key is None else layer.host_key.blob

    def _sign(self, signer: "Signer") -> None:
        client, public = self.client, self._identity.public
        self._signer = signer
        held = signer.public
        if held is None or _plain(held).blob != _plain(public).blob:
            client.next_try(self.name, self.detail(), "the private key is not that of its .pub file")
            return
        algorithm = self._algorithm(public)
        assert algorithm is not None  # `try_next` saw that there is one
        data = signed_data(client.layer.session_id, client.user, algorithm, public.blob, self._host_key())
        # A certificate's key signs under its own plain name; an agent does the same for the certificate.
        label = algorithm if held.key_type.endswith(CERTIFICATE_SUFFIX) else plain_label(algorithm)
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
        host_key = self._host_key()
        if host_key:
            self.client.request(HOST_BOUND, head + string(host_key) + string(signature))
        else:
            self.client.request(self.name, head + string(signature))

    def _not_signed(self) -> None:
        self.client.next_try(self.name, self.detail(), "not signed")

    def _no_private_key(self) -> None:
        self.client.next_try(self.name, self.detail(), "the private key could not be read")

    def _algorithm(self, key: "PublicKey") -> str | None:
        layer = self.client.layer
        return best_algorithm(key, layer.algorithms.user_keys, layer.peer_signatures)


def _plain(key: "PublicKey") -> "PublicKey":
    """Return the key itself, or the one that a certificate is about."""
    if not key.key_type.endswith(CERTIFICATE_SUFFIX):
        return key
    from sshkit_keys.signatures import plain_key

    return plain_key(key)


def plain_label(algorithm: str) -> str:
    """Return the name under which a signature made with `algorithm` is labelled."""
    if not algorithm.endswith(CERTIFICATE_SUFFIX):
        return algorithm
    from sshkit_keys.certificates import plain_name

    return plain_name(algorithm)
