"""Our reactor in a Tk program: `attach(root)`, then `root.mainloop()`.

Tcl's file handler watches our poller and one `after` keeps our first deadline.  Tk draws only when it has
nothing else to do, so while we are busy it is told to draw now and then.
"""

from collections.abc import Callable
from importlib import import_module
from math import ceil
from time import monotonic
from typing import Any

from ..errors import ReactorError
from .toolkit import ToolkitReactor
from .toolkit import attach as _attach

#: Seconds of our work without a pause after which Tk draws: a steady picture needs no more.
DRAW_EVERY = 0.05

#: Tcl waits with select(2), which knows no descriptor from this number on.
FIRST_UNKNOWN = 1024

#: `after` takes a C int of milliseconds on some platforms.
LONGEST = 2**31 - 1


def attach(app: Any = None) -> ToolkitReactor:
    """Return the reactor of this thread's Tk loop, made on first use.

    `app`: the root window (tkinter.Tk), by default the one that was made first.  The reactor finishes when
    the window is destroyed.  Raises ReactorError if there is no tkinter or no window.
    """
    return _attach(lambda: TkHost(app), "tk")


class TkHost:
    """Tk's loop, as ToolkitReactor needs it."""

    __slots__ = ("_after", "_busy_since", "_fd", "_finish", "_idle", "_readable", "_root")

    name = "tk"
    main_loop = "root.mainloop()"

    def __init__(self, root: Any) -> None:
        try:
            tkinter = import_module("tkinter")
        except ImportError as error:
            raise ReactorError(
                f"no Tk here: install python3-tk, or a Python built with Tk ({error})"
            ) from error
        if root is None:
            root = getattr(tkinter, "_default_root", None)
        if root is None:
            raise ReactorError("Tk has no window yet: make a tkinter.Tk, then attach")
        if not hasattr(root.tk, "createfilehandler"):
            raise ReactorError("this Tk watches no descriptors (Windows): use sshkit.blocking or a thread")
        self._root: Any = root
        self._readable = tkinter.READABLE
        self._fd = -1
        self._after: Any = None
        self._finish: Any = None
        self._idle: Any = None
        self._busy_since = 0.0

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Watch a descriptor."""
        if fd >= FIRST_UNKNOWN:
            raise ReactorError(
                f"Tk cannot watch descriptor {fd}, only those below {FIRST_UNKNOWN}: attach earlier"
            )
        self._fd = fd

        def ready(*_: object) -> None:
            callback()
            self._draw()

        self._root.tk.createfilehandler(fd, self._readable, ready)

    def unwatch(self) -> None:
        """Stop watching."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._root.tk.deletefilehandler(fd)

    def _draw(self) -> None:
        """Have the windows drawn if we have kept Tk busy for long."""
        if self._root is None:
            return
        if self._idle is None:
            self._busy_since = monotonic()
            self._idle = self._root.after_idle(self._is_idle)
        elif monotonic() - self._busy_since > DRAW_EVERY:
            self._busy_since = monotonic()
            self._root.update_idletasks()

    def _is_idle(self) -> None:
        self._idle = None

    def set_alarm(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have Tk call, rounded up: an alarm that came early would find nothing to do."""
        self.clear_alarm()

        def rings() -> None:
            self._after = None
            callback()
            self._draw()

        self._after = self._root.after(min(ceil(seconds * 1000), LONGEST), rings)

    def clear_alarm(self) -> None:
        """Call it off."""
        after, self._after = self._after, None
        if after is not None:
            self._root.after_cancel(after)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have Tk call."""
        self._root.after(0, callback)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Wait for the window's end; its children's ends come to the same binding."""
        self._finish = callback
        self._root.bind("<Destroy>", self._destroyed, add="+")

    def _destroyed(self, event: Any) -> None:
        if self._finish is not None and event.widget is self._root:
            self._finish()

    def let_go(self) -> None:
        """Forget the window.  The binding stays: `unbind` may take the program's own with it."""
        root, self._root, self._finish = self._root, None, None
        if self._idle is not None:
            root.after_cancel(self._idle)
            self._idle = None
