from __future__ import annotations

from typing import Any

import pytest

from sshkit.deferred import (
    CancelledError,
    Deferred,
    DeferredError,
    DeferredEvent,
    DeferredLock,
    DeferredQueue,
    DeferredSemaphore,
    QueueOverflow,
    QueueUnderflow,
    ensure_deferred,
    succeed,
)


def drop(deferred: Deferred[Any]) -> None:
    deferred.cancel()
    with pytest.raises(CancelledError):
        deferred.result()


# The queue


def test_items_come_out_in_the_order_they_went_in() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    queue.put(1)
    queue.put(2)
    assert len(queue) == 2
    waiting = [queue.get() for _ in range(4)]
    queue.put(3)
    assert queue.waiting == 1
    queue.put(4)
    assert [deferred.result() for deferred in waiting] == [1, 2, 3, 4]
    assert len(queue) == queue.waiting == 0


def test_a_full_queue_refuses_and_says_how_much_it_holds() -> None:
    queue: DeferredQueue[int] = DeferredQueue(size=1)
    queue.put(1)
    with pytest.raises(QueueOverflow, match="holds 1 items"):
        queue.put(2)


def test_more_waiting_than_the_backlog_are_refused() -> None:
    queue: DeferredQueue[int] = DeferredQueue(backlog=1)
    queue.get()
    with pytest.raises(QueueUnderflow, match="1 wait"):
        queue.get()
    queue.put(1)
    queue.put(2)
    assert queue.get().result() == 2


def test_cancelling_a_get_takes_it_out_of_the_line() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    first, second, third = queue.get(), queue.get(), queue.get()
    drop(second)
    for item in (1, 3):
        queue.put(item)
    assert (first.result(), third.result()) == (1, 3)


def test_an_item_given_back_goes_to_the_next_in_line_or_to_the_head() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    queue.put(1)
    queue.put(2)
    first = queue.get()
    first.undelivered(first.result())
    assert queue.get().result() == 1
    queue.get()
    waiting = queue.get()
    first.undelivered(7)
    assert waiting.result() == 7


# The semaphore, the lock


def test_a_semaphore_lets_in_as_many_as_it_has_tokens_and_the_others_in_order() -> None:
    semaphore = DeferredSemaphore(2)
    holders = [semaphore.acquire() for _ in range(4)]
    assert [holder.called for holder in holders] == [True, True, False, False]
    assert semaphore.waiting == 2
    semaphore.release()
    assert [holder.called for holder in holders] == [True, True, True, False]
    drop(holders[3])
    semaphore.release()
    semaphore.release()
    assert semaphore.tokens == 2
    with pytest.raises(DeferredError, match="more often"):
        semaphore.release()


def test_a_semaphore_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tokens"):
        DeferredSemaphore(0)


def test_a_lock_is_held_for_the_length_of_an_async_with() -> None:
    lock = DeferredLock()
    go: Deferred[None] = Deferred()
    order: list[str] = []

    async def work(name: str) -> None:
        async with lock:
            order.append(f"{name} in")
            await go
            order.append(f"{name} out")

    works = [ensure_deferred(work("a")), ensure_deferred(work("b"))]
    assert lock.locked
    assert order == ["a in"]
    go.callback(None)
    assert order == ["a in", "a out", "b in", "b out"]
    assert not lock.locked
    assert all(one.called for one in works)


def test_a_lock_is_released_when_its_holder_raises() -> None:
    lock = DeferredLock()

    async def work() -> None:
        async with lock:
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        ensure_deferred(work()).result()
    assert not lock.locked


def test_run_holds_the_lock_until_what_was_started_has_ended() -> None:
    lock = DeferredLock()
    first: Deferred[int] = Deferred()
    seen: list[int] = []
    one = lock.run(lambda: first)
    other = lock.run(seen.append, 5)
    assert seen == []
    first.errback(ValueError("x"))
    assert seen == [5]
    with pytest.raises(ValueError, match="x"):
        one.result()
    assert other.result() is None
    assert not lock.locked


def test_cancelling_a_run_that_waits_for_the_lock_never_starts_it() -> None:
    lock = DeferredLock()
    lock.acquire()
    waiting = lock.run(pytest.fail)
    drop(waiting)
    lock.release()
    assert not lock.locked


# The event


def test_an_event_lets_everybody_go_and_those_who_come_later() -> None:
    event = DeferredEvent()
    waiting = [event.wait(), event.wait()]
    assert event.waiting == 2
    event.set()
    assert event.is_set
    assert all(deferred.called for deferred in waiting)
    assert event.wait().called
    event.clear()
    assert not event.wait().called


def test_cancelling_a_wait_for_an_event_takes_it_out_of_the_line() -> None:
    event = DeferredEvent()
    deferred = event.wait()
    drop(deferred)
    assert event.waiting == 0
    event.set()


def test_a_wait_that_another_waiter_cancels_while_the_event_is_set_is_let_go_all_the_same() -> None:
    event = DeferredEvent()
    first, second = event.wait(), event.wait()
    first.add_callback(lambda _: second.cancel())
    event.set()
    drop(second)
    assert succeed(1).result() == 1
