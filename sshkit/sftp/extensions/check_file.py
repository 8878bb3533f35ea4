"""check-file-handle and check-file-name: hashes of a file (secsh-filexfer-extensions-00 section 3).

With a block size of 0 one hash of the whole range, else one for each block.  "check-file" is what paramiko
calls the request by handle; its answer begins with that name.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from sshkit_keys import wire
from sshkit_keys.wire import WireReader

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPInvalidParameter, SFTPOpUnsupported, SFTPPermissionDenied
from sshkit.sftp.server_paths import is_usable
from sshkit.sftp.server_requests import HANDLE, READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.backends.interface import BackendFile
    from sshkit.sftp.server import SFTPServer

#: The draft's names, which are hashlib's too.
ALGORITHMS = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")
MIN_BLOCK = 256  #: the draft's
MAX_ANSWER = 128 * 1024  #: bytes of hashes in one answer
CHUNK = 256 * 1024
_MAX_OFFSET = (1 << 63) - 1


def handle_open(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request by handle."""
    _by_handle(server, number, reader, "check-file-handle", b"")


def handle_named_once(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one of paramiko's."""
    _by_handle(server, number, reader, "check-file", wire.string(b"check-file"))


def _by_handle(server: "SFTPServer", number: int, reader: WireReader, name: str, head: bytes) -> None:
    asked = Asked(name, HANDLE, number, handle=reader.string("handle"))
    wanted = _read_rest(reader)
    file = server.file_of(asked)
    if file is None:
        return
    if not file.readable:
        server.fail(asked, SFTPPermissionDenied())
    else:
        server.do_steps(asked, _respond(server, head), _hash, server, file.file, *wanted)


def handle_path(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request by path."""
    path = reader.string("path")
    asked = Asked("check-file-name", READS, number, path)
    wanted = _read_rest(reader)
    if is_usable(server, asked, path):
        server.do_steps(asked, _respond(server, b""), _open_and_hash, server, path, *wanted)


def _read_rest(reader: WireReader) -> tuple[bytes, int, int, int]:
    """Read the list of algorithms, start, length and block size."""
    names = reader.string("algorithms")
    found = (names, reader.uint64("start"), reader.uint64("length"), reader.uint32("block size"))
    reader.finish("check-file")
    return found


def _respond(server: "SFTPServer", head: bytes) -> Callable[[Asked, bytes], None]:
    def respond(asked: Asked, answer: bytes) -> None:
        server.send_reply(asked, head + answer)

    return respond


async def _open_and_hash(server: "SFTPServer", path: bytes, *wanted: Any) -> bytes:
    opened = server.backend.open(path, m.READ_FLAG, Attributes())
    file: BackendFile = await opened if isinstance(opened, Awaitable) else opened
    try:
        return await _hash(server, file, *wanted)
    finally:
        closed = file.close()
        if isinstance(closed, Awaitable):
            await closed


async def _hash(
    server: "SFTPServer", file: "BackendFile", names: bytes, start: int, length: int, block: int
) -> bytes:
    """Return the algorithm's name as a string, then the hashes; a length of 0 is up to the end."""
    import hashlib

    known = [name for name in names.decode("ascii", "replace").split(",") if name in ALGORITHMS]
    if not known:
        raise SFTPOpUnsupported("None of these hashes is offered")
    if block and block < MIN_BLOCK:
        raise SFTPInvalidParameter(f"Blocks have {MIN_BLOCK} bytes at least")
    end = min(start + length if length else _MAX_OFFSET, _MAX_OFFSET)
    new = getattr(hashlib, known[0])
    size = new().digest_size
    hashes: list[bytes] = []
    more = True
    while more and not server.is_over():
        digest = new(usedforsecurity=False)
        stop = min(start + block, end) if block else end
        begun = start
        while start < stop and not server.is_over():
            found = file.read(start, min(stop - start, CHUNK))
            data = found if isinstance(found, (bytes, memoryview)) else await found
            if not len(data):
                break
            digest.update(data)
            start += len(data)
        more = bool(block) and start == stop and start < end
        if start > begun or (not hashes and not more):
            hashes.append(digest.digest())
        if len(hashes) * size > MAX_ANSWER:
            raise SFTPInvalidParameter("Too many blocks for one answer")
    return wire.string(known[0].encode()) + b"".join(hashes)
