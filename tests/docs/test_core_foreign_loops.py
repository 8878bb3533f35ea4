"""The example of docs/core/foreign-loops.md runs, and every host of its table is there."""

import gc
import importlib
import re

import pytest

from tests.docs.pages import ROOT
from tests.reactor.engines.hosts import close_window, display

TEXT = (ROOT / "docs" / "core" / "foreign-loops.md").read_text()


def test_the_example_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter", exc_type=ImportError)
    monkeypatch.setenv("DISPLAY", display())
    close_window()
    (block,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(block, "foreign-loops", "exec"), {"__name__": "example"})
    gc.collect()  # the window, in this thread
    assert capsys.readouterr().out == "closed\n"


def test_what_is_called_is_there() -> None:
    names = re.findall(r"`(sshkit\.reactor\.engines\.\w+)\.attach\(", TEXT)
    assert len(names) == 3
    for name in names:
        assert callable(importlib.import_module(name).attach)


def test_the_programs_are_there() -> None:
    programs = re.findall(r"`((?:gui|notebook)_\w+\.(?:py|ipynb))`", TEXT)
    assert len(programs) == 4
    for program in programs:
        assert (ROOT / "examples" / program).exists()
