"""What happened in an SFTP session, for a transfer log.  `SFTPServer` hands them to `on_event`.

`str(event)` is one line, worded as OpenSSH's sftp-server words it, with names escaped (R36).
"""

from stat import S_IMODE

from sshkit_keys.text import printable

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes

_MAX_PATH = 4096
_FLAGS = (
    (m.READ_FLAG, "READ"),
    (m.WRITE_FLAG, "WRITE"),
    (m.CREATE, "CREATE"),
    (m.TRUNCATE, "TRUNCATE"),
    (m.APPEND, "APPEND"),
    (m.EXCLUSIVE, "EXCL"),
)


def shown(path: bytes) -> str:
    """Return a path between quotes, fit for one line."""
    return '"' + printable(path.decode("utf-8", "surrogateescape"), _MAX_PATH).replace('"', '\\"') + '"'


class SFTPEvent:
    """One thing that was done, or that failed: then `error` says why.

    `name` is the request's, "open" or "posix-rename"; "forced-close" is a file that was open when the session
    ended, "denied" a request that is not permitted.
    """

    __slots__ = ("attributes", "error", "flags", "name", "path", "read", "target", "written")

    def __init__(
        self,
        name: str,
        path: bytes = b"",
        *,
        target: bytes = b"",
        flags: int = 0,
        attributes: Attributes | None = None,
        read: int = 0,
        written: int = 0,
        error: str | None = None,
    ) -> None:
        self.name = name
        self.path = path  #: as the client sent it
        self.target = target
        self.flags = flags  #: of open, as on the wire
        self.attributes = attributes  #: what was asked for
        self.read = read  #: bytes read, with "close"
        self.written = written
        self.error = error

    def __repr__(self) -> str:
        return f"<SFTPEvent {self}>"

    def __str__(self) -> str:
        text = self._words()
        return text if self.error is None else f"{text}: {printable(self.error)}"

    def _words(self) -> str:
        name, path = self.name, shown(self.path)
        if name == "open":
            flags = ",".join(word for bit, word in _FLAGS if self.flags & bit)
            return f"open {path} flags {flags or 'NONE'} mode {self._mode(0o666)}"
        if name in ("close", "forced-close"):
            word = "forced close" if name == "forced-close" else "close"
            return f"{word} {path} bytes read {self.read} written {self.written}"
        if name == "mkdir":
            return f"mkdir name {path} mode {self._mode(0o777)}"
        if name in ("setstat", "fsetstat", "lsetstat"):
            return f"{name} {path}{self._changes()}"
        if name in ("rename", "posix-rename"):
            return f"{name} old {path} new {shown(self.target)}"
        if name in ("hardlink", "symlink"):
            return f"{name} old {path} new {shown(self.target)}"
        if name in ("remove", "rmdir"):
            return f"{name} name {path}"
        if name == "copy-data":
            return f"copy-data from {path} to {shown(self.target)}"
        return f"{name} {path}"

    def _mode(self, usual: int) -> str:
        wanted = self.attributes
        mode = usual if wanted is None or wanted.permissions is None else S_IMODE(wanted.permissions)
        return f"{mode:04o}"

    def _changes(self) -> str:
        wanted = self.attributes
        if wanted is None:
            return ""
        said = ""
        if wanted.size is not None:
            said += f" size {wanted.size}"
        if wanted.permissions is not None:
            said += f" mode {S_IMODE(wanted.permissions):04o}"
        if wanted.mtime is not None:
            said += f" modtime {wanted.mtime}"
        if wanted.owner is not None or wanted.group is not None:
            said += f" owner {printable(wanted.owner or '')} group {printable(wanted.group or '')}"
        elif wanted.uid is not None:
            said += f" owner {wanted.uid} group {wanted.gid}"
        return said
