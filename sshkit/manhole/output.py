"""The output of one session: what its code prints, from any thread, in order and bounded.

Made by the interpreter.  Text goes to `write` in the reactor's thread only.  When the other end is slow
(`drained` answers with a Deferred), a thread that prints waits; code in the loop's thread cannot wait, so
what it prints beyond a bound is dropped, and one line says how much.
"""

import threading
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from sshkit.deferred import Deferred

from . import routing

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

    from .interpreter import Interpreter

#: Characters that threads may have on their way before they wait.
THREADS_AHEAD: Final = 64 * 1024

#: Characters that are written before anybody asks whether the other end keeps up.
UNASKED: Final = 64 * 1024

#: Characters that code in the loop's thread may print while the other end does not take them.
LOOP_AHEAD: Final = 1024 * 1024

#: Seconds between two looks of a waiting thread: an interruption reaches it then.
LOOK_AGAIN: Final = 0.1


class Output:
    """Where prints of one session go."""

    __slots__ = (
        "_ahead",
        "_closed",
        "_drained",
        "_dropped",
        "_flushing",
        "_interpreter",
        "_loop_thread",
        "_queue",
        "_queued",
        "_reactor",
        "_room",
        "_waits",
        "_write",
        "builtins",
    )

    def __init__(
        self,
        write: Callable[[str], None],
        reactor: "Reactor",
        drained: "Callable[[], Deferred[None] | None] | None",
        interpreter: "Interpreter",
    ) -> None:
        from .session_builtins import SessionBuiltins

        self._write = write
        self._reactor = reactor
        self._drained = drained
        self._interpreter = ref(interpreter)
        self._loop_thread = get_ident()
        self._room = threading.Condition()
        self._queue: list[str] = []  # text of threads, on its way to the reactor's
        self._queued = 0
        self._flushing = False  # the reactor will call `flush`
        self._ahead = 0  # characters written since the other end was last known to have drained
        self._waits = False  # for the other end to drain
        self._dropped = 0
        self._closed = False
        self.builtins: SessionBuiltins = SessionBuiltins(interpreter)

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed

    # Belonging

    def enter(self) -> None:
        """Make the present context one of this session's."""
        routing.current_output.set(self)

    def own_thread(self) -> None:
        """Make the present thread one of this session's."""
        routing.own(threading.current_thread(), self)

    def install(self) -> None:
        """Begin to catch."""
        routing.install(self)

    def begin(self) -> None:
        """An input begins."""
        routing.cover_streams()

    # Writing

    def write(self, text: str) -> None:
        """Take what code of the session printed, in any thread."""
        if get_ident() == self._loop_thread:
            self.flush()
            self._out(text)
        else:
            self._from_thread(text)

    def say(self, text: str) -> None:
        """Show what the interpreter itself has to say: never dropped.  Reactor's thread only."""
        self.flush()
        if self._closed:
            return
        self._tell_dropped()
        self._ahead += len(text)
        self._write(text)

    def _from_thread(self, text: str) -> None:
        for start in range(0, len(text), THREADS_AHEAD) or (0,):
            piece = text[start : start + THREADS_AHEAD]
            with self._room:
                while not self._closed and (self._queued > THREADS_AHEAD or self._waits):
                    self._room.wait(LOOK_AGAIN)
                if self._closed:
                    return
                self._queue.append(piece)
                self._queued += len(piece)
                if self._flushing:
                    continue
                self._flushing = True
            try:
                self._reactor.call_from_thread(self._flush_soon)
            except Exception:  # the reactor is closed: nobody will show it
                self.close()

    def _flush_soon(self) -> None:
        with self._room:
            self._flushing = False
        self.flush()

    def flush(self) -> None:
        """Write what threads printed so far.  Reactor's thread only."""
        if not self._queue:
            return
        with self._room:
            text = "".join(self._queue)
            self._queue.clear()
            self._queued = 0
            self._room.notify_all()
        self._out(text, keep=True)

    def _out(self, text: str, *, keep: bool = False) -> None:
        if self._closed or not text:
            return
        if self._waits and not keep and self._ahead + len(text) > LOOP_AHEAD:
            room = max(LOOP_AHEAD - self._ahead, 0)
            self._dropped += len(text) - room
            text = text[:room]
            if not text:
                return
        self._ahead += len(text)
        self._write(text)
        if self._ahead > UNASKED and not self._waits:
            self._ask()

    # The other end

    def _ask(self) -> None:
        """Find out whether the other end keeps up."""
        waiting = None if self._drained is None else self._drained()
        self._waits = True
        if waiting is None:
            # Nothing holds it up: all is well once the loop has had a turn.
            self._reactor.call_soon(self._has_drained)
        else:
            waiting.add_both(self._has_drained)

    def _has_drained(self, outcome: object = None) -> None:
        with self._room:
            self._waits = False
            self._room.notify_all()
        self._ahead = 0
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped and not self._closed:
            self._write(f"\n[{dropped} characters were dropped: they came faster than they could be shown]\n")

    # Ending

    def wake(self) -> None:
        """Have threads that wait look whether they were interrupted."""
        with self._room:
            self._room.notify_all()

    def close(self) -> None:
        """Let waiting threads go, and catch nothing any more."""
        if self._closed:
            return
        with self._room:
            self._closed = True
            self._queue.clear()
            self._room.notify_all()
        routing.uninstall(self)

    def interpreter(self) -> "Interpreter | None":
        """Return the interpreter, while there is one."""
        return self._interpreter()

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: Any) -> bool:
        return self is other
