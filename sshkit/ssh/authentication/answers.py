"""Answers of hooks: a value, a Deferred, a coroutine or an asyncio future, as whoever wrote the hook likes.

Called wherever a login asks somebody.
"""

from typing import Any

from sshkit.deferred import Deferred, maybe_deferred


def awaited(answer: Any) -> Any:
    """Return `answer`, as a Deferred where it comes later."""
    if isinstance(answer, Deferred) or not hasattr(answer, "__await__"):
        return answer
    return maybe_deferred(lambda: answer)
