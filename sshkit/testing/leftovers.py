"""What a test left behind: descriptors, threads, running reactors, failures that nobody handled.

Used by the pytest plug-in, and by anybody else: ``with Leftovers() as left: ...`` raises LeftBehind.
"""

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sshkit.deferred import Failure

PATIENCE = 2.0  #: seconds for threads and sockets that are just ending
LOOK = 0.01
FOLDER = "/proc/self/fd"


class LeftBehind(AssertionError):
    """Something outlived the block; the text lists all of it."""


class Leftovers:
    """Looks before and after a block."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._descriptors: dict[int, str] = {}
        self._threads: set[threading.Thread] = set()
        self._reactors: set[int] = set()
        self._failures: list[str] = []
        self._before: Callable[[Failure, str], None] | None = None

    def __enter__(self) -> "Leftovers":
        from sshkit.deferred import set_unhandled_handler

        self._descriptors = descriptors()
        self._threads = set(threading.enumerate())
        self._reactors = set(running())
        self._before = set_unhandled_handler(self._unhandled)
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        from sshkit.deferred import set_unhandled_handler

        gc.collect()
        end = time.monotonic() + self._patience
        while (found := self.found()) and time.monotonic() < end:
            time.sleep(LOOK)
            gc.collect()
        set_unhandled_handler(self._before)
        if found and kind is None:
            raise LeftBehind("left behind: " + "; ".join(found))

    def found(self) -> list[str]:
        """Return what is there now and was not before, in words."""
        found = [f"unhandled: {failure}" for failure in self._failures]
        for fd, target in descriptors().items():
            if self._descriptors.get(fd) != target:
                found.append(f"descriptor {fd} ({target})")
        for thread in threading.enumerate():
            if thread not in self._threads and not is_shared(thread):
                found.append(f"thread {thread.name}")
        found += [f"a reactor that runs in thread {number}" for number in running() - self._reactors]
        return found

    def _unhandled(self, failure: "Failure", places: str) -> None:
        self._failures.append(f"{type(failure.exception).__name__}: {failure.exception}")


def descriptors() -> dict[int, str]:
    """Return the open descriptors and what each is; none where the system does not tell."""
    found: dict[int, str] = {}
    try:
        names = os.listdir(FOLDER)
    except OSError:
        return found
    for name in names:
        try:
            found[int(name)] = os.readlink(f"{FOLDER}/{name}")
        except OSError:
            pass  # that of the listing itself
    return found


def running() -> set[int]:
    """Return the threads in which reactors run, but for the one of `sshkit.blocking`, which stays."""
    from sshkit.reactor.current import running_reactors

    shared = {thread.ident for thread in threading.enumerate() if is_shared(thread)}
    return {number for number in running_reactors if number not in shared}


def is_shared(thread: threading.Thread) -> bool:
    """Say whether a thread is one that this library keeps for the whole process."""
    return thread.name == "sshkit-reactor"
