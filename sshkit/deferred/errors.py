"""The errors of the Deferred room: a Deferred used against its rules by our own caller.

All are local errors: nothing of a peer is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError

if TYPE_CHECKING:
    from sshkit.deferred.failure import Failure


class DeferredError(SSHKitError):
    """A Deferred, or what is built on it, was used against its rules."""


class AlreadyCalledError(DeferredError):
    """The Deferred was fired a second time."""


class NotFiredError(DeferredError):
    """The outcome was asked for before there was one."""


class WaitsForItselfError(DeferredError):
    """A callback returned the Deferred that it belongs to: it could never fire."""


class FirstError(DeferredError):
    """The first failure of a `DeferredList`, with its place in the list."""

    def __init__(self, index: int, failure: Failure) -> None:
        super().__init__(f"Deferred number {index} failed: {failure}")
        self.index = index
        self.failure = failure


class QueueOverflow(DeferredError):
    """A put into a queue that is full."""


class QueueUnderflow(DeferredError):
    """A get from a queue that has as many waiting already as it allows."""


class NoSchedulerError(DeferredError):
    """A coroutine yielded its turn where nothing can give it another."""
