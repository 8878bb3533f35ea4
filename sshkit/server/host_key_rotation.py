"""Telling clients all host keys, so that one can be replaced before it is needed (OpenSSH's PROTOCOL, 2.5).

One `HostKeyRotation` serves all connections of a server: `announce` after each login, `prove` for the global
request by which a client asks for proof.  Certificates are left out: a client trusts their authority.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader, string

from sshkit.deferred import Deferred, gather, succeed
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.connection import GlobalRequest
from sshkit.ssh.transport.quirks import Quirk

if TYPE_CHECKING:
    from sshkit.ssh.connection.connection import Connection
    from sshkit.ssh.transport.exchange import HostSigner
    from sshkit.ssh.transport.layer import TransportLayer

ANNOUNCED: Final = "hostkeys-00@openssh.com"
PROVE: Final = "hostkeys-prove-00@openssh.com"


class HostKeyRotation:
    """The plain host keys of a server.  `keys` are all that are configured, those of one type too."""

    __slots__ = ("_body", "_keys")

    def __init__(self, keys: "Iterable[HostSigner]") -> None:
        self._keys = {
            key.public.blob: key for key in keys if not key.public.key_type.endswith(CERTIFICATE_SUFFIX)
        }
        self._body = b"".join(string(blob) for blob in self._keys)

    def announce(self, connection: "Connection") -> None:
        """Tell the client of the keys; nothing where it would end the connection for that.

        Called once, when SUCCESS has left: in the turn after the login.
        """
        layer = connection.layer
        if self._keys and Quirk.NO_HOST_KEYS_REQUEST not in layer.quirks:
            layer.send(GlobalRequest(ANNOUNCED, False, self._body).encode())

    def prove(self, layer: "TransportLayer", body: bytes) -> "Deferred[bytes] | bytes | None":
        """Return the signatures for the keys in `body`, None where one is not ours.

        RemoteProtocolError where the request is damaged.  Each key is asked for once at most, so that a
        request costs no more signatures than there are keys (R18).
        """
        wanted: dict[bytes, HostSigner] = {}
        reader = WireReader(body)
        while reader.position < reader.end:
            try:
                blob = reader.string("host key")
            except WireError as error:
                raise RemoteProtocolError(f"a damaged {PROVE}: {error}") from None
            key = self._keys.get(blob)
            if key is None or blob in wanted:
                return None
            wanted[blob] = key
        if not wanted:
            return None
        signatures: list[Any] = []
        later = False
        for blob, key in wanted.items():
            data = string(PROVE) + string(layer.session_id) + string(blob)
            signature = key.sign(_algorithm(key, layer), data)
            later = later or isinstance(signature, Deferred)
            signatures.append(signature)
        if not later:
            return _joined(signatures)
        parts: list[Deferred[bytes]] = [
            one if isinstance(one, Deferred) else succeed(one) for one in signatures
        ]
        return gather(*parts).add_callback(_joined)


def _algorithm(key: "HostSigner", layer: "TransportLayer") -> str:
    """Return what the client can surely verify: of an RSA key what the key exchange used, if that was RSA."""
    names = key.public.signature_algorithms
    negotiated = layer.negotiated
    if negotiated is not None and negotiated.host_key in names:
        return negotiated.host_key
    return names[0]


def _joined(signatures: Iterable[bytes]) -> bytes:
    return b"".join(string(signature) for signature in signatures)
