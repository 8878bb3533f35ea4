"""Patterns of remote names: *, ?, [...] in a component, and ** for any number of directories.

Called by `SFTPClient.glob` and the commands.  Names that begin with a dot fit only a pattern that does too.
"""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sshkit.sftp import messages as m
from sshkit.sftp.client_listing import join
from sshkit.sftp.errors import SFTPError, SFTPNoSuchFile, SFTPNotADirectory, SFTPPermissionDenied

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

MAGIC = re.compile(rb"[*?\[]")
SPECIAL = re.compile(rb"[*?\[\\]")
ESCAPED = re.compile(rb"(?s:\\(.))")
MAX_DEPTH = 100  #: directories below each other that ** goes down


def has_magic(pattern: bytes) -> bool:
    """Tell whether it is more than a plain name."""
    return MAGIC.search(pattern) is not None


def escape(path: m.Path) -> bytes:
    """Return a pattern that fits this path only."""
    return SPECIAL.sub(rb"[\g<0>]", m.to_wire(path))


def unescape(pattern: bytes) -> bytes:
    """Return the name that a pattern without wildcards fits: what a backslash stands before is itself."""
    return ESCAPED.sub(rb"\1", pattern)


def translate(pattern: bytes) -> "re.Pattern[bytes]":
    """Return the expression for one component of a pattern."""
    out = [b"(?s:"]
    position, end = 0, len(pattern)
    while position < end:
        char = pattern[position : position + 1]
        position += 1
        if char == b"*":
            if out[-1] != b".*":
                out.append(b".*")
        elif char == b"?":
            out.append(b".")
        elif char == b"[":
            close = pattern.find(
                b"]", position + (2 if pattern[position : position + 1] in (b"!", b"^") else 1)
            )
            if close < 0:
                out.append(rb"\[")
                continue
            inside = pattern[position:close].replace(b"\\", rb"\\").replace(b"[", rb"\[")
            position = close + 1
            negated = inside[:1] in (b"!", b"^")
            if negated:
                inside = inside[1:]
            inside = re.sub(rb"([&~|])", rb"\\\1", inside)
            if inside[:1] in (b"^", b"]"):
                inside = b"\\" + inside
            out.append(b"[" + (b"^" if negated else b"") + inside + b"]")
        elif char == b"\\" and position < end:
            out.append(re.escape(pattern[position : position + 1]))
            position += 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile(b"".join(out) + rb")\Z")
    except re.error:  # a range that runs backwards: only its own text fits
        return re.compile(re.escape(pattern) + rb"\Z")


def fits(name: bytes, pattern: bytes) -> bool:
    """Tell whether a name fits one component of a pattern."""
    return not (name[:1] == b"." and pattern[:1] != b".") and translate(pattern).match(name) is not None


async def glob(client: "SFTPClient", pattern: bytes) -> AsyncIterator[str]:
    """Go through the names that fit, sorted in each directory; what cannot be listed has none."""
    root = b"/" if pattern[:1] == b"/" else b""
    parts = [part for part in pattern.split(b"/") if part]
    if not parts:
        if pattern:
            yield "/"
        return
    async for found in _below(client, root, parts, 0):
        yield m.from_wire(found)


async def _below(client: "SFTPClient", base: bytes, parts: list[bytes], depth: int) -> AsyncIterator[bytes]:
    if depth > MAX_DEPTH:
        raise SFTPError(f"more than {MAX_DEPTH} directories below each other", base)
    part, rest = parts[0], parts[1:]
    if part == b"**":
        if rest:
            async for found in _below(client, base, rest, depth):
                yield found
        for name, is_dir in await _names(client, base):
            if name[:1] == b".":
                continue
            if not rest:
                yield join(base, name)
            if is_dir is True:  # links are not followed: they may lead round in circles
                async for found in _below(client, join(base, name), parts, depth + 1):
                    yield found
        return
    if not has_magic(part):
        path = join(base, unescape(part))
        if rest:
            async for found in _below(client, path, rest, depth + 1):
                yield found
        else:
            try:
                await client.lstat(path)
            except (SFTPNoSuchFile, SFTPPermissionDenied, SFTPNotADirectory):
                return
            yield path
        return
    expression = translate(part)
    for name, is_dir in await _names(client, base):
        if (name[:1] == b"." and part[:1] != b".") or not expression.match(name):
            continue
        if not rest:
            yield join(base, name)
        elif is_dir is not False:
            async for found in _below(client, join(base, name), rest, depth + 1):
                yield found


async def _names(client: "SFTPClient", path: bytes) -> list[tuple[bytes, bool | None]]:
    """Return names and whether each is a directory; None: a link, which may lead to one."""
    found: list[tuple[bytes, bool | None]] = []
    try:
        async for batch in client.batches(path):
            found += [
                (e.raw, None if e.is_link or e.attributes.permissions is None else e.is_dir) for e in batch
            ]
    except (SFTPNoSuchFile, SFTPPermissionDenied, SFTPNotADirectory):
        return []
    return sorted(found)
