"""The messages of SFTP version 3, declared once in wire order (draft-ietf-secsh-filexfer-02).

Both sides use them.  `frame` puts the length before a payload.  What passes by the thousand (READ, WRITE,
CLOSE, DATA, STATUS, HANDLE, STAT, ATTRS, NAME) is packed and unpacked by hand below; a test holds both
forms equal.  Names are bytes on the wire and `str` above, with surrogateescape, so that all bytes survive.
"""

import os
from struct import Struct
from typing import Annotated

from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.sftp.attributes import Attributes
from sshkit.ssh.messages.record import Message, Rest, String, UInt32, message

VERSION_NUMBER = 3

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 3, 4, 5, 6, 7, 8, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT = 11, 12, 13, 14, 15, 16, 17
RENAME, READLINK, SYMLINK, LINK, BLOCK, UNBLOCK = 18, 19, 20, 21, 22, 23
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

# Flags of OPEN (section 6.3).
READ_FLAG, WRITE_FLAG, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32

MAX_HANDLE = 256  #: bytes of a handle (section 6.1)
MAX_OFFSET = (1 << 63) - 1

UInt64 = Annotated[int, WireReader.uint64, wire.uint64]
Attrs = Annotated[Attributes, Attributes.read, Attributes.encode]
Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@message(INIT)
class Init(Message):
    """The client's highest version; what follows are extensions, which version 3 has none of (section 4)."""

    version: UInt32
    extensions: Rest


@message(VERSION)
class Version(Message):
    """The server's version, then pairs of strings: name and data of each extension (section 4)."""

    version: UInt32
    extensions: Rest


@message(OPEN)
class Open(Message):
    """Open or create a file (section 6.3)."""

    id: UInt32
    path: String
    flags: UInt32
    attributes: Attrs


@message(CLOSE)
class Close(Message):
    """Close a file or directory (section 6.3)."""

    id: UInt32
    handle: String


@message(READ)
class Read(Message):
    """Read `size` bytes at most (section 6.4)."""

    id: UInt32
    handle: String
    offset: UInt64
    size: UInt32


@message(WRITE)
class Write(Message):
    """Write bytes at an offset (section 6.4)."""

    id: UInt32
    handle: String
    offset: UInt64
    data: String


@message(LSTAT)
class LStat(Message):
    """Attributes of a file; of a link itself (section 6.8)."""

    id: UInt32
    path: String


@message(FSTAT)
class FStat(Message):
    """Attributes of an open file (section 6.8)."""

    id: UInt32
    handle: String


@message(SETSTAT)
class SetStat(Message):
    """Change attributes (section 6.9)."""

    id: UInt32
    path: String
    attributes: Attrs


@message(FSETSTAT)
class FSetStat(Message):
    """Change attributes of an open file (section 6.9)."""

    id: UInt32
    handle: String
    attributes: Attrs


@message(OPENDIR)
class OpenDir(Message):
    """Open a directory to list it (section 6.7)."""

    id: UInt32
    path: String


@message(READDIR)
class ReadDir(Message):
    """Next names of a directory (section 6.7)."""

    id: UInt32
    handle: String


@message(REMOVE)
class Remove(Message):
    """Remove a file (section 6.5)."""

    id: UInt32
    path: String


@message(MKDIR)
class MkDir(Message):
    """Make a directory (section 6.6)."""

    id: UInt32
    path: String
    attributes: Attrs


@message(RMDIR)
class RmDir(Message):
    """Remove an empty directory (section 6.6)."""

    id: UInt32
    path: String


@message(REALPATH)
class RealPath(Message):
    """The absolute name of a path (section 6.11)."""

    id: UInt32
    path: String


@message(STAT)
class Stat(Message):
    """Attributes of a file; of what a link leads to (section 6.8)."""

    id: UInt32
    path: String


@message(RENAME)
class Rename(Message):
    """Rename a file; version 3 servers refuse to replace one (section 6.5)."""

    id: UInt32
    source: String
    target: String


@message(READLINK)
class ReadLink(Message):
    """Where a link leads (section 6.10)."""

    id: UInt32
    path: String


@message(SYMLINK)
class SymLink(Message):
    """Make a link, in OpenSSH's order, which others follow; the draft's is the other way (section 6.10)."""

    id: UInt32
    target: String  #: what the link says
    link: String  #: where it is made


@message(EXTENDED)
class Extended(Message):
    """A request of an extension (section 8)."""

    id: UInt32
    name: String
    body: Rest


@message(STATUS)
class Status(Message):
    """How a request went (section 7)."""

    id: UInt32
    code: UInt32
    text: String
    language: String


@message(HANDLE)
class Handle(Message):
    """A file or directory is open (section 7)."""

    id: UInt32
    handle: String


@message(DATA)
class Data(Message):
    """What was read (section 7)."""

    id: UInt32
    data: String


@message(NAME)
class Name(Message):
    """Names: for each file name, a line as of ls -l, attributes (section 7)."""

    id: UInt32
    count: UInt32
    entries: Rest


@message(ATTRS)
class AttrsAnswer(Message):
    """Attributes of a file (section 7)."""

    id: UInt32
    attributes: Attrs


@message(EXTENDED_REPLY)
class ExtendedReply(Message):
    """The answer to a request of an extension (section 8)."""

    id: UInt32
    body: Rest


#: Every request by number, with a record to decode it.
REQUESTS: dict[int, type[Message]] = {
    kind.number: kind
    for kind in (
        Open, Close, Read, Write, LStat, FStat, SetStat, FSetStat, OpenDir, ReadDir, Remove, MkDir, RmDir,
        RealPath, Stat, Rename, ReadLink, SymLink, Extended,
    )
}  # fmt: skip

# Names.


def to_wire(path: Path) -> bytes:
    """Return the bytes of a path; ValueError for one with NUL."""
    raw = os.fspath(path)
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise ValueError("a path with a NUL byte")
    return raw


def from_wire(name: bytes | memoryview) -> str:
    """Return the text of a name; bytes that are not UTF-8 survive as lone surrogates."""
    return str(name, "utf-8", "surrogateescape")


# By hand.

_HEAD = Struct(">IBI")
_THREE = Struct(">IBII")
_U32 = Struct(">I")
_TWO = Struct(">II")
_ATTRS = Struct(">IBIIQIIIII")
pack_head = _HEAD.pack
_pack_three = _THREE.pack
unpack_id = Struct(">I").unpack_from
unpack_two = _TWO.unpack_from


def frame(payload: bytes) -> bytes:
    """Return a packet: the length, then the payload."""
    return _U32.pack(len(payload)) + payload


def pack_string(kind: int, number: int, value: bytes) -> bytes:
    """Return a packet of an id and one string: CLOSE, STAT, LSTAT, OPENDIR, READDIR, HANDLE, DATA ..."""
    size = len(value)
    return _pack_three(9 + size, kind, number, size) + value


def read_packer(handle: bytes) -> "Struct":
    """Return the Struct of READ packets for handles of this length; see `pack_read`."""
    return Struct(f">IBII{len(handle)}sQI")


def pack_read(layout: Struct, number: int, handle: bytes, offset: int, size: int) -> bytes:
    """Return one READ packet; `layout` is `read_packer(handle)`."""
    return layout.pack(layout.size - 4, READ, number, len(handle), handle, offset, size)


def write_header(handle: bytes) -> Struct:
    """Return the Struct of what stands before the data of a WRITE packet; see `pack_write_header`."""
    return Struct(f">IBII{len(handle)}sQI")


def pack_write_header(
    layout: Struct,
    buffer: memoryview | bytearray,
    start: int,
    number: int,
    handle: bytes,
    offset: int,
    size: int,
) -> None:
    """Put the header of a WRITE packet at `start`; `size` bytes of data follow behind `layout.size` bytes."""
    layout.pack_into(buffer, start, layout.size - 4 + size, WRITE, number, len(handle), handle, offset, size)


DATA_HEADER = 13  #: bytes before the data of a DATA packet, with the length


def pack_data_header(buffer: memoryview | bytearray, start: int, number: int, size: int) -> None:
    """Put the header of a DATA packet at `start`; `size` bytes of data follow behind DATA_HEADER bytes."""
    _THREE.pack_into(buffer, start, 9 + size, DATA, number, size)


def pack_status(number: int, code: int, text: bytes = b"", language: bytes = b"") -> bytes:
    """Return one STATUS packet."""
    size = len(text)
    return b"".join(
        (
            _pack_three(17 + size + len(language), STATUS, number, code),
            _U32.pack(size),
            text,
            _U32.pack(len(language)),
            language,
        )
    )


def unpack_status(payload: memoryview) -> tuple[int, bytes]:
    """Return code and words of a STATUS; old servers leave the words out."""
    if len(payload) < 9:
        raise WireError(f"STATUS of {len(payload)} bytes")
    (code,) = unpack_id(payload, 5)
    if len(payload) == 9:
        return code, b""
    reader = WireReader(payload)
    reader.position = 9
    words = reader.string("message")
    if reader.position < reader.end:
        reader.view("language")
    reader.finish("STATUS")
    return code, words


def pack_attrs(number: int, found: Attributes) -> bytes:
    """Return one ATTRS packet."""
    body = found.encode()
    return pack_head(5 + len(body), ATTRS, number) + body


def unpack_attrs(payload: memoryview) -> Attributes:
    """Return the attributes of an ATTRS."""
    found, end = Attributes.decode_at(payload, 5)
    if end != len(payload):
        raise WireError(f"ATTRS: {len(payload) - end} bytes left over")
    return found


def unpack_string(payload: memoryview) -> memoryview:
    """Return the one string of a HANDLE or DATA, as a view."""
    if len(payload) < 9:
        raise WireError(f"a string in a packet of {len(payload)} bytes")
    (size,) = unpack_id(payload, 5)
    if size != len(payload) - 9:
        raise WireError(f"a string of {size} bytes, {len(payload) - 9} are there")
    return payload[9:]


#: One entry of a NAME: the name, the line as of ls -l, what is known of the file.
Entry = tuple[bytes, bytes, Attributes]


def pack_names(number: int, entries: "list[Entry] | tuple[Entry, ...]") -> bytes:
    """Return one NAME packet."""
    parts: list[bytes] = []
    for name, line, found in entries:
        parts += (_U32.pack(len(name)), name, _U32.pack(len(line)), line, found.encode())
    body = b"".join(parts)
    return _pack_three(9 + len(body), NAME, number, len(entries)) + body


def unpack_names(payload: memoryview) -> list[Entry]:
    """Return the entries of a NAME; WireError where the count does not fit the packet."""
    end = len(payload)
    if end < 9:
        raise WireError(f"NAME of {end} bytes")
    (count,) = unpack_id(payload, 5)
    if count > (end - 9) // 12:  # the least that one takes
        raise WireError(f"{count} names in a packet of {end} bytes")
    entries: list[Entry] = []
    position = 9
    decode = Attributes.decode_at
    try:
        for _ in range(count):
            start = position + 4
            position = start + unpack_id(payload, position)[0]
            name = bytes(payload[start:position])
            start = position + 4
            position = start + unpack_id(payload, position)[0]
            line = bytes(payload[start:position])
            found, position = decode(payload, position)
            entries.append((name, line, found))
    except WireError:
        raise
    except Exception:
        raise WireError(f"NAME ends early, in its entry {len(entries)}") from None
    if position != end:
        raise WireError(f"NAME: {end - position} bytes left over")
    return entries


def pack_extensions(pairs: "dict[str, bytes]") -> bytes:
    """Return the pairs of a VERSION."""
    return b"".join(wire.string(name) + wire.string(value) for name, value in pairs.items())


MAX_EXTENSIONS = 256


def unpack_extensions(data: bytes) -> "dict[str, bytes]":
    """Return the pairs of a VERSION."""
    reader = WireReader(data)
    pairs: dict[str, bytes] = {}
    while reader.position < reader.end:
        if len(pairs) >= MAX_EXTENSIONS:
            raise WireError(f"more than {MAX_EXTENSIONS} extensions")
        name = from_wire(reader.string("name of an extension"))
        pairs[name] = reader.string("data of an extension")
    return pairs
