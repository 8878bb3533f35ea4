"""Copies of sshkit-scp by the legacy protocol (-O): a source or a sink here, ``scp`` at the far end.

`scp_run` calls it.  The far path goes to the user's shell there as it was typed, as scp -O always has: that
is how its wildcards work.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.scp.peer import Observer, Peer
from sshkit.scp.sink import Sink
from sshkit.scp.source import Source
from sshkit.sftp.glob import translate
from sshkit.ssh.channels.session import ExitStatus
from sshkit.ssh.connection.protocol import ChannelProtocol

from .sftp_remote import braces

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.interfaces import Clock

    from .scp_options import CommandLine
    from .sftp_connect import CommandLog
    from .sftp_meter import Meter
    from .sftp_pipes import Limiter

MAX_STDERR = 65536  #: characters of the other side's errors that are shown at a time


class Watch(Observer):
    """Shows what a copy does, and keeps its rate."""

    __slots__ = ("_done", "_limiter", "_log", "_meter")

    def __init__(self, log: "CommandLog", meter: "Meter", limiter: "Limiter | None") -> None:
        self._log = log
        self._meter = meter
        self._limiter = limiter
        self._done = 0

    def file_started(self, name: bytes, size: int) -> None:
        self._done = 0
        self._meter.start(name.rpartition(b"/")[2], size)

    def moved(self, count: int) -> float:
        self._done += count
        self._meter.at(self._done)
        return 0.0 if self._limiter is None else self._limiter.spend(count)

    def file_ended(self) -> None:
        self._meter.stop()

    def complained(self, text: str, remote: bool) -> None:
        if remote:
            self._log.plain(text)
        else:
            self._log.error(text)


class FarSide(ChannelProtocol):
    """A side of the protocol on a channel; also hears the errors and the end of the command there."""

    __slots__ = ("_channel", "_log", "closed", "exit_status", "peer")

    def __init__(self, peer: Peer, log: "CommandLog") -> None:
        self.peer = peer
        self._log = log
        self._channel: Any = None
        self.exit_status: int | None = None
        self.closed: Deferred[None] = Deferred()

    def begin(self) -> None:
        """The command was asked for."""
        self.peer.begin()

    def channel_opened(self, channel: Any, body: bytes) -> None:
        self._channel = channel
        self.peer.channel_opened(channel, body)

    def data_received(self, data: memoryview) -> None:
        self.peer.data_received(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._log.notice(printable(bytes(data), MAX_STDERR, keep="\n\t"))

    def eof_received(self) -> None:
        self.peer.eof_received()

    def request_received(self, kind: str, body: bytes) -> bool:
        if kind == "exit-status":
            self.exit_status = ExitStatus.decode(body).status
            return True
        return False

    def pause_writing(self) -> None:
        self.peer.pause_writing()

    def resume_writing(self) -> None:
        self.peer.resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self.peer.channel_closed(error)
        self.closed.callback(None)

    def end(self) -> None:
        """The copy is over on this side."""
        if self._channel is not None:
            self._channel.write_eof()


class Half(ChannelProtocol):
    """One half of a bridge between two channels: what comes here goes to the other one."""

    __slots__ = ("_early", "_log", "_transport", "closed", "exit_status", "other")

    other: "Half"

    def __init__(self, log: "CommandLog") -> None:
        self._log = log
        self._transport: Any = None
        self._early = bytearray()  # came from the other one before we were connected: an answer or two
        self.exit_status: int | None = None
        self.closed: Deferred[None] = Deferred()

    def begin(self) -> None:
        """Pass on what came early; nothing is said first but by the sink there."""
        self._transport.write(self._early)
        self._early.clear()

    def channel_opened(self, channel: Any, body: bytes) -> None:
        self._transport = channel

    def connection_made(self, transport: Any) -> None:
        """A program's pipes."""
        self._transport = transport
        self.begin()

    def data_received(self, data: memoryview) -> None:
        other = self.other
        if other._transport is not None:
            other._transport.write(data)
        elif not other.closed.called and len(other._early) < MAX_STDERR:
            other._early += data

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self._log.notice(printable(bytes(data), MAX_STDERR, keep="\n\t"))

    def eof_received(self) -> None:
        if self.other._transport is not None:
            self.other._transport.write_eof()

    def request_received(self, kind: str, body: bytes) -> bool:
        if kind == "exit-status":
            self.exit_status = ExitStatus.decode(body).status
            return True
        return False

    def pause_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.resume_reading()

    def channel_closed(self, error: BaseException | None) -> None:
        self.connection_lost(error)

    def connection_lost(self, error: BaseException | None) -> None:
        """It has ended."""
        if not self.closed.called:
            self._transport = None
            self.eof_received()
            self.closed.callback(None)


def bridge(log: "CommandLog") -> tuple[Half, Half]:
    """Return both halves of a bridge."""
    one, two = Half(log), Half(log)
    one.other, two.other = two, one
    return one, two


def far_command(typed: "CommandLine", flag: str, path: str, *, folder: bool = False) -> str:
    """Return the command for the far side."""
    words = ["scp"]
    words += ["-v"] if typed.verbosity else []
    words += ["-r"] if typed.recursive else []
    words += ["-p"] if typed.preserve else []
    words += ["-d"] if folder else []
    words += [flag]
    words += ["--"] if path.startswith("-") else []
    return " ".join([*words, path])


def sink(typed: "CommandLine", clock: "Clock", source: str, watch: Watch) -> Sink:
    """Return the side that takes `source` of another machine."""
    return Sink(
        os.fsencode(typed.target),
        clock,
        recursive=typed.recursive,
        preserve=typed.preserve,
        must_be_folder=len(typed.sources) > 1,
        wanted=None if typed.unchecked else wanted(source),
        observer=watch,
    )


def source(typed: "CommandLine", clock: "Clock", path: str, watch: Watch) -> Source:
    """Return the side that sends a file of this machine."""
    return Source(
        [os.fsencode(path)],
        clock,
        recursive=typed.recursive,
        preserve=typed.preserve,
        observer=watch,
    )


def wanted(path: str) -> "Callable[[bytes], bool] | None":
    """Return what tells whether a name was asked for (R35); None where nobody can know: ``.``, ``~``.

    A pattern that fits nothing there stands for itself, as with the shell.
    """
    last = path.rstrip("/").rpartition("/")[2]
    if last in ("", ".", "..") or (path.startswith("~") and "/" not in path.rstrip("/")):
        return None
    names = [os.fsencode(pattern.rpartition("/")[2] or pattern) for pattern in braces(last)]
    patterns = [translate(name) for name in names]
    return lambda name: name in names or any(pattern.match(name) for pattern in patterns)
