"""The requests of an SFTP server by name: what may be allowed and denied, what changes something (R34).

The names are those of OpenSSH's sftp-server (options -P, -p and -Q).  `SFTPServer` makes its table of
handlers from these; what is refused is not in the table, so nothing asks on the way.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

from sshkit.sftp import messages as m

if TYPE_CHECKING:
    from sshkit.sftp.attributes import Attributes

READS, CHANGES, HANDLE = 0, 1, 2  #: which others a request may run beside; see server_work

#: number -> (name, kind).  OPEN may change something; it is looked at when its flags are known.
REQUESTS = {
    m.OPEN: ("open", CHANGES),
    m.CLOSE: ("close", HANDLE),
    m.READ: ("read", HANDLE),
    m.WRITE: ("write", HANDLE),
    m.LSTAT: ("lstat", READS),
    m.FSTAT: ("fstat", HANDLE),
    m.SETSTAT: ("setstat", CHANGES),
    m.FSETSTAT: ("fsetstat", HANDLE),
    m.OPENDIR: ("opendir", READS),
    m.READDIR: ("readdir", HANDLE),
    m.REMOVE: ("remove", CHANGES),
    m.MKDIR: ("mkdir", CHANGES),
    m.RMDIR: ("rmdir", CHANGES),
    m.REALPATH: ("realpath", READS),
    m.STAT: ("stat", READS),
    m.RENAME: ("rename", CHANGES),
    m.READLINK: ("readlink", READS),
    m.SYMLINK: ("symlink", CHANGES),
}
#: What a read-only server refuses; OPEN is refused where its flags would change something.
WRITING = frozenset(
    {"write", "setstat", "fsetstat", "remove", "mkdir", "rmdir", "rename", "symlink",
     "posix-rename", "hardlink", "fsync", "lsetstat", "copy-data"}
)  # fmt: skip


class UnknownRequest(SSHKitError):
    """A name that no request has."""


class SFTPRequest(NamedTuple):
    """What a client asks for; given to `permit`.  Requests for open files carry the path they were opened by.

    READ, WRITE, READDIR, FSTAT and CLOSE are not asked about: they follow an OPEN that was permitted.
    """

    name: str  #: "open", "remove", "posix-rename" ...
    path: bytes  #: as the client sent it
    target: bytes = b""  #: the second path, where there is one
    flags: int = 0  #: of OPEN, as on the wire


Permit = Callable[[SFTPRequest], bool]


def request_names() -> tuple[str, ...]:
    """Return the name of every request."""
    from sshkit.sftp.extensions import EXTENSIONS

    names = [name for name, _ in REQUESTS.values()]
    return (*names, *(extension.request for extension in EXTENSIONS.values()))


def refused(denied: Iterable[str], allowed: Iterable[str] | None, read_only: bool) -> frozenset[str]:
    """Return the names that are not served; raises UnknownRequest for one that does not exist."""
    names = request_names()
    denied = frozenset(denied)
    wanted = frozenset(names if allowed is None else allowed)
    for name in denied | wanted:
        if name not in names:
            raise UnknownRequest(f"no request is called {quoted(name)}")
    out = frozenset(names) - wanted | denied
    return out | WRITING if read_only else out


class Asked:
    """One request in work, as far as its answer and the log need it."""

    __slots__ = ("attributes", "flags", "handle", "kind", "name", "number", "path", "target")

    def __init__(
        self,
        name: str,
        kind: int,
        number: int,
        path: bytes = b"",
        target: bytes = b"",
        *,
        handle: bytes = b"",
        flags: int = 0,
        attributes: "Attributes | None" = None,
    ) -> None:
        self.name = name
        self.kind = kind  #: READS, CHANGES or HANDLE
        self.number = number  #: the id of the request
        self.path = path
        self.target = target
        self.handle = handle
        self.flags = flags
        self.attributes = attributes
