"""Our reactor in a Qt program: `attach(app)`, then `app.exec()`.  PySide6 or PyQt6.

Qt's QSocketNotifier watches our poller and one QTimer keeps our first deadline.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from math import ceil
from typing import Any

from ..errors import ReactorError
from .toolkit import ToolkitReactor
from .toolkit import attach as _attach

#: Best first; one that is loaded already is the program's choice.
BINDINGS = ("PySide6", "PyQt6")

#: QTimer's interval is a C int of milliseconds.
LONGEST = 2**31 - 1


def attach(app: Any = None) -> ToolkitReactor:
    """Return the reactor of this thread's Qt loop, made on first use.

    `app`: the QApplication (or QCoreApplication), which must be there already; by default the one there
    is.  The reactor finishes when the application is about to quit.  Raises ReactorError if there is
    no Qt or no application.
    """
    return _attach(lambda: QtHost(app), "qt")


def _core() -> Any:
    """Return the module QtCore of the binding that the program uses."""
    errors: list[str] = []
    for binding in sorted(BINDINGS, key=lambda name: name not in sys.modules):
        try:
            return import_module(f"{binding}.QtCore")
        except ImportError as error:
            errors.append(str(error))
    raise ReactorError(f"no Qt here: install PySide6-Essentials or PyQt6 ({'; '.join(errors)})")


class QtHost:
    """Qt's loop, as ToolkitReactor needs it."""

    # PyQt6 refers weakly to the object of a method that it is given.
    __slots__ = ("__weakref__", "_alarm", "_app", "_core", "_finish", "_notifier", "_ready", "_timer")

    name = "qt"
    main_loop = "app.exec()"

    def __init__(self, app: Any) -> None:
        self._core = core = _core()
        self._app: Any = core.QCoreApplication.instance() if app is None else app
        if self._app is None:
            raise ReactorError("Qt has no application yet: make a QApplication, then attach")
        self._notifier: Any = None
        self._ready: Any = None
        self._alarm: Any = None
        self._finish: Any = None
        self._timer: Any = core.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setTimerType(core.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._rings)

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Watch a descriptor."""
        self._ready = callback
        kind = self._core.QSocketNotifier
        self._notifier = kind(fd, kind.Type.Read)
        self._notifier.activated.connect(self._activated)

    def _activated(self, *_: object) -> None:
        if self._ready is not None:
            self._ready()

    def unwatch(self) -> None:
        """Stop watching; the notifier may be the one that is calling."""
        self._ready = None
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.setEnabled(False)
            notifier.deleteLater()

    def set_alarm(self, seconds: float, callback: Callable[[], None]) -> None:
        """Start the timer, rounded up: one that came early would find nothing to do."""
        self._alarm = callback
        self._timer.start(min(ceil(seconds * 1000), LONGEST))

    def _rings(self) -> None:
        if self._alarm is not None:
            self._alarm()

    def clear_alarm(self) -> None:
        """Stop the timer."""
        self._alarm = None
        self._timer.stop()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have Qt call."""
        self._core.QTimer.singleShot(0, callback)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Wait for the application's last signal."""
        self._finish = callback
        self._app.aboutToQuit.connect(callback)

    def let_go(self) -> None:
        """Forget the application."""
        self._app.aboutToQuit.disconnect(self._finish)
        self._timer.deleteLater()
        self._app = self._finish = None
