"""A DeferredQueue in an ``async for``."""

from sshkit.deferred import DeferredQueue, ensure_deferred


def test_a_loop_takes_the_items_as_they_come_and_leaves_the_rest() -> None:
    queue: DeferredQueue[int] = DeferredQueue()
    seen: list[int] = []

    async def take() -> None:
        async for item in queue:
            seen.append(item)
            if item == 3:
                return

    queue.put(1)
    taking = ensure_deferred(take())
    queue.put(2)
    assert seen == [1, 2]
    assert queue.waiting == 1
    for item in (3, 4):
        queue.put(item)
    assert taking.result() is None
    assert (seen, len(queue)) == ([1, 2, 3], 1)
