"""What a sync is asked to do, and what it says: options, actions, result, error."""

from typing import Literal, NamedTuple

from sshkit.sftp.progress import FileError, TransferError
from sshkit.syncing.patterns import Filter


class Options:
    """How trees are made equal; `sync` takes these by keyword.

    What is taken over: `recursive` (directories), `links` (symbolic links, as they are), `modes`, `times`
    (whole seconds).  What counts as different: size or time, unless `checksum` (contents), `size_only`,
    `update` (newer files of the target stay), or times no more than `modify_window` seconds apart.
    `delete` removes what the source does not have, once everything else went well; `delete_excluded` also
    what is excluded; `max_delete` is the most that is removed.  `dry_run` only tells.  `resume` keeps what
    arrived of a file when a transfer is cut, and goes on there; `delta` sends only the blocks that changed
    where the server can hash and copy; `verify` compares each large file afterwards.
    """

    __slots__ = (
        "checksum",
        "delete",
        "delete_excluded",
        "delta",
        "dry_run",
        "filter",
        "links",
        "max_delete",
        "max_depth",
        "max_files",
        "modes",
        "modify_window",
        "parallel",
        "recursive",
        "resume",
        "size_only",
        "times",
        "update",
        "verify",
    )

    def __init__(
        self,
        *,
        recursive: bool = True,
        links: bool = True,
        modes: bool = True,
        times: bool = True,
        checksum: bool = False,
        size_only: bool = False,
        update: bool = False,
        modify_window: int = 0,
        delete: bool = False,
        delete_excluded: bool = False,
        max_delete: int | None = None,
        dry_run: bool = False,
        resume: bool = True,
        delta: bool = True,
        verify: bool = False,
        parallel: int = 64,
        max_depth: int = 100,
        max_files: int = 10_000_000,
    ) -> None:
        self.recursive = recursive
        self.links = links
        self.modes = modes
        self.times = times
        self.checksum = checksum
        self.size_only = size_only
        self.update = update
        self.modify_window = modify_window
        self.delete = delete or delete_excluded
        self.delete_excluded = delete_excluded
        self.max_delete = max_delete
        self.dry_run = dry_run
        self.resume = resume
        self.delta = delta
        self.verify = verify
        self.parallel = parallel
        self.max_depth = max_depth
        self.max_files = max_files
        self.filter = Filter()


Verb = Literal["file", "directory", "link", "attributes", "delete", "skip"]


class Action(NamedTuple):
    """One thing that is done, or would be in a dry run."""

    verb: Verb
    path: str  #: relative to the top; a directory's ends with a slash
    size: int = 0  #: bytes of a file
    new: bool = False  #: there was nothing of that name


class SyncResult(NamedTuple):
    """What was done, or would be in a dry run."""

    files: int = 0  #: transferred
    folders: int = 0  #: made
    links: int = 0  #: made
    attributes: int = 0  #: files that got other times or modes only
    deleted: int = 0
    unchanged: int = 0  #: files and links that were equal
    size: int = 0  #: bytes of the files that were transferred
    moved: int = 0  #: bytes of them that had to be moved: not in a block or a part that was there
    seconds: float = 0.0
    errors: tuple[FileError, ...] = ()


class SyncError(TransferError):
    """Some of it failed, and nothing was deleted; `errors` names each, `result` tells of the rest."""

    def __init__(self, message: str, result: SyncResult) -> None:
        super().__init__(message)
        self.result = result
        self.errors = result.errors
