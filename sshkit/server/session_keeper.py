"""The small process that root keeps behind a user's session: it closes what it has opened.

The session's process calls `with_pam_session` while it is still root.  It opens the PAM session, then forks:
the child goes on and becomes the user, the parent stays root, does nothing but write login records for
terminals that the child opens, and closes the PAM session when the child has ended.
"""

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.server.login_records import LoginRecords
from sshkit.server.pam_library import (
    DELETE,
    ECHO_OFF,
    ECHO_ON,
    ESTABLISH,
    RHOST,
    SILENT,
    TTY,
    Message,
    Pam,
    PamError,
)

if TYPE_CHECKING:
    from sshkit.server.accounts import Account
    from sshkit.server.pam import PamFacts

MAX_TERMINALS = 64  #: records that one session has open
MAX_NOTE = 64  #: bytes of the name of a terminal, and one
_OPENED, _CLOSED = b"+", b"-"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_TERMINAL_FOLDER = "/dev/"


class SessionRefused(SSHKitError):
    """The PAM modules of the session do not let it begin; the user is not let in."""


class KeptSession(NamedTuple):
    """What the session has of its keeper."""

    notes: socket.socket  #: to the keeper; without a keeper nobody reads
    environment: Mapping[str, str] = {}  #: what modules want in the user's processes
    shown: str = ""  #: what modules want the user to be shown
    groups: tuple[int, ...] = ()  #: of the process after the modules; empty: nothing is known of them

    def terminal_opened(self, name: str) -> None:
        """Have records written for a terminal ("/dev/pts/3"); never waits, never fails."""
        self._tell(_OPENED, name)

    def terminal_closed(self, name: str) -> None:
        """Have them say that it is closed; for what is open at the end that happens by itself."""
        self._tell(_CLOSED, name)

    def _tell(self, kind: bytes, name: str) -> None:
        try:
            self.notes.send(kind + name.removeprefix(_TERMINAL_FOLDER).encode()[: MAX_NOTE - 1])
        except OSError:
            pass  # a keeper that is killed or overrun has no records to write


def with_pam_session(
    run: Callable[[KeptSession], int],
    account: "Account",
    source: str,
    facts: "PamFacts | None" = None,
    environment: Mapping[str, str] | None = None,
    records: LoginRecords | None = None,
    keep: tuple[int, ...] = (),
) -> int:
    """Call `run` in a child of this process, which stays root behind it; returns the child's exit status.

    With `facts` the session's steps of PAM are taken around it: SessionRefused if they say no.
    `environment` is what PAM's login said (`PamLogin.environment`); `keep` are descriptors that the parent
    keeps open, those of the log; any other one, such as the client's socket, it closes.
    """
    session = PamSession(facts, environment or {}) if facts is not None else None
    try:
        if session is not None:
            session.open(account)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        theirs.setblocking(False)
        kept = KeptSession(theirs)
        if session is not None:
            kept = KeptSession(theirs, session.pam.environment(), session.shown, tuple(os.getgroups()))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (*_SIGNALS, signal.SIGCHLD))
        pid = os.fork()
        if not pid:
            ours.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if session is not None:
                session.leave()
            return run(kept)
        theirs.close()
        from sshkit.server.workers.forking import close_others

        close_others((ours.fileno(), *keep))
        status = Keeper(pid, ours, account, source, records or LoginRecords()).stay()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return status
    finally:
        # In the child this does nothing: it has left the session.
        if session is not None:
            session.close()


class PamSession:
    """The PAM session: credentials and modules of the kind `session`."""

    __slots__ = ("_open", "_texts", "pam")

    def __init__(self, facts: "PamFacts", environment: Mapping[str, str]) -> None:
        self._texts: list[str] = []
        self._open = False
        try:
            self.pam = Pam(facts.service, facts.user, self._converse)
            self.pam.set_item(RHOST, facts.host)
            self.pam.set_item(TTY, "ssh")
            for name, value in environment.items():
                self.pam.putenv(name, value)
        except SSHKitError as error:
            raise SessionRefused(f"{printable(facts.service)}: {error}") from None

    def open(self, account: "Account") -> None:
        """Take the groups and credentials of the account, and open the session; raises SessionRefused."""
        if os.geteuid() == 0:
            os.initgroups(account.name, account.gid)
            os.setgid(account.gid)
        try:
            self.pam.call("setcred", ESTABLISH)
            self.pam.call("open_session")
        except PamError as error:
            raise SessionRefused(str(error)) from None
        self._open = True

    def leave(self) -> None:
        """Have nothing more to do with it, in a process that only inherited it."""
        self._open = False
        self.pam.close(silent=True)

    @property
    def shown(self) -> str:
        """What the modules said, as lines."""
        return "\n".join(self._texts)

    def close(self) -> None:
        """Close it, whatever modules say to that; harmless the second time."""
        if self._open:
            self._open = False
            for name, flags in (("close_session", SILENT), ("setcred", DELETE | SILENT)):
                try:
                    self.pam.call(name, flags)
                except PamError:
                    pass  # there is nobody left to be told
        self.pam.close()

    def _converse(self, messages: Sequence[Message]) -> list[str]:
        if any(style in (ECHO_OFF, ECHO_ON) for style, _ in messages):
            raise SessionRefused("a module of the session asks although nobody is there to answer")
        room = MAX_TERMINALS - len(self._texts)
        self._texts += [printable(text.strip("\r\n"), 4096, keep="\n\t") for _, text in messages][:room]
        return [""] * len(messages)


class Keeper:
    """The parent: waits for its child, hands signals on, writes records."""

    __slots__ = ("_account", "_notes", "_open", "_pid", "_records", "_source")

    def __init__(
        self, pid: int, notes: socket.socket, account: "Account", source: str, records: LoginRecords
    ) -> None:
        """`notes` belongs to it; SIGCHLD and those that end processes have to be blocked."""
        self._pid = pid
        self._notes = notes
        self._account = account
        self._source = source
        self._records = records
        self._open: set[str] = set()

    def stay(self) -> int:
        """Return the child's exit status, when it has ended."""
        import select

        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        before = {number: signal.signal(number, _noted) for number in (*_SIGNALS, signal.SIGCHLD)}
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        poll = select.poll()
        poll.register(self._notes, select.POLLIN)
        poll.register(reading, select.POLLIN)
        self._notes.setblocking(False)
        try:
            while (status := self._ended()) is None:
                ready = {fd for fd, _ in poll.poll()}
                if reading in ready:
                    self._signals(os.read(reading, 256))
                if self._notes.fileno() in ready:
                    self._take_notes()
            self._take_notes()
            for line in tuple(self._open):
                self._close(line)
            return status
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)
            self._notes.close()

    def _ended(self) -> int | None:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number != signal.SIGCHLD:
                os.kill(self._pid, number)  # not reaped yet, so it is still the child

    def _take_notes(self) -> None:
        while True:
            try:
                note = self._notes.recv(MAX_NOTE)
            except OSError:
                return
            if not note:
                return
            line = note[1:].decode("ascii", "replace")
            if note[:1] == _CLOSED and line in self._open:
                self._close(line)
            elif note[:1] == _OPENED and len(self._open) < MAX_TERMINALS and self._is_theirs(line):
                self._open.add(line)
                self._records.opened(self._account, line, self._pid, self._source, time())

    def _close(self, line: str) -> None:
        self._open.discard(line)
        self._records.closed(line, self._pid, time())

    def _is_theirs(self, line: str) -> bool:
        """Say whether a line is a terminal of the account: the child has no more rights than its user."""
        if not all(char.isascii() and (char.isalnum() or char == "/") for char in line):
            return False
        from stat import S_ISCHR

        try:
            status = os.lstat(_TERMINAL_FOLDER + line)
        except OSError:
            return False
        return line not in self._open and S_ISCHR(status.st_mode) and status.st_uid == self._account.uid


def _noted(number: int, frame: object) -> None:
    """Do nothing: the number goes into the pipe."""
