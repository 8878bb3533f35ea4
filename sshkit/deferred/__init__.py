"""Deferreds: values that come later, for callbacks, for our coroutines and for asyncio's alike.

Level 1: no clock, no I/O.  asyncio is met where a program has it, and never imported.
"""

from sshkit.deferred.cancelled import CancelledError
from sshkit.deferred.combine import DeferredList, first_success, gather, race
from sshkit.deferred.coroutines import as_deferred, ensure_deferred, from_future, set_scheduler
from sshkit.deferred.deferred import Deferred
from sshkit.deferred.errors import (
    AlreadyCalledError,
    DeferredError,
    FirstError,
    NoSchedulerError,
    NotFiredError,
    QueueOverflow,
    QueueUnderflow,
    WaitsForItselfError,
)
from sshkit.deferred.failure import Failure, set_unhandled_handler
from sshkit.deferred.make import fail, maybe_deferred, succeed
from sshkit.deferred.queues import DeferredEvent, DeferredLock, DeferredQueue, DeferredSemaphore

__all__ = [
    "AlreadyCalledError",
    "CancelledError",
    "Deferred",
    "DeferredError",
    "DeferredEvent",
    "DeferredList",
    "DeferredLock",
    "DeferredQueue",
    "DeferredSemaphore",
    "Failure",
    "FirstError",
    "NoSchedulerError",
    "NotFiredError",
    "QueueOverflow",
    "QueueUnderflow",
    "WaitsForItselfError",
    "as_deferred",
    "ensure_deferred",
    "fail",
    "first_success",
    "from_future",
    "gather",
    "maybe_deferred",
    "race",
    "set_scheduler",
    "set_unhandled_handler",
    "succeed",
]
