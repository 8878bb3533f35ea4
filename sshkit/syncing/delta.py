"""Only the blocks that changed: a large file made from the one that is there.

The server hashes its blocks (`check-file-name` with a block size, secsh-filexfer-extensions-00 section 3).
Sending, blocks that are there already are put together by the server itself (`copy-data`, section 7);
fetching, they are copied here.  Whatever block the old file has is found wherever it lies, at a multiple of
the block size; so is what an earlier, cut transfer left in the part.  The whole is compared by its hash
before it gets its name.  `moving.py` calls this, and sends the whole file where it returns False.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.wire import WireReader, string, uint32, uint64

from sshkit.deferred import gather
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_requests import POSIX_RENAME
from sshkit.sftp.client_session import Session
from sshkit.sftp.errors import SFTPError, SFTPNoSuchFile
from sshkit.sftp.progress import TransferError
from sshkit.sftp.transfer import PERMISSIONS, Transfer
from sshkit.sftp.transfer import Options as TransferOptions
from sshkit.sftp.transfer_local import create_below, open_source, part_name, write_all

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

MIN_SIZE = 1 << 20  #: bytes of a file that is worth the questions
STRONG = ("sha256", "sha512", "sha384", "sha224")  #: what a block is known by
LEAST_BLOCK, MOST_BLOCK = 8 * 1024, 1 << 20
BLOCKS = 1024  #: hashes of one answer: 64 KiB at most
ASKED = 4  #: such questions in flight
SAVING = 16  #: where less than one part in so many is there already, the engine is faster
PIECE = 1 << 20  #: bytes moved in one go
COPIES = 16  #: copy-data requests in flight
SENT, KEPT = -1, -2


class Piece(NamedTuple):
    """A stretch of the new file: to be moved (SENT), in place already (KEPT), or at an offset of the old."""

    offset: int
    size: int
    source: int


def block_size(size: int) -> int:
    """Return a power of two: the larger the file, the larger the blocks and the fewer the hashes."""
    block = LEAST_BLOCK
    while block < MOST_BLOCK and block * block < size * 64:
        block *= 2
    return block


def plan(
    new: Sequence[bytes], size: int, block: int, old: Sequence[bytes], part: Sequence[bytes]
) -> list[Piece]:
    """Return where each stretch of the new file comes from."""
    where = {digest: number * block for number, digest in reversed(list(enumerate(old)))}
    pieces: list[Piece] = []
    for number, digest in enumerate(new):
        offset = number * block
        length = min(block, size - offset)
        if number < len(part) and part[number] == digest:
            source = KEPT
        elif number < len(old) and old[number] == digest:
            source = offset
        else:
            source = where.get(digest, SENT)
        last = pieces[-1] if pieces else None
        if last is not None and (
            last.source == source if source < 0 else last.source >= 0 and last.source + last.size == source
        ):
            pieces[-1] = last._replace(size=last.size + length)
        else:
            pieces.append(Piece(offset, length, source))
    return pieces


def is_worth_it(pieces: Sequence[Piece], size: int) -> bool:
    """Tell whether enough of the file is there."""
    return sum(piece.size for piece in pieces if piece.source != SENT) * SAVING >= size


async def remote_blocks(
    client: "SFTPClient", path: bytes, size: int, block: int, algorithms: Sequence[str] = STRONG
) -> tuple[str, list[bytes]] | None:
    """Return the algorithm and the hash of each block of a remote file; None where the server does not."""
    span = block * BLOCKS
    starts = range(0, size, span)
    names = ",".join(algorithms)
    found: list[tuple[str, list[bytes]]] = []
    try:
        for at in range(0, len(starts), ASKED):
            found += await gather(
                *(
                    _ask(client.session, path, names, start, min(span, size - start), block)
                    for start in starts[at : at + ASKED]
                )
            )
    except SFTPError:
        return None
    hashes = [digest for _, part in found for digest in part]
    taken = {algorithm for algorithm, _ in found}
    if len(taken) != 1 or not taken <= set(algorithms) or len(hashes) != -(-size // block):
        return None
    return taken.pop(), hashes


def _ask(session: Session, path: bytes, names: str, start: int, length: int, block: int) -> Any:
    body = string("check-file-name") + string(path) + string(names)
    body += uint64(start) + uint64(length) + uint32(block)
    return session.call(m.EXTENDED, body, m.EXTENDED_REPLY, _read_blocks, path)


def _read_blocks(payload: memoryview) -> tuple[str, list[bytes]]:
    import hashlib

    reader = WireReader(payload)
    reader.position = 5
    name = reader.string("algorithm")
    if name == b"check-file":  # some servers say the extension's name first
        name = reader.string("algorithm")
    algorithm = m.from_wire(name)
    if algorithm not in STRONG:
        return algorithm, []
    size = hashlib.new(algorithm).digest_size
    rest = reader.rest()
    return algorithm, [rest[at : at + size] for at in range(0, len(rest), size)]


def local_blocks(descriptor: int, size: int, block: int, algorithm: str) -> tuple[list[bytes], bytes]:
    """Return the hash of each block, and that of the whole; for a thread."""
    import hashlib

    whole = hashlib.new(algorithm)
    found: list[bytes] = []
    for offset in range(0, size, block):
        digest = hashlib.new(algorithm)
        stop = min(offset + block, size)
        while offset < stop:
            data = os.pread(descriptor, min(PIECE, stop - offset), offset)
            if not data:
                raise TransferError("the file changed while it was read")
            digest.update(data)
            whole.update(data)
            offset += len(data)
        found.append(digest.digest())
    return found, whole.digest()


def can_send(client: "SFTPClient") -> bool:
    """Tell whether the server does what sending needs."""
    return client.can_hash and "copy-data" in client.extensions and POSIX_RENAME in client.extensions


async def send(
    client: "SFTPClient",
    descriptor: int,
    found: os.stat_result,
    target: bytes,
    there: Attributes,
    options: TransferOptions,
    transfer: Transfer,
) -> bool:
    """Make `target` equal to an open file; False where the whole is better sent."""
    session, size = client.session, found.st_size
    block = block_size(size)
    head, slash, name = target.rpartition(b"/")
    part = head + slash + part_name(name, None if options.resume else session.random_bytes)
    answer = await remote_blocks(client, target, there.size or 0, block)
    if answer is None:
        return False
    algorithm, old = answer
    kept: list[bytes] = []
    left = await _left_over(client, part) if options.resume else 0
    if left:
        again = await remote_blocks(client, part, left, block, (algorithm,))
        kept = [] if again is None else again[1]
    new, whole = await session.defer_to_thread(local_blocks, descriptor, size, block, algorithm)
    pieces = plan(new, size, block, old, kept)
    if not is_worth_it(pieces, size):
        return False
    progress = transfer.progress
    progress.total = (progress.total or 0) + size
    mode = found.st_mode & PERMISSIONS
    final = mode if options.preserve or there.mode is None else there.mode & PERMISSIONS
    how = "r+" if left else "wb" if options.resume else "xb"
    try:
        async with client.open(target) as reader, client.open(part, how, permissions=final | 0o200) as writer:
            copies: list[Any] = []
            for piece in pieces:
                if piece.source == SENT:
                    await writer.seek(piece.offset)
                    await _send_piece(session, descriptor, piece, writer, transfer)
                    continue
                if piece.source >= 0:
                    body = string(reader.handle) + uint64(piece.source) + uint64(piece.size)
                    body += string(writer.handle) + uint64(piece.offset)
                    copies.append(session.call(m.EXTENDED, string("copy-data") + body, path=part))
                if len(copies) >= COPIES:
                    await gather(*copies)
                    copies = []
                progress.resumed += piece.size
                transfer.moved(piece.size)
            await gather(*copies)
            await writer.flush()
            changes = Attributes(size=size, permissions=final)
            if options.preserve:
                changes.atime, changes.mtime = int(found.st_atime), int(found.st_mtime)
            await writer.setstat(changes)
        if (await client.hash(part, algorithm, size=size))[1] != whole:
            raise TransferError("what was put together is not the same: the file changed meanwhile", target)
        await client.replace(part, target)
    except (SFTPError, OSError) as error:
        if session.lost is None and (not options.resume or isinstance(error, TransferError)):
            client.remove(part).add_errback(lambda _: None)
        raise
    progress.files += 1
    return True


async def _left_over(client: "SFTPClient", part: bytes) -> int:
    """Return the size of what an earlier transfer left."""
    try:
        found = await client.lstat(part)
    except SFTPNoSuchFile:
        return 0
    if not found.is_file:
        raise TransferError("not a regular file", part)
    return found.size or 0


async def _send_piece(
    session: Session, descriptor: int, piece: Piece, writer: Any, transfer: Transfer
) -> None:
    offset, stop = piece.offset, piece.offset + piece.size
    while offset < stop:
        data: bytes = await session.defer_to_thread(os.pread, descriptor, min(PIECE, stop - offset), offset)
        if not data:
            raise TransferError("the file changed while it was read")
        await writer.write(data)
        offset += len(data)
        transfer.moved(len(data))


async def fetch(
    client: "SFTPClient",
    source: bytes,
    found: Attributes,
    parent: int,
    name: bytes,
    options: TransferOptions,
    transfer: Transfer,
) -> bool:
    """Make the file `name` in the directory `parent` equal to a remote one; False as in `send`."""
    session, size = client.session, found.size or 0
    block = block_size(size)
    answer = await remote_blocks(client, source, size, block)
    if answer is None:
        return False
    algorithm, new = answer
    defer = session.defer_to_thread
    old_descriptor = open_source(name, parent, follow=False)[0]  # not what a link in its place leads to
    try:
        old_size = os.fstat(old_descriptor).st_size
        old, _ = await defer(local_blocks, old_descriptor, old_size, block, algorithm)
        part = part_name(name, None if options.resume else session.random_bytes)
        mode = PERMISSIONS & (found.permissions if found.permissions is not None else 0o666)
        if not options.preserve:
            mode = os.fstat(old_descriptor).st_mode & PERMISSIONS
        descriptor = create_below(parent, part, mode | 0o200, keep=options.resume)
        whole = False
        try:
            left = min(os.fstat(descriptor).st_size, size)
            kept, _ = await defer(local_blocks, descriptor, left, block, algorithm)
            pieces = plan(new, size, block, old, kept)
            if not is_worth_it(pieces, size):
                return False
            transfer.progress.total = (transfer.progress.total or 0) + size
            async with client.open(source) as reader:
                for piece in pieces:
                    await _fetch_piece(session, reader, piece, old_descriptor, descriptor, transfer)
            os.ftruncate(descriptor, size)
            _, ours = await defer(local_blocks, descriptor, size, block, algorithm)
            if (await client.hash(source, algorithm))[1] != ours:
                os.ftruncate(descriptor, 0)
                raise TransferError(
                    "what was put together is not the same: the file changed meanwhile", source
                )
            os.fchmod(descriptor, mode)
            if options.preserve and found.mtime is not None:
                os.utime(descriptor, (found.atime or found.mtime, found.mtime))
            os.replace(part, name, src_dir_fd=parent, dst_dir_fd=parent)
            whole = True
        finally:
            os.close(descriptor)
            if not whole and not options.resume:
                os.unlink(part, dir_fd=parent)
    finally:
        os.close(old_descriptor)
    transfer.progress.files += 1
    return True


async def _fetch_piece(
    session: Session, reader: Any, piece: Piece, old: int, descriptor: int, transfer: Transfer
) -> None:
    if piece.source != SENT:
        if piece.source >= 0:
            await session.defer_to_thread(_copy, old, piece.source, descriptor, piece.offset, piece.size)
        transfer.progress.resumed += piece.size
        transfer.moved(piece.size)
        return
    offset, stop = piece.offset, piece.offset + piece.size
    while offset < stop:
        data = await reader.pread(min(4 * PIECE, stop - offset), offset)
        if not data:
            raise TransferError("the file changed while it was read", reader.path)
        write_all(descriptor, data, offset)
        offset += len(data)
        transfer.moved(len(data))


def _copy(source: int, offset: int, target: int, place: int, size: int) -> None:
    """Copy a stretch of one local file to another; for a thread."""
    while size:
        data = os.pread(source, min(PIECE, size), offset)
        if not data:
            raise TransferError("the file changed while it was read")
        write_all(target, data, place)
        offset += len(data)
        place += len(data)
        size -= len(data)
