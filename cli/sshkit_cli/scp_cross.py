"""Copies between two other machines through this one, over two SFTP sessions.

`scp_run` calls it.  The library reads ahead on one side and writes behind on the other.
"""

import os
from typing import TYPE_CHECKING, NoReturn

from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPError

from .sftp_remote import append, base_name, is_folder, shown, words_of
from .sftp_transfers import CopyFailed

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

    from .sftp_connect import CommandLog
    from .sftp_meter import Meter

PIECE = 1024 * 1024
MAX_DEPTH = 64


class Crossing:
    """From one session to another."""

    def __init__(
        self, here: "SFTPClient", there: "SFTPClient", log: "CommandLog", meter: "Meter", preserve: bool
    ) -> None:
        self._from = here
        self._to = there
        self._log = log
        self._meter = meter
        self._preserve = preserve

    async def file(self, source: str, found: Attributes, target: str) -> None:
        """Copy one file."""
        if found.permissions is not None and not found.is_file:
            self._fail(f'origin "{shown(source)}": not a regular file')
        what = f'remote open "{shown(source)}"'
        self._meter.start(base_name(source), found.size or 0)
        done = 0
        try:
            async with self._from.open(os.fsencode(source)) as reader:
                what = f'dest open "{shown(target)}"'
                mode = (found.permissions or 0o644) & 0o777
                async with self._to.open(os.fsencode(target), "wb", permissions=mode | 0o200) as writer:
                    what = f'read remote "{shown(source)}"'
                    while data := await reader.read(PIECE):
                        what = f'write remote "{shown(target)}"'
                        await writer.write(data)
                        done += len(data)
                        self._meter.at(done)
                        what = f'read remote "{shown(source)}"'
                    what = f'write remote "{shown(target)}"'
            if found.size is not None and done < found.size:
                self._fail(f'read remote "{shown(source)}": cut short: {done} of {found.size} bytes')
            if self._preserve:
                await self._to.setstat(
                    os.fsencode(target), Attributes(permissions=mode, atime=found.atime, mtime=found.mtime)
                )
        except SFTPError as error:
            self._fail(f"{what}: {words_of(error)}")
        finally:
            self._meter.stop()

    async def tree(self, source: str, found: Attributes, target: str, depth: int = 0) -> None:
        """Copy a folder so that `target` becomes it."""
        if depth > MAX_DEPTH:
            self._fail(f"Maximum directory depth exceeded: {depth} levels")
        mode = (found.permissions or 0o755) & 0o777
        if not await is_folder(self._to, target):
            try:
                await self._to.mkdir(os.fsencode(target), mode | 0o700)
            except SFTPError as error:
                self._fail(f'remote mkdir "{shown(target)}": {words_of(error)}')
        failed = False
        try:
            entries = [entry async for entry in self._from.scandir(os.fsencode(source))]
        except SFTPError as error:
            self._fail(f'origin readdir "{shown(source)}" failed: {words_of(error)}')
        for entry in sorted(entries, key=lambda entry: entry.raw):
            path, there = append(source, entry.name), append(target, entry.name)
            try:
                known = entry.attributes
                if known.is_link or known.permissions is None:
                    known = await self._from.stat(os.fsencode(path))
                if known.is_dir:
                    await self.tree(path, known, there, depth + 1)
                else:
                    await self.file(path, known, there)
            except SFTPError as error:
                self._log.error(f'stat remote "{shown(path)}": {words_of(error)}')
                failed = True
            except CopyFailed:
                failed = True
        if self._preserve:
            change = Attributes(permissions=mode, atime=found.atime, mtime=found.mtime)
            await self._to.setstat(os.fsencode(target), change)
        if failed:
            raise CopyFailed("")

    def _fail(self, text: str) -> NoReturn:
        self._log.error(text)
        raise CopyFailed(text)
