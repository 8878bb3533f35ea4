"""What an interpreter writes to: the one place through which all text of a session reaches its terminal.

Made by over_ssh, over_telnet and local, and handed to the interpreter (`write`, `drained`, `read_line`) and
to `run_console`.  While code runs text is shown at once; while a person edits, whole lines appear above the
prompt.  The order is kept.  What waits for a slow terminal is bounded (R24): beyond that it is counted, not
kept, and the count is shown.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sshkit.deferred import Deferred, Failure, ensure_deferred, fail
from sshkit.manhole.console_text import TRAILING, OutputFilter

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

MAX_PENDING = 1 << 20  #: characters that wait for the terminal
BURST = 16 * 1024  #: characters given to it before it is asked whether it keeps up
PAUSE_AT = 64 * 1024  #: characters that wait before `drained` makes the interpreter wait too
HOLD = 0.1  #: seconds that an unfinished line waits for its end before it is shown above a prompt

#: Shows text at once; newlines are "\r\n" already.
Put = Callable[[str], object]


class Screen:
    """Text on its way to one terminal."""

    __slots__ = (
        "__weakref__",
        "_above",
        "_asker",
        "_at_start",
        "_closed",
        "_drain",
        "_draining",
        "_filter",
        "_flushing",
        "_loop",
        "_lost",
        "_pending",
        "_put",
        "_scheduled",
        "_size",
        "_timer",
        "_waiters",
    )

    def __init__(
        self, *, drain: "Callable[[], Deferred[None] | None] | None" = None, colours: bool = True
    ) -> None:
        """`drain()` says when the terminal takes more (`session.stdout.drain`); None: writing waits."""
        self._drain = drain
        self._filter = OutputFilter(colours)
        self._pending: deque[str] = deque()
        self._size = 0
        self._lost = 0
        self._at_start = True
        self._closed = False
        self._draining = False
        self._flushing = False
        self._scheduled = False
        self._put: Put | None = None
        self._above: Put | None = None  # set while a person edits
        self._asker: Callable[[str], Coroutine[Any, Any, str]] | None = None
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._waiters: list[Deferred[None]] = []

    # What the interpreter uses.

    def write(self, text: str) -> None:
        """Show text, made harmless.  For the reactor's thread."""
        if self._closed:
            return
        text = self._filter.feed(text)
        if not text:
            return
        room = MAX_PENDING - self._size
        if len(text) > room:
            self._lost += len(text) - room
            text = text[:room]
        if text:
            self._pending.append(text)
            self._size += len(text)
        if self._above is None:
            self._flush()
        elif not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._flush_above)

    def drained(self) -> "Deferred[None] | None":
        """Return what to wait for before more is written; None: go on."""
        if self._closed or (not self._draining and self._size < PAUSE_AT):
            return None
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    def read_line(self, prompt: str = "") -> "Deferred[str]":
        """Ask the person for a line.  EOFError: nobody is there, or he typed ctrl-D."""
        if self._asker is None:
            return fail(EOFError("nobody is at a terminal here to answer"))
        return ensure_deferred(self._asker(prompt))

    # What the console uses.

    def attach(
        self, loop: "AbstractEventLoop", put: Put, asker: "Callable[[str], Coroutine[Any, Any, str]]"
    ) -> None:
        """A console has begun."""
        self._loop = loop
        self._put = put
        self._asker = asker
        self._flush()

    def close(self) -> None:
        """The console has ended: what comes now is shown to nobody, and nobody waits."""
        self._closed = True
        self._put = self._above = self._asker = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.discard()
        self._wake()

    def editing(self, above: Put) -> None:
        """A prompt is about to be drawn; from now on text comes above it, by `above(text)`."""
        self._end_line()
        self._above = above
        if self._pending:
            self._flush_above()

    def running(self) -> None:
        """The prompt has gone."""
        self._above = None
        self._flush()

    def discard(self) -> None:
        """Forget what waits: the person has seen enough of it (ctrl-C)."""
        self._pending.clear()
        self._size = self._lost = 0

    async def settled(self) -> None:
        """Wait until everything has been given to the terminal."""
        while not self._closed and (self._draining or (self._size and self._put is not None)):
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            await waiter

    # Inside.

    def _end_line(self) -> None:
        """Bring the cursor to the first column, in the terminal's own colours."""
        rest = self._filter.finish()
        if rest:
            self._pending.append(rest)
            self._size += len(rest)
        self._flush()
        if not self._at_start and not self._pending:
            self._show("\n")

    def _show(self, text: str) -> None:
        put = self._above or self._put
        assert put is not None
        visible = TRAILING.sub("", text)
        if visible:
            self._at_start = visible.endswith("\n")
        put(text.replace("\n", "\r\n"))

    def _flush(self) -> None:
        """Give the terminal what it takes."""
        if self._flushing or self._put is None:
            return
        self._flushing = True
        try:
            while self._pending and not self._draining:
                self._show(self._take(BURST))
                self._ask()
            if self._lost and not self._draining:
                lost, self._lost = self._lost, 0
                self._show(f"\n[{lost} characters are not shown: the terminal is too slow for them]\n")
                self._ask()
        finally:
            self._flushing = False
        if not self._draining and not self._pending:
            self._wake()

    def _take(self, most: int) -> str:
        pieces: list[str] = []
        while self._pending and most > 0:
            piece = self._pending.popleft()
            if len(piece) > most:
                self._pending.appendleft(piece[most:])
                piece = piece[:most]
            most -= len(piece)
            self._size -= len(piece)
            pieces.append(piece)
        return "".join(pieces)

    def _ask(self) -> None:
        """Ask the terminal whether it keeps up."""
        if self._drain is None:
            return
        waiting = self._drain()
        if waiting is not None:
            self._draining = True
            waiting.add_both(self._writable)

    def _writable(self, outcome: object) -> None:
        self._draining = False
        if isinstance(outcome, Failure):
            self.close()
        elif self._above is None:
            self._flush()
        else:
            self._flush_above()

    def _flush_above(self, whole: bool = True) -> None:
        """Show whole lines above the prompt; an unfinished one waits a moment for its end."""
        self._scheduled = False
        if self._above is None or self._flushing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rest = ""
        if whole and self._pending and not self._pending[-1].endswith("\n"):
            text = self._take(self._size)
            head, newline, rest = text.rpartition("\n")
            if newline:
                self._pending.append(head + newline)
                self._size += len(head) + 1
        self._flush()
        if rest:
            self._pending.append(rest)
            self._size += len(rest)
            if not self._draining and self._loop is not None:
                self._timer = self._loop.call_later(HOLD, self._show_unfinished)

    def _show_unfinished(self) -> None:
        self._timer = None
        self._pending.append(self._filter.finish() + "\n")
        self._size += len(self._pending[-1])
        self._flush_above()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)
