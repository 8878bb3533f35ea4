"""What a server reads and says in version 3 of SFTP, and the base of what it does in later ones.

A session has one dialect, from INIT on: `SFTPServer.dialect`.  READ, WRITE, CLOSE, DATA, HANDLE and STATUS
are the same in all versions and do not ask it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sshkit.sftp import status as codes
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.messages import SYMLINK
from sshkit.sftp.server_listing import Listing, pack_found, pack_name

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import Entry, Found
    from sshkit.sftp.server import SFTPServer
    from sshkit.sftp.server_io import Handler

#: The change of attributes by a backend: its last argument is the attributes.
Change = Callable[..., Any]


class ServerDialect:
    """Version 3 (draft-ietf-secsh-filexfer-02), in OpenSSH's reading."""

    __slots__ = ("_listing", "server")
    version = 3
    exact = True  #: nothing may follow what is known of a packet
    bad_handle = codes.FAILURE

    def __init__(self, server: "SFTPServer") -> None:
        self.server = server
        self._listing: Listing | None = None

    def handlers(self) -> "dict[int, Handler]":
        """Return the handlers of requests by path, and of FSTAT and FSETSTAT."""
        from sshkit.sftp.server_paths import HANDLERS, symlink_as_drafted

        return {**HANDLERS, SYMLINK: symlink_as_drafted} if self.server.as_drafted else HANDLERS

    def offers(self) -> bytes:
        """Return what VERSION says before the extensions."""
        if self.server.max_version == 3:
            return b""
        from sshkit.sftp.server_versions import offer

        return offer(self.server)

    # Requests.

    def read_attributes(self, data: memoryview, position: int) -> tuple[Attributes, int]:
        """Return the attributes at `position`, and where they end."""
        return Attributes.decode_at(data, position)

    def changing(self, change: Change) -> Change:
        """Return `change` for attributes as they were read: one that makes numbers of names first."""
        return change

    # Answers.

    def pack_found(self, number: int, found: "Found") -> bytes:
        """Return one ATTRS packet."""
        return pack_found(number, found)

    def pack_name(self, number: int, name: bytes) -> bytes:
        """Return one NAME packet with a single path."""
        return pack_name(number, name)

    def pack_names(self, number: int, entries: "list[Entry]") -> bytes:
        """Return one NAME packet."""
        if self._listing is None:
            self._listing = Listing(self.server.backend, self.server.now)
        return self._listing.pack(number, entries)
