"""Who gets what code prints: the session that it belongs to, or whoever got it before.

Used by the sessions' outputs.  While at least one session lives, `sys.stdout`, `sys.stderr`, `input`, `help`,
`exit`, `quit` and `breakpoint` ask first whether the code that called belongs to a session: by a context
variable, which tasks and callbacks inherit, else by the thread, since a thread belongs to the session that
started it.  Without a session nothing is replaced.  Others may replace `sys.stdout` above or below
(`contextlib.redirect_stdout`, pytest): what is theirs is never taken away.
"""

import builtins
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from .output import Output

current_output: "ContextVar[Output | None]" = ContextVar("manhole_output", default=None)

#: Threads that code of a session started.
_threads: "WeakKeyDictionary[threading.Thread, Output]" = WeakKeyDictionary()

_outputs: "set[Output]" = set()
_lock: Final = threading.Lock()

#: What was in a place of `builtins`, `sys` or `threading` before the first session: (owner, name, was, ours).
_replaced: list[tuple[Any, str, Any, Any]] = []


def output_here() -> "Output | None":
    """Return the output of the living session that the running code belongs to."""
    output = current_output.get()
    if output is None:
        thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
        output = None if thread is None else _threads.get(thread)
    return None if output is None or output.closed else output


class RoutedStream:
    """Stands for `sys.stdout` or `sys.stderr`; to code of no session it is the stream below."""

    __slots__ = ("_below",)

    def __init__(self, below: Any) -> None:
        self._below = below

    def write(self, text: str) -> int:
        """Write to the session, else below."""
        output = output_here()
        if output is None:
            written: int = self._below.write(text)
            return written
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        output.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what is below; a session's text is on its way already."""
        if output_here() is None and self._below is not None:
            self._below.flush()

    def isatty(self) -> bool:
        """Tell code of a session that this is no terminal: it has no descriptor to act on."""
        return output_here() is None and bool(self._below.isatty())

    def fileno(self) -> int:
        """Return the descriptor below; a session has none."""
        if output_here() is not None:
            raise UnsupportedOperation("the output of a manhole's session has no descriptor")
        descriptor: int = self._below.fileno()
        return descriptor

    @property
    def encoding(self) -> str:
        """The encoding below; UTF-8 for a session."""
        found: str = "utf-8" if output_here() is not None else self._below.encoding
        return found

    @property
    def buffer(self) -> Any:
        """The stream of bytes below; for a session one that decodes."""
        output = output_here()
        return self._below.buffer if output is None else BytesOutput(output)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def __repr__(self) -> str:
        return f"<RoutedStream over {self._below!r}>"


class BytesOutput:
    """What `sys.stdout.buffer` is for code of a session."""

    __slots__ = ("_output",)

    def __init__(self, output: "Output") -> None:
        self._output = output

    def write(self, data: bytes) -> int:
        """Decode and write; what is no UTF-8 is shown escaped."""
        self._output.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def _routed(was: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Return a function that calls the session's `method`, or `was` outside any."""

    def routed(*args: Any, **kwargs: Any) -> Any:
        output = output_here()
        return was(*args, **kwargs) if output is None else getattr(output.builtins, method)(*args, **kwargs)

    routed.__name__ = routed.__qualname__ = getattr(was, "__name__", method)
    routed.__doc__ = was.__doc__
    return routed


def _routed_start(was: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def start(self: threading.Thread) -> None:
        output = output_here()
        if output is not None:
            _threads[self] = output
        was(self)

    return start


def own(thread: threading.Thread, output: "Output") -> None:
    """Note that a thread belongs to a session."""
    _threads[thread] = output


def install(output: "Output") -> None:
    """Take a session in; the first one puts the replacements in place."""
    with _lock:
        if not _outputs:
            _replace(threading.Thread, "start", _routed_start(threading.Thread.start))
            for name in ("input", "help", "exit", "quit"):
                was = getattr(builtins, name, None)
                if was is not None:
                    _replace(builtins, name, _routed(was, name))
            _replace(sys, "breakpointhook", _routed(sys.breakpointhook, "breakpoint"))
        _outputs.add(output)
        _cover_streams()


def cover_streams() -> None:
    """See to it that the session's prints are caught: somebody may have replaced `sys.stdout` meanwhile."""
    with _lock:
        if _outputs:
            _cover_streams()


def _cover_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, RoutedStream):
            setattr(sys, name, RoutedStream(stream))


def uninstall(output: "Output") -> None:
    """Let a session go; after the last one everything is as it was, but for what others replaced since."""
    with _lock:
        _outputs.discard(output)
        if _outputs:
            return
        for owner, name, was, ours in _replaced:
            if getattr(owner, name, None) is ours:
                setattr(owner, name, was)
        _replaced.clear()
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            while isinstance(stream, RoutedStream):
                stream = stream._below
            setattr(sys, name, stream)


def _replace(owner: Any, name: str, ours: Any) -> None:
    _replaced.append((owner, name, getattr(owner, name), ours))
    setattr(owner, name, ours)
