"""Copies for sshkit-sftp and sshkit-scp: a file or a tree there or here, with the meter and OpenSSH's words.

The client library moves the bytes.  A file that is fetched arrives under another name and is renamed when it
is whole; one that is sent is written in place, as sftp always has, so that what is there keeps its owner and
its other names.
"""

import os
from typing import TYPE_CHECKING, Any, NoReturn

from sshkit_keys.errors import SSHKitError

from sshkit.sftp.errors import SFTPError
from sshkit.sftp.progress import Progress, TransferError, TreeError
from sshkit.sftp.transfer_verify import same_file

from .sftp_remote import base_name, shown, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sshkit.sftp.attributes import Attributes
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.transfer import Transfer

    from .log import Log
    from .sftp_meter import Meter


class CopyFailed(SSHKitError):
    """One copy failed; the user was told why."""


class How:
    """How to copy."""

    __slots__ = ("folders", "follow", "preserve", "resume", "sync")

    def __init__(
        self,
        *,
        preserve: bool = False,
        resume: bool = False,
        sync: bool = False,
        follow: bool = False,
        folders: "Callable[[str, str], None] | None" = None,
    ) -> None:
        self.preserve = preserve
        self.resume = resume
        self.sync = sync
        self.follow = follow  #: links in a tree are followed; else they are copied as links
        self.folders = folders  #: told of each folder of a tree: "get" or "put", and its name


class TreeProgress(Progress):
    """The progress of a tree, which tells each folder that the engine comes to."""

    __slots__ = ("_name", "_tell")

    def __init__(self, path: str, started: float, tell: "Callable[[str], None]") -> None:
        self._name = ""
        self._tell = tell
        super().__init__(path, started)

    @property
    def path(self) -> str:
        """The folder in work."""
        return self._name

    @path.setter
    def path(self, name: str) -> None:
        self._name = name
        self._tell(name)


class Copier:
    """Copies over one SFTP session.  Whatever fails is told at once; a CopyFailed says that it has."""

    def __init__(
        self,
        client: "SFTPClient",
        log: "Log",
        meter: "Meter",
        tell: "Callable[[str], None]",
        *,
        marks: bool = False,
    ) -> None:
        """`tell` shows what went wrong; with `marks` a local folder has a slash at its end there."""
        self._client = client
        self._log = log
        self._meter = meter
        self._tell = tell
        self._marks = marks

    # There to here.

    async def get_file(self, source: str, found: "Attributes | None", local: str, how: How) -> None:
        """Fetch one file."""
        if found is not None and found.permissions is not None and not found.is_file:
            self._fail(f"download {shown(source)}: not a regular file")
        if os.path.isdir(local):
            self._fail(f'open local "{shown(local)}": Is a directory')
        size = found.size if found is not None else None
        if how.resume and size is not None:
            have = _size(local)
            if have is not None and have > size:
                self._fail(f'Unable to resume download of "{shown(local)}": local file is larger than remote')
            if have is not None and have == size:
                self._tell(f'File "{shown(local)}" was not modified')
                return
        try:
            transfer = self._client.get(
                os.fsencode(source),
                os.fsencode(local),
                progress=self._moved,
                preserve=how.preserve,
                resume=how.resume,
                atomic=not how.resume,
            )
            await self._shown(transfer, base_name(source), size or 0)
            if how.sync:
                _sync(local)
        except (SSHKitError, OSError) as error:
            self._failed_get(source, local, error)

    def _failed_get(self, source: str, local: str, error: BaseException) -> None:
        if isinstance(error, TransferError):
            self._fail(f'read remote "{shown(source)}" : {error.message}')
        elif isinstance(error, SFTPError):
            self._fail(f'remote open "{shown(source)}": {words_of(error)}', error)
        elif isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
            what = "open" if error.filename is not None else "write"
            self._fail(f'{what} local "{shown(local)}": {words_of(error)}')
        else:
            self._fail(f'read remote "{shown(source)}" : {error}', error)

    async def get_tree(self, source: str, local: str, how: How) -> None:
        """Fetch a folder so that `local` becomes it."""
        source = source.rstrip("/") or "/"
        if os.path.lexists(local) and not os.path.isdir(local):
            self._fail(f"mkdir {shown(local)}: File exists")
        if not os.path.isdir(local):
            try:
                os.mkdir(local)
            except OSError as error:
                self._fail(f"mkdir {shown(local)}: {words_of(error)}")
        try:
            transfer = self._client.get(
                os.fsencode(source), os.fsencode(local), progress=self._moved, **_tree_options(how)
            )
            self._watch(transfer, "get", how)
            await self._shown(transfer, base_name(source), 0)
        except TreeError as error:
            self._failed_tree(error, "download")
        except (SSHKitError, OSError) as error:
            self._failed_get(source, local, error)

    # Here to there.

    async def put_file(self, local: str, target: str, how: How) -> None:
        """Send one file."""
        try:
            found = os.stat(local)
        except OSError as error:
            self._fail(f"stat {shown(local)}: {words_of(error)}")
        if not os.path.isfile(local):
            mark = "/" if self._marks and os.path.isdir(local) and local[-1:] != "/" else ""
            self._fail(f'local "{shown(local)}{mark}" is not a regular file')
        if how.resume:
            await self._check_resume(local, target, found.st_size)
        try:
            if not how.resume and await self._is_there(local, target, found, how):
                return
            transfer = self._client.put(
                os.fsencode(local),
                os.fsencode(target),
                progress=self._moved,
                preserve=how.preserve,
                resume=how.resume,
                atomic=False,
            )
            await self._shown(transfer, base_name(local), found.st_size)
            if how.sync and "fsync@openssh.com" in self._client.extensions:
                async with self._client.open(os.fsencode(target), "r+") as file:
                    await file.fsync()
        except (SSHKitError, OSError) as error:
            self._failed_put(local, target, error)

    async def _is_there(self, local: str, target: str, found: os.stat_result, how: How) -> bool:
        """Tell whether the target has these contents already; looked at where size and time agree.

        Both names may be one file: to open that for writing would empty it before it is read.
        """
        name = os.fsencode(target)
        try:
            there = await self._client.stat(name)
            if not there.is_file or (there.size, there.mtime) != (found.st_size, int(found.st_mtime)):
                return False
            with open(local, "rb") as file:
                same, _ = await same_file(self._client, name, file.fileno(), found.st_size, full=True)
        except SFTPError:
            return False
        if same and how.preserve:
            await self._client.chmod(name, found.st_mode & 0o777)
        if same:
            self._meter.start(base_name(local), found.st_size)
            self._meter.at(found.st_size, found.st_size)
            self._meter.stop()
        return same

    async def _check_resume(self, local: str, target: str, size: int) -> None:
        try:
            have = (await self._client.stat(os.fsencode(target))).size or 0
        except SFTPError as error:
            self._fail(f"stat remote: {words_of(error)}")
        if have >= size:
            self._fail(f'resume "{shown(local)}": destination file same size or larger')

    def _failed_put(self, local: str, target: str, error: BaseException) -> None:
        if isinstance(error, TransferError):
            self._fail(f'write remote "{shown(target)}": {error.message}')
        elif isinstance(error, SFTPError):
            self._fail(f'dest open "{shown(target)}": {words_of(error)}', error)
        elif isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
            self._fail(f'open local "{shown(local)}": {words_of(error)}')
        else:
            self._fail(f'write remote "{shown(target)}": {error}', error)

    async def put_tree(self, local: str, target: str, how: How) -> None:
        """Send a folder so that `target` becomes it."""
        try:
            transfer = self._client.put(
                os.fsencode(local), os.fsencode(target), progress=self._moved, **_tree_options(how)
            )
            if how.folders is not None:
                how.folders("put", local.rstrip("/") + "/")
            self._watch(transfer, "put", how)
            await self._shown(transfer, base_name(local), 0)
        except TreeError as error:
            self._failed_tree(error, "upload")
        except (SSHKitError, OSError) as error:
            self._failed_put(local, target, error)

    # Inside.

    def _watch(self, transfer: "Transfer", direction: str, how: How) -> None:
        """Tell the folders of a tree, if that is wanted."""
        tell = how.folders
        if tell is None:
            return
        before = transfer.progress
        progress = TreeProgress("", before.started, lambda name: tell(direction, name) if name else None)
        transfer.progress = progress

    async def _shown(self, transfer: "Transfer", name: str, size: int) -> Any:
        """Wait for a transfer with its line on the terminal."""
        self._meter.start(name, size)
        try:
            return await transfer
        except BaseException:
            transfer.cancel()
            raise
        finally:
            self._moved(transfer.progress)
            self._meter.stop()

    def _moved(self, progress: Progress) -> None:
        self._meter.at(progress.done, progress.total)

    def _failed_tree(self, error: TreeError, verb: str) -> None:
        for name, cause in error.errors:
            if isinstance(cause, TransferError) and cause.message == "not a regular file":
                self._tell(f"{verb} {shown(name)}: not a regular file")
            else:
                self._tell(f'{verb} "{shown(name)}": {words_of(cause)}')
        raise CopyFailed(str(error))

    def _fail(self, text: str, cause: BaseException | None = None) -> NoReturn:
        self._tell(text)
        raise CopyFailed(text) from cause


def _tree_options(how: How) -> dict[str, Any]:
    return {
        "recursive": True,
        "preserve": how.preserve,
        "resume": how.resume,
        "atomic": not how.resume,
        "follow_symlinks": how.follow,
        "errors": "collect",
    }


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
