"""Which host keys are trusted: known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; rule R38).

Called by the client before it goes on with a server: `lookup` orders the host key algorithms to offer,
`check` judges the key that came, `add_host_key` remembers one that the user accepted.
"""

import os
import re
from binascii import a2b_base64 as a2b
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

from .errors import KeyFileError, TrustFileError, UnsupportedKey
from .file_access import write_all
from .host_patterns import HostPatterns, check_host, hashed_name, host_name
from .key import PublicKey
from .key_types import KEY_TYPES
from .text import quoted
from .trust_files import (
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    MAX_WARNINGS,
    SHORT_LINE,
    TrustEntry,
    cut_word,
    readable_line,
    warn,
)
from .wire import string

#: A file is taken apart in pieces of this size, so that one of empty lines costs no memory.
_PIECE_BYTES = 1 << 16


class HostKeyStatus(Enum):
    """What the files say about a host's key."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    #: The host is known under other keys only: somebody may be in between.
    CHANGED = "changed"
    #: The key is marked @revoked: it must not be accepted, whatever the user says.
    REVOKED = "revoked"


class HostEntry(TrustEntry):
    """One line of a known_hosts file."""

    __slots__ = ("marker", "patterns")

    def __init__(self, path: str, line: int, text: str) -> None:
        self.marker = ""
        place = f"{path}:{line}"
        if text.startswith("@"):
            marker, text = cut_word(text)
            if marker not in ("@cert-authority", "@revoked"):
                raise TrustFileError(f"unknown marker {quoted(marker, 40)}; the line is ignored", place)
            self.marker = marker[1:]
        names, text = cut_word(text)
        self.patterns = HostPatterns(names, place)
        super().__init__(path, line, text)


class HostKeyVerdict(NamedTuple):
    """The judgement on one key, with the lines it rests on."""

    status: HostKeyStatus
    #: TRUSTED, REVOKED: the lines with this key.  CHANGED: the lines with other keys.  UNKNOWN: the lines
    #: that have this very key under other names.
    entries: tuple[HostEntry, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """The lines as "path:line"."""
        return tuple(entry.place for entry in self.entries)


class HostKeyMatch(NamedTuple):
    """All lines about one host."""

    #: Lines with keys of the host.  A line whose key type is not supported here counts: it makes the
    #: host known.
    entries: tuple[HostEntry, ...]
    revoked: tuple[HostEntry, ...]
    authorities: tuple[HostEntry, ...]

    @property
    def key_types(self) -> tuple[str, ...]:
        """The supported types of the host's keys, each once."""
        return tuple(dict.fromkeys(e.key_type for e in self.entries if e.key_type in KEY_TYPES))

    @property
    def signature_algorithms(self) -> tuple[str, ...]:
        """The host key algorithms to prefer, so that the server shows a key that is known."""
        return tuple(a for name in self.key_types for a in KEY_TYPES[name].signature_algorithms)


class _File:
    """The lines of one file; those of ordinary form stay text until they are asked for."""

    __slots__ = ("made", "numbers", "path", "rows")

    def __init__(self, data: bytes, path: str, warnings: list[str]) -> None:
        self.path = path
        #: Names, salt, hash, key and comment of the lines of ordinary form, and their numbers.
        self.rows: list[tuple[bytes, bytes, bytes, bytes, bytes]] = []
        self.numbers: list[int] = []
        #: By line number: the lines that have been taken apart; None for a damaged one.
        self.made: dict[int, HostEntry | None] = {}
        number = position = 0
        split = _lines_pattern().findall
        while position < len(data):
            end = data.find(b"\n", position + _PIECE_BYTES)
            end = len(data) if end < 0 else end
            rows = split(data[position:end])
            for number, row in enumerate(rows, number + 1):  # noqa: B020 - it goes on
                if row[3]:
                    self.rows.append(row)
                    self.numbers.append(number)
                elif row[4]:
                    self._read(number, row[4], warnings)
            position = end + 1

    def _read(self, number: int, line: bytes, warnings: list[str]) -> None:
        """Take a line of another form apart; a damaged one leaves a warning, if there is room."""
        if len(line) >= SHORT_LINE or len(warnings) <= MAX_WARNINGS:
            entry = self._make(number, line, warnings)
            if entry is not None:
                self.made[number] = entry

    def _make(self, number: int, line: bytes, warnings: list[str]) -> HostEntry | None:
        try:
            if len(line) > MAX_LINE_BYTES:
                raise TrustFileError(
                    f"the line is longer than {MAX_LINE_BYTES} bytes; ignored", f"{self.path}:{number}"
                )
            text = readable_line(line, number, self.path, warnings)
            return HostEntry(self.path, number, text) if text else None
        except KeyFileError as error:
            warn(warnings, error)
            return None

    def _entries(self, wanted: Iterable[int], warnings: list[str]) -> Iterator[HostEntry]:
        """Yield lines by their index in `rows`, and all that are of another form, in the file's order."""
        for index in wanted:
            number = self.numbers[index]
            if number not in self.made:
                names, salt, digest, key, _ = self.rows[index]
                text = b"%b %b" % (names or b"|1|%b|%b" % (salt, digest), key)
                self.made[number] = self._make(number, text, warnings)
        return (entry for _, entry in sorted(self.made.items()) if entry is not None)

    def all(self, warnings: list[str]) -> Iterator[HostEntry]:
        """Yield every line."""
        return self._entries(range(len(self.rows)), warnings)

    def about(self, names: list[str], warnings: list[str]) -> Iterator[HostEntry]:
        """Yield the lines about any of the names that host_name made."""
        from hmac import digest as hmac

        wanted: list[int] = []
        for name in names:
            text = name.encode("utf-8", "surrogateescape")
            wanted += [
                index
                for index, (plain, salt, digest, _, _) in enumerate(self.rows)
                if (text in plain if plain else hmac(a2b(salt), text, "sha1") == a2b(digest))
            ]
        return (
            entry
            for entry in self._entries(wanted, warnings)
            if any(entry.patterns.matches(name) for name in names)
        )

    def with_key(self, key: PublicKey, warnings: list[str]) -> Iterator[HostEntry]:
        """Yield the lines that hold a key."""
        text = key.to_line().split(" ")[1].encode("ascii")
        wanted = [index for index, row in enumerate(self.rows) if text in row[3]]
        return (entry for entry in self._entries(wanted, warnings) if entry.blob == key.blob)


@cache
def _lines_pattern() -> "re.Pattern[bytes]":
    """Return what takes a file apart: plain names, or salt and hash, and the key; else the whole line.

    Every line is one match, so that the number of a match is that of its line.
    """
    keys = b"|".join(b"%b +%b" % (name.encode("ascii"), _blob_start(name)) for name in KEY_TYPES)
    base64 = rb"[A-Za-z0-9+/]"
    return re.compile(
        rb"^(?:(?:([a-z0-9.:,\[\]_-]{1,1024})|\|1\|(%b{27}=)\|(%b{27}=))"
        rb" +((?:%b)%b{1,32768}={0,2}(?: [^\n\r\0]{0,256})?)|([^\n]*))(?:\n|\Z)"
        % (base64, base64, keys, base64),
        re.MULTILINE,
    )


def _blob_start(key_type: str) -> bytes:
    """Return the base64 that the blobs of all keys of a type start with."""
    start = string(key_type)
    return re.escape(b2a_base64(start[: len(start) // 3 * 3], newline=False))


class KnownHosts:
    """The lines of several files, first file first, and the warnings about damaged ones.

    A client asks for one host among thousands, so a line of ordinary form is taken apart only when it
    matters; what is wrong inside its key is warned of then.
    """

    __slots__ = ("_entries", "_files", "warnings")

    def __init__(self) -> None:
        self._files: list[_File] = []
        self._entries: list[HostEntry] | None = None
        self.warnings: list[str] = []

    @classmethod
    def load(cls, paths: Iterable[str | os.PathLike[str]]) -> "KnownHosts":
        """Read files; missing ones are empty.  One that cannot be read is a TrustFileError: refuse."""
        hosts = cls()
        for path in paths:
            place = os.fspath(path)
            try:
                with open(place, "rb") as stream:
                    data = stream.read(MAX_FILE_BYTES + 1)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise TrustFileError(error.strerror or "cannot be read", place) from None
            hosts.parse(data, place)
        return hosts

    def parse(self, data: bytes, path: str) -> None:
        """Add the lines of a file's contents."""
        if len(data) > MAX_FILE_BYTES:
            raise TrustFileError(f"the file is larger than {MAX_FILE_BYTES} bytes", path)
        self._entries = None
        self._files.append(_File(data, path, self.warnings))

    @property
    def entries(self) -> list[HostEntry]:
        """Every line, in its order."""
        if self._entries is None:
            self._entries = [entry for file in self._files for entry in file.all(self.warnings)]
        return self._entries

    def lookup(self, host: str, port: int = 22, address: str | None = None) -> HostKeyMatch:
        """Return the lines about `host`, and about `address` if it is given and another name."""
        return self._match(self._names(host, port, address))

    def find(self, name: str) -> tuple[HostEntry, ...]:
        """Return the lines about a name as they write it ("host" or "[host]:port"), with any marker."""
        return tuple(entry for file in self._files for entry in file.about([name.lower()], self.warnings))

    def check(self, host: str, port: int, key: PublicKey, address: str | None = None) -> HostKeyVerdict:
        """Judge the key of a host.

        A host that is known under any key makes another key CHANGED, also one of another type.  The name
        decides; if `address` is given, a line about it with another key makes the key CHANGED, and a
        revocation counts, but it lends the name no trust.
        """
        matches = [self._match([name]) for name in self._names(host, port, address)]
        revoked = _with_key((entry for match in matches for entry in match.revoked), key)
        if revoked:
            return HostKeyVerdict(HostKeyStatus.REVOKED, revoked)
        for match in matches:
            if match.entries and not _with_key(match.entries, key):
                return HostKeyVerdict(HostKeyStatus.CHANGED, match.entries)
        trusted = _with_key(matches[0].entries, key)
        if trusted:
            return HostKeyVerdict(HostKeyStatus.TRUSTED, trusted)
        elsewhere = [entry for file in self._files for entry in file.with_key(key, self.warnings)]
        return HostKeyVerdict(HostKeyStatus.UNKNOWN, tuple(entry for entry in elsewhere if not entry.marker))

    @staticmethod
    def _names(host: str, port: int, address: str | None) -> list[str]:
        names = [host_name(host, port)]
        if address is not None and host_name(address, port) not in names:
            names.append(host_name(address, port))
        return names

    def _match(self, names: list[str]) -> HostKeyMatch:
        found: dict[str, list[HostEntry]] = {"": [], "revoked": [], "cert-authority": []}
        for file in self._files:
            for entry in file.about(names, self.warnings):
                if self._is_sound(entry):
                    found[entry.marker].append(entry)
        return HostKeyMatch(tuple(found[""]), tuple(found["revoked"]), tuple(found["cert-authority"]))

    def _is_sound(self, entry: HostEntry) -> bool:
        """Read the key of a line that matters; a damaged one is a warning."""
        try:
            _ = entry.key
        except UnsupportedKey:
            return True
        except KeyFileError as error:
            if str(error) not in self.warnings:
                warn(self.warnings, error)
            return False
        return True


def _with_key(entries: Iterable[HostEntry], key: PublicKey) -> tuple[HostEntry, ...]:
    return tuple(entry for entry in entries if entry.blob == key.blob)


def format_host_line(
    host: str,
    port: int,
    key: PublicKey,
    hashed: bool = False,
    random_bytes: Callable[[int], bytes] | None = None,
) -> str:
    """Return the line that makes `key` known for a host, without its newline.

    Raises TrustFileError for a name that would not be one name on one line.
    """
    check_host(host, port)
    name = host_name(host, port)
    if hashed:
        if random_bytes is None:
            raise TrustFileError("a hashed name needs random_bytes")
        name = hashed_name(name, random_bytes)
    kind, text = key.to_line().split(" ")[:2]
    return f"{name} {kind} {text}"


def add_host_key(
    path: str | os.PathLike[str],
    host: str,
    port: int,
    key: PublicKey,
    hashed: bool = False,
    random_bytes: Callable[[int], bytes] | None = None,
) -> None:
    """Append a line to a known_hosts file; the file (0600) and its folder (0700) are made if missing.

    The line goes out in one appending write, so that neither another process's line nor a last line
    without its newline is lost.  Raises TrustFileError if it cannot be written.
    """
    line = format_host_line(host, port, key, hashed, random_bytes).encode() + b"\n"
    place = os.fspath(path)
    try:
        _make_folder(os.path.dirname(place))
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            write_all(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise TrustFileError(f"cannot be written: {error.strerror}", place) from None


def _make_folder(folder: str) -> None:
    """Create the missing folders of a path, for their owner only."""
    if folder and not os.path.isdir(folder):
        _make_folder(os.path.dirname(folder))
        os.mkdir(folder, 0o700)
