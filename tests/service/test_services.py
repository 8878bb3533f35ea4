"""Services start and stop in order, alone and as one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred, maybe_deferred, succeed
from sshkit.service import (
    ContextService,
    MultiService,
    Service,
    ServiceError,
    ServiceStartError,
    ServiceStopError,
)


class Part(Service):
    """Writes down what happens to it; `fails` names the calls that raise."""

    def __init__(self, name: str, log: list[str], *fails: str) -> None:
        super().__init__(name)
        self.log = log
        self.fails = fails

    def note(self, what: str) -> None:
        self.log.append(f"{what} {self.name}")
        if what in self.fails:
            raise OSError(f"{self.name} is broken")

    def prepare(self) -> None:
        self.note("prepare")

    async def start(self) -> None:
        await sshkit.sleep(0)
        self.note("start")

    def stop(self) -> Deferred[None]:
        self.note("stop")
        return succeed(None)


@pytest.fixture(params=["direct", "native"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return lambda main: sshkit.run(main(), engine=request.param)


def test_children_start_in_order_and_stop_in_reverse(run: Callable[[Any], Any]) -> None:
    log: list[str] = []

    async def main() -> None:
        both = MultiService(Part("a", log), Part("b", log), name="both")
        both.prepare()
        assert not both.running
        async with both:
            assert both.running
            assert [child.running for child in both.children] == [True, True]
        assert [child.running for child in both.children] == [False, False]
        await both.end()  # harmless

    run(main)
    assert log == ["prepare a", "prepare b", "start a", "start b", "stop b", "stop a"]


def test_a_child_that_fails_to_start_stops_those_before_it(run: Callable[[Any], Any]) -> None:
    log: list[str] = []
    parts = MultiService(Part("a", log), Part("b", log, "start"), Part("c", log))

    async def main() -> None:
        with pytest.raises(ServiceStartError, match=r"^service 'b' did not start: b is broken$"):
            await parts.begin()

    run(main)
    assert log == ["start a", "start b", "stop a"]
    assert not parts.running


def test_a_start_that_fails_tells_what_did_not_stop_either(run: Callable[[Any], Any]) -> None:
    log: list[str] = []
    parts = MultiService(Part("a", log, "stop"), Part("b", log, "start"))

    async def main() -> None:
        with pytest.raises(ServiceStartError) as caught:
            await parts.begin()
        assert caught.value.__notes__ == ["did not stop in order: service 'a': a is broken"]

    run(main)


def test_a_start_that_is_cancelled_stops_what_has_started() -> None:
    log: list[str] = []

    class Never(Service):
        def start(self) -> Deferred[None]:
            return Deferred()

    parts = MultiService(Part("a", log), Never())

    async def main() -> None:
        starting = maybe_deferred(parts.begin)
        await sshkit.sleep(0.01)
        starting.cancel()
        with pytest.raises(sshkit.deferred.CancelledError):
            await starting

    sshkit.run(main())
    assert log == ["start a", "stop a"]


def test_every_child_is_stopped_though_others_fail(run: Callable[[Any], Any]) -> None:
    log: list[str] = []

    async def main() -> None:
        parts = MultiService(Part("a", log, "stop"), Part("b\x1b", log), Part("c", log, "stop"))
        await parts.begin()
        with pytest.raises(ServiceStopError, match=r"service 'c': c is broken; service 'a': a is broken"):
            await parts.end()
        assert not any(child.running for child in parts.children)

    run(main)
    assert log[3:] == ["stop c", "stop b\x1b", "stop a"]


def test_children_come_and_go_while_the_service_runs(run: Callable[[Any], Any]) -> None:
    log: list[str] = []

    async def main() -> None:
        parts = MultiService()
        first, second, broken = Part("a", log), Part("b", log), Part("c", log, "start")
        await parts.add(first)
        assert not first.running
        with pytest.raises(ServiceError, match="service 'a' is in 'MultiService' already"):
            parts.add(first)
        async with parts:
            await parts.add(second)
            with pytest.raises(ServiceStartError, match="service 'c' did not start: c is broken"):
                await parts.add(broken)
            assert parts.children == [first, second]
            await parts.remove(first)
            assert not first.running
            with pytest.raises(ServiceError, match="service 'a' is not in 'MultiService'"):
                parts.remove(first)

    run(main)
    assert log == ["start a", "start b", "start c", "stop a", "stop b"]


def test_a_service_begins_once() -> None:
    async def main() -> None:
        async with Service("one") as service:
            assert repr(service) == "<Service 'one' running>"
            with pytest.raises(ServiceError, match="service 'one' cannot begin: it is running"):
                await service.begin()

    sshkit.run(main())


def test_a_context_manager_is_a_service_too() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        log.append("in")
        yield 7
        log.append("out")

    async def main() -> None:
        service = ContextService(opened, "opened")
        await service.stop()  # nothing was entered
        for _ in range(2):
            async with service:
                assert service.value == 7

    sshkit.run(main())
    assert log == ["in", "out", "in", "out"]
