"""One run of sshkit-scp: which machines, which protocol, and the copies one after the other.

Called by `scp`.  Machines are connected to once each.
"""

import os
from typing import TYPE_CHECKING, Any, NoReturn

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import gather
from sshkit.scp.messages import SCPError
from sshkit.sftp.errors import SFTPError

from . import scp_legacy as legacy
from . import sftp_remote as remote
from .scp_cross import Crossing
from .scp_options import CommandLine
from .sftp_connect import PLAIN, Command, CommandLog
from .sftp_meter import Meter
from .sftp_options import Place, place_of
from .sftp_pipes import Limiter, words_of
from .sftp_remote import append, base_name, shown
from .sftp_transfers import Copier, CopyFailed, How

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.sftp.client import SFTPClient

#: Seconds for the command at the far end to end after the copy.
END_PATIENCE = 30.0
FAILED = 255


class NoSource(SSHKitError):
    """What was to be copied is not there: nothing more is tried."""


class Run:
    """One run."""

    def __init__(self, typed: CommandLine, log: CommandLog) -> None:
        self._typed = typed
        self._log = log
        self._command = Command(log)
        if typed.legacy:
            self._command.failed = 1  # scp -O does not know what ssh died of
        reactor = self._command.reactor
        self._limiter = Limiter(reactor, typed.limit * 1024) if typed.limit else None
        self._meter = Meter(reactor, log, enabled=not typed.quiet, possible=Meter.is_possible())
        self._connections: dict[Place, ClientConnection] = {}
        self._sessions: dict[Place, SFTPClient] = {}
        self._how = How(preserve=typed.preserve, follow=True)
        self._target_is_folder: bool | None = None

    def run(self) -> int:
        """Do it all; returns the exit status."""
        return self._command.run(self._main())

    async def _main(self) -> int:
        typed = self._typed
        target = place_of(typed.target, "scp")
        if target is None and len(typed.sources) > 1 and not os.path.isdir(typed.target):
            problem = "Not a directory" if os.path.exists(typed.target) else "No such file or directory"
            self._log.plain(f"{shown(typed.target)}: {problem}")
            return 1
        failed = False
        for source in typed.sources:
            try:
                await self._copy(source, place_of(source, "scp"), target)
            except CopyFailed:
                failed = True
            except NoSource:
                return FAILED
            except SCPError as error:
                self._log.error(str(error))
                return 1
        return 1 if failed else 0

    async def _copy(self, text: str, source: Place | None, target: Place | None) -> None:
        typed = self._typed
        if source is None and target is None:
            await self._local(text)
        elif source is None:
            assert target is not None
            await (self._send_legacy if typed.legacy else self._send)(text, target)
        elif target is None:
            await (self._fetch_legacy if typed.legacy else self._fetch)(source)
        elif typed.direct_copy:
            await self._far_copy(source, target)
        else:
            await (self._cross_legacy if typed.legacy else self._cross)(source, target)

    # Machines.

    async def _connect(self, place: Place) -> "ClientConnection":
        key = place._replace(path=None)
        if key not in self._connections:
            words = [*self._port(place), *self._typed.client]
            self._connections[key] = await self._command.connect(words, place.host, place.user)
        return self._connections[key]

    def _port(self, place: Place) -> list[str]:
        port = place.port or self._typed.port
        return [] if port is None else [f"-oPort={port}"]

    async def _sftp(self, place: Place) -> "SFTPClient":
        """Return the SFTP session with a machine."""
        typed, command = self._typed, self._command
        key = place._replace(path=None)
        if key not in self._sessions:
            if typed.direct is not None:
                client = await command.sftp_program(words_of(typed.direct), self._limiter)
            elif typed.ssh is not None:
                argv = [*self._ssh(place), "-s", "--", place.host, "sftp"]
                client = await command.sftp_program(argv, self._limiter, own_session=False)
            else:
                client = await command.sftp_over(await self._connect(place), None, self._limiter)
            if typed.buffer:
                session = client.session
                session.limits = session.limits._replace(read=typed.buffer, write=typed.buffer)
            self._sessions[key] = client
        return self._sessions[key]

    def _ssh(self, place: Place) -> list[str]:
        """Return the program that connects in our place (-S), and its options."""
        words = [*words_of(self._typed.ssh or ""), "-x", *PLAIN, *self._port(place), *self._typed.client]
        return words + (["-l", place.user] if place.user else [])

    async def _path(self, client: "SFTPClient", place: Place) -> str:
        """Return the path there; ~ is the user's home, and ~name somebody else's."""
        path = place.path or "."
        if not path.startswith("~"):
            return path
        head, _, rest = path.partition("/")
        if head == "~":
            return rest.lstrip("/") or "."
        if "expand-path@openssh.com" not in client.extensions:
            self._fail("server expand-path extension is required for ~user paths in SFTP mode")
        try:
            return await client.expand_user(os.fsencode(path))
        except SFTPError as error:
            self._fail(f"{shown(path)}: {remote.words_of(error)}")

    def _fail(self, text: str) -> NoReturn:
        self._log.error(text)
        raise CopyFailed(text)

    # SFTP.

    async def _send(self, path: str, place: Place) -> None:
        typed = self._typed
        try:
            found = os.stat(path)
        except OSError as error:
            self._log.error(f'stat local "{shown(path)}": {error.strerror}')
            raise NoSource("") from None
        client = await self._sftp(place)
        target = await self._path(client, place)
        if self._target_is_folder is None:
            self._target_is_folder = await remote.is_folder(client, target)
            if not self._target_is_folder and len(typed.sources) > 1:
                await self._make_target(client, target, found.st_mode & 0o777 | 0o700)
        there = append(target, base_name(os.path.abspath(path))) if self._target_is_folder else target
        copier = Copier(client, self._log, self._meter, self._log.error)
        if os.path.isdir(path) and typed.recursive:
            await copier.put_tree(path, there, self._how)
            return
        try:
            await copier.put_file(path, there, self._how)
        except CopyFailed:
            self._log.error(f"failed to upload file {shown(path)} to {shown(target)}")
            raise

    async def _make_target(self, client: "SFTPClient", target: str, mode: int = 0o777) -> None:
        """Make the folder that several files are to go to."""
        try:
            await client.mkdir(os.fsencode(target), mode)
        except SFTPError as error:
            self._fail(f'remote mkdir "{shown(target)}": {remote.words_of(error)}')
        self._target_is_folder = True

    async def _matches(self, client: "SFTPClient", place: Place) -> list[remote.Match]:
        """Return what a machine has of the source's name."""
        path = await self._path(client, place)
        found = await remote.glob(client, path)
        if path.endswith("/"):
            found = [match for match in found if match.is_folder]
        if not found:  # a name that only looks like a pattern
            known = await remote.look(client, path)
            if known is None or (path.endswith("/") and not known.is_dir):
                self._fail(f"{shown(place.path or path)}: No such file or directory")
            found = [remote.Match(path, known)]
        return found

    async def _fetch(self, place: Place) -> None:
        typed = self._typed
        client = await self._sftp(place)
        found = await self._matches(client, place)
        target = typed.target
        into = os.path.isdir(target)
        if len(found) > 1 and not into:
            if os.path.lexists(target):
                self._fail(
                    f'Multiple files match pattern, but destination "{shown(target)}" is not a directory'
                )
            os.mkdir(target)
            into = True
        copier = Copier(client, self._log, self._meter, self._log.error)
        failed = False
        for match in found:
            name = base_name(match.path)
            if into and name in (".", "..", "/"):
                name = base_name(await client.realpath(os.fsencode(match.path)))
            local = append(target, name) if into else target
            try:
                if match.is_folder and typed.recursive:
                    await copier.get_tree(match.path, local, self._how)
                elif match.is_folder:
                    self._fail(f"download {shown(match.marked)}: not a regular file")
                else:
                    await copier.get_file(match.path, match.attributes, local, self._how)
            except CopyFailed:
                failed = True
                if client.is_closed:
                    raise
        if failed:
            raise CopyFailed("")

    async def _cross(self, source: Place, target: Place) -> None:
        typed = self._typed
        here = await self._sftp(source)
        there = await self._sftp(target)
        path = await self._path(there, target)
        found = await self._matches(here, source)
        into = await remote.is_folder(there, path)
        if not into and (len(found) > 1 or len(typed.sources) > 1):
            await self._make_target(there, path)
            into = True
        crossing = Crossing(here, there, self._log, self._meter, typed.preserve)
        failed = False
        for match in found:
            goal = append(path, base_name(match.path)) if into else path
            try:
                if match.attributes is None:
                    self._fail(f'stat remote "{shown(match.path)}" failed')
                elif match.is_folder and typed.recursive:
                    await crossing.tree(match.path, match.attributes, goal)
                elif match.is_folder:
                    self._fail(f'download "{shown(match.marked)}": not a regular file')
                else:
                    await crossing.file(match.path, match.attributes, goal)
            except CopyFailed:
                failed = True
        if failed:
            raise CopyFailed("")

    # The legacy protocol.

    async def _exec(self, place: Place, protocol: Any, command: str) -> Any:
        """Run a command there with a protocol at its pipes; returns what holds its exit status."""
        if self._typed.ssh is None:
            await self._command.run_over(await self._connect(place), protocol, command)
            return protocol
        argv = [*self._ssh(place), "--", place.host, command]
        inner = protocol.peer if isinstance(protocol, legacy.FarSide) else protocol
        return self._command.program(argv, inner, own_session=False)

    async def _one_side(self, place: Place, peer: Any, command: str) -> None:
        """Copy with one side here."""
        side = legacy.FarSide(peer, self._log)
        running = await self._exec(place, side, command)
        try:
            errors = await peer.finished
        finally:
            self._meter.stop()
        if running is side:
            side.end()
            ended = side.closed
        else:
            running.write_eof()
            ended = running.ended
        ended.add_timeout(END_PATIENCE, self._command.reactor, what="the end of scp at the other side")
        await ended
        errors = errors or _failed(running.exit_status)
        if errors:
            raise CopyFailed("")

    async def _send_legacy(self, path: str, place: Place) -> None:
        typed = self._typed
        peer = legacy.source(typed, self._command.reactor, path, self._watch())
        folder = len(typed.sources) > 1
        await self._one_side(place, peer, legacy.far_command(typed, "-t", place.path or ".", folder=folder))

    async def _fetch_legacy(self, place: Place) -> None:
        typed = self._typed
        path = place.path or "."
        peer = legacy.sink(typed, self._command.reactor, path, self._watch())
        await self._one_side(place, peer, legacy.far_command(typed, "-f", path))

    async def _cross_legacy(self, source: Place, target: Place) -> None:
        typed = self._typed
        one, two = legacy.bridge(self._log)
        folder = len(typed.sources) > 1
        to = legacy.far_command(typed, "-t", target.path or ".", folder=folder)
        sides = [
            await self._exec(target, two, to),
            await self._exec(source, one, legacy.far_command(typed, "-f", source.path or ".")),
        ]
        await gather(one.closed, two.closed)
        if any(_failed(side.exit_status) for side in sides):
            raise CopyFailed("")

    def _watch(self) -> legacy.Watch:
        return legacy.Watch(self._log, self._meter, self._limiter)

    # Others.

    async def _far_copy(self, source: Place, target: Place) -> None:
        """Let the source's machine copy to the target's (-R)."""
        import shlex

        if target.port is not None or self._typed.port is not None:
            self._fail("target port not supported with two remote hosts and the -R option")
        typed = self._typed
        words = ["scp", *(["-r"] if typed.recursive else []), *(["-p"] if typed.preserve else [])]
        user = f"{target.user}@" if target.user else ""
        goal = shlex.quote(f"{user}{target.host}:{target.path or ''}")
        command = " ".join([*words, "--", source.path or ".", goal])
        connection = await self._connect(source)
        result = await connection.run(command)
        for text in (result.stdout, result.stderr):
            self._log.notice(printable(text, legacy.MAX_STDERR, keep="\n\t"))
        if result.exit_status != 0:
            raise CopyFailed("")

    async def _local(self, path: str) -> None:
        """Copy here, with cp as scp does."""
        import subprocess

        typed = self._typed
        argv = ["cp", *(["-r"] if typed.recursive else []), *(["-p"] if typed.preserve else []), "--"]
        status = await self._command.reactor.defer_to_thread(subprocess.call, [*argv, path, typed.target])
        if status:
            raise CopyFailed("")


def _failed(status: Any) -> bool:
    """Tell whether a command ended otherwise than with 0; a program's status has parts."""
    return (status if isinstance(status, int) else getattr(status, "code", None)) != 0
