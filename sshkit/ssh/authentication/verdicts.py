"""What a server's policy may answer, and what a client's trail is made of.

Used by `server`, `client`, the methods, and whoever writes a policy or shows a failed login.
"""

from typing import Any, Final, NamedTuple

SERVICE: Final = "ssh-connection"
MAX_USER_BYTES = 255


class Grant:
    """The user is let in; limits belong to this one request's result (R4).

    `options` is the policy's own: a forced command, permissions, an expiry.  `key` is the fingerprint of
    the key that was used, if one was.
    """

    __slots__ = ("key", "method", "options", "user")

    def __init__(self, user: str, method: str, key: str | None = None, options: Any = None) -> None:
        self.user = user
        self.method = method
        self.key = key
        self.options = options

    def __repr__(self) -> str:
        return f"<Grant {self.user!r} by {self.method} {self.key or ''}>"


class Partial(NamedTuple):
    """This was right, and more is needed: one of `methods` (RFC 4252 section 5.1)."""

    methods: tuple[str, ...]


class Proof(NamedTuple):
    """The signature behind the question in work, for a policy that verifies it once more elsewhere."""

    algorithm: str
    signature: bytes
    host_key: bytes = b""  #: what a host-bound signature is bound to


class PasswordExpired(NamedTuple):
    """The password was right, or a new one was not good enough: a new one is wanted (RFC 4252 section 8)."""

    prompt: str


Verdict = Grant | Partial | PasswordExpired | None  #: None: refused

ACCEPTED, PARTIAL, REFUSED, SKIPPED = "accepted", "partial", "refused", "skipped"


class Attempt(NamedTuple):
    """One line of the trail of a login: what was tried, from where, and what became of it."""

    method: str
    detail: str  #: of a key: type, fingerprint and source file; else empty
    outcome: str
    verdict: str = SKIPPED  #: ACCEPTED, PARTIAL, REFUSED, or SKIPPED: the server was not asked
    fingerprint: str = ""  #: of a key
    source: str = ""  #: of a key: its file, or what the agent calls it
    next_methods: tuple[str, ...] = ()  #: what the server takes after this

    def __str__(self) -> str:
        return f"{self.method}{f' ({self.detail})' if self.detail else ''}: {self.outcome}"


def user_name_fault(user: str) -> str | None:
    """Return why `user` can be nobody's name (R11), or None."""
    if not user:
        return "empty"
    if len(user.encode("utf-8", "surrogatepass")) > MAX_USER_BYTES:
        return f"over {MAX_USER_BYTES} bytes"
    if user.startswith("-"):
        return "starts with '-'"
    if "/" in user or not user.isprintable():
        return "holds '/' or a control character"
    return None
