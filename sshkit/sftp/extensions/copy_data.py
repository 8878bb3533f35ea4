"""copy-data: from one open file to another, without the client (secsh-filexfer-extensions-00 section 7).

Where both are real files the kernel copies.  It runs in a thread and alone, so that what follows finds it
done.
"""

import errno
import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader

from sshkit.sftp.errors import SFTPPermissionDenied
from sshkit.sftp.server_requests import CHANGES, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer
    from sshkit.sftp.server_handles import OpenFile

CHUNK = 256 * 1024
_KERNEL_CHUNK = 64 << 20
_MAX_OFFSET = (1 << 63) - 1
#: What the kernel says where it does not copy between these two.
_NOT_SO = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF)


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Take one request; a length of 0 is up to the end of the source."""
    asked = Asked("copy-data", CHANGES, number, handle=reader.string("handle to read from"))
    start, length = reader.uint64("offset to read from"), reader.uint64("length")
    target_handle, place = reader.string("handle to write to"), reader.uint64("offset to write to")
    reader.finish("copy-data")
    target_asked = Asked("copy-data", CHANGES, number, handle=target_handle)
    source = server.file_of(asked)
    target = None if source is None else server.file_of(target_asked)
    if source is None or target is None:
        return
    asked.target = target.path
    if not source.readable or not target.writable:
        server.fail(asked, SFTPPermissionDenied())
        return
    end = start + length if length else _MAX_OFFSET
    overlaps = source is target and (not length or (place < end and start < place + length))
    if overlaps or max(end, place, place + length) > _MAX_OFFSET:
        server.fail(asked, OSError(errno.EINVAL, os.strerror(errno.EINVAL)))
        return
    server.do_steps(asked, server.succeed, _copy, server, source, target, start, end, place)


async def _copy(
    server: "SFTPServer", source: "OpenFile", target: "OpenFile", start: int, end: int, place: int
) -> None:
    """Copy until the end, or until the source has no more."""
    kernel = source.file.copy_descriptor >= 0 and target.file.copy_descriptor >= 0
    while start < end and not server.is_over():
        if kernel:
            done = _by_kernel(source, target, start, min(end - start, _KERNEL_CHUNK), place)
            if done < 0:
                kernel = False
                continue
        else:
            found = source.file.read(start, min(end - start, CHUNK))
            data = found if isinstance(found, (bytes, memoryview)) else await found
            done = len(data)
            if done:
                written = target.file.write(place, memoryview(data))
                if isinstance(written, Awaitable):
                    await written
        if not done:
            return
        target.written += done
        source.read += done
        start += done
        place += done


def _by_kernel(source: "OpenFile", target: "OpenFile", start: int, size: int, place: int) -> int:
    """Return how many bytes the kernel copied; -1 where it does not copy between these two."""
    try:
        return os.copy_file_range(
            source.file.copy_descriptor, target.file.copy_descriptor, size, start, place
        )
    except AttributeError:  # not on this system
        return -1
    except OSError as failed:
        if failed.errno in _NOT_SO:
            return -1
        raise
