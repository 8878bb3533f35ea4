"""Remote names for sshkit-sftp and sshkit-scp: absolute paths, globs with braces, and words of errors.

The words are OpenSSH's.  What is shown of a name goes through `shown`: it is a peer's (R36).
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import gather
from sshkit.sftp import status
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError

if TYPE_CHECKING:
    from sshkit.sftp.attributes import Attributes
    from sshkit.sftp.client import SFTPClient

#: Words of OpenSSH for the codes of version 3; scripts look for them.
_WORDS = {
    status.OK: "No error",
    status.EOF: "End of file",
    status.NO_SUCH_FILE: "No such file or directory",
    status.NO_SUCH_PATH: "No such file or directory",
    status.PERMISSION_DENIED: "Permission denied",
    status.FAILURE: "Failure",
    status.BAD_MESSAGE: "Bad message",
    status.NO_CONNECTION: "No connection",
    status.CONNECTION_LOST: "Connection lost",
    status.OP_UNSUPPORTED: "Operation unsupported",
}
#: Names that one pattern may give; a server cannot make us hold more.
MAX_MATCHES = 1_000_000
MAX_BRACES = 10_000
#: Requests in flight when many names are looked at.
PARALLEL = 64
MAX_SHOWN = 4096


class Match(NamedTuple):
    """A remote name, and what is known of it; None where that could not be learned."""

    path: str
    attributes: "Attributes | None"

    @property
    def is_folder(self) -> bool:
        """It is a directory, or a link to one."""
        return self.attributes is not None and self.attributes.is_dir

    @property
    def marked(self) -> str:
        """The path, with a slash at the end of a directory."""
        return self.path.rstrip("/") + "/" if self.is_folder else self.path


class TooManyMatches(SSHKitError):
    """A pattern fits more names than are held."""


def shown(path: str | bytes) -> str:
    """Return a path as a person may see it (R36)."""
    return printable(path, MAX_SHOWN)


def words_of(error: BaseException) -> str:
    """Return what an error says, in OpenSSH's words where it has some."""
    if isinstance(error, SFTPConnectionLost) and error.message:
        return error.message  # what became of the connection
    if isinstance(error, SFTPError):
        return _WORDS.get(error.status, "") or error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def absolute(path: str, folder: str) -> str:
    """Return a path below the working directory, unless it is absolute."""
    return path if path.startswith("/") else append(folder, path)


def append(folder: str, name: str) -> str:
    """Return the path of a name in a folder."""
    return folder + name if folder.endswith("/") else f"{folder}/{name}"


def base_name(path: str) -> str:
    """Return the last component as basename(3) does."""
    return path.rstrip("/").rpartition("/")[2] or ("/" if path.startswith("/") else ".")


def strip(path: str, folder: str | None) -> str:
    """Return a path without the working directory in front of it."""
    if folder is None or not path.startswith(folder):
        return path
    rest = path[len(folder) :]
    return rest[1:] if not folder.endswith("/") and rest.startswith("/") else rest


def braces(pattern: str) -> list[str]:
    """Expand {a,b} as the shell does; a brace that is not closed stands for itself."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop(0)
        found = _first_brace(text)
        if found is None:
            done.append(text)
        else:
            start, end, parts = found
            waiting[:0] = [text[:start] + part + text[end:] for part in parts]
        if len(done) + len(waiting) > MAX_BRACES:
            raise TooManyMatches(f'Too many matches for "{shown(pattern)}".')
    return done


def _first_brace(text: str) -> tuple[int, int, list[str]] | None:
    """Return where the first group of braces begins and ends, and its parts."""
    start = -1
    depth = 0
    parts: list[str] = []
    begin = position = 0
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 1
        elif char == "{":
            if depth == 0:
                start, begin, parts = position, position + 1, []
            depth += 1
        elif char == "," and depth == 1:
            parts.append(text[begin:position])
            begin = position + 1
        elif char == "}" and depth:
            depth -= 1
            if depth == 0:
                if text[start : position + 1] != "{}":
                    return start, position + 1, [*parts, text[begin:position]]
                start = -1
        position += 1
    return None


async def glob(client: "SFTPClient", pattern: str, *, brace: bool = False) -> list[Match]:
    """Return the names that fit a pattern and what each is; links are looked through."""
    paths: list[str] = []
    for part in braces(pattern) if brace else [pattern]:
        async for path in client.glob(os.fsencode(part)):
            paths.append(path)
            if len(paths) > MAX_MATCHES:
                raise TooManyMatches(f'Too many matches for "{shown(pattern)}".')
    found: list[Match] = []
    for group in groups(paths):
        attributes = await gather(*(look(client, path) for path in group))
        found += [Match(path, known) for path, known in zip(group, attributes, strict=True)]
    return found


def groups(paths: list[str]) -> Iterator[list[str]]:
    """Go through a list a handful at a time."""
    for start in range(0, len(paths), PARALLEL):
        yield paths[start : start + PARALLEL]


async def look(client: "SFTPClient", path: str) -> "Attributes | None":
    """Return what a name is; of a link that leads nowhere what the link is."""
    try:
        return await client.stat(path)
    except SFTPError:
        pass
    try:
        return await client.lstat(path)
    except SFTPError:
        return None


async def is_folder(client: "SFTPClient", path: str) -> bool:
    """Tell whether it is a directory; what cannot be looked at is none."""
    try:
        return (await client.stat(path)).is_dir
    except SFTPError:
        return False
