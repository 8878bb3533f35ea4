"""What somebody wants to have signed: a login, a file, or something unknown.

Called by the agent's server for destination constraints, security keys, the policy and the audit.  Only data
that is exactly one of the known forms is taken for it (RFC 4252 section 7, PROTOCOL and PROTOCOL.sshsig of
OpenSSH).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from sshkit_keys.errors import SSHKitError, WireError
from sshkit_keys.wire import WireReader

from sshkit.ssh.agent.key_blobs import parse_blob
from sshkit.ssh.messages.authentication import USERAUTH_REQUEST

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

HOST_BOUND = "publickey-hostbound-v00@openssh.com"
_SSHSIG = b"SSHSIG"


class SignedData(NamedTuple):
    """What the data says.  Fields that its kind does not have are empty."""

    kind: Literal["login", "sshsig", "unknown"]
    user: str = ""
    service: str = ""
    session_id: bytes = b""
    algorithm: str = ""
    #: Of a login by the host-bound method: the key of the host that is logged in to.
    host_key: "PublicKey | None" = None
    namespace: str = ""


UNKNOWN = SignedData("unknown")


def parse_signed_data(data: bytes, key: bytes, algorithms: Sequence[str]) -> SignedData:
    """Tell what `data` is; a login must be one with `key`, the blob that is asked to sign."""
    try:
        if data.startswith(_SSHSIG):
            return _sshsig(data)
        return _login(data, key, algorithms)
    except SSHKitError:
        return UNKNOWN


def _login(data: bytes, key: bytes, algorithms: Sequence[str]) -> SignedData:
    reader = WireReader(data)
    session_id = reader.string("session id")
    number = reader.byte("message number")
    user = reader.text("user")
    service = reader.text("service")
    method = reader.text("method")
    signed = reader.byte("signature follows")
    algorithm = reader.text("algorithm")
    named = reader.string("key")
    host_key = None
    if method == HOST_BOUND:
        host_key = parse_blob(reader.string("host key"))
    elif method != "publickey":
        raise WireError("not a login by key")
    reader.finish("login")
    if not session_id or number != USERAUTH_REQUEST or signed != 1 or service != "ssh-connection":
        raise WireError("not a login by key")
    if named != key or algorithm not in algorithms:
        raise WireError("a login with another key")
    return SignedData("login", user, service, session_id, algorithm, host_key)


def _sshsig(data: bytes) -> SignedData:
    reader = WireReader(data)
    reader.position = len(_SSHSIG)
    namespace = reader.text("namespace")
    reader.view("reserved")
    reader.text("hash algorithm")
    reader.view("hash")
    reader.finish("SSHSIG")
    return SignedData("sshsig", namespace=namespace)
