"""The process that holds the private host keys, so that no other one has them in its memory.

The monitor starts it before anything else, for the workers are copies of the monitor.  It reads the keys,
tells what it has found, gives up its rights, and from then on only signs.  It ends with its monitor; if it
ends before, another one is started, which must find the same keys.
"""

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.wire import WireReader, boolean, string, uint32

from sshkit.deferred import Deferred, fail
from sshkit.server.workers.forking import fork
from sshkit.server.workers.link import MAX_MESSAGE, Link, LinkBroken, pair

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.server.accounts import Account
    from sshkit.server.server import Log

#: Seconds until another one is started, doubled each time that it does not find its keys.
PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 60.0
START_TIMEOUT: Final = 20.0  #: seconds to read all keys
_KEY, _DAMAGED, _MISSING = range(3)


class HeldKey:
    """A host key of which this process knows the public half."""

    __slots__ = ("_holder", "_index", "public")

    def __init__(self, holder: "KeyHolder", index: int, public: "PublicKey") -> None:
        self._holder = holder
        self._index = index
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        """Return the signature blob, as soon as it is made."""
        return self._holder.sign(self._index, algorithm, data)

    def __repr__(self) -> str:
        return f"<HeldKey {self.public.key_type} {self.public.fingerprint()}>"


class KeyHolder:
    """The monitor's side."""

    def __init__(self, account: "Account | None" = None) -> None:
        """Whoever it is shall hold the keys: `account`, or whoever runs this process."""
        self._account = account
        self._sock: socket.socket | None = None
        self._link: Link | None = None
        self._requests: dict[int, Deferred[bytes]] = {}
        self._last = 0
        self._paths: list[str] = []
        self._found: list[bytes | None] = []  # the public halves
        self._reactor: Reactor | None = None
        self._log: Log | None = None
        self._closed = False
        self.pid = 0  #: of the process, once it was started

    def load(self, paths: Sequence[str]) -> "list[Any]":
        """Start the process; returns its keys, or what is wrong with each."""
        ours, theirs = pair()
        account = self._account
        self._paths = list(paths)
        try:
            self.pid = fork(
                lambda: _hold(theirs, list(paths), account), (theirs.fileno(),), "holder of host keys"
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.settimeout(START_TIMEOUT)
        self._sock = ours
        found: list[Any] = []
        try:
            for path in paths:
                found.append(self._read(ours.recv(MAX_MESSAGE), len(found), path))
        except OSError as error:
            raise LinkBroken(
                f"the process that holds the host keys does not answer: {error.strerror}"
            ) from None
        ours.setblocking(False)
        self._found = [key.public.blob if isinstance(key, HeldKey) else None for key in found]
        return found

    def attach(self, reactor: "Reactor", log: "Log | None" = None) -> None:
        """Begin to ask it; `log` is told if it has to be started again."""
        from sshkit.reactor.reaper import watch_exit

        assert self._sock is not None
        self._reactor, self._log = reactor, log
        self._link = Link(reactor, self._sock, self._received, self._gone)
        self._sock = None
        watch_exit(cast("Any", reactor), self.pid, lambda status: None)

    def close(self) -> None:
        """Let it end."""
        self._closed = True
        if self._link is not None:
            self._link.close()
            self._gone(LinkBroken("the server ends"))
        elif self._sock is not None:
            self._sock.close()
            self._sock = None
            _end(self.pid)  # no reactor waits for it

    def sign(self, index: int, algorithm: str, data: bytes) -> Deferred[bytes]:
        """Ask for a signature."""
        link = self._link
        if link is None or link.closed:
            return fail(LinkBroken("the process that holds the host keys has gone"))
        self._last += 1
        answer = self._requests[self._last] = Deferred()
        link.send(uint32(self._last) + uint32(index) + string(algorithm) + string(data))
        return answer

    def _read(self, data: bytes, index: int, path: str) -> "HeldKey | KeyFileError | OSError":
        from sshkit_keys import parse_public_key

        if not data:
            raise LinkBroken("the process that holds the host keys has ended before it had read them")
        reader = WireReader(data)
        kind = reader.byte("kind")
        if kind == _KEY:
            return HeldKey(self, index, parse_public_key(reader.string("key")))
        if kind == _DAMAGED:
            return KeyFileError(reader.text("cause"), path)
        number = reader.uint32("number")
        return OSError(number, os.strerror(number))

    def _received(self, data: bytes, fds: list[int]) -> None:
        reader = WireReader(data)
        request = self._requests.pop(reader.uint32("request"), None)
        made = reader.boolean("made")
        body = reader.string("body")
        if request is None:
            return
        if made:
            request.callback(body)
        else:
            request.errback(SSHKitError(body.decode("utf-8", "replace")))

    def _gone(self, error: BaseException) -> None:
        waiting, self._requests = self._requests, {}
        for request in waiting.values():
            request.errback(error)
        if not self._closed:
            self._tell(f"the process {self.pid} that holds the host keys has ended; it is started again")
            self._again_later(PAUSE)

    def _again_later(self, pause: float) -> None:
        assert self._reactor is not None
        self._reactor.call_later(pause, self._again, min(2 * pause, LONGEST_PAUSE))

    def _again(self, pause: float) -> None:
        """Start another one, which has to find what the one before had."""
        if self._closed:
            return
        assert self._reactor is not None
        wanted = self._found
        try:
            self.load(self._paths)
            if self._found != wanted:
                raise LinkBroken("the files have other keys than before: have the server read them again")
        except (OSError, LinkBroken) as error:
            self._found = wanted
            if self._sock is not None:
                self._sock.close()
                self._sock = None
                _end(self.pid)
            self._tell(f"the host keys are not there: {error}")
            self._again_later(pause)
            return
        self.attach(self._reactor, self._log)

    def _tell(self, text: str) -> None:
        if self._log is not None:
            self._log("error", text, None)


def _end(pid: int) -> None:
    from signal import SIGKILL

    try:
        os.kill(pid, SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it has gone already


def _hold(sock: socket.socket, paths: list[str], account: "Account | None") -> int:
    """Be the process; returns its exit status."""
    from sshkit_keys import load_private_key

    from sshkit.server.privileges import become, confine, hide

    sock.setblocking(True)
    keys: list[PrivateKey | None] = []
    for path in paths:
        key: PrivateKey | None = None
        try:
            key = load_private_key(path)
            sock.send(bytes((_KEY,)) + string(key.public.blob))
        except KeyFileError as error:
            sock.send(bytes((_DAMAGED,)) + string(error.cause))
        except OSError as error:
            sock.send(bytes((_MISSING,)) + uint32(error.errno or 0))
        keys.append(key)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # whoever started the server may wait for their end
        os.dup2(null, fd)
    os.close(null)
    if account is not None:
        confine()
        become(account)
    hide()
    while data := sock.recv(MAX_MESSAGE):
        sock.send(_answer(data, keys))
    return 0


def _answer(data: bytes, keys: "list[PrivateKey | None]") -> bytes:
    reader = WireReader(data)
    request, index = reader.uint32("request"), reader.uint32("index")
    algorithm, wanted = reader.text("algorithm"), reader.string("data")
    key = keys[index]
    try:
        if key is None:
            raise SSHKitError("there is no such key")
        return uint32(request) + boolean(True) + string(key.sign(algorithm, wanted))
    except SSHKitError as error:
        return uint32(request) + boolean(False) + string(str(error))
