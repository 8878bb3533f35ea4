"""A client that stays connected, and a pool of connections: in memory, on a clock that the test moves."""

from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred
from sshkit.reactor import ConnectError
from sshkit.reactor.endpoints.pool import ConnectionPool, PoolClosed
from sshkit.reactor.endpoints.reconnecting import ReconnectingClient, Stopped
from sshkit.reactor.endpoints.tcp import TCPClient
from sshkit.testing import MemoryReactor

from ..helpers import Echo, Recorder


def outcome(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.add_both(lambda result: got.append(result.exception if isinstance(result, Failure) else result))
    return got[0] if got else None


class World:
    """A network in memory with a server that can be away."""

    def __init__(self) -> None:
        network: Any = MemoryReactor()
        self.network = network
        self.endpoint = TCPClient("h", 7, reactor=network)
        self.listener: Any = None

    def serve(self) -> None:
        self.network.listen_tcp("h", 7, Echo).add_callback(self._listens)

    def _listens(self, listener: Any) -> None:
        self.listener = listener

    def client(self, **options: Any) -> ReconnectingClient[Recorder]:
        return ReconnectingClient(
            self.endpoint,
            Recorder,
            **{"random": lambda: 0.0, "first_delay": 1, "longest_delay": 4, **options},
        )

    def pool(self, **options: Any) -> ConnectionPool[Recorder]:
        return ConnectionPool(self.endpoint, Recorder, **options)


def test_it_tries_again_with_growing_delays_until_it_is_connected() -> None:
    world = World()
    errors: list[BaseException] = []
    tries: list[float] = []
    made: list[Any] = []

    def failed(error: BaseException) -> None:
        errors.append(error)
        tries.append(world.network.seconds())

    client = world.client(failed=failed, connected=made.append)
    client.start()
    client.start()
    wait = client.when_connected()
    world.network.advance(12)
    assert tries == [0, 1, 3, 7, 11]
    assert all(isinstance(error, ConnectError) for error in errors)
    world.serve()
    world.network.advance(4)
    protocol = outcome(wait)
    assert protocol is client.protocol is made[0]
    assert outcome(client.when_connected()) is protocol
    assert client.running
    client.start()
    assert len(world.network.pairs) == 1


def test_a_lost_connection_is_made_anew_and_a_steady_one_begins_the_delays_anew() -> None:
    world = World()
    world.serve()
    client = world.client(steady=10)
    client.start()
    for delay in (1, 2, 4, 4):
        world.network.pairs[-1].cut()
        count = len(world.network.pairs)
        assert client.protocol is None
        world.network.advance(delay - 0.1)
        assert len(world.network.pairs) == count
        world.network.advance(0.1)
        assert len(world.network.pairs) == count + 1
    world.network.advance(10)
    world.network.pairs[-1].cut()
    assert client.failures == 1
    assert client.next_delay() == 2


def test_it_gives_up_after_so_many_tries() -> None:
    world = World()
    client = world.client(tries=3)
    client.start()
    wait = client.when_connected()
    world.network.advance(60)
    error = outcome(wait)
    assert isinstance(error, Stopped)
    assert str(error).startswith("gave up after 3 tries: h port 7")
    assert not client.running
    assert isinstance(outcome(client.when_connected()), Stopped)


def test_stopping_closes_what_there_is_and_tries_no_more() -> None:
    world = World()
    client = world.client()
    client.start()
    wait, cancelled = client.when_connected(), client.when_connected()
    cancelled.cancel()
    assert isinstance(outcome(cancelled), CancelledError)
    assert outcome(client.stop()) is None
    assert isinstance(outcome(wait), Stopped)
    world.serve()
    world.network.advance(100)
    assert world.network.pairs == []
    client.start()
    stopped, other = client.stop(), client.stop()
    other.cancel()
    assert isinstance(outcome(other), CancelledError)
    assert not stopped.called
    world.network.settle()
    assert stopped.called
    world.network.advance(100)
    assert len(world.network.pairs) == 1


def test_stopping_while_it_connects_cancels_that() -> None:
    class Slow(TCPClient):
        def connect(self, factory: Any, timeout: Any = None) -> Any:
            self.pending: Deferred[Any] = Deferred()
            self.factory = factory
            return self.pending

    world = World()
    endpoint = Slow("h", 7, reactor=world.network)
    client = ReconnectingClient(endpoint, Recorder)
    client.start()
    client.stop()
    assert endpoint.pending.called
    client.start()
    client._running = False  # as if the connection came in the very moment
    world.serve()
    world.network.connect_tcp("h", 7, endpoint.factory).chain(endpoint.pending)
    world.network.settle()
    assert world.network.pairs[0].client.closed


def test_it_is_a_context_and_refuses_wrong_delays() -> None:
    world = World()
    world.serve()

    async def main() -> None:
        async with world.client(random=None, jitter=0.5) as client:
            assert (await client.when_connected()).events == ["made"]
            assert 0.5 <= client.next_delay() <= 1

    world.network.run(main())
    for options in ({"first_delay": 0}, {"factor": 0.5}, {"jitter": 2}, {"first_delay": 9}):
        with pytest.raises(ValueError, match="delays must be"):
            world.client(**options)


def test_a_pool_uses_connections_again() -> None:
    world = World()
    world.serve()

    async def main() -> None:
        async with world.pool(size=2) as pool:
            async with pool.connection() as first, pool.connection() as second:
                assert first is not second
                assert pool.leased == 2
                waiting = pool.acquire()
                assert pool.waiting == 1
            third = await waiting
            assert third is second
            assert pool.resting == 1
            pool.release(third)
            pool.release(third)
            assert pool.resting == 2
            with pytest.raises(ValueError, match="unfit"):
                async with pool.connection():
                    raise ValueError("unfit")
            assert pool.resting == 1
        with pytest.raises(PoolClosed):
            await pool.acquire()

    world.network.run(main())
    assert len(world.network.pairs) == 2
    world.network.settle()
    assert all(pair.client.closed for pair in world.network.pairs)


def test_a_resting_connection_ends_after_its_time_or_when_it_speaks_or_is_lost() -> None:
    world = World()
    world.serve()
    pool = world.pool(idle=10)
    for spoil in (
        lambda pair: world.network.advance(10),
        lambda pair: (pair.server.write(b"unasked"), world.network.settle()),
        lambda pair: (pair.server.close(), world.network.settle()),
        lambda pair: pair.cut(),
    ):
        protocol = outcome(pool.acquire())
        pool.release(protocol)
        assert pool.resting == 1
        spoil(world.network.pairs[-1])
        assert pool.resting == 0
    assert protocol.received == b""
    protocol = outcome(pool.acquire())
    world.network.pairs[-1].cut()
    pool.release(protocol)
    assert pool.resting == 0
    protocol = outcome(pool.acquire())
    pool.release(protocol)
    world.network.pairs[-1].client.close()
    assert outcome(pool.acquire()) is not protocol


def test_a_pool_hands_data_to_whoever_has_the_connection() -> None:
    world = World()
    world.serve()
    pool = world.pool()
    protocol = outcome(pool.acquire())
    protocol.transport.write(b"hello")
    world.network.settle()
    assert protocol.received == b"hello"


def test_a_connection_that_fails_gives_its_place_back() -> None:
    world = World()
    pool = world.pool(size=1)
    for _ in range(3):
        assert isinstance(outcome(pool.acquire()), ConnectError)
    broken = ConnectionPool(object(), Recorder, size=1)  # type: ignore[arg-type]
    for _ in range(2):
        assert isinstance(outcome(broken.acquire()), AttributeError)
    world.serve()
    protocol = outcome(pool.acquire())
    waiting, cancelled = pool.acquire(), pool.acquire()
    cancelled.cancel()
    assert isinstance(outcome(cancelled), CancelledError)
    pool.close()
    pool.release(protocol)
    assert isinstance(outcome(waiting), PoolClosed)


def test_a_lease_whose_receiver_was_cancelled_goes_back() -> None:
    import asyncio

    world = World()
    world.serve()
    pool = world.pool(size=1)

    async def main() -> None:
        task = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        pool.release(held)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def take() -> Any:
        return await pool.acquire()

    held = outcome(ensure_deferred(take()))
    asyncio.run(main())
    assert pool.resting == 1
    assert pool.leased == 0
