"""Figures of one framework that need no other process: timers, Deferreds, coroutines.

``python -m benchmarks.peers.core_local KIND`` prints a JSON object of microseconds each, best of several
passes.  asyncio has no Deferred: its Future with callbacks stands beside it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

AMOUNT = 20_000
PASSES = 7


def best(function: Callable[[], object], amount: int = AMOUNT) -> float:
    """Return the processor time of `function` in microseconds by `amount`."""
    found = []
    for _ in range(PASSES):
        began = time.process_time()
        function()
        found.append(time.process_time() - began)
    return min(found) / amount * 1e6


def nothing(*_: object) -> None: ...


def add(value: int) -> int:
    return value + 1


def deferreds(make: Callable[[], Any], method: str) -> float:
    """Create, add three callbacks, fire."""

    def work() -> None:
        for _ in range(AMOUNT):
            deferred = make()
            add_callback = getattr(deferred, method)
            add_callback(add)
            add_callback(add)
            add_callback(add)
            deferred.callback(1)

    return best(work)


def awaiting(start: Callable[[Coroutine[Any, Any, None]], object], succeed: Callable[[int], Any]) -> float:
    """Await what has its result already."""

    async def work() -> None:
        for _ in range(AMOUNT):
            await succeed(1)

    return best(lambda: start(work()))


def awaiting_later(start: Callable[[Coroutine[Any, Any, None]], object], make: Callable[[], Any]) -> float:
    """Await what gets its result afterwards."""
    waiting: list[Any] = []

    async def work() -> None:
        for _ in range(AMOUNT):
            waiting[0] = deferred = make()
            await deferred

    def go() -> None:
        waiting[:] = [None]
        start(work())
        for _ in range(AMOUNT):
            waiting[0].callback(1)

    return best(go)


def all_of_it(
    start: Callable[[Coroutine[Any, Any, None]], object], make: Callable[[], Any], method: str
) -> float:
    """Create, add three callbacks, await, fire."""
    waiting: list[Any] = [None]

    async def work() -> None:
        for _ in range(AMOUNT):
            waiting[0] = deferred = make()
            add_callback = getattr(deferred, method)
            add_callback(add)
            add_callback(add)
            add_callback(add)
            await deferred

    def go() -> None:
        start(work())
        for _ in range(AMOUNT):
            waiting[0].callback(1)

    return best(go)


def timers(
    call_later: Callable[..., Any], run_until: Callable[[Callable[[Callable[[], None]], None]], None]
) -> dict[str, float]:
    """Time calls that come due, and calls that are cancelled before."""

    def come_due(done: Callable[[], None]) -> None:
        for number in range(AMOUNT - 1):
            call_later(number % 50 * 1e-6, nothing)
        call_later(0.001, done)

    def cancelled(done: Callable[[], None]) -> None:
        for _ in range(AMOUNT):
            call_later(60.0, nothing).cancel()
        call_later(0.0, done)

    return {
        "delayed calls that come due": best(lambda: run_until(come_due)),
        "delayed calls that are cancelled": best(lambda: run_until(cancelled)),
    }


def of_sshkit(engine: str) -> dict[str, float]:
    """Figures of an engine of ours."""
    from sshkit.deferred import Deferred, ensure_deferred, succeed
    from sshkit.reactor.engines import new_reactor

    reactor = new_reactor(engine)

    def run_until(begin: Callable[[Callable[[], None]], None]) -> None:
        async def main() -> None:
            ended: Deferred[None] = Deferred()
            begin(lambda: ended.callback(None))
            await ended

        reactor.run_until(main())

    try:
        return {
            "Deferred, three callbacks, fired": deferreds(Deferred, "add_callback"),
            "Deferred, three callbacks, awaited, fired": all_of_it(ensure_deferred, Deferred, "add_callback"),
            "await of a Deferred that has fired": awaiting(ensure_deferred, succeed),
            "await of a Deferred that fires later": awaiting_later(ensure_deferred, Deferred),
            **timers(reactor.call_later, run_until),
        }
    finally:
        reactor.close()


def of_twisted() -> dict[str, float]:
    """Figures of Twisted's epoll reactor."""
    from twisted.internet import epollreactor

    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred, succeed

    loop: Any = reactor
    loop.startRunning()

    def run_until(begin: Callable[[Callable[[], None]], None]) -> None:
        ended: list[bool] = []
        begin(lambda: ended.append(True))
        while not ended:
            loop.iterate(0)

    make: Any = Deferred
    return {
        "Deferred, three callbacks, fired": deferreds(make, "addCallback"),
        "Deferred, three callbacks, awaited, fired": all_of_it(make.fromCoroutine, make, "addCallback"),
        "await of a Deferred that has fired": awaiting(make.fromCoroutine, succeed),
        "await of a Deferred that fires later": awaiting_later(make.fromCoroutine, make),
        **timers(loop.callLater, run_until),
    }


def of_asyncio() -> dict[str, float]:
    """Figures of asyncio; its Futures call back in a later turn."""
    loop = asyncio.new_event_loop()

    def run_until(begin: Callable[[Callable[[], None]], None]) -> None:
        loop.call_soon(begin, loop.stop)
        loop.run_forever()

    def futures() -> None:
        async def work() -> None:
            for _ in range(AMOUNT):
                future = loop.create_future()
                future.add_done_callback(nothing)
                future.add_done_callback(nothing)
                future.add_done_callback(nothing)
                future.set_result(1)
            await asyncio.sleep(0)

        loop.run_until_complete(work())

    def done_before() -> None:
        async def work() -> None:
            for _ in range(AMOUNT):
                future = loop.create_future()
                future.set_result(1)
                await future

        loop.run_until_complete(work())

    def done_later() -> None:
        async def work() -> None:
            for _ in range(AMOUNT):
                future: Awaitable[None] = loop.create_future()
                loop.call_soon(future.set_result, None)  # type: ignore[attr-defined]
                await future

        loop.run_until_complete(work())

    return {
        "Deferred, three callbacks, fired": best(futures),
        "await of a Deferred that has fired": best(done_before),
        "await of a Deferred that fires later": best(done_later),
        **timers(loop.call_later, run_until),
    }


def main() -> None:
    """Print the figures of one kind."""
    kind = sys.argv[1]
    if kind == "twisted":
        figures = of_twisted()
    elif kind == "asyncio":
        figures = of_asyncio()
    else:
        figures = of_sshkit("native" if kind.endswith("native") else "direct")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
