"""To which sessions a connection was bound: session-bind@openssh.com (PROTOCOL.agent of OpenSSH, section 1).

One for each connection of the server.  Whoever binds must show the host's signature of the session id, so
the list tells the hosts behind the connection, the nearest to us first.
"""

from sshkit_keys.errors import SignatureError, WireError
from sshkit_keys.key import PublicKey
from sshkit_keys.wire import WireReader

from sshkit.ssh.agent.destinations import Binding
from sshkit.ssh.agent.errors import AgentError
from sshkit.ssh.agent.key_blobs import parse_blob, plain_key
from sshkit.ssh.agent.messages import SessionBind

MAX_BINDINGS = 16  #: OpenSSH's limit
MAX_SESSION_ID = 128  #: bytes; twice the longest hash


class Bindings:
    """The sessions of one connection."""

    __slots__ = ("attempted", "entries")

    def __init__(self) -> None:
        self.entries: tuple[Binding, ...] = ()
        self.attempted = False  #: somebody tried, so the connection is not a local program's

    @property
    def failed(self) -> bool:
        """Whether somebody tried and nothing came of it."""
        return self.attempted and not self.entries

    @property
    def forwarded(self) -> bool:
        """Whether the connection may come from another machine."""
        return self.failed or any(entry.forwarding for entry in self.entries)

    def bind(self, body: bytes) -> None:
        """Take a request to bind; raises SSHKitError, and remembers the attempt either way."""
        self.attempted = True
        request = SessionBind.decode(body)
        if not 1 <= len(request.session_id) <= MAX_SESSION_ID:
            raise WireError(f"a session id of {len(request.session_id)} bytes")
        host_key = parse_blob(request.host_key)
        _verify(host_key, request)
        for entry in self.entries:
            if not entry.forwarding:
                raise AgentError("the connection is bound for a login already")
            if entry.session_id == request.session_id:
                if entry.host_key == host_key:
                    return
                raise AgentError("the session id was bound with another host key")
        if len(self.entries) >= MAX_BINDINGS:
            raise AgentError(f"the connection is bound to {MAX_BINDINGS} sessions already")
        self.entries += (Binding(host_key, request.session_id, request.forwarding),)


def _verify(host_key: PublicKey, request: SessionBind) -> None:
    key = plain_key(host_key)
    label = WireReader(request.signature).text("signature algorithm")
    if label not in key.signature_algorithms:
        raise SignatureError(f"the session was signed with an algorithm that no {key.key_type} key has")
    key.verify(label, request.session_id, request.signature)
