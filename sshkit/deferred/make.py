"""Deferreds made from what is there already: a value, an exception, whatever a function returns.

Called by everything that must return a Deferred and has the outcome at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from sshkit.deferred.coroutines import ensure_deferred, from_future, is_future
from sshkit.deferred.deferred import CALLED, Deferred
from sshkit.deferred.failure import Carrier, Failure

if TYPE_CHECKING:
    from asyncio import Future

T = TypeVar("T")
P = ParamSpec("P")


def succeed(value: T) -> Deferred[T]:
    """Return a Deferred that has fired with `value`."""
    deferred: Deferred[T] = Deferred()
    if isinstance(value, Carrier) or deferred._state:  # wrong, or in debug mode
        deferred.callback(value)
    else:
        deferred._state = CALLED
        deferred._result = value
    return deferred


def fail(exception: BaseException | Failure) -> Deferred[Any]:
    """Return a Deferred that has failed with `exception`."""
    deferred: Deferred[Any] = Deferred()
    deferred.errback(exception)
    return deferred


@overload
def maybe_deferred(function: Callable[P, Deferred[T]], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
@overload
def maybe_deferred(
    function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]: ...
@overload
def maybe_deferred(function: Callable[P, Future[T]], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
@overload
def maybe_deferred(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]: ...
def maybe_deferred(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
    """Call a function that may return a value, a Deferred, a coroutine or an asyncio future, or raise.

    The answer is a Deferred in every case; a coroutine is run to its first wait.
    """
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        return fail(error)
    if isinstance(result, Deferred):
        return result
    if isinstance(result, Coroutine):
        return ensure_deferred(result)
    if is_future(result):
        return from_future(result)
    if isinstance(result, Failure):
        return fail(result)
    return succeed(result)
