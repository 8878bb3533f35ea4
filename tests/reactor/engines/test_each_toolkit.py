"""What is particular to Qt, to Tk, to GLib: how a program ends, what is missing, what is limited."""

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sshkit.deferred import Deferred
from sshkit.reactor import ReactorError
from sshkit.reactor.current import current, running_reactors
from sshkit.reactor.engines import glib, qt, tk

from ..helpers import later
from .hosts import display, import_glib, qt_application, tk_window


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let packages not be installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


# -- Qt -------------------------------------------------------------------------------------------


def test_without_qt_the_error_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "PySide6.QtCore", "PyQt6.QtCore", "PySide6", "PyQt6")
    with pytest.raises(ReactorError, match=r"install PySide6-Essentials or PyQt6 .*PyQt6") as caught:
        qt.attach()
    assert "PySide6" in str(caught.value)


def test_the_binding_that_the_program_has_loaded_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SimpleNamespace()
    absent(monkeypatch, "PySide6", "PySide6.QtCore")
    monkeypatch.setitem(sys.modules, "PyQt6", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "PyQt6.QtCore", core)
    assert qt._core() is core


def test_qt_needs_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SimpleNamespace(QCoreApplication=SimpleNamespace(instance=lambda: None))
    monkeypatch.setattr(qt, "_core", lambda: core)
    with pytest.raises(ReactorError, match="make a QApplication"):
        qt.attach()


def test_a_binding_may_refer_weakly_to_whose_method_it_calls() -> None:
    qt_application()
    host = qt.QtHost(None)
    assert weakref.ref(host)() is host


def test_when_a_qt_program_quits_its_reactor_finishes() -> None:
    app = qt_application()
    order: list[str] = []
    reactor = qt.attach()

    async def slow() -> None:
        await later(reactor, 0.001)
        order.append("before")

    async def program() -> None:
        app.quit()
        await Deferred[None]()

    reactor.add_system_event_trigger("before", "shutdown", slow)
    reactor.start(program())
    app.exec()
    assert order == ["before"]
    assert reactor.closed


class Deaf(asyncio.SelectorEventLoop):
    """As an asyncio loop of a toolkit's that watches no descriptors."""

    def add_reader(self, *_: Any) -> None:  # type: ignore[override]
        raise NotImplementedError


def test_an_asyncio_loop_that_watches_no_descriptors_needs_an_attached_reactor() -> None:
    qt_application()

    async def main() -> None:
        with pytest.raises(ReactorError, match="Deaf watches no descriptors: attach to its toolkit"):
            current()
        with qt.attach() as reactor:
            assert current() is reactor

    with asyncio.Runner(loop_factory=Deaf) as runner:
        runner.run(main())


# -- Tk -------------------------------------------------------------------------------------------


def test_without_tk_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "tkinter")
    with pytest.raises(ReactorError, match="install python3-tk"):
        tk.attach()


def test_tk_needs_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    tkinter = pytest.importorskip("tkinter", exc_type=ImportError)
    monkeypatch.setattr(tkinter, "_default_root", None)
    with pytest.raises(ReactorError, match=r"make a tkinter\.Tk"):
        tk.attach()


def test_a_tk_that_watches_no_descriptors_is_refused() -> None:
    with pytest.raises(ReactorError, match=r"use sshkit\.blocking"):
        tk.attach(SimpleNamespace(tk=SimpleNamespace()))


def test_a_descriptor_too_high_for_tk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    root = tk_window()
    monkeypatch.setattr(tk, "FIRST_UNKNOWN", 3)
    with pytest.raises(ReactorError, match="only those below 3"):
        tk.attach(root)
    monkeypatch.undo()
    assert threading.get_ident() not in running_reactors


@pytest.fixture
def window_freed() -> Iterator[None]:
    """Have a window freed in this thread: Tk aborts if another's collection does it."""
    yield
    gc.collect()


@pytest.mark.usefixtures("window_freed")
def test_when_the_window_is_destroyed_the_reactor_finishes_and_a_part_of_it_ends_nothing() -> None:
    tkinter = pytest.importorskip("tkinter", exc_type=ImportError)
    tk_window()
    root = tkinter.Tk(display())
    order: list[str] = []
    reactor = tk.attach(root)

    async def program() -> None:
        label = tkinter.Label(root, text="a part")
        label.pack()
        label.destroy()
        await later(reactor, 0.001)
        order.append("still there")
        try:
            root.destroy()
            await Deferred[None]()
        finally:
            await later(reactor, 0.001)
            order.append("cleaned up")

    reactor.start(program())
    root.mainloop(1)  # as many windows as the tests have beside it
    assert order == ["still there", "cleaned up"]
    assert reactor.closed


def test_tk_draws_while_we_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tk, "DRAW_EVERY", 0.0)
    root = tk_window()
    drawn: list[bool] = []
    with tk.attach(root) as reactor:

        def busy() -> None:
            if not drawn:
                reactor.call_from_thread(busy)
            else:
                root.quit()

        root.after_idle(drawn.append, True)
        reactor.call_from_thread(busy)
        root.mainloop()
    assert drawn == [True]


# -- GLib -----------------------------------------------------------------------------------------


def test_without_pygobject_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "gi", "gi.repository", "gi.repository.GLib")
    with pytest.raises(ReactorError, match="install PyGObject or python3-gi"):
        glib.attach()


def test_when_an_application_shuts_down_the_reactor_finishes() -> None:
    gio = import_glib("Gio")
    app = gio.Application(flags=gio.ApplicationFlags.NON_UNIQUE)
    order: list[str] = []
    reactor = glib.attach(app)

    async def program() -> None:
        try:
            await later(reactor, 0.001)
            app.release()
            await Deferred[None]()
        finally:
            await later(reactor, 0.001)
            order.append("cleaned up")

    def activate(*_: object) -> None:
        app.hold()
        reactor.start(program())

    connect: Callable[..., Any] = app.connect
    connect("activate", activate)
    app.run([])
    assert order == ["cleaned up"]
    assert reactor.closed
