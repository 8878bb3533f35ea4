"""GSSAPI for a server's logins, by the optional package `gssapi` (the extra sshkit[gssapi]).

Given to `Users` as `gssapi`.  The server's key is in its keytab (KRB5_KTNAME, or `keytab`).
"""

import os
from collections.abc import Sequence
from typing import Any

from sshkit.ssh.authentication.gssapi_package import KERBEROS, GSSAPIFailed, load, told


class GSSAPIAcceptor:
    """Takes Kerberos tickets for this host.

    `name`: the service's, "host@whole.name"; None takes a ticket for any key of the keytab.
    """

    __slots__ = ("_credentials", "mechanisms")

    def __init__(self, keytab: "str | os.PathLike[str] | None" = None, name: str | None = None) -> None:
        """Raises GSSAPIFailed where the package or the key is missing."""
        package = load()
        wanted = None if name is None else package.Name(name, package.NameType.hostbased_service)
        store = None if keytab is None else {"keytab": os.fspath(keytab)}
        self._credentials = told(
            lambda: package.Credentials(
                usage="accept", name=wanted, mechs=[package.MechType.kerberos], store=store
            )
        )
        self.mechanisms: Sequence[bytes] = (KERBEROS,)

    def start(self, mechanism: bytes) -> "AcceptorContext":
        """Begin a dialogue."""
        package = load()
        return AcceptorContext(package.SecurityContext(creds=self._credentials, usage="accept"))


class AcceptorContext:
    """One dialogue.  A step reads the keytab and asks nobody, so it is done here and now."""

    __slots__ = ("_context",)

    def __init__(self, context: Any) -> None:
        self._context = context

    @property
    def complete(self) -> bool:
        """The client's name is known."""
        return bool(self._context.complete)

    @property
    def peer(self) -> str:
        """The client's name: user@REALM."""
        return str(self._context.initiator_name)

    def step(self, token: bytes) -> bytes | None:
        """Take the client's token and return the next."""
        answer: bytes | None = told(self._context.step, token)
        if self.complete and not self._has_integrity():
            raise GSSAPIFailed("the mechanism has no integrity: nothing would tie it to this connection")
        return answer

    def verify(self, data: bytes, mic: bytes) -> None:
        """Raise GSSAPIFailed unless the client made `mic` for `data`."""
        told(self._context.verify_signature, data, mic)

    def _has_integrity(self) -> bool:
        return bool(self._context.actual_flags & load().RequirementFlag.integrity)
