"""What a client says in versions 4, 5 and 6 of SFTP (draft-ietf-secsh-filexfer-04, -05, -13).

A session loads this once a server has agreed on one of them.  Names are UTF-8 by the drafts; other bytes go
through as they are.  Text mode and locks are never asked for.
"""

from struct import Struct

from sshkit_keys.errors import WireError
from sshkit_keys.wire import string, uint32

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import PERMISSIONS, SIZE, Attributes
from sshkit.sftp.attributes_v4 import (
    ACCESS_TIME,
    ALLOCATION,
    BITS,
    CHANGE_TIME,
    LINK_COUNT,
    MODIFY_TIME,
    OWNER_GROUP,
    SUBSECONDS,
    V4,
    V5,
    V6,
    AttributeForm,
    FullAttributes,
)
from sshkit.sftp.dialect_v3 import SECOND, V3, Dialect

# Of OPEN in version 5 and 6: what is to be done with the file, and how it is to be opened.
READ_DATA, WRITE_DATA, APPEND_DATA, READ_ATTRIBUTES, WRITE_ATTRIBUTES = 1, 2, 4, 0x80, 0x100
CREATE_NEW, CREATE_TRUNCATE, OPEN_EXISTING, OPEN_OR_CREATE, TRUNCATE_EXISTING = range(5)
APPENDING, APPENDING_WHOLE = 8, 0x10
# Of RENAME.
OVERWRITE, ATOMIC, NATIVE = 1, 2, 4
# Of REALPATH in version 6.
NO_CHECK, STAT_IF_EXISTS, STAT_ALWAYS = 1, 2, 3
#: What STAT asks for: all that a person or a program looks at.
WANTED = SIZE | PERMISSIONS | ACCESS_TIME | MODIFY_TIME | OWNER_GROUP | SUBSECONDS
_FIVE = Struct(">5I")
_SINGLE = frozenset((m.HANDLE, m.DATA))


class Dialect4(Dialect):
    """Version 4: names of owners, exact times, kinds of files; no lines as of ls -l any more."""

    __slots__ = ()
    version = 4
    form: AttributeForm = V4
    stat_tail = uint32(WANTED)

    def symlink(self, text: bytes, link: bytes) -> tuple[int, bytes]:
        return m.SYMLINK, string(link) + string(text)  # the draft's order, from here on

    def attributes(self, changes: Attributes) -> bytes:
        return self.form.encode(changes)

    def times(self, atime: int, mtime: int, *, permissions: int | None = None) -> Attributes:
        seconds, fraction = divmod(atime, SECOND)
        changed, rest = divmod(mtime, SECOND)
        return FullAttributes(
            permissions=permissions, atime=seconds, mtime=changed, atime_ns=fraction, mtime_ns=rest
        )

    def unpack_attrs(self, payload: memoryview) -> Attributes:
        found, end = self.form.decode_at(payload, 5)
        if end != len(payload) and self.form.exact:
            raise WireError(f"ATTRS: {len(payload) - end} bytes left over")
        return found

    def unpack_names(self, payload: memoryview) -> list[m.Entry]:
        size = len(payload)
        if size < 9:
            raise WireError(f"NAME of {size} bytes")
        (count,) = m.unpack_id(payload, 5)
        if count > (size - 9) // 9:  # the least that one takes
            raise WireError(f"{count} names in a packet of {size} bytes")
        entries: list[m.Entry] = []
        position = 9
        decode = self.form.decode_at
        for _ in range(count):
            start = position + 4
            if start > size:
                raise WireError(f"NAME ends early, in its entry {len(entries)}")
            position = start + m.unpack_id(payload, position)[0]
            if position > size:
                raise WireError(f"NAME ends early, in its entry {len(entries)}")
            name = bytes(payload[start:position])
            found, position = decode(payload, position)
            entries.append((name, b"", found))
        if position != size and self.form.exact:
            raise WireError(f"NAME: {size - position} bytes left over")
        return entries


class Dialect5(Dialect4):
    """Version 5: OPEN says what it wants and how, RENAME may replace."""

    __slots__ = ()
    version = 5
    form = V5
    stat_tail = uint32(WANTED | BITS)
    replaces = True
    support = "supported"  #: the extension that says what the server can do

    def open(self, path: bytes, flags: int, attributes: Attributes) -> bytes:
        access, how = open_flags(flags)
        return string(path) + uint32(access) + uint32(how) + self.attributes(attributes)

    def rename(self, source: bytes, target: bytes, *, replace: bool = False) -> bytes:
        return string(source) + string(target) + uint32(OVERWRITE | ATOMIC if replace else 0)

    def max_read(self, extensions: dict[str, bytes]) -> int:
        told = extensions.get(self.support, b"")
        return int(_FIVE.unpack_from(told)[4]) if len(told) >= _FIVE.size else 0


class Dialect6(Dialect5):
    """Version 6: LINK for both kinds of links; packets may go on behind what is known of them."""

    __slots__ = ()
    version = 6
    form = V6
    stat_tail = uint32(WANTED | BITS | ALLOCATION | LINK_COUNT | CHANGE_TIME)
    realpath_tail = bytes((NO_CHECK,))
    links = True
    support = "supported2"

    def symlink(self, text: bytes, link: bytes) -> tuple[int, bytes]:
        return m.LINK, string(link) + string(text) + b"\1"

    def link(self, source: bytes, target: bytes) -> tuple[int, bytes]:
        return m.LINK, string(target) + string(source) + b"\0"

    def known_part(self, kind: int, payload: memoryview) -> memoryview:
        """Return an answer without what follows its known fields, such as the mark of the end.

        Version 6 allows that (-13 section 4).  Whoever reads ATTRS and NAME knows where they end.
        """
        if kind in _SINGLE and len(payload) >= 9:
            return payload[: 9 + m.unpack_id(payload, 5)[0]]
        if kind == m.STATUS and len(payload) >= 17:
            end = 13 + m.unpack_id(payload, 9)[0]
            if end + 4 <= len(payload):
                return payload[: end + 4 + m.unpack_id(payload, end)[0]]
        return payload


def open_flags(flags: int) -> tuple[int, int]:
    """Return what version 5 says for the flags of version 3: access, and how to open."""
    access = how = 0
    if flags & m.READ_FLAG:
        access = READ_DATA | READ_ATTRIBUTES
    if flags & m.WRITE_FLAG:
        access |= WRITE_DATA | WRITE_ATTRIBUTES
    if flags & m.APPEND:
        access |= APPEND_DATA
        how = APPENDING
    if flags & m.CREATE:
        if flags & m.EXCLUSIVE:
            return access, how | CREATE_NEW
        return access, how | (CREATE_TRUNCATE if flags & m.TRUNCATE else OPEN_OR_CREATE)
    return access, how | (TRUNCATE_EXISTING if flags & m.TRUNCATE else OPEN_EXISTING)


#: By version.
DIALECTS: dict[int, Dialect] = {3: V3, 4: Dialect4(), 5: Dialect5(), 6: Dialect6()}
