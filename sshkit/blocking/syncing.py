"""`sync` that waits: one tree made equal to another, from plain threads."""

from typing import Any

from sshkit.blocking.sftp_path import BlockingSftpPath
from sshkit.blocking.thread import shared
from sshkit.syncing.outcome import SyncResult
from sshkit.syncing.sync import Side
from sshkit.syncing.sync import sync as sync_async


def sync(source: "Side | BlockingSftpPath", target: "Side | BlockingSftpPath", **options: Any) -> SyncResult:
    """Make `target` equal to `source`; takes what `sshkit.sync` takes, and fails as it does.

    A side is a local path, or ``sftp / "path"`` for one at a server.  Callbacks are called in the reactor's
    thread.
    """
    return shared().call(lambda: sync_async(_side(source), _side(target), **options), timeout=None)


def _side(side: "Side | BlockingSftpPath") -> Side:
    return side.path if isinstance(side, BlockingSftpPath) else side
