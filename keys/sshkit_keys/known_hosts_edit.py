"""Changing known_hosts files: hosts removed, names hashed, keys exchanged (ssh-keygen(1), -R and -H).

Called by sshkit-keygen, and by the client when a server shows its next keys (rotation).  A file is replaced
whole; lines that nobody asked about stay as they were, byte by byte, comments and damaged ones too.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .errors import KeyFileError, TrustFileError
from .file_access import edit_file
from .host_patterns import hashed_name, host_name
from .key import PublicKey
from .known_hosts import HostEntry, add_host_key, format_host_line
from .trust_files import MAX_FILE_BYTES, readable_line

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_WILDCARDS = frozenset("*?!")


class HashedHosts(NamedTuple):
    """What `hash_hosts` did."""

    changed: bool
    #: Lines whose names stayed readable, since a pattern cannot be hashed.
    patterns: tuple[HostEntry, ...]


class UpdatedHostKeys(NamedTuple):
    """What `update_host_keys` did."""

    added: tuple[PublicKey, ...]
    removed: tuple[HostEntry, ...]


def remove_host(path: str | os.PathLike[str], name: str) -> tuple[HostEntry, ...]:
    """Remove the lines about a name ("host" or "[host]:port"); return them.

    Lines with a marker stay: a revocation outlives the host.  The file as it was is kept as "PATH.old".
    """
    removed: list[HostEntry] = []
    wanted = name.lower()

    def change(data: bytes) -> bytes:
        removed.clear()
        kept: list[bytes] = []
        for line, entry in _lines(data, os.fspath(path)):
            if isinstance(entry, HostEntry) and not entry.marker and entry.patterns.matches(wanted):
                removed.append(entry)
            else:
                kept.append(line)
        return b"".join(kept)

    _edit(path, change, backup=True)
    return tuple(removed)


def hash_hosts(path: str | os.PathLike[str], random_bytes: Callable[[int], bytes]) -> HashedHosts:
    """Hash every name of a file, one name a line; the file as it was is kept as "PATH.old".

    Raises TrustFileError for a damaged line, which may hold a name that would stay readable.
    """
    patterns: list[HostEntry] = []

    def change(data: bytes) -> bytes:
        patterns.clear()
        lines: list[bytes] = []
        for line, entry in _lines(data, os.fspath(path)):
            if isinstance(entry, KeyFileError):
                raise entry
            if entry is None or entry.patterns.digest:
                lines.append(line)
            elif entry.marker or _WILDCARDS.intersection(entry.patterns.text):
                patterns.append(entry)
                lines.append(line)
            else:
                rest = line.split(None, 1)[1].rstrip(b"\r\n")
                hidden = (hashed_name(name, random_bytes).encode() for name in entry.patterns.wanted)
                lines += [b"%b %b\n" % (name, rest) for name in hidden]
        return b"".join(lines)

    changed = _edit(path, change, backup=True)
    return HashedHosts(changed, tuple(patterns))


def update_host_keys(
    path: str | os.PathLike[str],
    host: str,
    port: int,
    keys: Sequence[PublicKey],
    hashed: bool = False,
    random_bytes: Callable[[int], bytes] | None = None,
) -> UpdatedHostKeys:
    """Make `keys` the keys of a host: missing ones are added, others of that name alone are removed.

    `keys` are what a known server has proved to own (hostkeys-00@openssh.com, PROTOCOL section 2.5).  A line
    that names other hosts too is left alone, whatever its key: it is not this host's to change.
    """
    name = host_name(host, port)
    added: list[PublicKey] = []
    removed: list[HostEntry] = []
    wanted = {key.blob for key in keys}

    def change(data: bytes) -> bytes:
        added[:] = keys
        removed.clear()
        lines: list[bytes] = []
        for line, entry in _lines(data, os.fspath(path)):
            if isinstance(entry, HostEntry) and not entry.marker and entry.patterns.matches(name):
                if entry.blob in wanted:
                    added[:] = [key for key in added if key.blob != entry.blob]
                elif entry.patterns.digest or entry.patterns.text.lower() == name:
                    removed.append(entry)
                    continue
            lines.append(line)
        if added and lines and not lines[-1].endswith(b"\n"):
            lines[-1] += b"\n"
        for key in added:
            lines.append(format_host_line(host, port, key, hashed, random_bytes).encode() + b"\n")
        return b"".join(lines)

    if os.path.exists(path):
        _edit(path, change, backup=False)
    else:
        added[:] = keys
        for key in keys:
            add_host_key(path, host, port, key, hashed, random_bytes)
    return UpdatedHostKeys(tuple(added), tuple(removed))


def _edit(path: str | os.PathLike[str], change: Callable[[bytes], bytes], backup: bool) -> bool:
    place = os.fspath(path)
    try:
        return edit_file(place, change, MAX_FILE_BYTES, backup)
    except OSError as error:
        raise TrustFileError(f"cannot be changed: {error.strerror}", place) from None


def _lines(data: bytes, path: str) -> Iterator[tuple[bytes, HostEntry | KeyFileError | None]]:
    """Yield every line with its newline, and its entry; an error for a damaged one, None for no entry."""
    for number, line in enumerate(_LINE.findall(data), 1):
        warnings: list[str] = []
        text = readable_line(line, number, path, warnings)
        if warnings:
            yield line, TrustFileError("the line holds a NUL character", f"{path}:{number}")
        elif not text:
            yield line, None
        else:
            try:
                yield line, HostEntry(path, number, text)
            except KeyFileError as error:
                yield line, error
