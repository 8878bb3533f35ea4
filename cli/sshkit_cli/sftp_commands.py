"""The commands of sshkit-sftp, one method each, in one table.

`Shell.do` runs a line.  Words, output and errors are those of OpenSSH's sftp, because scripts wait for them;
what is shown of a server is escaped (R36).
"""

import os
from collections.abc import Awaitable, Callable
from getopt import GetoptError, getopt
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError

from . import sftp_remote as remote
from .sftp_help import HELP
from .sftp_listing import df
from .sftp_listing_remote import list_remote
from .sftp_remote import absolute, append, base_name, shown, words_of
from .sftp_transfers import Copier, CopyFailed, How
from .sftp_words import LineError, plain, split

if TYPE_CHECKING:
    from sshkit.sftp.client import SFTPClient

    from .sftp_connect import Command, CommandLog
    from .sftp_meter import Meter


class Failed(SSHKitError):
    """A command that failed; the text is for the user, empty where he was told."""


class Quit(SSHKitError):
    """The user has had enough."""


class Settings(NamedTuple):
    """What the command line says for all transfers."""

    quiet: bool = False
    resume: bool = False
    sync: bool = False
    preserve: bool = False
    recursive: bool = False


class Shell:
    """One session: where one is, there and here, and the commands."""

    def __init__(
        self, command: "Command", client: "SFTPClient", settings: Settings, meter: "Meter", start: str
    ) -> None:
        self._command = command
        self.client = client
        self.settings = settings
        self.meter = meter
        self.log: CommandLog = command.log
        self.folder = start  #: the remote working directory
        self._start = start
        self._copier = Copier(client, self.log, meter, self.log.plain, marks=True)

    async def do(self, line: str) -> bool:
        """Do one line; tell whether it worked or its failure is to be ignored.  Raises Quit at the end."""
        text = line.lstrip(" \t\r\n")
        ignore = False
        while text[:1] in ("-", "@") and text:
            ignore = ignore or text[0] == "-"
            text = text[1:].lstrip(" \t\r\n")
        if not text or text.startswith("#"):
            return True
        try:
            await self._do(text.rstrip("\r\n"))
        except CancelledError:
            raise
        except (CopyFailed, Failed) as error:
            if isinstance(error, Failed) and str(error):
                self.log.plain(str(error))
        except LineError as error:
            self.log.plain(str(error))
        except SFTPError as error:
            self.log.plain(words_of(error))
        except OSError as error:
            self.log.plain(words_of(error))
        else:
            return True
        if self.client.is_closed:
            raise self.client.session.lost or SFTPConnectionLost("the SFTP session has ended")
        return ignore

    async def _do(self, text: str) -> None:
        if text.startswith("!"):
            await self._local_shell(text[1:].strip())
            return
        words = split(text).words
        name = words[0].lower() if words else ""
        verb = VERBS.get(name)
        if verb is None:
            raise Failed("Invalid command.")
        if name == "lls":
            await self._local_shell(f"ls {text[len(name) :].lstrip()}".rstrip())
            return
        try:
            pairs, rest = getopt(words[1:], verb.flags)
        except GetoptError as error:
            raise Failed(f"{name}: Invalid flag -{shown(error.opt)}") from None
        await verb.run(self, name, "".join(flag[1] for flag, _ in pairs), rest)

    # Words.

    def _one(self, name: str, words: list[str]) -> str:
        if not words:
            raise Failed(f"You must specify a path after a {name} command.")
        return words[0]

    def _two(self, name: str, words: list[str]) -> tuple[str, str]:
        if len(words) < 2:
            raise Failed(f"You must specify two paths after a {name} command.")
        return plain(words[0]), plain(words[1])

    def _number(self, name: str, words: list[str], base: int) -> int:
        try:
            value = int(words[0], base) if words[0].isalnum() else -1
        except (IndexError, ValueError):
            value = -1
        if not 0 <= value <= 0xFFFFFFFF:
            raise Failed(f"You must supply a numeric argument to the {name} command.")
        return value

    def absolute(self, path: str) -> str:
        """Return a remote path from the working directory on."""
        return absolute(path, self.folder)

    async def _all(self, pattern: str) -> list[str]:
        """Return the names that fit, or the pattern itself."""
        path = self.absolute(pattern)
        return [match.path for match in await remote.glob(self.client, path)] or [plain(path)]

    def _say(self, text: str) -> None:
        if not self.settings.quiet:
            self.log.output(f"{text}\n")

    # Where one is.

    async def _cd(self, name: str, flags: str, words: list[str]) -> None:
        path = self.absolute(plain(words[0]) if words and words[0] else self._start)
        try:
            found = await self.client.realpath(os.fsencode(path))
            there = await self.client.stat(os.fsencode(found))
        except SFTPError as error:
            raise Failed(f"stat remote: {words_of(error)}") from None
        if there.permissions is None:
            raise Failed("Can't change directory: Can't check target")
        if not there.is_dir:
            raise Failed(f'Can\'t change directory: "{shown(found)}" is not a directory')
        self.folder = found

    async def _pwd(self, name: str, flags: str, words: list[str]) -> None:
        self.log.output(f"Remote working directory: {shown(self.folder)}\n")

    async def _lcd(self, name: str, flags: str, words: list[str]) -> None:
        path = os.path.expanduser(plain(words[0]) if words and words[0] else "~")
        try:
            os.chdir(path)
        except OSError as error:
            raise Failed(f'Couldn\'t change local directory to "{shown(path)}": {words_of(error)}') from None

    async def _lpwd(self, name: str, flags: str, words: list[str]) -> None:
        try:
            self.log.output(f"Local working directory: {shown(os.getcwd())}\n")
        except OSError as error:
            raise Failed(f"Couldn't get local cwd: {words_of(error)}") from None

    async def _lmkdir(self, name: str, flags: str, words: list[str]) -> None:
        path = plain(self._one(name, words))
        try:
            os.mkdir(path)
        except OSError as error:
            raise Failed(f'Couldn\'t create local directory "{shown(path)}": {words_of(error)}') from None

    async def _lumask(self, name: str, flags: str, words: list[str]) -> None:
        mask = self._number(name, words, 8)
        os.umask(mask & 0o777)
        self.log.output(f"Local umask: {mask:03o}\n")

    async def _local_shell(self, command: str) -> None:
        """Run a command of this machine, or a shell."""
        import subprocess

        shell = os.environ.get("SHELL") or "/bin/sh"
        argv = [shell, "-c", command] if command else [shell]
        try:
            status = await self._command.reactor.defer_to_thread(subprocess.call, argv)
        except OSError as error:
            raise Failed(f'Couldn\'t execute "{shown(shell)}": {words_of(error)}') from None
        if status < 0:
            self.log.plain("Shell exited abnormally")
        elif status:
            self.log.plain(f"Shell exited with status {status}")

    # What there is.

    async def _ls(self, name: str, flags: str, words: list[str]) -> None:
        try:
            pattern = words[0] if words else None
            await list_remote(self.client, pattern, self.folder, flags, self.log.output)
        except SFTPError as error:
            what = self.absolute(words[0]) if words else self.folder
            raise Failed(f'remote readdir("{shown(what)}"): {words_of(error)}') from None
        except (FileNotFoundError, remote.TooManyMatches) as error:
            raise Failed(str(error)) from None

    async def _df(self, name: str, flags: str, words: list[str]) -> None:
        path = self.absolute(plain(words[0])) if words else self.folder
        if "statvfs@openssh.com" not in self.client.extensions:
            raise Failed("Server does not support statvfs@openssh.com extension")
        try:
            found = await self.client.statvfs(os.fsencode(path))
        except SFTPError as error:
            raise Failed(f"remote statvfs: {words_of(error)}") from None
        self.log.output(df(found, human="h" in flags, inodes="i" in flags))

    async def _version(self, name: str, flags: str, words: list[str]) -> None:
        self.log.output(f"SFTP protocol version {self.client.version}\n")

    async def _help(self, name: str, flags: str, words: list[str]) -> None:
        self.log.output(HELP)

    async def _progress(self, name: str, flags: str, words: list[str]) -> None:
        self.meter.enabled = not self.meter.enabled
        self.log.output(f"Progress meter {'enabled' if self.meter.enabled else 'disabled'}\n")

    async def _quit(self, name: str, flags: str, words: list[str]) -> None:
        raise Quit("")

    # Changes.

    async def _mkdir(self, name: str, flags: str, words: list[str]) -> None:
        path = self.absolute(plain(self._one(name, words)))
        await self._change(f'remote mkdir "{shown(path)}"', self.client.mkdir(os.fsencode(path), 0o777))

    async def _rmdir(self, name: str, flags: str, words: list[str]) -> None:
        path = self.absolute(plain(self._one(name, words)))
        await self._change(f'remote rmdir "{shown(path)}"', self.client.rmdir(os.fsencode(path)))

    async def _change(self, what: str, request: Awaitable[object]) -> None:
        try:
            await request
        except SFTPError as error:
            raise Failed(f"{what}: {words_of(error)}") from None

    async def _rm(self, name: str, flags: str, words: list[str]) -> None:
        paths = await self._all(self._one(name, words))

        async def remove(path: str) -> None:
            self._say(f"Removing {shown(path)}")
            await self._change(f"remote delete {shown(path)}", self.client.remove(os.fsencode(path)))

        await self._each(paths, remove)

    async def _each(self, paths: list[str], action: Callable[[str], Awaitable[None]]) -> None:
        """Do it to each, and fail at the end if one failed."""
        failed = False
        for path in paths:
            try:
                await action(path)
            except Failed as error:
                if self.client.is_closed:
                    raise
                self.log.plain(str(error))
                failed = True
        if failed:
            raise Failed("")

    async def _rename(self, name: str, flags: str, words: list[str]) -> None:
        old, new = (self.absolute(path) for path in self._two(name, words))
        request = self.client.rename(os.fsencode(old), os.fsencode(new), replace="l" not in flags)
        await self._change(f'remote rename "{shown(old)}" to "{shown(new)}"', request)

    async def _copy(self, name: str, flags: str, words: list[str]) -> None:
        old, new = (self.absolute(path) for path in self._two(name, words))
        if "copy-data" not in self.client.extensions:
            raise Failed("Server does not support copy-data extension")
        try:
            found = await self.client.stat(os.fsencode(old))
        except SFTPError as error:
            raise Failed(f"stat remote: {words_of(error)}") from None
        if not found.is_file:
            raise Failed(f"Cannot copy non-regular file: {shown(old)}")
        request = self.client.copy(os.fsencode(old), os.fsencode(new))
        await self._change(f'Couldn\'t copy file "{shown(old)}" to "{shown(new)}"', request)

    async def _link(self, name: str, flags: str, words: list[str]) -> None:
        old, new = self._two(name, words)
        new = self.absolute(new)
        if "s" in flags or name == "symlink":
            what = f'remote symlink file "{shown(old)}" to "{shown(new)}"'
            await self._change(what, self.client.symlink(os.fsencode(old), os.fsencode(new)))
            return
        old = self.absolute(old)
        if "hardlink@openssh.com" not in self.client.extensions:
            raise Failed("Server does not support hardlink@openssh.com extension")
        what = f'remote link "{shown(old)}" to "{shown(new)}"'
        await self._change(what, self.client.link(os.fsencode(old), os.fsencode(new)))

    async def _chmod(self, name: str, flags: str, words: list[str]) -> None:
        mode = self._number(name, words, 8)
        paths = await self._all(self._one(name, words[1:]))

        async def change(path: str) -> None:
            self._say(f"Changing mode on {shown(path)}")
            await self._set(path, Attributes(permissions=mode), flags)

        await self._each(paths, change)

    async def _chown(self, name: str, flags: str, words: list[str]) -> None:
        """Change owner (chown) or group (chgrp), by number."""
        value = self._number(name, words, 0 if words and words[0][:2].lower() == "0x" else 10)
        paths = await self._all(self._one(name, words[1:]))

        async def change(path: str) -> None:
            raw = os.fsencode(path)
            try:
                found = await (self.client.lstat(raw) if "h" in flags else self.client.stat(raw))
            except SFTPError as error:
                raise Failed(f"stat remote: {words_of(error)}") from None
            if found.uid is None or found.gid is None:
                raise Failed(f'Can\'t get current ownership of remote file "{shown(path)}"')
            self._say(f"Changing {'owner' if name == 'chown' else 'group'} on {shown(path)}")
            owner = (value, found.gid) if name == "chown" else (found.uid, value)
            await self._set(path, Attributes(uid=owner[0], gid=owner[1]), flags)

        await self._each(paths, change)

    async def _set(self, path: str, attributes: Attributes, flags: str) -> None:
        link = "h" in flags
        if link and "lsetstat@openssh.com" not in self.client.extensions:
            raise Failed("Server does not support lsetstat@openssh.com extension")
        request = self.client.setstat(os.fsencode(path), attributes, follow_symlinks=not link)
        await self._change(f'remote {"l" if link else ""}setstat "{shown(path)}"', request)

    # Transfers.

    def _how(self, name: str, flags: str) -> tuple[How, bool]:
        settings = self.settings
        how = How(
            preserve=settings.preserve or "p" in flags.lower(),
            resume=settings.resume or "a" in flags or name.startswith("re"),
            sync=settings.sync or "f" in flags,
            folders=self._tell_folder,
        )
        return how, settings.recursive or "r" in flags.lower()

    def _tell_folder(self, direction: str, name: str) -> None:
        self.log.output(f"{'Retrieving' if direction == 'get' else 'Entering'} {shown(name)}\n")

    async def _get(self, name: str, flags: str, words: list[str]) -> None:
        if not words:
            raise Failed(f"You must specify at least one path after a {name} command.")
        how, recursive = self._how(name, flags)
        source = self.absolute(words[0])
        target = plain(words[1]) if len(words) > 1 else None
        matches = await remote.glob(self.client, source)
        if not matches:
            raise Failed(f'File "{shown(source)}" not found.')
        into = target is not None and os.path.isdir(target)
        if len(matches) > 1 and target is not None and not into:
            raise Failed(f'Multiple source paths, but destination "{shown(target)}" is not a directory')
        failed = False
        for match in matches:
            last = base_name(match.path)
            local = last if target is None else append(target, last) if into else target
            verb = "Resuming" if how.resume else "Fetching"
            self._say(f"{verb} {shown(match.marked)} to {shown(local)}")
            try:
                if match.is_folder and recursive:
                    await self._copier.get_tree(match.path, local, how)
                elif match.is_folder:
                    raise Failed(f"download {shown(match.marked)}: not a regular file")
                else:
                    await self._copier.get_file(match.path, match.attributes, local, how)
            except (CopyFailed, Failed) as error:
                failed = True
                self._check(error)
        if failed:
            raise Failed("")

    async def _put(self, name: str, flags: str, words: list[str]) -> None:
        if not words:
            raise Failed(f"You must specify at least one path after a {name} command.")
        from .sftp_local import local_glob

        how, recursive = self._how(name, flags)
        target = self.absolute(plain(words[1])) if len(words) > 1 else None
        matches = local_glob(words[0])
        into = target is None or await remote.is_folder(self.client, target)
        if len(matches) > 1 and target is not None and not into:
            raise Failed(f'Multiple paths match, but destination "{shown(target)}" is not a directory')
        failed = False
        for path in matches:
            try:
                os.stat(path)
            except OSError as error:
                self.log.plain(f"stat {shown(path)}: {words_of(error)}")
                failed = True
                continue
            folder = os.path.isdir(path)
            there = append(target or self.folder, base_name(path)) if into else target
            assert there is not None
            verb = "Resuming upload of" if how.resume else "Uploading"
            self._say(
                f"{verb} {shown(path + '/' if folder and path[-1:] != '/' else path)} to {shown(there)}"
            )
            try:
                if folder and recursive:
                    await self._copier.put_tree(path, there, how)
                else:
                    await self._copier.put_file(path, there, how)
            except (CopyFailed, Failed) as error:
                failed = True
                self._check(error)
        if failed:
            raise Failed("")

    def _check(self, error: BaseException) -> None:
        """Tell what was not told; go on, unless nothing can go on."""
        if isinstance(error, Failed) and str(error):
            self.log.plain(str(error))
        if self.client.is_closed:
            raise Failed("")


class Verb(NamedTuple):
    """A command: what runs it, its flags, and whose names its words are."""

    run: Callable[[Any, str, str, list[str]], Awaitable[None]]
    flags: str = ""
    names: str = ""  #: "remote", "local" or nothing


def _verb(run: Any, flags: str = "", names: str = "") -> Verb:
    return Verb(run, flags, names)


_GET = _verb(Shell._get, "afPpRr", "remote")
_PUT = _verb(Shell._put, "afPpRr", "local")
_LS = _verb(Shell._ls, "1Safhlnrt", "remote")
_QUIT = _verb(Shell._quit)
VERBS = {
    "bye": _QUIT,
    "cd": _verb(Shell._cd, "", "remote"),
    "chdir": _verb(Shell._cd, "", "remote"),
    "chgrp": _verb(Shell._chown, "h", "remote"),
    "chmod": _verb(Shell._chmod, "h", "remote"),
    "chown": _verb(Shell._chown, "h", "remote"),
    "copy": _verb(Shell._copy, "", "remote"),
    "cp": _verb(Shell._copy, "", "remote"),
    "df": _verb(Shell._df, "hi", "remote"),
    "dir": _LS,
    "exit": _QUIT,
    "get": _GET,
    "help": _verb(Shell._help),
    "lcd": _verb(Shell._lcd, "", "local"),
    "lchdir": _verb(Shell._lcd, "", "local"),
    "lls": _verb(Shell._local_shell, "", "local"),
    "lmkdir": _verb(Shell._lmkdir, "", "local"),
    "ln": _verb(Shell._link, "s", "remote"),
    "lpwd": _verb(Shell._lpwd),
    "ls": _LS,
    "lumask": _verb(Shell._lumask),
    "mget": _GET,
    "mkdir": _verb(Shell._mkdir, "", "remote"),
    "mput": _PUT,
    "progress": _verb(Shell._progress),
    "put": _PUT,
    "pwd": _verb(Shell._pwd),
    "quit": _QUIT,
    "reget": _GET,
    "rename": _verb(Shell._rename, "l", "remote"),
    "reput": _PUT,
    "rm": _verb(Shell._rm, "", "remote"),
    "rmdir": _verb(Shell._rmdir, "", "remote"),
    "symlink": _verb(Shell._link, "", "remote"),
    "version": _verb(Shell._version),
    "?": _verb(Shell._help),
}
