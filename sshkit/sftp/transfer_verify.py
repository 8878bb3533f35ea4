"""Is a remote file the same as a local one?  By the server's own hash where it offers that, else by reading.

Called before a resumed transfer goes on, and after one that was asked to verify.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit.sftp.client_requests import HASHES
from sshkit.sftp.errors import SFTPError
from sshkit.sftp.transfer_local import hash_part

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

TAIL = 1 << 20  #: bytes before the cut that are compared where the server offers no hash
BLOCK = 1 << 20


async def same_hash(client: "SFTPClient", path: bytes, descriptor: int, end: int) -> tuple[bool, str] | None:
    """Compare the first `end` bytes by hash; None where the server cannot."""
    if not client.can_hash:
        return None
    try:
        algorithm, theirs = await client.hash(path, HASHES, size=end)
    except SFTPError:
        return None
    if algorithm not in HASHES:
        return None
    ours: Any = await client.session.defer_to_thread(hash_part, descriptor, 0, end, algorithm)
    return ours == theirs, algorithm


async def same_contents(client: "SFTPClient", path: bytes, descriptor: int, start: int, end: int) -> bool:
    """Read a stretch of the remote file again and compare it."""
    async with client.open(path) as file:
        await file.seek(start)
        while start < end:
            theirs = await file.read(min(BLOCK, end - start))
            ours: bytes = await client.session.defer_to_thread(os.pread, descriptor, len(theirs), start)
            if not theirs or ours != theirs:
                return False
            start += len(theirs)
    return True


async def same_prefix(client: "SFTPClient", path: bytes, descriptor: int, end: int, *, full: bool) -> bool:
    """Tell whether a transfer can go on at `end`: the bytes before it are the same at both sides."""
    if not end:
        return True
    hashed = await same_hash(client, path, descriptor, end)
    if hashed is not None:
        return hashed[0]
    return await same_contents(client, path, descriptor, 0 if full else max(end - TAIL, 0), end)


async def same_file(
    client: "SFTPClient", path: bytes, descriptor: int, size: int, *, full: bool
) -> tuple[bool, str]:
    """Tell whether both are the same, and how that was found out."""
    theirs = (await client.stat(path)).size
    if theirs is not None and theirs != size:
        return False, "size"
    if size:
        hashed = await same_hash(client, path, descriptor, size)
        if hashed is not None:
            return hashed
    if full:
        return await same_contents(client, path, descriptor, 0, size), "contents"
    return True, "size"
