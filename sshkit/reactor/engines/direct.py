"""The direct engine: a running asyncio loop at the speed of a plain one.

asyncio's own selector loop is given our selector.  Inside its `select` we serve our descriptors and timers
and hand asyncio only what asyncio registered: `asyncio.sleep`, tasks and libraries for asyncio work, and
our connections never pass through handles and futures.  Only public parts of asyncio are used.
"""

import asyncio
import selectors
from collections.abc import Iterator, Mapping
from typing import Any

from sshkit.interfaces.derive import implementer
from sshkit.interfaces.reactor import IReactor

from ..current import running_asyncio_loop, running_reactors
from ..errors import ReactorError
from ..pollers import READ, WRITE, Poller
from ..polling import PollingReactor

_READ_AND_WRITE = selectors.EVENT_READ | selectors.EVENT_WRITE


class ForeignKey:
    """A descriptor that asyncio registered: readiness is noted, for asyncio to act on."""

    __slots__ = ("_selector", "interest", "key")

    def __init__(self, selector: "LoopSelector", key: selectors.SelectorKey) -> None:
        self._selector = selector
        self.key = key
        self.interest = 0

    def read_ready(self) -> None:
        """Note it."""
        self._selector.ready.append((self.key, selectors.EVENT_READ))

    def write_ready(self) -> None:
        """Note it."""
        self._selector.ready.append((self.key, selectors.EVENT_WRITE))

    def reactor_closed(self, error: BaseException) -> None:
        """asyncio's loop closes after our descriptors, and unregisters then."""


class LoopSelector(selectors.BaseSelector):
    """What asyncio takes for its selector; `select` is one turn of our reactor."""

    def __init__(self, reactor: "DirectReactor") -> None:
        self._reactor = reactor
        self._foreign: dict[int, ForeignKey] = {}
        self.ready: list[tuple[selectors.SelectorKey, int]] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve our descriptors and timers; return what is ready for asyncio."""
        self._reactor.turn(timeout)
        ready = self.ready
        if ready:
            self.ready = []
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Add a descriptor of asyncio's."""
        fd = _fileno(fileobj)
        if fd in self._foreign:
            raise KeyError(f"descriptor {fd} is registered already")
        if fd in self._reactor.pollables:
            raise ReactorError(f"descriptor {fd} belongs to {self._reactor.pollables[fd]!r}")
        return self._set(ForeignKey(self, selectors.SelectorKey(fileobj, fd, events, data)))

    def _set(self, foreign: ForeignKey) -> selectors.SelectorKey:
        key = foreign.key
        if not key.events or key.events & ~_READ_AND_WRITE:
            raise ValueError(f"invalid events {key.events!r}")
        interest = (READ if key.events & selectors.EVENT_READ else 0) | (
            WRITE if key.events & selectors.EVENT_WRITE else 0
        )
        self._reactor.set_interest(key.fd, foreign, interest)
        self._foreign[key.fd] = foreign
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what asyncio wants of a descriptor."""
        fd = _fileno(fileobj)
        foreign = self._foreign[fd]
        foreign.key = selectors.SelectorKey(fileobj, fd, events, data)
        return self._set(foreign)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Take a descriptor of asyncio's out."""
        fd = _fileno(fileobj)
        foreign = self._foreign.pop(fd)
        self._reactor.forget(fd, foreign)
        return foreign.key

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return the key of a descriptor; KeyError if asyncio has not registered it."""
        return self._foreign[_fileno(fileobj)].key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return all keys, by descriptor number or file object."""
        return KeyMap(self._foreign)

    def close(self) -> None:
        """Nothing of its own to close: the poller is the reactor's."""
        self._foreign.clear()


class KeyMap(Mapping[Any, selectors.SelectorKey]):
    """What asyncio registered; newer versions of it look up here, by file objects as well as by numbers."""

    def __init__(self, foreign: dict[int, ForeignKey]) -> None:
        self._foreign = foreign

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._foreign[_fileno(fileobj)].key

    def __iter__(self) -> Iterator[int]:
        return iter(self._foreign)

    def __len__(self) -> int:
        return len(self._foreign)


def _fileno(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


@implementer(IReactor)
class DirectReactor(PollingReactor):
    """A reactor that is an asyncio loop as well; the loop is `loop`."""

    name = "direct"

    def __init__(self, poller: Poller | None = None) -> None:
        super().__init__(poller)
        self.loop = asyncio.SelectorEventLoop(LoopSelector(self))

    def _loop(self) -> None:
        self.loop.run_forever()

    def _end_loop(self) -> None:
        self.loop.stop()

    def close(self) -> None:
        """End asyncio's tasks in order, then close as every reactor does, then asyncio's loop."""
        if not self.closed and not self.running and running_asyncio_loop() is None:
            self._end_asyncio()
        super().close()
        self.loop.close()

    def _end_asyncio(self) -> None:
        """What `asyncio.run` does at its end."""
        from _thread import get_ident

        loop = self.loop
        thread = self._thread = get_ident()
        outer = running_reactors.get(thread)
        running_reactors[thread] = self
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            self._thread = None
            if outer is None:
                del running_reactors[thread]
            else:
                running_reactors[thread] = outer
