"""SFTP on a connection of a client: the subsystem, and the session on its channel.

`ClientConnection.sftp` calls it.
"""

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure
from sshkit.opening import Opening
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.client_session import TIMEOUT
from sshkit.sftp.dialect_v3 import V3_AS_DRAFTED
from sshkit.sftp.symlinks import as_drafted
from sshkit.ssh.channels.session import ExecRequest, SubsystemRequest

WIDER = 2  #: times that the first window is doubled

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.ssh.connection.channel import Channel


def open_sftp(
    connection: "ClientConnection",
    *,
    subsystem: str = "sftp",
    command: str | None = None,
    timeout: float = TIMEOUT,
    open_timeout: float = 30.0,
    versions: Iterable[int] = (3,),
) -> Opening[SFTPClient]:
    """Start the server's SFTP subsystem, or `command` in its place, and say hello.

    `versions` are those of the protocol that may be spoken, of 3 to 6: the best that the server has is taken.
    """
    clock = connection.clock
    defer: Callable[..., Deferred[Any]] = getattr(clock, "defer_to_thread")  # noqa: B009 - a reactor is a clock
    client = SFTPClient.over(
        clock, defer_to_thread=defer, random_bytes=os.urandom, timeout=timeout, versions=versions
    )
    session = client.session
    layer = connection.layer
    if as_drafted(layer.our_identification, layer.peer_identification):
        session.dialect = V3_AS_DRAFTED

    def opened(channel: "Channel") -> Deferred[None]:
        if command is None:
            started = channel.request("subsystem", SubsystemRequest(subsystem).encode())
        else:
            started = channel.request(
                "exec", ExecRequest(command.encode("utf-8", "surrogateescape")).encode()
            )
        session.start()  # in the same flush: a round trip less
        widen(channel)
        return started

    def failed(failure: Failure) -> None:
        session.end(failure.exception)

    started = connection.open_session(session).add_callback(opened)
    started.add_timeout(open_timeout, clock, what=f"starting {subsystem}").add_errback(failed)
    return client.ready


def widen(channel: "Channel") -> None:
    """Let the other side send 4 MiB from the start: files move in bulk, also where a round trip is long."""
    for _ in range(WIDER):
        channel.refill()


class _Program:
    """Joins a session to the pipes of a program: a ProcessProtocol on one side, a transport on the other."""

    __slots__ = ("_closing", "_output_ended", "_process", "_session", "exit_status")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._process: Any = None
        self._output_ended = self._closing = False
        self.exit_status: Any = None

    def process_started(self, transport: Any) -> None:
        self._process = transport
        self._session.connection_made(self)

    def output_received(self, descriptor: int, data: bytes) -> None:
        if descriptor == 1:
            self._session.data_received(data)
        else:
            self._session.extended_data_received(1, memoryview(data))

    def output_closed(self, descriptor: int) -> None:
        if descriptor == 1:
            self._output_ended = True
            self._session.eof_received()
            self._end()

    def pause_writing(self) -> None:
        self._session.pause_writing()

    def resume_writing(self) -> None:
        self._session.resume_writing()

    def process_exited(self, status: Any) -> None:
        self.exit_status = status
        self._end()

    def _end(self) -> None:
        """End when the program has, and what it wrote last was read."""
        if self.exit_status is not None and (self._output_ended or self._closing):
            self._process.close()
            self._session.connection_lost(None)

    def write(self, data: Any) -> None:
        self._process.write(data)

    def close(self) -> None:
        self._closing = True  # what it still writes is not wanted
        self._process.close()


def open_sftp_program(
    argv: "list[str]",
    *,
    reactor: Any = None,
    timeout: float = TIMEOUT,
    versions: Iterable[int] = (3,),
) -> Opening[SFTPClient]:
    """Start a program that speaks SFTP on its standard input and output, such as an sftp-server."""
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = current()
    client = SFTPClient.over(
        reactor,
        defer_to_thread=reactor.defer_to_thread,
        random_bytes=os.urandom,
        timeout=timeout,
        versions=versions,
    )
    reactor.spawn_process(_Program(client.session), argv)
    return client.ready
