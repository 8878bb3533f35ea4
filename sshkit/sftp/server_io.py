"""READ, WRITE, CLOSE and READDIR, and the tables of handlers: the hot part of an SFTP server.

`SFTPServer` takes its tables from here: one for the time before INIT, one for after it.  A handler is called
with the server and the payload; WireError and struct.error are answered as a bad message.
"""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.sftp import messages as m
from sshkit.sftp import status as codes
from sshkit.sftp.errors import SFTPPermissionDenied, SFTPProtocolError
from sshkit.sftp.server_handles import HANDLE_SIZE, OpenFile
from sshkit.sftp.server_listing import MAX_NAMES
from sshkit.sftp.server_requests import HANDLE, REQUESTS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import Entry
    from sshkit.sftp.server import SFTPServer

Handler = Callable[["SFTPServer", memoryview], object]

MAX_DATA = 256 * 1024  #: bytes of one READ's answer or one WRITE (R33)
_SMALL = 32 * 1024  #: bytes that clients without limits@openssh.com ask for
_MAX_OFFSET = m.MAX_OFFSET
_PAGE = 4096
_HEADER = m.DATA_HEADER
_PAST = "An offset past 2^63-1"

_READ = Struct(f">xII{HANDLE_SIZE}sQI")  # of WRITE too, up to its data
_READ_SIZE = _READ.size
_DATA = Struct(">IBII")
_unpack_read, _pack_data = _READ.unpack_from, _DATA.pack_into


def read(server: "SFTPServer", payload: memoryview) -> None:
    """READ: straight from the file into the answer, where the backend can."""
    if len(payload) != _READ_SIZE:
        _odd_handle(server, payload)
        return
    number, length, handle, offset, size = _unpack_read(payload)
    file = server.handles.files.get(handle)
    if file is None or length != HANDLE_SIZE:
        server.bad_handle(number)
        return
    if size > MAX_DATA:
        size = MAX_DATA
    if offset > _MAX_OFFSET - size:
        if offset > _MAX_OFFSET:
            server.send_status(number, codes.BAD_MESSAGE, _PAST)
            return
        size = _MAX_OFFSET - offset
    read_into = file.read_into
    if read_into is None or not server.simple:
        _read_slowly(server, file, Asked("read", HANDLE, number, file.path, handle=handle), offset, size)
        return
    buffer = server.buffer
    if buffer is None or len(buffer) < size + _PAGE:
        buffer = server.buffer = _make_buffer(size)
    try:
        got = read_into(buffer[_PAGE : _PAGE + size], offset, server.waits)
    except BlockingIOError:
        asked = Asked("read", HANDLE, number, file.path, handle=handle)
        server.do_apart(asked, server.send_data, _read_apart, read_into, offset, size)
        return
    except Exception as error:
        server.fail(Asked("read", HANDLE, number, file.path), error)
        return
    if not got:
        server.send_end(number)
        return
    file.read += got
    _pack_data(buffer, _PAGE - _HEADER, 9 + got, m.DATA, number, got)
    server.send_view(buffer[_PAGE - _HEADER : _PAGE + got])


def _make_buffer(size: int) -> memoryview:
    """Return a buffer whose data begin at a page; small reads need no large one."""
    from mmap import mmap

    return memoryview(mmap(-1, _PAGE + (MAX_DATA if size > _SMALL else _SMALL)))


def _read_slowly(server: "SFTPServer", file: OpenFile, asked: Asked, offset: int, size: int) -> None:
    if not file.readable:
        server.fail(asked, SFTPPermissionDenied())
    elif size == 0:
        server.send_end(asked.number)
    else:
        server.do(asked, server.send_data, file.file.read, offset, size)


def _read_apart(read_into: Callable[[memoryview, int, bool], int], offset: int, size: int) -> memoryview:
    """Read in a thread, into a buffer of its own."""
    view = memoryview(bytearray(size))
    return view[: read_into(view, offset, True)]


def write(server: "SFTPServer", payload: memoryview) -> None:
    """WRITE: straight from where it lies."""
    if len(payload) < _READ_SIZE:
        _odd_handle(server, payload)
        return
    number, length, handle, offset, size = _unpack_read(payload)
    file = server.handles.files.get(handle)
    if length != HANDLE_SIZE:
        _odd_handle(server, payload)
        return
    data = payload[_READ_SIZE:]
    if len(data) != size:
        raise WireError(f"WRITE of {size} bytes, {len(data)} are there")
    if file is None:
        server.bad_handle(number)
    elif not file.writable:
        server.fail(Asked("write", HANDLE, number, file.path), SFTPPermissionDenied())
    elif offset > _MAX_OFFSET - size:
        server.send_status(number, codes.BAD_MESSAGE, _PAST)
    elif server.simple:
        try:
            file.file.write(offset, data)
        except Exception as error:
            server.fail(Asked("write", HANDLE, number, file.path), error)
        else:
            file.written += size
            server.send_ok(number)
    else:
        file.written += size
        asked = Asked("write", HANDLE, number, file.path, handle=handle)
        server.do(asked, server.succeed, file.file.write, offset, memoryview(bytes(data)))


def close(server: "SFTPServer", payload: memoryview) -> None:
    """CLOSE of a file or directory."""
    number, handle = by_handle(payload)
    entry = server.handles.files.pop(handle, None)
    if entry is not None:
        asked = Asked("close", HANDLE, number, entry.path, handle=handle)
        counted, written = entry.read, entry.written

        def closed(asked: Asked, result: object) -> None:
            server.send_ok(number)
            server.tell(asked, read=counted, written=written)

        server.do(asked, closed, entry.file.close)
        return
    folder = server.handles.folders.pop(handle, None)
    if folder is None:
        server.bad_handle(number)
    else:
        asked = Asked("closedir", HANDLE, number, folder.path, handle=handle)
        server.do(asked, server.succeed, folder.directory.close)


def readdir(server: "SFTPServer", payload: memoryview) -> None:
    """READDIR: the next names."""
    number, handle = by_handle(payload)
    folder = server.handles.folders.get(handle)
    if folder is None:
        server.bad_handle(number)
        return
    asked = Asked("readdir", HANDLE, number, folder.path, handle=handle)

    def found(asked: Asked, entries: "list[Entry]") -> None:
        folder.is_long = len(entries) >= MAX_NAMES
        server.send_names(asked, entries)

    do = server.do_apart if folder.is_long else server.do
    do(asked, found, folder.directory.read, MAX_NAMES)


def by_handle(payload: memoryview) -> tuple[int, bytes]:
    """Read a request of an id and a handle."""
    number, length = m.unpack_two(payload, 1)
    if length != len(payload) - 9:
        raise WireError(f"a handle of {length} bytes, {len(payload) - 9} are there")
    return number, bytes(payload[9:])


def _odd_handle(server: "SFTPServer", payload: memoryview) -> None:
    """Answer READ or WRITE whose handle has not the usual length, if nothing else is wrong."""
    reader = WireReader(payload)
    reader.position = 1
    number = reader.uint32("id")
    reader.view("handle")
    reader.uint64("offset")
    if payload[0] == m.READ:
        reader.uint32("size")
    else:
        reader.view("data")
    reader.finish("READ or WRITE")
    server.bad_handle(number)


# What is no request, or not now.


def _too_early(server: "SFTPServer", payload: memoryview) -> None:
    raise SFTPProtocolError(f"packet {payload[0]} before INIT")


def _init(server: "SFTPServer", payload: memoryview) -> None:
    from sshkit.sftp.extensions import offers

    (version,) = m.unpack_id(payload, 1)
    if version < m.VERSION_NUMBER:
        raise SFTPProtocolError(f"the client speaks version {version} at most; 3 is the least here")
    server.start(min(version, server.max_version))
    dialect = server.dialect
    server.send(m.frame(m.Version(dialect.version, dialect.offers() + offers(server)).encode()))


def _second_init(server: "SFTPServer", payload: memoryview) -> None:
    raise SFTPProtocolError("a second INIT")


def _unknown(server: "SFTPServer", payload: memoryview) -> None:
    (number,) = m.unpack_id(payload, 1)
    server.send_status(number, codes.OP_UNSUPPORTED, codes.WORDS[codes.OP_UNSUPPORTED])


def _denied(server: "SFTPServer", payload: memoryview) -> None:
    server.deny_number(m.unpack_id(payload, 1)[0], REQUESTS[payload[0]][0])


def _extended(server: "SFTPServer", payload: memoryview) -> None:
    from sshkit.sftp.extensions import handle

    handle(server, payload)


def before_init() -> list[Handler]:
    """Return the table of a session that has not begun."""
    table: list[Handler] = [_too_early] * 256
    table[m.INIT] = _init
    return table


def before_requests(first: Handler) -> list[Handler]:
    """Return the table of a session whose first request may pick a version."""
    table: list[Handler] = [first] * 256
    table[m.INIT] = _second_init
    return table


def after_init(refused: frozenset[str], handlers: dict[int, Handler]) -> list[Handler]:
    """Return the table of a session; `refused` are names of requests that are not served.

    `handlers` are those that are not the same in all versions.
    """
    handlers = {m.READ: read, m.WRITE: write, m.CLOSE: close, m.READDIR: readdir, **handlers}
    table: list[Handler] = [_unknown] * 256
    table[m.INIT] = _second_init
    table[m.EXTENDED] = _extended
    for number, handler in handlers.items():
        name = REQUESTS[number][0] if number in REQUESTS else ""  # LINK is two: its handler asks
        table[number] = _denied if name in refused else handler
    return table
