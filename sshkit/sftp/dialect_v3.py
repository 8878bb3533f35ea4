"""What a client says in version 3 of SFTP, and the base of what it says in later ones.

A session has one dialect, from VERSION on: `Session.dialect`.  It makes the bodies of those requests, and
reads those answers, that are not the same in all versions; READ, WRITE, DATA, HANDLE and STATUS are.
"""

from sshkit_keys.wire import string, uint32

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPOpUnsupported

SECOND = 1_000_000_000
_MAX_TIME = 0xFFFFFFFF


class Dialect:
    """Version 3 (draft-ietf-secsh-filexfer-02), in OpenSSH's reading."""

    __slots__ = ()
    version = 3
    stat_tail = b""  #: what follows the path or handle in STAT, LSTAT and FSTAT
    realpath_tail = b""  #: what follows the path in REALPATH
    replaces = False  #: RENAME can replace what is there
    links = False  #: there is a request for second names

    # Requests: what follows the id.

    def open(self, path: bytes, flags: int, attributes: Attributes) -> bytes:
        """Return the body of OPEN; the flags are READ_FLAG and so on of `messages`."""
        return string(path) + uint32(flags) + self.attributes(attributes)

    def rename(self, source: bytes, target: bytes, *, replace: bool = False) -> bytes:
        """Return the body of RENAME."""
        return string(source) + string(target)

    def symlink(self, text: bytes, link: bytes) -> tuple[int, bytes]:
        """Return kind and body of the request for a symbolic link at `link` that says `text`."""
        return m.SYMLINK, string(text) + string(link)

    def link(self, source: bytes, target: bytes) -> tuple[int, bytes]:
        """Return kind and body of the request for a second name, where there is one."""
        raise SFTPOpUnsupported(f"version {self.version} of SFTP has no request for second names", source)

    # Attributes.

    def attributes(self, changes: Attributes) -> bytes:
        """Return the wire form of attributes; names of owners need a later version."""
        named = changes.owner is not None or changes.group is not None
        if named and changes.uid is None and changes.gid is None:
            raise SFTPOpUnsupported("version 3 of SFTP knows owners by number only")
        return changes.encode()

    def times(self, atime: int, mtime: int, *, permissions: int | None = None) -> Attributes:
        """Return attributes with times in nanoseconds since 1970, as exact as the version tells them."""
        return Attributes(permissions=permissions, atime=_seconds(atime), mtime=_seconds(mtime))

    # Answers.

    def unpack_attrs(self, payload: memoryview) -> Attributes:
        """Return the attributes of an ATTRS."""
        return m.unpack_attrs(payload)

    def unpack_names(self, payload: memoryview) -> list[m.Entry]:
        """Return the entries of a NAME."""
        return m.unpack_names(payload)

    def max_read(self, extensions: dict[str, bytes]) -> int:
        """Return how many bytes the server gives at a time; 0 where VERSION does not say."""
        return 0

    def known_part(self, kind: int, payload: memoryview) -> memoryview:
        """Return an answer without what a later revision may have put behind its fields."""
        return payload


def _seconds(time: int) -> int:
    """Return whole seconds for nanoseconds, as near as 32 bits can tell."""
    return min(max(time // SECOND, 0), _MAX_TIME)


class DraftedDialect(Dialect):
    """Version 3 with a server that keeps to the draft where OpenSSH does not: see `symlinks`."""

    __slots__ = ()

    def symlink(self, text: bytes, link: bytes) -> tuple[int, bytes]:
        return m.SYMLINK, string(link) + string(text)


V3 = Dialect()
V3_AS_DRAFTED = DraftedDialect()
