"""The toolkits, each with a program of its own around a coroutine.  What is absent skips, and fails in CI."""

import atexit
import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sshkit.deferred import Failure, ensure_deferred
from sshkit.reactor.engines import glib, qt, tk

#: Seconds after which a program is ended: a loop in C would not hear the time-out of the test.
PATIENCE = 50.0

#: Where Debian puts PyGObject, which a virtual environment does not see.
DEBIAN_GI = Path("/usr/lib/python3/dist-packages/gi")


def qt_application() -> Any:
    """Return the one QApplication that a process can have; nothing is shown."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    widgets = pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    return widgets.QApplication.instance() or widgets.QApplication(["tests"])


def import_glib(name: str = "GLib") -> Any:
    """Return the module GLib, or one beside it, of Debian's package if need be."""
    if "gi" not in sys.modules and importlib.util.find_spec("gi") is None and DEBIAN_GI.exists():
        spec = importlib.util.spec_from_file_location(
            "gi", DEBIAN_GI / "__init__.py", submodule_search_locations=[str(DEBIAN_GI)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["gi"] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ImportError as error:  # a Python that Debian's was not built for
            del sys.modules["gi"]
            pytest.skip(f"PyGObject cannot be imported: {error}")
    pytest.importorskip("gi", exc_type=ImportError)
    with warnings.catch_warnings(action="ignore", category=ImportWarning):  # its importer is an old one
        return importlib.import_module(f"gi.repository.{name}")


_display: list[tuple[subprocess.Popen[bytes], str]] = []


def display() -> str:
    """Return the name of a screen that nobody sees, for all tests of this process."""
    if not _display:
        program = shutil.which("Xvfb")
        if program is None:
            pytest.skip("Xvfb is not installed")
        reading, writing = os.pipe()
        argv = [program, "-displayfd", str(writing), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
        server = subprocess.Popen(
            argv, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(writing)
        with os.fdopen(reading) as answer:
            _display.append((server, ":" + answer.readline().strip()))
        atexit.register(close_display)
    return _display[0][1]


def close_window() -> None:
    """Destroy the window of all tests, and have it freed in this thread."""
    _variables.clear()
    while _roots:
        _roots[0].destroy()
        del _roots[0]
    gc.collect()


def close_display() -> None:
    """End the window and the screen's server."""
    close_window()
    while _display:
        server, _ = _display.pop()
        server.terminate()
        server.wait()


_roots: list[Any] = []
_variables: list[Any] = []  # freed with the window, and so in this thread: they ask Tk when they are freed


def tk_window() -> Any:
    """Return the root window of all tests.  It is never freed: Tk aborts if a thread's collection does it."""
    tkinter = pytest.importorskip("tkinter", exc_type=ImportError)
    if not _roots:
        _roots.append(tkinter.Tk(display()))
    return _roots[0]


def result_of(
    reactor: Any, main: Callable[[Any], Any], loop: Callable[[], object], end: Callable[[], object]
) -> Any:
    """Run `main(reactor)` to its end while `loop()` runs."""
    outcome: list[Any] = []

    def start() -> None:
        program = ensure_deferred(main(reactor))
        watchdog = reactor.call_later(PATIENCE, program.errback, TimeoutError("the program did not end"))
        program.add_both(done, watchdog)

    def done(result: Any, watchdog: Any) -> None:
        watchdog.cancel()
        outcome.append(result)
        end()

    reactor.call_soon(start)
    loop()
    result = outcome[0]
    if isinstance(result, Failure):
        result.raise_exception()
    return result


def run_qt(main: Callable[[Any], Any]) -> Any:
    """On Qt's loop."""
    app = qt_application()
    with qt.attach(app) as reactor:
        return result_of(reactor, main, app.exec, app.quit)


def run_tk(main: Callable[[Any], Any]) -> Any:
    """On Tk's loop."""
    root = tk_window()
    with tk.attach(root) as reactor:
        return result_of(reactor, main, root.mainloop, root.quit)


def run_glib(main: Callable[[Any], Any]) -> Any:
    """On GLib's loop."""
    loop = import_glib().MainLoop()
    with glib.attach() as reactor:
        return result_of(reactor, main, loop.run, loop.quit)


#: name -> run(main), as in tests/reactor/helpers.py.
HOSTS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {"qt": run_qt, "tk": run_tk, "glib": run_glib}


class InnerLoop(NamedTuple):
    """A loop within the loop, as of a dialog that waits for its answer."""

    run: Callable[[], object]
    end: Callable[[], object]
    after: Callable[[int, Callable[[], object]], object]  #: the toolkit's own timer, in milliseconds


def inner_qt() -> InnerLoop:
    """Return what QDialog.exec runs."""
    qt_application()
    core = importlib.import_module("PySide6.QtCore")
    loop = core.QEventLoop()
    return InnerLoop(loop.exec, loop.quit, core.QTimer.singleShot)


def inner_tk() -> InnerLoop:
    """Return what tkinter's dialogs run."""
    root = tk_window()
    if not _variables:
        _variables.append(importlib.import_module("tkinter").IntVar(root))
    variable = _variables[0]
    return InnerLoop(lambda: root.wait_variable(variable), lambda: variable.set(1), root.after)


def inner_glib() -> InnerLoop:
    """Return what dialogs of GTK ran."""
    glib_module = import_glib()
    loop = glib_module.MainLoop()
    return InnerLoop(
        loop.run, loop.quit, lambda wait, call: glib_module.timeout_add(wait, lambda: bool(call()) and False)
    )


INNER: dict[str, Callable[[], InnerLoop]] = {"qt": inner_qt, "tk": inner_tk, "glib": inner_glib}
