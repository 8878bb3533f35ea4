"""What is known of a file: the ATTRS of SFTP version 3 (draft-ietf-secsh-filexfer-02 section 5).

Both sides read and write them; a field that is None is not there on the wire.
"""

import os
import stat
from struct import Struct

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

SIZE, UIDGID, PERMISSIONS, ACMODTIME, EXTENDED = 1, 2, 4, 8, 0x80000000
KNOWN = SIZE | UIDGID | PERMISSIONS | ACMODTIME
MAX_EXTENDED = 64  #: pairs of extended attributes that are taken
MAX_SIZE = (1 << 63) - 1
_FLAGS = Struct(">I")
_STRUCTS = tuple(
    Struct(
        ">"
        + ("Q" if flags & SIZE else "")
        + ("II" if flags & UIDGID else "")
        + ("I" if flags & PERMISSIONS else "")
        + ("II" if flags & ACMODTIME else "")
    )
    for flags in range(16)
)
_ALL = Struct(">IQIIIII")  # flags and all plain fields: what servers send
_unpack_flags = _FLAGS.unpack_from
_unpack_all = _ALL.unpack_from


class Attributes:
    """Attributes of one file; times are whole seconds since 1970."""

    __slots__ = ("atime", "extended", "gid", "mtime", "permissions", "size", "uid")
    # What versions 4 to 6 know as well; `FullAttributes` has room for it.
    kind: int | None = None
    owner: str | None = None
    group: str | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    created: int | None = None
    created_ns: int | None = None
    ctime: int | None = None
    ctime_ns: int | None = None
    allocated: int | None = None
    links: int | None = None
    bits: int | None = None
    bits_valid: int | None = None
    acl: bytes | None = None
    text_hint: int | None = None
    mime_type: bytes | None = None
    untranslated: bytes | None = None

    def __init__(
        self,
        size: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        permissions: int | None = None,
        atime: int | None = None,
        mtime: int | None = None,
        extended: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.size = size
        self.uid = uid
        self.gid = gid
        self.permissions = permissions  #: mode with the bits of the kind of file, as st_mode
        self.atime = atime
        self.mtime = mtime
        self.extended = extended

    def __repr__(self) -> str:
        said = []
        for name in _SHOWN:
            value = getattr(self, name)
            if value is not None:
                said.append(f"{name}={oct(value) if name == 'permissions' else repr(value)}")
        return f"{type(self).__name__}({', '.join(said)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attributes):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]

    # What kind of file; False for all where the server does not say.

    @property
    def is_dir(self) -> bool:
        """A directory."""
        return self.permissions is not None and stat.S_ISDIR(self.permissions)

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return self.permissions is not None and stat.S_ISREG(self.permissions)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return self.permissions is not None and stat.S_ISLNK(self.permissions)

    @property
    def mode(self) -> int | None:
        """The permission bits alone."""
        return None if self.permissions is None else stat.S_IMODE(self.permissions)

    @property
    def times_ns(self) -> tuple[int, int] | None:
        """Times of the last access and the last change in nanoseconds; None where the change's is not known.

        Where only the access' is not known, it is the change's.
        """
        if self.mtime is None:
            return None
        changed = self.mtime * 1_000_000_000 + (self.mtime_ns or 0)
        if self.atime is None:
            return changed, changed
        return self.atime * 1_000_000_000 + (self.atime_ns or 0), changed

    @classmethod
    def from_stat(cls, result: os.stat_result) -> "Attributes":
        """Take what os.stat returned; times outside of 32 bits end at their limits."""
        return cls(
            result.st_size,
            result.st_uid & 0xFFFFFFFF,
            result.st_gid & 0xFFFFFFFF,
            result.st_mode,
            min(max(int(result.st_atime), 0), 0xFFFFFFFF),
            min(max(int(result.st_mtime), 0), 0xFFFFFFFF),
        )

    def to_stat(self) -> os.stat_result:
        """Return an os.stat_result, for what takes one; what is not known is 0."""
        return os.stat_result(
            (
                self.permissions or 0,
                0,
                0,
                1,
                self.uid or 0,
                self.gid or 0,
                self.size or 0,
                self.atime or 0,
                self.mtime or 0,
                0,
            )
        )

    def encode(self) -> bytes:
        """Return the wire form; uid and gid go together, and so do the times: a missing half is 0."""
        flags = 0
        values: list[int] = []
        if self.size is not None:
            flags = SIZE
            values.append(self.size)
        if self.uid is not None or self.gid is not None:
            flags |= UIDGID
            values += (self.uid or 0, self.gid or 0)
        if self.permissions is not None:
            flags |= PERMISSIONS
            values.append(self.permissions)
        if self.atime is not None or self.mtime is not None:
            flags |= ACMODTIME
            values += (self.atime or 0, self.mtime or 0)
        if not self.extended:
            return _FLAGS.pack(flags) + _STRUCTS[flags].pack(*values)
        parts = [
            _FLAGS.pack(flags | EXTENDED),
            _STRUCTS[flags].pack(*values),
            _FLAGS.pack(len(self.extended)),
        ]
        for name, value in self.extended:
            parts += (_FLAGS.pack(len(name)), name, _FLAGS.pack(len(value)), value)
        return b"".join(parts)

    @classmethod
    def decode_at(cls, data: memoryview, position: int) -> "tuple[Attributes, int]":
        """Return the attributes at `position` and where they end; WireError where bytes are missing."""
        try:
            (flags,) = _unpack_flags(data, position)
            if flags == KNOWN:
                _, size, uid, gid, permissions, atime, mtime = _unpack_all(data, position)
                return cls(size, uid, gid, permissions, atime, mtime), position + _ALL.size
            return cls._decode_some(data, position + 4, flags)
        except WireError:
            raise
        except Exception:
            raise WireError(f"attributes end early, at byte {len(data)} of the packet") from None

    @classmethod
    def _decode_some(cls, data: memoryview, position: int, flags: int) -> "tuple[Attributes, int]":
        if flags & ~(KNOWN | EXTENDED):
            raise WireError(f"attributes with flags {flags:#x}, which version 3 does not have")
        layout = _STRUCTS[flags & KNOWN]
        values = iter(layout.unpack_from(data, position))
        found = cls()
        if flags & SIZE:
            found.size = next(values)
        if flags & UIDGID:
            found.uid, found.gid = next(values), next(values)
        if flags & PERMISSIONS:
            found.permissions = next(values)
        if flags & ACMODTIME:
            found.atime, found.mtime = next(values), next(values)
        position += layout.size
        if flags & EXTENDED:
            reader = WireReader(data)
            reader.position = position
            count = reader.uint32("count of extended attributes")
            if count > MAX_EXTENDED:
                raise WireError(f"{count} extended attributes, at most {MAX_EXTENDED} are taken")
            found.extended = tuple((reader.string("name"), reader.string("value")) for _ in range(count))
            position = reader.position
        return found, position

    @classmethod
    def read(cls, reader: WireReader, name: str = "attributes") -> "Attributes":
        """Read attributes where `reader` stands; the form that records use."""
        found, reader.position = cls.decode_at(reader.data, reader.position)
        return found


_SHOWN = ("size", "uid", "gid", "permissions", "atime", "mtime", "owner", "group", "atime_ns", "mtime_ns")
_FIELDS = (*Attributes.__slots__, *(name for name in Attributes.__annotations__ if name[0] != "_"))
