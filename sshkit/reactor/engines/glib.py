"""Our reactor in a GLib or GTK program: `attach(app)`, then `app.run()` or a GLib.MainLoop's.  PyGObject.

A watch of the default main context watches our poller and one time-out keeps our first deadline, both below
the priority at which GTK draws: however busy we are, the windows stay alive.
"""

from collections.abc import Callable
from importlib import import_module
from math import ceil
from typing import Any

from ..errors import ReactorError
from .toolkit import ToolkitReactor
from .toolkit import attach as _attach

#: GLib's time-outs are C unsigned ints of milliseconds.
LONGEST = 2**32 - 1


def attach(app: Any = None) -> ToolkitReactor:
    """Return the reactor of the default main context, made on first use.

    `app`: a Gio.Application or Gtk.Application, at whose shutdown the reactor finishes.  Without one, use the
    reactor as a context manager around the main loop.  Raises ReactorError if there is no PyGObject.
    """
    return _attach(lambda: GLibHost(app), "glib")


class GLibHost:
    """GLib's loop, as ToolkitReactor needs it."""

    __slots__ = ("_alarm", "_app", "_glib", "_handler", "_watch")

    name = "glib"
    main_loop = "the GLib main loop"

    def __init__(self, app: Any) -> None:
        try:
            self._glib: Any = import_module("gi.repository.GLib")
        except ImportError as error:
            raise ReactorError(f"no GLib here: install PyGObject or python3-gi ({error})") from error
        self._app = app
        self._handler = 0
        self._watch = 0
        self._alarm = 0

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Watch a descriptor."""
        glib = self._glib

        def ready(*_: object) -> bool:
            callback()
            return True  # stay; a watch that was removed meanwhile is gone all the same

        self._watch = glib.io_add_watch(fd, glib.PRIORITY_DEFAULT_IDLE, glib.IOCondition.IN, ready)

    def unwatch(self) -> None:
        """Stop watching."""
        watch, self._watch = self._watch, 0
        if watch:
            self._glib.source_remove(watch)

    def set_alarm(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have GLib call, rounded up: an alarm that came early would find nothing to do."""
        self.clear_alarm()
        glib = self._glib

        def rings() -> bool:
            self._alarm = 0
            callback()
            return False

        self._alarm = glib.timeout_add(
            min(ceil(seconds * 1000), LONGEST), rings, priority=glib.PRIORITY_DEFAULT_IDLE
        )

    def clear_alarm(self) -> None:
        """Call it off."""
        alarm, self._alarm = self._alarm, 0
        if alarm:
            self._glib.source_remove(alarm)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have GLib call, once."""

        def call() -> bool:
            callback()
            return False

        self._glib.idle_add(call)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Wait for the application's shutdown, if there is one."""
        if self._app is not None:
            self._handler = self._app.connect("shutdown", lambda _: callback())

    def let_go(self) -> None:
        """Forget the application."""
        app, self._app = self._app, None
        if app is not None:
            app.disconnect(self._handler)
