"""SFTP in a session: the subsystem "sftp" of `sshkit.serve`, and ``internal-sftp`` of sshkit-server.

The protocol is in `sshkit.sftp.server`; here it gets a channel, the reactor's threads, randomness and a log.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.server.session import Program, SessionRequest

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.server.accounts import Account
    from sshkit.server.server import SFTPChoice
    from sshkit.sftp.backends.interface import Backend
    from sshkit.sftp.server_events import SFTPEvent
    from sshkit.sftp.server_requests import Permit

SUBSYSTEM = "sftp"
FAILED = 255
WIDER = 2  #: times that the first window is doubled: to 4 MiB, so that a put over a long path starts fast
SHARE = 4  #: of the files that this process may have open, one session may have the fourth part


class SFTPService(NamedTuple):
    """What one session is served: where the files are, and what may be done with them."""

    backend: "Backend"
    read_only: bool = False
    denied: Iterable[str] = ()  #: names of requests, as `sshkit-sftp-server -Q requests` shows them
    allowed: Iterable[str] | None = None  #: None: all
    permit: "Permit | None" = None  #: asked before each request that names a file
    on_event: "Callable[[SFTPEvent], object] | None" = None  #: told what was done
    max_handles: int | None = None  #: open at once; None: 1024, or less where this process may have few
    close_backend: bool = False  #: the backend is of this session alone
    max_version: int = 3  #: of the protocol, 3 to 6; OpenSSH's clients know 3 only


class SFTPProgram(Program):
    """The channel's side: what the client sends goes to the server, which writes to the channel."""

    __slots__ = ("_server",)

    def __init__(self, request: SessionRequest, reactor: "Reactor", service: SFTPService) -> None:
        from time import time

        from sshkit.sftp.server import SFTPServer
        from sshkit.sftp.symlinks import as_drafted

        super().__init__(request)
        connection = request.connection

        def failed(error: BaseException) -> None:
            connection.server.log("error", f"{connection.source}: sftp: {type(error).__name__}", error)

        self._server = SFTPServer(
            service.backend,
            random_bytes=connection.server.random_bytes,
            now=time,
            defer_to_thread=reactor.defer_to_thread,
            read_only=service.read_only,
            denied=service.denied,
            allowed=service.allowed,
            permit=service.permit,
            on_event=service.on_event,
            on_error=failed,
            on_end=service.backend.close if service.close_backend else None,
            max_handles=_handles() if service.max_handles is None else service.max_handles,
            max_version=service.max_version,
            as_drafted=as_drafted(connection.layer.our_identification, connection.layer.peer_identification),
        )
        self._server.connection_made(self)

    # Called by the channel.

    def started(self) -> None:
        for _ in range(WIDER):
            self.channel.refill()

    def data_received(self, data: memoryview) -> None:
        self._server.data_received(data)

    def eof_received(self) -> None:
        self._server.eof_received()

    def pause_writing(self) -> None:
        self._server.pause_writing()

    def resume_writing(self) -> None:
        self._server.resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self._ended = True
        self._server.connection_lost(error)

    # Called by the server.

    def write(self, data: bytes | memoryview) -> None:
        """Send to the client."""
        self.channel.write(data)

    def pause_reading(self) -> None:
        """Let the client wait."""
        self.channel.pause_reading()

    def resume_reading(self) -> None:
        """Let it go on."""
        self.channel.resume_reading()

    def close(self) -> None:
        """End the session: after its input has ended, or because the client broke the protocol."""
        failed = self._server.failed
        if failed is not None:
            connection = self.request.connection
            connection.server.log("info", f"{connection.source}: sftp of {connection.user!r} ended: {failed}")
        self.exit(0 if failed is None else FAILED)


def _handles() -> int:
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

    from sshkit.sftp.server_handles import MAX_HANDLES

    soft, _ = getrlimit(RLIMIT_NOFILE)
    return MAX_HANDLES if soft == RLIM_INFINITY else min(MAX_HANDLES, max(soft // SHARE, 16))


def start_sftp(request: SessionRequest, reactor: "Reactor", sftp: "SFTPChoice") -> SFTPProgram | None:
    """Start what `sshkit.serve(sftp=...)` says; None refuses the session."""
    if isinstance(sftp, bool):
        return SFTPProgram(request, reactor, own_files(None)) if sftp else None
    if not callable(sftp):
        return SFTPProgram(request, reactor, _service(sftp, shared=True))
    try:
        found = sftp(request)
        return None if found is None else SFTPProgram(request, reactor, _service(found, shared=False))
    except Exception as error:
        request.connection.log_error("sftp", error)
        return None


def _service(found: "Backend | SFTPService", shared: bool) -> SFTPService:
    return found if isinstance(found, SFTPService) else SFTPService(found, close_backend=not shared)


def own_files(account: "Account | None", **options: Any) -> SFTPService:
    """Return a service of all files, from the home of whoever runs this process, with his rights."""
    from sshkit.sftp.backends.local import LocalBackend

    if account is None:
        from sshkit.server.accounts import own_account

        account = own_account()
    start = options.pop("start", None) or account.home
    umask = options.pop("umask", None) or 0
    backend = LocalBackend("/", start=start, user=account.name, allow_setid=True, umask=umask)
    return SFTPService(backend, close_backend=True, **options)


def start_internal(
    request: SessionRequest, reactor: "Reactor", account: "Account", command: str
) -> SFTPProgram:
    """Start ``internal-sftp`` with sftp-server's options; raises UsageError, UnknownRequest or OSError."""
    from posixpath import join
    from shlex import split

    from sshkit.sftp.server_options import LEVELS, UsageError, expanded, parse

    try:
        words = split(command)
    except ValueError as error:
        raise UsageError(f"internal-sftp: {error}") from None
    options = parse(words[1:])
    # As with sshd, a home that is not there (below another root, for one) is no reason to refuse.
    start = account.home if os.path.isdir(account.home) else "/"
    if options.start is not None:
        start = join(start, expanded(options.start, {"d": account.home, "u": account.name}))
    connection = request.connection
    level = "info" if options.level >= LEVELS["INFO"] else "verbose"

    def happened(event: "SFTPEvent") -> None:
        connection.server.log(level, f"{connection.source}: sftp of {connection.user!r}: {event}")

    service = own_files(
        account,
        start=start,
        umask=options.umask,
        read_only=options.read_only,
        denied=options.denied,
        allowed=options.allowed,
        on_event=happened,
    )
    return SFTPProgram(request, reactor, service)
