"""Lists a remote directory: READDIR two deep, so that no round trip is waited for between batches.

`SFTPClient.scandir` and `listdir` and the transfer of trees use it.  Names are a peer's words: one that
is no plain component ends the listing (R35), and so does a batch without names, which would never end.
"""

from collections import deque
from typing import TYPE_CHECKING

from sshkit_keys.text import quoted

from sshkit.deferred import Deferred
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client_session import Answer, Session
from sshkit.sftp.errors import SFTPFailure, SFTPInvalidName, SFTPProtocolError, error_for

if TYPE_CHECKING:
    from sshkit.deferred import Failure

DEPTH = 2  #: READDIRs in flight
MAX_BATCHES = 8  #: batches that lie here unread; no more is asked for then
MAX_NAMES = 10_000_000  #: names of one directory: the end of an endless one


class DirEntry:
    """One name of a directory, with what the server said of it.  Links are not followed."""

    __slots__ = ("attributes", "directory", "longname", "raw")

    def __init__(self, directory: bytes, raw: bytes, longname: bytes, attributes: Attributes) -> None:
        self.directory = directory
        self.raw = raw  #: the name's bytes
        self.longname = longname  #: a line as of ls -l, empty from version 4 on: escape it before showing it
        self.attributes = attributes

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    @property
    def name(self) -> str:
        """The name alone."""
        return m.from_wire(self.raw)

    @property
    def path(self) -> str:
        """The name behind the directory that was listed."""
        return m.from_wire(join(self.directory, self.raw))

    @property
    def is_dir(self) -> bool:
        """A directory."""
        return self.attributes.is_dir

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return self.attributes.is_file

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return self.attributes.is_link


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of `name` in `directory`."""
    if not directory or directory.endswith(b"/"):
        return directory + name
    return directory + b"/" + name


class Lister(Answer):
    """One listing: `next` gives the batches, None at the end.  It closes its handle by itself."""

    __slots__ = ("_batches", "_count", "_error", "_flying", "_handle", "_over", "_waiter", "path", "session")

    def __init__(self, session: Session, path: bytes) -> None:
        self.session = session
        self.path = path
        self._handle: bytes | None = None
        self._batches: deque[list[m.Entry]] = deque()
        self._flying = 0
        self._count = 0
        self._over = False
        self._error: BaseException | None = None
        self._waiter: Deferred[None] | None = None

    def open(self) -> "Deferred[Lister]":
        """Open the directory and ask for its first names."""

        def opened(handle: bytes) -> "Lister":
            self._handle = handle
            self._ask()
            return self

        raw = self.path
        body = len(raw).to_bytes(4, "big") + raw
        return self.session.open_handle(m.OPENDIR, body, raw).add_callback(opened)

    async def next(self) -> list[m.Entry] | None:
        """Return the next names, None when there are no more."""
        while not self._batches:
            if self._error is not None:
                error, self._error = self._error, None
                self._over = True
                raise error
            if self._over:
                return None
            self._waiter = Deferred()
            await self._waiter
        batch = self._batches.popleft()
        self._ask()
        return batch

    def close(self) -> None:
        """Stop: the handle is closed behind what is asked already."""
        self._over = True
        handle, self._handle = self._handle, None
        if handle is not None:
            self.session.close_handle(handle)

    def _ask(self) -> None:
        while (
            self._handle is not None
            and not self._over
            and self._error is None
            and self._flying < DEPTH
            and len(self._batches) + self._flying < MAX_BATCHES
        ):
            self._flying += 1
            number = self.session.next_id()
            self.session.send(number, m.pack_string(m.READDIR, number, self._handle), self)

    def answered(self, kind: int, payload: memoryview) -> None:
        self._flying -= 1
        if kind == m.NAME:
            if not self._over:
                self._take(self.session.dialect.unpack_names(payload))
        elif kind == m.STATUS:
            code, words = m.unpack_status(payload)
            if code == status.OK:
                raise SFTPProtocolError("OK in answer to READDIR")
            if code != status.EOF and self._error is None and not self._over:
                self._error = error_for(code, words, self.path)
            self.close()
        else:
            raise SFTPProtocolError(f"an answer of kind {kind} to READDIR")
        self._wake()

    def _take(self, entries: list[m.Entry]) -> None:
        if not entries:
            raise SFTPProtocolError("an answer to READDIR without names")
        self._count += len(entries)
        kept = []
        try:
            for entry in entries:
                name = entry[0]
                if name in (b".", b".."):
                    continue
                if not name or b"/" in name or b"\0" in name:  # no plain component (R35)
                    raise SFTPInvalidName(f"the server's directory lists the name {quoted(name)}", self.path)
                kept.append(entry)
            if self._count > MAX_NAMES:
                raise SFTPFailure(f"a directory of more than {MAX_NAMES} names", self.path)
        except OSError as error:
            self._error = error
            self.close()
            return
        self._batches.append(kept)
        self._ask()

    def failed(self, error: BaseException) -> None:
        if self._error is None and not self._over:
            self._error = error
        self._over = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)


def _seen(failure: "Failure") -> None:
    """Somebody else tells it."""
