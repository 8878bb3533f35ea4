"""One CancelledError, whichever of asyncio and sshkit is imported first: each case is a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from sshkit.deferred import cancelled


def python(code: str) -> str:
    program = "import sys\n" + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


SAME = """
module = asyncio.exceptions
print(asyncio.CancelledError is CancelledError is module.CancelledError)
print(module is sys.modules[module.__name__])
print(module.__spec__.name, module.__file__.endswith("exceptions.py"), module.__package__)
print(type(module.__spec__.loader).__name__, module.__loader__ is module.__spec__.loader)
future = asyncio.new_event_loop().create_future()
future.cancel()
try:
    future.result()
except CancelledError:
    print("caught")
asyncio.new_event_loop().close()
"""
EXPECTED = "True\nTrue\nasyncio.exceptions True asyncio\nSourceFileLoader True\ncaught\n"


@pytest.mark.parametrize(
    "imports",
    [
        "import asyncio\nfrom sshkit.deferred import CancelledError",
        "from sshkit.deferred import CancelledError\nassert 'asyncio' not in sys.modules\nimport asyncio",
        "from sshkit.deferred import CancelledError\nimport asyncio.exceptions\nimport asyncio",
        "from sshkit.deferred import CancelledError\nfrom asyncio.exceptions import *\nimport asyncio",
        "from sshkit.deferred import CancelledError\nimport _asyncio\nimport asyncio",
        "from sshkit.deferred import CancelledError\nimport concurrent.futures, asyncio.tasks, asyncio",
    ],
)
def test_there_is_one_cancelled_error_whoever_comes_first(imports: str) -> None:
    assert python(imports + SAME) == EXPECTED


def test_a_cancelled_error_survives_pickling_and_a_reload_makes_an_ordinary_module() -> None:
    code = """
from sshkit.deferred import CancelledError
import pickle
print(CancelledError.__module__, pickle.loads(pickle.dumps(CancelledError("x"))).args)
import asyncio, importlib
importlib.reload(asyncio.exceptions)
print(type(asyncio.exceptions.__spec__.loader).__name__)
"""
    assert python(code) == "asyncio.exceptions ('x',)\nSourceFileLoader\n"


def test_without_a_file_to_run_asyncio_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.delitem(sys.modules, cancelled.NAME)
    monkeypatch.setattr(cancelled, "_preload", lambda: None)
    assert cancelled.resolve() is asyncio.CancelledError


class NoAsyncio:
    """A finder that knows the module of that name only, as a frozen program might."""

    def __init__(self, *specs: object) -> None:
        self.specs = list(specs)

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        return self.specs.pop(0)


class Spec:
    def __init__(self, locations: list[str] | None, loader: object = None) -> None:
        self.submodule_search_locations = locations
        self.loader = loader


@pytest.mark.parametrize("specs", [[Spec(None)], [Spec([]), Spec(None)]])
def test_what_cannot_be_run_alone_is_not_preloaded(
    monkeypatch: pytest.MonkeyPatch, specs: list[Spec]
) -> None:
    monkeypatch.setattr(sys, "meta_path", [NoAsyncio(*specs)])
    assert cancelled._preload() is None


@pytest.mark.parametrize("finders", [[], [NoAsyncio(Spec([]), None)], [NoAsyncio(None)]])
def test_what_no_finder_knows_is_not_preloaded(
    monkeypatch: pytest.MonkeyPatch, finders: list[NoAsyncio]
) -> None:
    monkeypatch.setattr(sys, "meta_path", finders)
    assert cancelled._preload() is None


def test_the_preloaded_module_is_found_once_by_name_and_by_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    module = cancelled._preload()
    assert isinstance(module, ModuleType)
    finder = sys.meta_path[0]
    assert isinstance(finder, cancelled.PreloadedModule)
    assert finder.find_spec("asyncio") is None
    spec = finder.find_spec(cancelled.NAME, [])
    assert spec is not None
    assert finder.create_module(spec) is module
    module.__spec__ = spec
    finder.exec_module(module)
    assert module.__spec__ is finder.spec
    assert finder.find_spec(cancelled.NAME, [], module) is None
