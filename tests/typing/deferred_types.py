"""What the type checkers must infer about Deferreds: read by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, assert_type

from sshkit.deferred import (
    Deferred,
    DeferredList,
    DeferredLock,
    DeferredQueue,
    Failure,
    as_deferred,
    ensure_deferred,
    fail,
    first_success,
    from_future,
    gather,
    maybe_deferred,
    race,
    succeed,
)
from sshkit.interfaces import Clock


def to_text(value: int) -> str:
    return str(value)


def to_text_later(value: int) -> Deferred[str]:
    return succeed(str(value))


def to_text_perhaps(value: int) -> str | Failure:
    return str(value) if value else Failure(ValueError("zero"))


def with_more(value: int, times: int, *, suffix: str) -> bytes:
    return (str(value) * times + suffix).encode()


def mend(failure: Failure) -> bytes:
    return failure.text().encode()


def mend_later(failure: Failure) -> Deferred[bytes]:
    return succeed(failure.text().encode())


def pass_on(failure: Failure) -> Failure:
    return failure


async def length(text: str) -> int:
    return len(text)


async def awaiting(number: Deferred[int]) -> None:
    assert_type(await number, int)
    assert_type(await gather(number, succeed("x")), tuple[int, str])


def callbacks(number: Deferred[int]) -> None:
    assert_type(number.add_callback(to_text), Deferred[str])
    assert_type(number.add_callback(to_text_later), Deferred[str])
    assert_type(number.add_callback(to_text_perhaps), Deferred[str])
    assert_type(number.add_callback(with_more, 2, suffix="!"), Deferred[bytes])
    assert_type(number.add_callback(to_text).add_callback(len), Deferred[int])
    assert_type(number.add_callback(lambda value: value * 1.5), Deferred[float])
    number.add_callback(with_more, "2", suffix="!")  # type: ignore[arg-type]  # pyright: ignore
    number.add_callback(len)  # type: ignore[call-overload]  # pyright: ignore


def errbacks(number: Deferred[int]) -> None:
    assert_type(number.add_errback(mend), Deferred[int | bytes])
    assert_type(number.add_errback(mend_later), Deferred[int | bytes])
    assert_type(number.add_errback(pass_on), Deferred[int])
    assert_type(number.add_callbacks(to_text, mend), Deferred[str | bytes])
    assert_type(number.add_both(lambda outcome: 1.5), Deferred[float])


def the_rest(number: Deferred[int], clock: Clock) -> None:
    assert_type(number.result(), int)
    assert_type(number.chain(number), Deferred[int])
    assert_type(number.add_timeout(1, clock), Deferred[int])
    assert_type(number.add_timeout(1, clock, lambda failure, seconds: "late"), Deferred[int | str])


def making(future: asyncio.Future[int], coroutine: Coroutine[Any, Any, int]) -> None:
    assert_type(succeed(1), Deferred[int])
    assert_type(fail(ValueError()), Deferred[Any])
    assert_type(ensure_deferred(coroutine), Deferred[int])
    assert_type(from_future(future), Deferred[int])
    assert_type(maybe_deferred(to_text, 1), Deferred[str])
    assert_type(maybe_deferred(to_text_later, 1), Deferred[str])
    assert_type(maybe_deferred(length, "x"), Deferred[int])
    assert_type(as_deferred(length)("x"), Deferred[int])


def combining(
    number: Deferred[int], text: Deferred[str], raw: Deferred[bytes], many: list[Deferred[int]]
) -> None:
    assert_type(gather(number), Deferred[tuple[int]])
    assert_type(gather(number, text), Deferred[tuple[int, str]])
    assert_type(gather(number, text, raw), Deferred[tuple[int, str, bytes]])
    assert_type(gather(number, text, raw, number), Deferred[tuple[int, str, bytes, int]])
    assert_type(gather(number, text, raw, number, text), Deferred[tuple[int, str, bytes, int, str]])
    assert_type(gather(*many), Deferred[tuple[int, ...]])
    assert_type(gather(length("x"), text), Deferred[tuple[int, str]])
    assert_type(
        gather(number, text, return_exceptions=True),
        Deferred[tuple[int | BaseException, str | BaseException]],
    )
    assert_type(gather(*many, return_exceptions=True), Deferred[tuple[int | BaseException, ...]])
    assert_type(race(number, number), Deferred[int])
    assert_type(first_success(*many), Deferred[int])
    assert_type(DeferredList(many).result(), list[tuple[bool, Any]])
    assert_type(
        DeferredList(many, fire_on_one_result=True).result(), tuple[Any, int] | list[tuple[bool, Any]]
    )


async def waiting_in_line(queue: DeferredQueue[int], lock: DeferredLock) -> None:
    assert_type(queue.get(), Deferred[int])
    assert_type(lock.acquire(), Deferred[None])
    assert_type(lock.run(to_text, 1), Deferred[str])
    assert_type(lock.run(length, "x"), Deferred[int])
    async with lock as held:
        assert_type(held, None)
