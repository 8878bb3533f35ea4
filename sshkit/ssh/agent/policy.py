"""Who asks an agent for what: the words of its policy, its questions and its audit.

Made by the server for every request; programs get an AgentRequest and answer yes or no, and an AuditEvent
when it is over.  Neither holds a secret.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sshkit.deferred import Deferred
from sshkit.ssh.agent.destinations import Binding
from sshkit.ssh.agent.key_blobs import type_of
from sshkit.ssh.agent.signed_data import UNKNOWN, SignedData

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

Action = Literal[
    "list",
    "sign",
    "add",
    "remove",
    "remove-all",
    "add-token",
    "remove-token",
    "lock",
    "unlock",
    "bind",
    "other",
]


class Client(NamedTuple):
    """Who is at the other end of the socket, as far as the system tells."""

    uid: int | None = None
    pid: int | None = None


class AgentRequest:
    """One request, read and not yet carried out."""

    __slots__ = (
        "action",
        "algorithm",
        "bindings",
        "client",
        "comment",
        "data",
        "forwarded",
        "host",
        "key",
        "key_blob",
        "provider",
    )

    def __init__(
        self,
        action: Action,
        client: Client,
        bindings: tuple[Binding, ...] = (),
        forwarded: bool = False,
    ) -> None:
        self.action: Action = action
        self.client = client
        self.bindings = bindings  #: the sessions that the connection was bound to, the first hop first
        self.forwarded = forwarded  #: the agent was passed on to another host, or somebody tried to bind
        self.key: PublicKey | None = None  #: the key or certificate, where its type is known
        self.key_blob = b""
        self.comment = ""
        self.algorithm = ""  #: of a signature
        self.data: SignedData = UNKNOWN  #: what shall be signed
        self.host = ""  #: the destination's name, where the key's constraints tell it
        self.provider = ""  #: the library of a token

    def __repr__(self) -> str:
        return f"<AgentRequest {self.action}>"


class AuditEvent(NamedTuple):
    """What became of a request."""

    request: AgentRequest
    outcome: Literal["done", "refused", "failed"]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for a log, with control characters escaped and without what is empty."""
        from sshkit_keys.text import printable

        request = self.request
        data = request.data
        found: dict[str, Any] = {
            "action": request.action,
            "outcome": self.outcome,
            "reason": printable(self.reason),
            "uid": request.client.uid,
            "pid": request.client.pid,
            "forwarded": request.forwarded or None,
            "key": _fingerprint(request),
            "key_type": printable(_type(request.key_blob), 64),
            "comment": printable(request.comment),
            "algorithm": printable(request.algorithm, 64),
            "signed": data.kind if request.action == "sign" else "",
            "user": printable(data.user),
            "namespace": printable(data.namespace),
            "host": printable(request.host),
            "host_key": data.host_key.fingerprint() if data.host_key is not None else "",
            "provider": printable(request.provider),
            "hops": [binding.host_key.fingerprint() for binding in request.bindings],
        }
        return {name: value for name, value in found.items() if value not in ("", None, [])}


def _fingerprint(request: AgentRequest) -> str:
    from sshkit_keys.fingerprints import fingerprint

    if request.key is not None:
        return request.key.fingerprint()
    return fingerprint(request.key_blob) if request.key_blob else ""


def _type(blob: bytes) -> str:
    return type_of(blob) if blob else ""


#: Says yes or no, now or later.
Policy = Callable[[AgentRequest], "bool | Deferred[bool]"]
Confirm = Callable[[AgentRequest], "bool | Deferred[bool]"]
Audit = Callable[[AuditEvent], object]

INTERNAL = "internal"  #: the provider of security keys that needs no library


class Restrictions(NamedTuple):
    """What ssh-agent(1) lets the user restrict."""

    #: Security keys made for other than these applications sign nothing but logins and files; None: any.
    websafe: tuple[str, ...] | None = ("ssh:*",)
    #: Whether tokens may be added over a connection that was passed on to another host.
    remote_tokens: bool = False
    #: Paths of the libraries that a program's `add_token` may be asked for.
    providers: tuple[str, ...] = ("/usr/lib*/*", "/usr/local/lib*/*")


__all__ = [
    "INTERNAL",
    "Action",
    "AgentRequest",
    "Audit",
    "AuditEvent",
    "Client",
    "Confirm",
    "Policy",
    "Restrictions",
]
