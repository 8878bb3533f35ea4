"""The method `hostbased`: a host vouches for its user with its own key (RFC 4252 section 9)."""

from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, string

from sshkit.deferred import Deferred
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.methods.public_key import (
    best_algorithm,
    grant_with_key,
    parse_key,
    plain_label,
)
from sshkit.ssh.authentication.verdicts import SERVICE, Proof
from sshkit.ssh.messages.authentication import USERAUTH_REQUEST, UserauthRequest

if TYPE_CHECKING:
    from sshkit.ssh.authentication.client import ClientAuthentication, Identity, Signer
    from sshkit.ssh.authentication.login_options import HostKeys
    from sshkit.ssh.authentication.server import ServerAuthentication

NAME = "hostbased"
MAX_NAME = 255  #: bytes of a host's or a user's name


def signed_data(
    session_id: bytes, user: str, algorithm: str, key: bytes, host: str, local_user: str
) -> bytes:
    """Return what the host's signature covers."""
    head = string(session_id) + bytes((USERAUTH_REQUEST,)) + string(user) + string(SERVICE) + string(NAME)
    return head + string(algorithm) + string(key) + string(host) + string(local_user)


def serve_host_based(server: "ServerAuthentication", request: UserauthRequest, reader: WireReader) -> object:
    """Verify the host's signature, then ask the policy whether that host speaks for its user."""
    algorithm = reader.text("algorithm")
    blob = reader.string("host key")
    host = reader.text("host name")
    local_user = reader.text("user name on the host")
    signature = reader.string("signature")
    reader.finish("hostbased request")
    policy, layer = getattr(server.policy, "host_based", None), server.layer
    names = (host, local_user)
    if policy is None or any(not name.isprintable() or not 0 < len(name) <= MAX_NAME for name in names):
        return None
    try:
        key = parse_key(blob, algorithm, server)
        if algorithm not in layer.algorithms.hostbased_keys or algorithm not in key.signature_algorithms:
            return None
        data = signed_data(layer.session_id, request.user, algorithm, blob, host, local_user)
        key.verify(algorithm, data, signature)
    except SSHKitError:
        return None
    server.proof = Proof(algorithm, signature)
    verdict = server.ask(lambda: policy(request.user, key, host.removesuffix("."), local_user))
    if isinstance(verdict, Deferred):
        return verdict.add_callback(grant_with_key, key)
    return grant_with_key(verdict, key)


class HostBasedClient(ClientMethod):
    """Lets each of the host's keys sign once."""

    __slots__ = ("_hosts", "_identity", "_left", "_signer")
    name = NAME

    def __init__(self, client: "ClientAuthentication") -> None:
        super().__init__(client)
        self._left: list[Identity] | None = None  # None: nobody has asked for them yet
        self._hosts: HostKeys | None = None
        self._identity: Identity | None = None
        self._signer: Signer | None = None

    def try_next(self) -> bool:
        find = self.client.options.host_based
        if find is None:
            return False
        if self._left is None:
            self._left = []
            self.client.ask(find, self._found, self._found_none)
            return True
        return self._offer_next()

    def detail(self) -> str:
        identity = self._identity
        if identity is None:
            return ""
        return f"{identity.public.key_type} {identity.public.fingerprint()} {identity.source}"

    def key(self) -> tuple[str, str]:
        identity = self._identity
        return ("", "") if identity is None else (identity.public.fingerprint(), identity.source)

    def _found(self, hosts: "HostKeys") -> None:
        self._hosts = hosts
        self._left = list(hosts.identities)
        if not self._left:
            self.client.gave_up(self.name, "this host has no key to sign with")
        elif not self._offer_next():
            self.client.gave_up(self.name)

    def _found_none(self) -> None:
        self.client.gave_up(self.name)

    def _offer_next(self) -> bool:
        """Have the next usable key sign; False where there is none."""
        client = self.client
        while self._left:
            self._identity = identity = self._left.pop(0)
            if self._algorithm() is None:
                client.note(
                    self.name, self.detail(), "no signature algorithm of this key is allowed", tried=self
                )
                continue
            client.ask(identity.load, self._sign, self._not_signed)
            return True
        return False

    def _algorithm(self) -> str | None:
        assert self._identity is not None
        layer = self.client.layer
        return best_algorithm(self._identity.public, layer.algorithms.hostbased_keys, layer.peer_signatures)

    def _sign(self, signer: "Signer") -> None:
        identity, hosts, algorithm = self._identity, self._hosts, self._algorithm()
        assert identity is not None
        assert hosts is not None
        assert algorithm is not None  # `_offer_next` saw that there is one
        layer = self.client.layer
        blob = identity.public.blob
        data = signed_data(layer.session_id, self.client.user, algorithm, blob, hosts.host, hosts.user)
        head = string(algorithm) + string(blob) + string(hosts.host) + string(hosts.user)

        def signed(signature: bytes) -> None:
            self.client.request(self.name, head + string(signature))

        self.client.ask(lambda: signer.sign(plain_label(algorithm), data), signed, self._not_signed)

    def _not_signed(self) -> None:
        detail = f"{self.detail()} as {printable(self._hosts.host)}" if self._hosts else self.detail()
        self.client.next_try(self.name, detail, "not signed")
