"""The requests of an SFTP client, one method each; every one is a Deferred.

The base of `SFTPClient`.  A deadline is the session's: a server that is silent for that long fails the
request.  Cancelling is harmless: the answer is dropped when it comes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader, string, uint32, uint64

from sshkit.deferred import Deferred, Failure, fail
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_session import Limits, Session
from sshkit.sftp.errors import SFTPError, SFTPNoSuchFile, SFTPOpUnsupported, SFTPPermissionDenied

POSIX_RENAME = "posix-rename@openssh.com"
#: With these a rename has failed for another reason than that there is such a file already.
NOT_IN_THE_WAY = (SFTPNoSuchFile, SFTPPermissionDenied, SFTPOpUnsupported, ConnectionError)
HASHES = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")


class StatVFS(NamedTuple):
    """A file system, as os.statvfs tells it."""

    f_bsize: int
    f_frsize: int
    f_blocks: int
    f_bfree: int
    f_bavail: int
    f_files: int
    f_ffree: int
    f_favail: int
    f_fsid: int
    f_flag: int
    f_namemax: int


class DiskUsage(NamedTuple):
    """Bytes of a file system, as shutil.disk_usage tells them."""

    total: int
    used: int
    free: int


class Requests:
    """What one round trip does."""

    __slots__ = ("_cwd", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self._cwd = b""

    # Facts.

    @property
    def version(self) -> int:
        """The version of the protocol in use."""
        return self.session.version

    @property
    def extensions(self) -> dict[str, bytes]:
        """What the server offers beside the protocol: name and data."""
        return self.session.extensions

    @property
    def limits(self) -> Limits:
        """What the server takes, in bytes; 0: it does not say."""
        return self.session.limits

    @property
    def is_closed(self) -> bool:
        """The session has ended."""
        return self.session.lost is not None

    # Attributes.

    def stat(self, path: m.Path) -> Deferred[Attributes]:
        """Return the attributes of a file; of what a link leads to."""
        return self._facts(m.STAT, path)

    def lstat(self, path: m.Path) -> Deferred[Attributes]:
        """Return the attributes of a file; of a link itself."""
        return self._facts(m.LSTAT, path)

    def setstat(
        self, path: m.Path, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> Deferred[None]:
        """Change those attributes that are not None; of a link itself where the server knows how."""
        raw = self.path(path)
        body = string(raw) + self.session.dialect.attributes(attributes)
        if follow_symlinks:
            return self.session.call(m.SETSTAT, body, path=raw)
        return self._extended("lsetstat@openssh.com", body, raw)

    def chmod(self, path: m.Path, mode: int, *, follow_symlinks: bool = True) -> Deferred[None]:
        """Change the permission bits."""
        return self.setstat(path, Attributes(permissions=mode), follow_symlinks=follow_symlinks)

    def chown(
        self, path: m.Path, uid: int | str, gid: int | str, *, follow_symlinks: bool = True
    ) -> Deferred[None]:
        """Change owner and group, by number; from version 4 on by name as well."""
        if isinstance(uid, int) and isinstance(gid, int):
            changes = Attributes(uid=uid, gid=gid)
        else:
            from sshkit.sftp.attributes_v4 import FullAttributes

            changes = FullAttributes(owner=str(uid), group=str(gid))
        return self.setstat(path, changes, follow_symlinks=follow_symlinks)

    def utime(
        self,
        path: m.Path,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> Deferred[None]:
        """Change the times of the last access and the last change, as os.utime does, but both are needed.

        `times` are seconds since 1970, `ns` nanoseconds; version 3 keeps whole seconds.
        """
        if (times is None) == (ns is None):
            raise ValueError("utime needs times or ns, and not both")
        both = ns if ns is not None else (_nanoseconds(times[0]), _nanoseconds(times[1]))  # type: ignore[index]
        return self.setstat(path, self.session.dialect.times(*both), follow_symlinks=follow_symlinks)

    def truncate(self, path: m.Path, size: int = 0) -> Deferred[None]:
        """Make a file `size` bytes long."""
        return self.setstat(path, Attributes(size=size))

    def exists(self, path: m.Path) -> Deferred[bool]:
        """Tell whether there is something of that name; a link that leads nowhere is nothing."""
        return self._tell(path, lambda _: True)

    def is_dir(self, path: m.Path) -> Deferred[bool]:
        """Tell whether it is a directory, or a link to one."""
        return self._tell(path, lambda found: found.is_dir)

    def is_file(self, path: m.Path) -> Deferred[bool]:
        """Tell whether it is a regular file, or a link to one."""
        return self._tell(path, lambda found: found.is_file)

    # Names.

    def mkdir(self, path: m.Path, mode: int | None = None) -> Deferred[None]:
        """Make a directory; without `mode` the server's umask decides."""
        raw = self.path(path)
        attributes = self.session.dialect.attributes(Attributes(permissions=mode))
        return self.session.call(m.MKDIR, string(raw) + attributes, path=raw)

    def rmdir(self, path: m.Path) -> Deferred[None]:
        """Remove an empty directory."""
        return self._one_path(m.RMDIR, path)

    def remove(self, path: m.Path) -> Deferred[None]:
        """Remove a file or a link."""
        return self._one_path(m.REMOVE, path)

    def rename(self, source: m.Path, target: m.Path, *, replace: bool = True) -> Deferred[None]:
        """Rename; with `replace` an existing target gives way, where the server can do so.

        That is with posix-rename, and from version 5 on.
        """
        dialect = self.session.dialect
        if replace and (dialect.replaces or POSIX_RENAME in self.extensions):
            return self.replace(source, target)
        raw = self.path(source)
        return self.session.call(m.RENAME, dialect.rename(raw, self.path(target)), path=raw)

    def replace(self, source: m.Path, target: m.Path) -> Deferred[None]:
        """Rename over whatever file is there, in one step; where no server can, it is removed first."""
        raw, other = self.path(source), self.path(target)
        body = self.session.dialect.rename(raw, other, replace=True)
        if POSIX_RENAME in self.extensions:
            return self._extended(POSIX_RENAME, string(raw) + string(other), raw)
        if self.session.dialect.replaces:
            return self.session.call(m.RENAME, body, path=raw)

        def rename(_: object = None) -> Deferred[None]:
            return self.session.call(m.RENAME, body, path=raw)

        def in_the_way(failure: Failure) -> Deferred[None]:
            error = failure.exception
            if not isinstance(error, SFTPError) or isinstance(error, NOT_IN_THE_WAY):
                failure.raise_exception()
            return (
                self.session.call(m.REMOVE, string(other), path=other).add_errback(gone).add_callback(rename)
            )

        def gone(failure: Failure) -> None:
            failure.trap(SFTPNoSuchFile)

        return rename().add_errback(in_the_way)

    def symlink(self, target: m.Path, link: m.Path) -> Deferred[None]:
        """Make `link` a symbolic link that says `target`, which is taken as it is written."""
        raw = self.path(link)
        kind, body = self.session.dialect.symlink(m.to_wire(target), raw)
        return self.session.call(kind, body, path=raw)

    def readlink(self, path: m.Path) -> Deferred[str]:
        """Return where a link leads."""
        return self._one_path(m.READLINK, path, m.NAME, self._one_name)

    def link(self, source: m.Path, target: m.Path) -> Deferred[None]:
        """Give a file a second name (`hardlink@openssh.com`, or version 6)."""
        raw = self.path(source)
        if self.session.dialect.links:
            kind, body = self.session.dialect.link(raw, self.path(target))
            return self.session.call(kind, body, path=raw)
        return self._extended("hardlink@openssh.com", string(raw) + string(self.path(target)), raw)

    def realpath(self, path: m.Path = ".") -> Deferred[str]:
        """Return the absolute name of a path, links resolved as far as the server does."""
        tail = self.session.dialect.realpath_tail
        return self._one_path(m.REALPATH, path, m.NAME, self._one_name, tail)

    def expand_user(self, path: m.Path) -> Deferred[str]:
        """Replace ~ and ~user at the beginning (`expand-path@openssh.com`)."""
        raw = m.to_wire(path)
        if raw[:1] != b"~":
            return self.realpath(path)
        return self._extended("expand-path@openssh.com", string(raw), raw, m.NAME, self._one_name)

    def home_directory(self, user: str) -> Deferred[str]:
        """Return a user's home directory (`home-directory`)."""
        raw = user.encode("utf-8", "surrogateescape")
        return self._extended("home-directory", string(raw), None, m.NAME, self._one_name)

    def user_and_group_names(
        self, uids: Sequence[int] = (), gids: Sequence[int] = ()
    ) -> Deferred[tuple[list[str], list[str]]]:
        """Return the names for ids, "" for one without (`users-groups-by-id@openssh.com`)."""

        def read(payload: memoryview) -> tuple[list[str], list[str]]:
            reader = WireReader(payload)
            reader.position = 5
            users, groups = reader.view("users"), reader.view("groups")
            reader.finish("names of users and groups")
            return _strings(users, len(uids)), _strings(groups, len(gids))

        body = string(b"".join(map(uint32, uids))) + string(b"".join(map(uint32, gids)))
        return self._extended("users-groups-by-id@openssh.com", body, None, m.EXTENDED_REPLY, read)

    # File systems, contents.

    def statvfs(self, path: m.Path = ".") -> Deferred[StatVFS]:
        """Return facts of the file system that `path` lies on (`statvfs@openssh.com`)."""
        raw = self.path(path)
        return self._extended("statvfs@openssh.com", string(raw), raw, m.EXTENDED_REPLY, read_statvfs)

    def disk_usage(self, path: m.Path = ".") -> Deferred[DiskUsage]:
        """Return total, used and free bytes of a file system."""

        def usage(found: StatVFS) -> DiskUsage:
            unit = found.f_frsize or found.f_bsize
            return DiskUsage(
                found.f_blocks * unit, (found.f_blocks - found.f_bfree) * unit, found.f_bavail * unit
            )

        return self.statvfs(path).add_callback(usage)

    def hash(
        self, path: m.Path, algorithm: str | Sequence[str] = HASHES, *, offset: int = 0, size: int = 0
    ) -> Deferred[tuple[str, bytes]]:
        """Have the server hash a file (`check-file-name`): fires with the algorithm it took and the hash.

        `algorithm` names those to choose from, best first; `size` 0 means to the end.
        """
        raw = self.path(path)
        names = algorithm if isinstance(algorithm, str) else ",".join(algorithm)
        body = string(raw) + string(names) + uint64(offset) + uint64(size) + uint32(0)
        if not self.can_hash:
            return fail(SFTPOpUnsupported("the server does not offer check-file", raw))
        request = string("check-file-name") + body
        return self.session.call(m.EXTENDED, request, m.EXTENDED_REPLY, _read_hash, raw)

    @property
    def can_hash(self) -> bool:
        """The server offers to hash files."""
        return "check-file" in self.extensions or "check-file-name" in self.extensions

    # Paths.

    def path(self, path: m.Path) -> bytes:
        """Return the bytes of a path for the wire, below the working directory of `chdir`."""
        raw = m.to_wire(path)
        if self._cwd and raw[:1] != b"/":
            return self._cwd + (b"" if self._cwd.endswith(b"/") else b"/") + raw if raw else self._cwd
        return raw or b"."

    # Inside.

    def _facts(self, kind: int, path: m.Path) -> Deferred[Attributes]:
        dialect = self.session.dialect
        return self._one_path(kind, path, m.ATTRS, dialect.unpack_attrs, dialect.stat_tail)

    def _one_name(self, payload: memoryview) -> str:
        entries = self.session.dialect.unpack_names(payload)
        if len(entries) != 1:
            raise WireError(f"{len(entries)} names where one was expected")
        return m.from_wire(entries[0][0])

    def _one_path(
        self,
        kind: int,
        path: m.Path,
        expected: int = m.STATUS,
        read: Callable[[memoryview], Any] | None = None,
        tail: bytes = b"",
    ) -> Deferred[Any]:
        raw = self.path(path)
        return self.session.call(kind, len(raw).to_bytes(4, "big") + raw + tail, expected, read, raw)

    def _extended(
        self,
        name: str,
        body: bytes,
        path: bytes | None,
        expected: int = m.STATUS,
        read: Callable[[memoryview], Any] | None = None,
    ) -> Deferred[Any]:
        if name not in self.extensions:
            return fail(SFTPOpUnsupported(f"the server does not offer {name}", path))
        return self.session.call(m.EXTENDED, string(name) + body, expected, read, path)

    def _tell(self, path: m.Path, what: Callable[[Attributes], bool]) -> Deferred[bool]:
        def absent(failure: Failure) -> bool:
            failure.trap(SFTPNoSuchFile)
            return False

        return self.stat(path).add_callback(what).add_errback(absent)


def read_statvfs(payload: memoryview) -> StatVFS:
    """Return the eleven numbers of an answer to statvfs or fstatvfs."""
    reader = WireReader(payload)
    reader.position = 5
    found = StatVFS(*(reader.uint64("statvfs") for _ in range(11)))
    reader.finish("statvfs")
    return found


def _nanoseconds(seconds: float) -> int:
    whole = int(seconds // 1)
    return whole * 1_000_000_000 + int((seconds - whole) * 1e9)


def _strings(data: memoryview, count: int) -> list[str]:
    reader = WireReader(data)
    found = [m.from_wire(reader.string("name")) for _ in range(count)]
    reader.finish("names")
    return found


def _read_hash(payload: memoryview) -> tuple[str, bytes]:
    reader = WireReader(payload)
    reader.position = 5
    name = reader.string("algorithm")
    if name == b"check-file":  # some servers say the extension's name first
        name = reader.string("algorithm")
    return m.from_wire(name), reader.rest()


__all__ = ["DiskUsage", "Requests", "SFTPError", "StatVFS"]
