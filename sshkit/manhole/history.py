"""The inputs of one session, for `%history`: bounded, in memory.

Kept by the interpreter.  The console's own history, with search and on disk, is another matter.
"""

from collections import deque
from typing import Final

KEPT_INPUTS: Final = 1000
#: Characters kept of one input.
KEPT_CHARACTERS: Final = 10_000


class History:
    """The last inputs and their numbers."""

    __slots__ = ("_inputs",)

    def __init__(self) -> None:
        self._inputs: deque[tuple[int, str]] = deque(maxlen=KEPT_INPUTS)

    def add(self, number: int, source: str) -> None:
        """Note an input."""
        self._inputs.append((number, source[:KEPT_CHARACTERS]))

    def last(self, how_many: int) -> list[tuple[int, str]]:
        """Return the last inputs, oldest first, each with its number."""
        return list(self._inputs)[-how_many:] if how_many > 0 else []
