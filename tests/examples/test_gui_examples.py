"""The examples in windows and in a notebook, with nobody looking: what they show, and how they end."""

import ast
import asyncio
import gc
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key, write_private_key

import sshkit
from sshkit.deferred import Deferred
from sshkit.sftp.backends.memory import MemoryBackend
from tests.reactor.engines.hosts import close_window, display, import_glib, qt_application

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = EXAMPLES / "notebook_sftp.ipynb"
HOST_KEY, KEY = generate_private_key("ed25519"), generate_private_key("ed25519")
TRUST: dict[str, Any] = {"identities": [KEY], "host_keys": [HOST_KEY.public]}

#: What the notebook prints.
LISTING = "         8 letter.txt\n         2 other.txt\n"


class Host:
    """A server in a thread of its own, and what became of its endless command."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.where = ""

    async def handle(self, session: sshkit.Session) -> int:
        session.stdout.write("one\ntwo\n" if session.command != "uname" else "Here\n")
        if session.command == "endless":
            try:
                await Deferred[None]()
            finally:
                self.ended.set()
        return 3


@pytest.fixture
def host() -> Iterator[Host]:
    place = Host()
    with sshkit.blocking.serve(
        "127.0.0.1:0",
        place.handle,
        host_keys=[HOST_KEY],
        authorized_keys=[KEY.public],
        sftp=MemoryBackend({"/letter.txt": b"a letter", "/other.txt": b"ab"}),
    ) as server:
        place.where = f"me@127.0.0.1:{server.address[1]}"
        yield place


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert f"python examples/{name}.py" in (module.__doc__ or "")
    return module


# -- Qt -------------------------------------------------------------------------------------------


def qt_program(monkeypatch: pytest.MonkeyPatch, words: str) -> tuple[Any, list[Any]]:
    """Return the example, and the windows it will make; each closes itself when its text has `words`."""
    app = qt_application()
    module = example("gui_qt")
    windows: list[Any] = []

    class Window(module.Window):  # type: ignore[misc, name-defined]
        def __init__(self, command: str) -> None:
            super().__init__(command)
            windows.append(self)

        def appendPlainText(self, text: str) -> None:  # noqa: N802
            super().appendPlainText(text)
            self.look()

        def setWindowTitle(self, text: str) -> None:  # noqa: N802
            super().setWindowTitle(text)
            self.look()

        def look(self) -> None:
            if words in self.toPlainText() + self.windowTitle():
                self.close()

    monkeypatch.setattr(module, "QApplication", lambda _: app)
    monkeypatch.setattr(module, "Window", Window)
    return module, windows


def test_the_window_of_qt_shows_lines_and_how_it_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    module, windows = qt_program(monkeypatch, "ended with 3")
    module.main(host.where, "list", **TRUST)
    assert windows[0].toPlainText() == "one\ntwo"


def test_the_window_of_qt_shows_why_nothing_came(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    module, windows = qt_program(monkeypatch, "list: ")
    module.main(host.where, "list", identities=[HOST_KEY], host_keys=[HOST_KEY.public])
    assert windows[0].toPlainText() == ""


def test_closing_the_window_of_qt_ends_the_command(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = qt_program(monkeypatch, "two")
    module.main(host.where, "endless", **TRUST)
    assert host.ended.wait(30)


# -- Tk -------------------------------------------------------------------------------------------


@pytest.fixture
def tk_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Run the example until the window has certain words; return them all."""
    pytest.importorskip("tkinter", exc_type=ImportError)
    monkeypatch.setenv("DISPLAY", display())
    close_window()  # its loop ends with the last window
    module = example("gui_tk")

    def run(words: str, *args: Any, **options: Any) -> str:
        seen: list[str] = []

        class Window(module.Window):  # type: ignore[misc, name-defined]
            async def show_output(self, *args: Any, **options: Any) -> None:
                await super().show_output(*args, **options)
                self.look()

            def add(self, line: str) -> None:
                super().add(line)
                self.look()

            def look(self) -> None:
                text = self.text.get("1.0", "end") + self.root.title()
                if words in text:
                    seen.append(text)
                    self.root.destroy()

        monkeypatch.setattr(module, "Window", Window)
        module.main(*args, **options)
        return seen[0]

    yield run
    gc.collect()  # what is left of the window, in this thread


def test_the_window_of_tk_shows_lines_and_how_it_ended(host: Host, tk_program: Callable[..., str]) -> None:
    assert tk_program("ended", host.where, "list", **TRUST) == "one\ntwo\n\nlist: ended with 3"


def test_the_window_of_tk_shows_why_nothing_came(host: Host, tk_program: Callable[..., str]) -> None:
    text = tk_program("list: ", host.where, "list", identities=[HOST_KEY], host_keys=[HOST_KEY.public])
    assert text.startswith("\n")


def test_closing_the_window_of_tk_ends_the_command(host: Host, tk_program: Callable[..., str]) -> None:
    tk_program("two", host.where, "endless", **TRUST)
    assert host.ended.wait(30)


# -- GLib -----------------------------------------------------------------------------------------


def test_the_program_of_glib_prints_the_lines_and_how_it_ended(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    import_glib()
    example("gui_glib").main(host.where, "list", **TRUST)
    assert capsys.readouterr().out == "one\ntwo\nlist: ended with 3\n"


def test_the_program_of_glib_prints_why_nothing_came(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    import_glib()
    example("gui_glib").main(host.where, "list", identities=[HOST_KEY], host_keys=[HOST_KEY.public])
    assert capsys.readouterr().out.startswith("list: ")


# -- Jupyter --------------------------------------------------------------------------------------


def cells(host: Host, folder: Path) -> list[str]:
    """Return the code of the notebook, with the place and the keys of the test in it."""
    write_private_key(folder / "key", KEY.to_openssh(random_bytes=os.urandom))
    options = {"identities": [str(folder / "key")], "host_keys": [HOST_KEY.public.fingerprint()]}
    sources = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if code(cell)]
    sources[0] = sources[0].replace("user@host", host.where).replace("options = {}", f"options = {options!r}")
    return sources


def code(cell: dict[str, Any]) -> bool:
    return bool(cell["cell_type"] == "code")


def test_the_cells_of_the_notebook_run_on_a_running_asyncio_loop(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As IPython runs them: each in the loop, with awaits at the top."""

    async def main() -> None:
        names: dict[str, Any] = {}
        for source in cells(host, tmp_path):
            compiled = compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, names)
            if result is not None:
                await result
        assert names["connection"].is_closed

    asyncio.run(main())
    assert capsys.readouterr().out == LISTING


def test_jupyter_runs_the_notebook(host: Host, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sources = iter(cells(host, tmp_path))
    for cell in notebook.cells:
        if code(cell):
            cell.source = next(sources)
    nbclient.NotebookClient(notebook, timeout=50, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells if code(cell)]
    assert outputs[1][0]["data"]["text/plain"] == repr("Here\n")
    assert outputs[2][0]["text"] == LISTING
