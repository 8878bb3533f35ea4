"""What is known of a file in versions 4 to 6 of SFTP: kinds, names of owners, fractions of seconds, bits.

`FullAttributes` holds it; `AttributeForm` is how one version writes it (draft-ietf-secsh-filexfer-04 and -05
section 5, -13 section 7), as V4, V5 and V6.  Both sides use them, once a session has
agreed on such a version.  A field that is None is not there on the wire.
"""

import stat
from struct import Struct

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader, string

from sshkit.sftp.attributes import EXTENDED, MAX_EXTENDED, PERMISSIONS, SIZE, Attributes

# Kinds of files.  Version 4 has the first five; OTHER is all that is none of its first three.
REGULAR, DIRECTORY, LINK, OTHER, UNKNOWN, SOCKET, CHARACTERS, BLOCKS, PIPE = range(1, 10)
_KINDS = {
    stat.S_IFREG: REGULAR,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFSOCK: SOCKET,
    stat.S_IFCHR: CHARACTERS,
    stat.S_IFBLK: BLOCKS,
    stat.S_IFIFO: PIPE,
}
_FORMATS = {kind: bits for bits, kind in _KINDS.items()}

# Flags, beside SIZE, PERMISSIONS and EXTENDED of version 3.
ACCESS_TIME, CREATE_TIME, MODIFY_TIME, ACL, OWNER_GROUP, SUBSECONDS = 8, 0x10, 0x20, 0x40, 0x80, 0x100
BITS = 0x200
ALLOCATION, TEXT_HINT, MIME_TYPE, LINK_COUNT, UNTRANSLATED, CHANGE_TIME = (1 << bit for bit in range(10, 16))
_MAX_NANOSECONDS = 999_999_999
_TIMES = (
    (ACCESS_TIME, "atime"),
    (CREATE_TIME, "created"),
    (MODIFY_TIME, "mtime"),
    (CHANGE_TIME, "ctime"),
)
_U32 = Struct(">I")
_unpack_u32 = _U32.unpack_from


class FullAttributes(Attributes):
    """Attributes of one file; fields whose names end in _ns are nanoseconds behind the whole seconds."""

    __slots__ = (
        "acl",
        "allocated",
        "atime_ns",
        "bits",
        "bits_valid",
        "created",
        "created_ns",
        "ctime",
        "ctime_ns",
        "group",
        "kind",
        "links",
        "mime_type",
        "mtime_ns",
        "owner",
        "text_hint",
        "untranslated",
    )

    def __init__(
        self,
        size: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        permissions: int | None = None,
        atime: int | None = None,
        mtime: int | None = None,
        extended: tuple[tuple[bytes, bytes], ...] = (),
        *,
        kind: int | None = None,
        owner: str | None = None,
        group: str | None = None,
        atime_ns: int | None = None,
        mtime_ns: int | None = None,
        created: int | None = None,
        created_ns: int | None = None,
        ctime: int | None = None,
        ctime_ns: int | None = None,
        allocated: int | None = None,
        links: int | None = None,
        bits: int | None = None,
        bits_valid: int | None = None,
        acl: bytes | None = None,
        text_hint: int | None = None,
        mime_type: bytes | None = None,
        untranslated: bytes | None = None,
    ) -> None:
        Attributes.__init__(self, size, uid, gid, permissions, atime, mtime, extended)
        self.kind = kind  #: REGULAR, DIRECTORY ...; `permissions` has it too, where they are known
        self.owner = owner  #: a name; a number there is in `uid` as well
        self.group = group
        self.atime_ns = atime_ns
        self.mtime_ns = mtime_ns
        self.created = created  #: when the file was made
        self.created_ns = created_ns
        self.ctime = ctime  #: when its attributes last changed
        self.ctime_ns = ctime_ns
        self.allocated = allocated  #: bytes on the disk
        self.links = links  #: how many names it has
        self.bits = bits  #: read-only, hidden, archive ... (-13 section 7.9)
        self.bits_valid = bits_valid  #: which of the bits are told, in version 6
        self.acl = acl  #: as it came: nothing here reads it
        self.text_hint = text_hint
        self.mime_type = mime_type
        self.untranslated = untranslated  #: the name's bytes, where the server translated it

    @property
    def is_dir(self) -> bool:
        """A directory."""
        return self.kind == DIRECTORY if self.permissions is None else stat.S_ISDIR(self.permissions)

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return self.kind == REGULAR if self.permissions is None else stat.S_ISREG(self.permissions)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return self.kind == LINK if self.permissions is None else stat.S_ISLNK(self.permissions)


def kind_of(mode: int) -> int:
    """Return the kind of file for the mode of os.stat."""
    return _KINDS.get(stat.S_IFMT(mode), UNKNOWN)


class AttributeForm:
    """How one version writes attributes."""

    __slots__ = ("_heads", "_kinds", "_known", "_tails", "_times", "exact", "version")

    def __init__(self, version: int, known: int, *, exact: bool = True) -> None:
        """`known` are the flags that the version has; without `exact` it may grow at the end of packets."""
        self.version = version
        self.exact = exact
        self._known = known | EXTENDED
        self._kinds = UNKNOWN if version == 4 else PIPE  # the last kind that it has
        self._times = tuple(pair for pair in _TIMES if pair[0] & known)
        self._heads = {
            flags: Struct(">IB" + ("Q" if flags & SIZE else "") + ("Q" if flags & ALLOCATION else ""))
            for flags in (0, SIZE, ALLOCATION, SIZE | ALLOCATION)
        }
        self._tails: dict[int, Struct] = {}  # at most 64: by the flags that matter

    # Writing.

    def encode(self, found: Attributes) -> bytes:
        """Return the wire form.  What this version has no place for is left out."""
        flags, mode = 0, found.permissions
        kind = UNKNOWN if found.kind is None else found.kind
        if mode is not None:
            kind = _KINDS.get(stat.S_IFMT(mode), kind)
        head: list[int] = []
        if found.size is not None:
            flags = SIZE
            head.append(found.size)
        if found.allocated is not None and self._known & ALLOCATION:
            flags |= ALLOCATION
            head.append(found.allocated)
        parts = [b"", self._owners(found)]
        if parts[1]:
            flags |= OWNER_GROUP
        if mode is not None:
            flags |= PERMISSIONS
            parts.append(_U32.pack(mode & 0o7777))
        flags |= self._encode_times(found, parts) | self._encode_rest(found, parts)
        if kind > self._kinds:
            kind = OTHER
        parts[0] = self._heads[flags & (SIZE | ALLOCATION)].pack(flags, kind, *head)
        return b"".join(parts)

    def _owners(self, found: Attributes) -> bytes:
        """Return owner and group, an empty one for what is not known or stays as it is."""
        owner, group = found.owner, found.group
        if owner is None and found.uid is not None:
            owner = str(found.uid)
        if group is None and found.gid is not None:
            group = str(found.gid)
        if owner is None and group is None:
            return b""
        return b"".join(string((name or "").encode("utf-8", "surrogateescape")) for name in (owner, group))

    def _encode_times(self, found: Attributes, parts: list[bytes]) -> int:
        flags = 0
        fractions = any(getattr(found, f"{name}_ns") is not None for _, name in self._times)
        for flag, name in self._times:
            seconds = getattr(found, name)
            if seconds is not None:
                flags |= flag
                parts.append(seconds.to_bytes(8, "big", signed=True))
                if fractions:
                    flags |= SUBSECONDS
                    parts.append(_U32.pack(getattr(found, f"{name}_ns") or 0))
        return flags

    def _encode_rest(self, found: Attributes, parts: list[bytes]) -> int:
        flags, known = 0, self._known
        if found.acl is not None:
            flags |= ACL
            parts.append(string(found.acl))
        if found.bits is not None and known & BITS:
            flags |= BITS
            parts.append(_U32.pack(found.bits))
            if known & LINK_COUNT:  # version 6 says which of them count
                parts.append(_U32.pack(found.bits if found.bits_valid is None else found.bits_valid))
        if known & LINK_COUNT:
            if found.text_hint is not None:
                flags |= TEXT_HINT
                parts.append(bytes((found.text_hint,)))
            if found.mime_type is not None:
                flags |= MIME_TYPE
                parts.append(string(found.mime_type))
            if found.links is not None:
                flags |= LINK_COUNT
                parts.append(_U32.pack(found.links))
            if found.untranslated is not None:
                flags |= UNTRANSLATED
                parts.append(string(found.untranslated))
        if found.extended:
            flags |= EXTENDED
            parts.append(_U32.pack(len(found.extended)))
            for name, value in found.extended:
                parts += (string(name), string(value))
        return flags

    # Reading.

    def decode_at(self, data: memoryview, position: int) -> "tuple[FullAttributes, int]":
        """Return the attributes at `position` and where they end; WireError where bytes are missing."""
        try:
            return self._decode(data, position)
        except WireError:
            raise
        except Exception:
            raise WireError(f"attributes end early, at byte {len(data)} of the packet") from None

    def _decode(self, data: memoryview, position: int) -> "tuple[FullAttributes, int]":
        found = FullAttributes()
        (flags,) = _unpack_u32(data, position)
        if flags & ~self._known:
            raise WireError(f"attributes with flags {flags:#x}, which version {self.version} does not have")
        layout = self._heads[flags & (SIZE | ALLOCATION)]
        _, kind, *values = layout.unpack_from(data, position)
        found.kind = kind
        if flags & ALLOCATION:
            found.allocated = values.pop()
        if flags & SIZE:
            found.size = values.pop()
        position += layout.size
        if flags & OWNER_GROUP:
            found.owner, found.uid, position = _name_at(data, position)
            found.group, found.gid, position = _name_at(data, position)
        position = self._decode_tail(found, data, position, flags)
        if flags & (ACL | BITS | TEXT_HINT | MIME_TYPE | LINK_COUNT | UNTRANSLATED | EXTENDED):
            position = self._decode_rest(found, data, position, flags)
        return found, position

    def _decode_tail(self, found: FullAttributes, data: memoryview, position: int, flags: int) -> int:
        """Read permissions and times."""
        shape = flags & (PERMISSIONS | ACCESS_TIME | CREATE_TIME | MODIFY_TIME | CHANGE_TIME | SUBSECONDS)
        layout = self._tails.get(shape)
        if layout is None:
            each = "qI" if flags & SUBSECONDS else "q"
            count = sum(1 for flag, _ in self._times if flags & flag)
            layout = self._tails[shape] = Struct(">" + ("I" if flags & PERMISSIONS else "") + each * count)
        values = iter(layout.unpack_from(data, position))
        if flags & PERMISSIONS:
            mode = next(values)
            bits = _FORMATS.get(found.kind)  # type: ignore[arg-type]  # None is in no table
            found.permissions = mode if bits is None else stat.S_IMODE(mode) | bits
        for flag, name in self._times:
            if flags & flag:
                setattr(found, name, next(values))
                if flags & SUBSECONDS:
                    fraction = next(values)
                    if fraction > _MAX_NANOSECONDS:
                        raise WireError(f"{name} with {fraction} nanoseconds")
                    setattr(found, f"{name}_ns", fraction)
        return position + layout.size

    def _decode_rest(self, found: FullAttributes, data: memoryview, position: int, flags: int) -> int:
        """Read what few servers send."""
        reader = WireReader(data)
        reader.position = position
        if flags & ACL:
            found.acl = reader.string("acl")
        if flags & BITS:
            found.bits = reader.uint32("bits")
            if self._known & LINK_COUNT:
                found.bits_valid = reader.uint32("valid bits")
        if flags & TEXT_HINT:
            found.text_hint = reader.byte("text hint")
        if flags & MIME_TYPE:
            found.mime_type = reader.string("MIME type")
        if flags & LINK_COUNT:
            found.links = reader.uint32("link count")
        if flags & UNTRANSLATED:
            found.untranslated = reader.string("untranslated name")
        if flags & EXTENDED:
            count = reader.uint32("count of extended attributes")
            if count > MAX_EXTENDED:
                raise WireError(f"{count} extended attributes, at most {MAX_EXTENDED} are taken")
            found.extended = tuple((reader.string("name"), reader.string("value")) for _ in range(count))
        return reader.position


def _name_at(data: memoryview, position: int) -> tuple[str | None, int | None, int]:
    """Read an owner or group: its name, its number if it is one, where it ends; an empty one is none."""
    start = position + 4
    end = start + _unpack_u32(data, position)[0]
    if end > len(data):
        raise WireError(f"the name of an owner up to byte {end} of {len(data)}")
    name = str(data[start:end], "utf-8", "surrogateescape")
    if not name:
        return None, None, end
    number = int(name) if len(name) <= 10 and name.isascii() and name.isdecimal() else None
    return name, None if number is None or number > 0xFFFFFFFF else number, end


_V4 = SIZE | PERMISSIONS | ACCESS_TIME | CREATE_TIME | MODIFY_TIME | ACL | OWNER_GROUP | SUBSECONDS
V4 = AttributeForm(4, _V4)
V5 = AttributeForm(5, _V4 | BITS)
V6 = AttributeForm(
    6,
    _V4 | BITS | ALLOCATION | TEXT_HINT | MIME_TYPE | LINK_COUNT | UNTRANSLATED | CHANGE_TIME,
    exact=False,
)

__all__ = ["V4", "V5", "V6", "AttributeForm", "FullAttributes", "kind_of"]
