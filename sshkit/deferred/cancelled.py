"""CancelledError: asyncio's own class, without importing asyncio.

Called by everything here that cancels.  Importing asyncio costs a command 60 to 90 ms of its start, yet
`except asyncio.CancelledError` must be true of our cancellations in every program that has asyncio, also
when it is imported after us.  The class lives in `asyncio/exceptions.py`, a file that imports nothing.  So:

- asyncio is there already: its class is taken;
- it is not: that one file is run as the module `asyncio.exceptions`, without its package, and a finder
  at the head of `sys.meta_path` hands this same module to the import system when asyncio is imported.

There is one class from the first moment on, no second one that would have to be matched with it.  The
finder is not taken out again: a thread in the middle of another import walks that list.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["CancelledError"]

NAME = "asyncio.exceptions"


class PreloadedModule:
    """Finder and loader of one module that was run before the import system asked for it."""

    __slots__ = ("module", "spec")

    def __init__(self, module: ModuleType, spec: ModuleSpec) -> None:
        self.module = module
        self.spec = spec

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Claim the one name; the first look-up gets our module, a reload the ordinary one."""
        if name != NAME or target is not None:
            return None
        return type(self.spec)(NAME, self, origin=self.spec.origin)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Give the import system the module that was run already."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run; put the file's true spec back, which the import system replaced by ours."""
        module.__spec__ = self.spec
        module.__loader__ = self.spec.loader


def _find_spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _preload() -> ModuleType | None:
    """Run `asyncio/exceptions.py` alone; None where there is no such file to run."""
    package = _find_spec("asyncio", None)
    if package is None or package.submodule_search_locations is None:
        return None
    spec = _find_spec(NAME, package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    module = type(sys)(NAME)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__package__ = "asyncio"
    module.__file__ = spec.origin
    spec.loader.exec_module(module)
    sys.meta_path.insert(0, PreloadedModule(module, spec))
    return module


def resolve() -> type[CancelledError]:
    """Return asyncio's CancelledError by the cheapest way there is."""
    module = sys.modules.get(NAME) or _preload()
    if module is None:
        from asyncio import CancelledError

        return CancelledError
    return cast("type[CancelledError]", module.CancelledError)


if TYPE_CHECKING:
    from asyncio import CancelledError
else:
    CancelledError = resolve()
