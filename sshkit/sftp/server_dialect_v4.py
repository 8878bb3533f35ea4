"""What a server reads and says in versions 4, 5 and 6 of SFTP (draft-ietf-secsh-filexfer-04, -05, -13).

A session gets one of these where its client asks for such a version and the server may speak it.  Owners
have names there: the backend knows the numbers.  What files here do not have (ACLs, bits, a time of making)
is refused rather than forgotten.
"""

from struct import Struct
from typing import TYPE_CHECKING

from sshkit_keys.wire import string

from sshkit.sftp import messages as m
from sshkit.sftp import status as codes
from sshkit.sftp.attributes import PERMISSIONS, SIZE, Attributes
from sshkit.sftp.attributes_v4 import (
    ACCESS_TIME,
    ALLOCATION,
    CHANGE_TIME,
    LINK_COUNT,
    MODIFY_TIME,
    OTHER,
    OWNER_GROUP,
    SUBSECONDS,
    V4,
    V5,
    V6,
    AttributeForm,
    FullAttributes,
    kind_of,
)
from sshkit.sftp.errors import SFTPOpUnsupported, SFTPUnknownOwner
from sshkit.sftp.server_dialect import Change, ServerDialect

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from sshkit.sftp.backends.interface import Entry, Found
    from sshkit.sftp.server import SFTPServer
    from sshkit.sftp.server_io import Handler

#: Attributes that can be changed here, as `supported` and `supported2` say.
SETTABLE = SIZE | PERMISSIONS | ACCESS_TIME | MODIFY_TIME | OWNER_GROUP | SUBSECONDS
_MAX_OWNERS = 4096
_SECOND = 1_000_000_000
_BLOCK = 512
_PLAIN = SIZE | OWNER_GROUP | PERMISSIONS | ACCESS_TIME | MODIFY_TIME | SUBSECONDS
_FULL = _PLAIN | ALLOCATION | CHANGE_TIME | LINK_COUNT
_PLAIN_HEAD, _PLAIN_TAIL = Struct(">IBQ"), Struct(">IqIqI")
_FULL_HEAD, _FULL_TAIL = Struct(">IBQQ"), Struct(">IqIqIqII")
_HEAD = Struct(">IBII")
_pack_u32 = Struct(">I").pack


class ServerDialect4(ServerDialect):
    """Version 4."""

    __slots__ = ("_owners",)
    version = 4
    bad_handle = codes.INVALID_HANDLE
    form: AttributeForm = V4

    def __init__(self, server: "SFTPServer") -> None:
        super().__init__(server)
        self._owners: dict[tuple[int, int], bytes] = {}

    def handlers(self) -> "dict[int, Handler]":
        from sshkit.sftp.server_paths_v4 import HANDLERS

        return HANDLERS[self.version]

    # Requests.

    def read_attributes(self, data: memoryview, position: int) -> tuple[Attributes, int]:
        return self.form.decode_at(data, position)

    def changing(self, change: Change) -> Change:
        def with_numbers(*arguments: object) -> object:
            *others, attributes = arguments
            assert isinstance(attributes, FullAttributes)
            self._number(attributes)
            return change(*others, attributes)

        return with_numbers

    def _number(self, wanted: FullAttributes) -> None:
        """Put numbers for the names; refuse what cannot be set."""
        if wanted.acl is not None or wanted.bits is not None:
            raise SFTPOpUnsupported("Files have no ACLs and no bits here")
        if wanted.created is not None or wanted.ctime is not None:
            raise SFTPOpUnsupported("Only the times of access and change can be set")
        backend = self.server.backend
        if wanted.owner is not None and wanted.uid is None:
            wanted.uid = backend.user_number(wanted.owner)
            if wanted.uid is None:
                raise SFTPUnknownOwner("No such user", code=codes.OWNER_INVALID)
        if wanted.group is not None and wanted.gid is None:
            wanted.gid = backend.group_number(wanted.group)
            if wanted.gid is None:
                raise SFTPUnknownOwner("No such group", code=codes.GROUP_INVALID)

    # Answers.

    def pack_found(self, number: int, found: "Found") -> bytes:
        body = self.attributes(found)
        return _HEAD.pack(5 + len(body), m.ATTRS, number, 0)[:9] + body

    def pack_name(self, number: int, name: bytes) -> bytes:
        return self.pack_names(number, [(name, Attributes())])

    def pack_names(self, number: int, entries: "list[Entry]") -> bytes:
        parts = [b""]
        append, attributes = parts.append, self.attributes
        for name, found in entries:
            append(_pack_u32(len(name)))
            append(name)
            append(attributes(found))
        parts[0] = _HEAD.pack(9 + sum(map(len, parts)), m.NAME, number, len(entries))
        return b"".join(parts)

    def attributes(self, found: "Found") -> bytes:
        """Return the wire form of attributes."""
        if isinstance(found, Attributes):
            return self.form.encode(self._named(found))
        key = found[4], found[5]
        owners = self._owners.get(key) or self._look_up(*key)
        return self._from_stat(found, owners)

    def _from_stat(self, found: "os.stat_result", owners: bytes) -> bytes:
        mode = found[0]
        kind = min(kind_of(mode), OTHER) if self.version == 4 else kind_of(mode)
        return b"".join(
            (
                _PLAIN_HEAD.pack(_PLAIN, kind, found[6]),
                owners,
                _PLAIN_TAIL.pack(
                    mode & 0o7777, *divmod(found.st_atime_ns, _SECOND), *divmod(found.st_mtime_ns, _SECOND)
                ),
            )
        )

    def _named(self, found: Attributes) -> Attributes:
        """Return attributes with names for the numbers."""
        if found.owner is not None or (found.uid is None and found.gid is None):
            return found
        backend = self.server.backend
        uid, gid = found.uid or 0, found.gid or 0
        named = FullAttributes(found.size, uid, gid, found.permissions, found.atime, found.mtime)
        named.extended = found.extended
        named.owner = backend.user_name(uid) or str(uid)
        named.group = backend.group_name(gid) or str(gid)
        return named

    def _look_up(self, uid: int, gid: int) -> bytes:
        """Return owner and group as they are written; they are looked up once."""
        backend = self.server.backend
        names = backend.user_name(uid) or str(uid), backend.group_name(gid) or str(gid)
        if len(self._owners) >= _MAX_OWNERS:
            self._owners.clear()
        packed = b"".join(string(name.encode("utf-8", "surrogateescape")) for name in names)
        self._owners[uid, gid] = packed
        return packed


class ServerDialect5(ServerDialect4):
    """Version 5."""

    __slots__ = ()
    version = 5
    form = V5


class ServerDialect6(ServerDialect5):
    """Version 6."""

    __slots__ = ()
    version = 6
    exact = False
    form = V6

    def _from_stat(self, found: "os.stat_result", owners: bytes) -> bytes:
        mode = found[0]
        return b"".join(
            (
                _FULL_HEAD.pack(_FULL, kind_of(mode), found[6], found.st_blocks * _BLOCK),
                owners,
                _FULL_TAIL.pack(
                    mode & 0o7777,
                    *divmod(found.st_atime_ns, _SECOND),
                    *divmod(found.st_mtime_ns, _SECOND),
                    *divmod(found.st_ctime_ns, _SECOND),
                    found.st_nlink & 0xFFFFFFFF,
                ),
            )
        )


#: By version.
DIALECTS: "dict[int, Callable[[SFTPServer], ServerDialect]]" = {
    3: ServerDialect,
    4: ServerDialect4,
    5: ServerDialect5,
    6: ServerDialect6,
}
