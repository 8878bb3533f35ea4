"""Services: parts of a program that are started and stopped, alone or several as one.

Whoever writes a service overrides `start` and `stop`; whoever uses one calls `begin` and `end`, or says
``async with service``.  `run_service` makes one a program.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from sshkit.deferred import Deferred, ensure_deferred, maybe_deferred, succeed
from sshkit.reactor.text import shown, shown_error

from .errors import ServiceError, ServiceStartError, ServiceStopError


class Service:
    """Something that runs between `start` and `stop`.

    Both may be plain functions, coroutines, or return Deferreds.  `stop` is called only after a `start` that
    succeeded: a `start` that fails puts away what it has made.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__name__
        self._state = "stopped"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {shown(self.name)!r} {self._state}>"

    @property
    def running(self) -> bool:
        """Whether it has started and was not told to stop."""
        return self._state == "running"

    # What a service overrides.

    def prepare(self) -> None:
        """Do what needs the rights that the program gives up, such as binding port 80; no reactor runs."""

    def start(self) -> Awaitable[Any] | None:
        """Start; what it returns is waited for."""

    def stop(self) -> Awaitable[Any] | None:
        """Stop; what it returns is waited for."""

    # What its user calls.

    async def begin(self) -> None:
        """Start and wait until it runs; raises what `start` raises, and ServiceError unless it is stopped."""
        if self._state != "stopped":
            raise ServiceError(f"service '{shown(self.name)}' cannot begin: it is {self._state}")
        self._state = "starting"
        try:
            await maybe_deferred(self.start)
        except BaseException:
            self._state = "stopped"
            raise
        self._state = "running"

    async def end(self) -> None:
        """Stop and wait until it has; raises what `stop` raises.  Harmless where it does not run."""
        if self._state != "running":
            return
        self._state = "stopping"
        try:
            await maybe_deferred(self.stop)
        finally:
            self._state = "stopped"

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()


class ContextService(Service):
    """An asynchronous context manager as a service: entered at the start, left at the stop."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]], name: str = "") -> None:
        """`make` is called at each start: ``ContextService(lambda: sshkit.serve(...), "ssh")``."""
        super().__init__(name)
        self._make = make
        self._manager: AbstractAsyncContextManager[Any] | None = None
        self.value: Any = None  #: what entering has given

    async def start(self) -> None:
        """Enter."""
        manager = self._make()
        self.value = await manager.__aenter__()
        self._manager = manager

    async def stop(self) -> None:
        """Leave."""
        manager, self._manager, self.value = self._manager, None, None
        if manager is not None:
            await manager.__aexit__(None, None, None)


class MultiService(Service):
    """Services that are one: started in order, stopped in reverse, all or none."""

    def __init__(self, *children: Service, name: str = "") -> None:
        super().__init__(name)
        self.children = list(children)

    def add(self, child: Service) -> Deferred[None]:
        """Add one at the end; where the others run it starts too, and is not added if it fails."""
        if child in self.children:
            raise ServiceError(f"service '{shown(child.name)}' is in '{shown(self.name)}' already")
        self.children.append(child)
        return ensure_deferred(self._begin_added(child)) if self.running else succeed(None)

    async def _begin_added(self, child: Service) -> None:
        try:
            await _begin(child)
        except BaseException:
            self.children.remove(child)
            raise

    def remove(self, child: Service) -> Deferred[None]:
        """Take one out; it stops if it runs."""
        if child not in self.children:
            raise ServiceError(f"service '{shown(child.name)}' is not in '{shown(self.name)}'")
        self.children.remove(child)
        return ensure_deferred(child.end())

    def prepare(self) -> None:
        """Prepare each."""
        for child in self.children:
            child.prepare()

    async def start(self) -> None:
        """Start each; when one fails, stop those before it and raise ServiceStartError."""
        try:
            for child in self.children:  # one added meanwhile is started too
                if not child.running:
                    await _begin(child)
        except BaseException as error:
            try:
                await self.stop()
            except ServiceStopError as also:
                error.add_note(str(also))
            raise

    async def stop(self) -> None:
        """Stop each, last first, whatever the others do; then raise ServiceStopError if any failed."""
        faults: list[tuple[Service, Exception]] = []
        for child in reversed(tuple(self.children)):
            try:
                await child.end()
            except Exception as error:
                faults.append((child, error))
        if faults:
            text = "; ".join(
                f"service '{shown(child.name)}': {shown_error(error)}" for child, error in faults
            )
            raise ServiceStopError(f"did not stop in order: {text}") from faults[0][1]


async def _begin(child: Service) -> None:
    try:
        await child.begin()
    except Exception as error:
        text = f"service '{shown(child.name)}' did not start: {shown_error(error)}"
        raise ServiceStartError(text) from error
