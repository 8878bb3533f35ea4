"""SFTP for all that takes fsspec: ``sshkit://user@host:port/path`` in pandas, dask, pyarrow and others.

fsspec finds it by its entry point (https://filesystem-spec.readthedocs.io).  `register` makes URLs of
``sftp://`` and ``ssh://`` ours too.  It stands on `sshkit.blocking`: the connection is made when first
wanted, in the thread that all blocking calls share, and again after a fork or when it was lost.
"""

import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from fsspec import AbstractFileSystem, register_implementation
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from sshkit.blocking.client import BlockingConnection
from sshkit.blocking.client import connect as connect_blocking
from sshkit.blocking.sftp import BUFFER, BlockingSFTP
from sshkit.deferred import as_deferred, gather
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_listing import DirEntry
from sshkit.sftp.errors import SFTPFileExists, SFTPNoSuchFile
from sshkit.sftp.path_pure import PureRemotePath

PROTOCOLS = ("sshkit", "sftp", "ssh")
PARALLEL = 64  #: requests in flight of what asks for many


def register(*protocols: str) -> None:
    """Let URLs of other protocols be ours: ``register("sftp", "ssh")`` (those two if none is named)."""
    for name in protocols or PROTOCOLS[1:]:
        register_implementation(name, SSHKitFileSystem, clobber=True)


class SSHKitFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Files over SFTP.  Paths are absolute; ``/~/x`` is x in the user's home.

    `options` are those of `sshkit.connect`.  With `auto_mkdir`, writing a file makes the directories above.
    """

    protocol = PROTOCOLS
    root_marker = "/"

    def __init__(
        self,
        host: str,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        auto_mkdir: bool = False,
        sftp_options: "dict[str, Any] | None" = None,
        skip_instance_cache: bool = False,
        use_listings_cache: bool = False,
        **options: Any,
    ) -> None:
        if self._cached:
            return
        super().__init__()
        self.host = host
        self.port = port
        self.username = username
        self.auto_mkdir = auto_mkdir
        self._options = {
            **options,
            "port": port,
            "user": username or options.get("user"),
            "password": password,
        }
        self._sftp_options = sftp_options or {}
        self._lock = Lock()
        self._connection: BlockingConnection | None = None
        self._sftp: BlockingSFTP | None = None

    @property
    def fsid(self) -> str:
        """Two of the same are the same files."""
        return f"sshkit_{self.username or ''}@{self.host}:{self.port or 22}"

    @property
    def sftp(self) -> BlockingSFTP:
        """The session, connected when first wanted and when it was lost."""
        with self._lock:
            if self._sftp is None or self._sftp.is_closed:
                host = f"[{self.host}]" if ":" in self.host else self.host
                self._connection = connect_blocking(host, **self._options)
                self._sftp = self._connection.sftp(**self._sftp_options)
            return self._sftp

    def close(self) -> None:
        """Close the connection; the next call makes another one."""
        with self._lock:
            connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.close()

    # Names.

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = str(path) if isinstance(path, PureRemotePath) else os.fspath(path)
        for name in PROTOCOLS:
            if text.startswith(f"{name}://"):
                text = text[len(name) + 3 :].partition("/")[2]
                break
        return "/" + text.strip("/")

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        if "://" not in path:
            return {}
        parts = urlsplit(path)
        found: dict[str, Any] = {"host": parts.hostname}
        if parts.port is not None:
            found["port"] = parts.port
        if parts.username is not None:
            found["username"] = unquote(parts.username)
        if parts.password is not None:
            found["password"] = unquote(parts.password)
        return {name: value for name, value in found.items() if value}

    def _there(self, path: Any) -> str:
        """Return the name at the server."""
        text = cast("str", self._strip_protocol(path))
        if text == "/~":
            return "."
        return text[3:] if text.startswith("/~/") else text

    # What is known.

    def info(self, path: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what is known of a file; of what a link leads to, and of the link where that is nothing."""
        name = self._strip_protocol(path)
        there = self._there(path)
        found = self.sftp.lstat(there)
        return self.sftp.wait(lambda: self._facts(name, there, found))

    @as_deferred
    async def _facts(self, name: str, there: str, found: Attributes) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if found.is_link:
            client = self.sftp.client
            more = {"islink": True, "destination": await client.readlink(there)}
            try:
                found = await client.stat(there)
            except OSError:
                pass  # it leads nowhere
        kind = "directory" if found.is_dir else "link" if found.is_link else "file"
        if not (found.is_dir or found.is_link or found.is_file or found.permissions is None):
            kind = "other"
        return {
            "name": name,
            "size": 0 if kind == "directory" else found.size,
            "type": kind,
            "mtime": found.mtime,
            "mode": found.permissions,
            "uid": found.uid,
            "gid": found.gid,
            **more,
        }

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return the names in a directory, or what is known of each."""
        name = self._strip_protocol(path)
        there = self._there(path)
        try:
            entries = list(self.sftp.scandir(there))
        except OSError:
            found = self.info(path)
            if found["type"] == "directory":
                raise
            return [found] if detail else [name]
        base = name.rstrip("/")
        if not detail:
            return sorted(f"{base}/{entry.name}" for entry in entries)

        @as_deferred
        async def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for start in range(0, len(entries), PARALLEL):
                part = entries[start : start + PARALLEL]
                found += await gather(*(facts(entry) for entry in part))
            return found

        def facts(entry: DirEntry) -> Any:
            return self._facts(f"{base}/{entry.name}", entry.path, entry.attributes)

        listed = self.sftp.wait(look)
        return sorted(listed, key=lambda entry: cast("str", entry["name"]))

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Tell whether there is something of that name; a link that leads nowhere is nothing."""
        return self.sftp.exists(self._there(path))

    def lexists(self, path: Any, **kwargs: Any) -> bool:
        """Tell whether there is something of that name; a link is something."""
        try:
            self.sftp.lstat(self._there(path))
        except SFTPNoSuchFile:
            return False
        return True

    def modified(self, path: Any) -> datetime:
        """Return when a file was changed."""
        return datetime.fromtimestamp(self.info(path)["mtime"] or 0, tz=UTC)

    # Directories.

    def mkdir(self, path: Any, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a directory."""
        self.sftp.makedirs(self._there(path)) if create_parents else (self.sftp / self._there(path)).mkdir()

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        self.sftp.makedirs(self._there(path), exist_ok=exist_ok)

    def rmdir(self, path: Any) -> None:
        """Remove an empty directory."""
        self.sftp.rmdir(self._there(path))

    # Changes.

    def rm_file(self, path: Any) -> None:
        """Remove one file."""
        self.sftp.remove(self._there(path))

    def _rm(self, path: Any) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` directories; links are removed, not followed."""
        for name in reversed(self.expand_path(path)):
            there = self._there(name)
            if self.sftp.lstat(there).is_dir:
                if not recursive:
                    raise IsADirectoryError(21, "a directory is removed with recursive=True", name)
                if name == "/":
                    raise PermissionError(1, "the root is not removed", name)
                self.sftp.rmtree(there)
            else:
                self.sftp.remove(there)

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> None:
        """Move files; one file or directory is renamed by the server, over a file that is there."""
        from glob import has_magic

        if isinstance(path1, list) or has_magic(path1) or maxdepth is not None:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)
            return
        source, target = self._there(path1), self._there(path2)
        if str(path2).endswith("/") or self.sftp.is_dir(target):
            target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
        if source != target:
            self._make_above(target)
            self.sftp.replace(source, target)

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Copy one file at the server; of a directory make the other."""
        source, target = self._there(path1), self._there(path2)
        self._make_above(target)
        if self.sftp.stat(source).is_dir:
            self.sftp.makedirs(target, exist_ok=True)
        else:
            self.sftp.copy(source, target)

    def touch(self, path: Any, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty file; without `truncate`, one that is there gets the present time."""
        there = self._there(path)
        self._make_above(there)
        if truncate:
            self.sftp.write_bytes(there, b"")
        else:
            from time import time

            (self.sftp / there).touch(time=time())

    def _make_above(self, there: str) -> None:
        parent = there.rpartition("/")[0]
        if self.auto_mkdir and parent:
            self.sftp.makedirs(parent, exist_ok=True)

    # Contents.

    def _open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        there = self._there(path)
        if mode[0] != "r":
            self._make_above(there)
        if mode[0] == "x" and self.lexists(path):  # servers say no more than FAILURE
            raise SFTPFileExists(path=there)
        size = block_size if isinstance(block_size, int) and block_size > 0 else BUFFER
        part = there
        if not autocommit and mode[0] in "wx":
            head, slash, name = there.rpartition("/")
            part = f"{head}{slash}.{name[:200]}.sshkit-{os.urandom(6).hex()}"
        raw = self.sftp.open(part, mode, buffering=0)
        if "+" in mode:
            return io.BufferedRandom(cast("Any", raw), size)
        if mode[0] == "r":
            return Reader(self, cast("str", self._strip_protocol(path)), raw, size)
        return Writer(self, part, there, raw, size)

    def cat_file(self, path: Any, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the contents of a file, or a range of them."""
        if start is None and end is None:
            return self.sftp.read_bytes(self._there(path))
        found = self.cat_ranges([path], start, end)[0]
        return cast("bytes", found)

    def cat_ranges(
        self,
        paths: Sequence[Any],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> list[Any]:
        """Return ranges of files, many asked for at once; each file is opened once."""
        count = len(paths)
        begins = starts if isinstance(starts, list) else [starts] * count
        stops = ends if isinstance(ends, list) else [ends] * count
        if len(begins) != count or len(stops) != count:
            raise ValueError(f"{count} paths, {len(begins)} starts and {len(stops)} ends")
        wanted: dict[str, list[int]] = {}
        for number, path in enumerate(paths):
            wanted.setdefault(self._there(path), []).append(number)
        found: list[Any] = [b""] * count
        client = self.sftp.client

        @as_deferred
        async def read(there: str) -> None:
            numbers = wanted[there]
            try:
                async with client.open(there) as file:
                    size = (await file.stat()).size or 0
                    for at in range(0, len(numbers), PARALLEL):
                        part = numbers[at : at + PARALLEL]
                        spans = [slice(begins[n], stops[n]).indices(size)[:2] for n in part]
                        data = await gather(*(file.pread(max(b - a, 0), a) for a, b in spans))
                        for number, piece in zip(part, data, strict=True):
                            found[number] = piece
            except OSError as error:
                if on_error == "raise":
                    raise
                for number in numbers:
                    found[number] = error

        @as_deferred
        async def read_all() -> None:
            names = list(wanted)
            for at in range(0, len(names), PARALLEL):
                await gather(*map(read, names[at : at + PARALLEL]))

        self.sftp.wait(read_all)
        return found

    def pipe_file(self, path: Any, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Make a file of bytes; with mode "create" it must be new."""
        with self.open(path, "xb" if mode == "create" else "wb", **kwargs) as file:
            cast("Any", file).write(value)

    def get_file(
        self,
        rpath: Any,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Fetch one file with the engine of transfers; it has its name when all of it is there."""
        there = self._there(rpath)
        if outfile is not None or isfilelike(lpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **kwargs)
        elif self.sftp.is_dir(there):
            os.makedirs(lpath, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(os.path.abspath(lpath)), exist_ok=True)
            self._transfer(self.sftp.get, there, lpath, callback, kwargs)

    def put_file(
        self, lpath: Any, rpath: Any, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Send one file with the engine of transfers; it has its name when all of it is there."""
        there = self._there(rpath)
        if mode == "create" and self.lexists(rpath):
            raise SFTPFileExists(path=there)
        if os.path.isdir(lpath):
            self.sftp.makedirs(there, exist_ok=True)
            return
        parent = there.rpartition("/")[0]
        if parent:
            self.sftp.makedirs(parent, exist_ok=True)
        self._transfer(self.sftp.put, lpath, there, callback, kwargs)

    def _transfer(self, move: Any, source: Any, target: Any, callback: Any, options: dict[str, Any]) -> None:
        if callback is DEFAULT_CALLBACK:
            move(source, target, **options)
            return

        def progress(state: Any) -> None:
            if state.total is not None and callback.size != state.total:
                callback.set_size(state.total)
            callback.absolute_update(state.done)

        move(source, target, progress=progress, **options)


class Reader(io.BufferedReader):
    """A file that is read; it knows its size, which fsspec's users ask for."""

    def __init__(self, fs: SSHKitFileSystem, path: str, raw: Any, size: int) -> None:
        super().__init__(raw, size)
        self.fs = fs
        self.path = path
        self.size = raw.stat().size


class Writer(io.BufferedWriter):
    """A file that is written; in a transaction it gets its name at `commit`."""

    def __init__(self, fs: SSHKitFileSystem, part: str, there: str, raw: Any, size: int) -> None:
        super().__init__(raw, size)
        self._fs = fs
        self._part = part
        self._there = there

    def commit(self) -> None:
        """Give the file its name."""
        if self._part != self._there:
            self._fs.sftp.replace(self._part, self._there)

    def discard(self) -> None:
        """Throw it away."""
        if self._part != self._there:
            self._fs.sftp.remove(self._part)
