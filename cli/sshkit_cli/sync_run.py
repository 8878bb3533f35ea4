"""One run of sshkit-sync: the two sides, and what is shown.

Called by `sync`.  Machines are connected to as sshkit-scp does.
"""

from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.text import printable

from sshkit.sftp.path import SftpPath
from sshkit.syncing.outcome import Action, SyncError, SyncResult
from sshkit.syncing.sync import sync

from .sftp_connect import PLAIN, Command, CommandLog
from .sftp_meter import Meter
from .sftp_options import Place, UsageError, place_of
from .sftp_pipes import words_of
from .sync_options import CommandLine

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.progress import Progress

MAX_SHOWN = 4096
_VERBS = {"delete": "deleting ", "skip": "skipping "}


class Run:
    """One run."""

    def __init__(self, typed: CommandLine, log: CommandLog) -> None:
        self._typed = typed
        self._log = log
        self._command = Command(log)
        self._meter = Meter(
            self._command.reactor,
            log,
            enabled=typed.progress,
            possible=typed.progress and Meter.is_possible(),
        )
        self._sessions: dict[Place, SFTPClient] = {}

    def run(self) -> int:
        """Do it all; returns the exit status."""
        try:
            source, target = (place_of(side, "sftp") for side in (self._typed.source, self._typed.target))
        except UsageError as error:
            self._log.error(str(error))
            return 1
        return self._command.run(self._main(source, target))

    async def _main(self, source: Place | None, target: Place | None) -> int:
        typed = self._typed
        one: Any = typed.source if source is None else await self._side(source)
        two: Any = typed.target if target is None else await self._side(target)
        self._meter.start("", 0)
        try:
            result = await sync(
                one,
                two,
                filters=typed.filters,
                on_action=self._told if typed.verbosity or typed.options["dry_run"] else None,
                progress=self._moved if typed.progress else None,
                reactor=cast("Reactor", self._command.reactor),
                **typed.options,
            )
        except SyncError as error:
            self._meter.stop()
            for path, why in error.errors:
                place = f"{printable(path, MAX_SHOWN)}: " if path and path not in str(why) else ""
                self._log.error(f"{place}{printable(str(why), MAX_SHOWN)}")
            self._stats(error.result)
            return 1
        finally:
            self._meter.stop()
        self._stats(result)
        return 0

    async def _side(self, place: Place) -> SftpPath:
        """Return the path at a machine; ~ is the user's home, and relative names begin there."""
        client = await self._sftp(place._replace(path=None))
        return await SftpPath(client, place.path or ".").expanduser()

    async def _sftp(self, place: Place) -> "SFTPClient":
        if place not in self._sessions:
            typed, command = self._typed, self._command
            port = place.port or typed.port
            words = [*([] if port is None else [f"-oPort={port}"]), *typed.client]
            if typed.direct is not None:
                client = await command.sftp_program(words_of(typed.direct), None)
            elif typed.ssh is not None:
                user = ["-l", place.user] if place.user else []
                argv = [*words_of(typed.ssh), "-x", *PLAIN, *words, *user, "-s", "--", place.host, "sftp"]
                client = await command.sftp_program(argv, None, own_session=False)
            else:
                client = await command.sftp_over(
                    await command.connect(words, place.host, place.user), None, None
                )
            self._sessions[place] = client
        return self._sessions[place]

    def _told(self, action: Action) -> None:
        self._log.output(f"{_VERBS.get(action.verb, '')}{printable(action.path, MAX_SHOWN)}\n")

    def _moved(self, progress: "Progress") -> None:
        self._meter.name(progress.path)
        self._meter.at(progress.done, progress.total)

    def _stats(self, result: SyncResult) -> None:
        typed = self._typed
        if typed.quiet or not (typed.stats or typed.verbosity):
            return
        rate = result.size / result.seconds if result.seconds > 0 else 0.0
        self._log.output(
            f"{result.files} files, {result.folders} directories, {result.links} links, "
            f"{result.deleted} deleted, {result.unchanged} unchanged\n"
            f"{result.size} bytes, {result.moved} moved, {result.seconds:.2f} s, {rate / 1e6:.1f} MB/s\n"
        )
