"""Completion of what lies outside the namespace: modules in import statements, and paths in strings.

Called by completion.  The list of modules is made once, by walking `sys.path`; names inside a package are
found without importing it.
"""

import os
import re
import sys
from collections.abc import Iterator
from typing import Final

from . import static

#: Entries of one folder that are looked at.
MOST_ENTRIES: Final = 2000

_IMPORT: Final = re.compile(r"\s*import\s+(?:[\w.]+(?:\s+as\s+\w+)?\s*,\s*)*([\w.]*)\Z")
_FROM: Final = re.compile(r"\s*from\s+([\w.]*)\Z")
_FROM_IMPORT: Final = re.compile(
    r"\s*from\s+([\w.]+)\s+import\s+\(?\s*(?:\w+(?:\s+as\s+\w+)?\s*,\s*)*(\w*)\Z"
)
_HALF_FROM: Final = re.compile(r"\s*from\s+([\w.]+)\s+(\w*)\Z")

_found: list[str] = []


def top_level_modules() -> list[str]:
    """Return the names of all modules that can be imported; walks the path once."""
    if not _found:
        import pkgutil

        names = {module.name for module in pkgutil.iter_modules()}
        names.update(sys.builtin_module_names, sys.stdlib_module_names)
        _found.extend(sorted(name for name in names if name.isidentifier()))
    return _found


def modules_in(package: str) -> list[str]:
    """Return the names of the modules in a package, loaded or found beside its parents."""
    module = sys.modules.get(package)
    path = None if module is None else static.own_dict(module).get("__path__")
    if path is None and module is None:
        path = _path_of(package)
    if path is None:
        return []
    import pkgutil

    return sorted(found.name for found in pkgutil.iter_modules([str(place) for place in path]))


def _path_of(package: str) -> list[str] | None:
    """Return the folders of a package that is not loaded, without loading it."""
    from importlib.machinery import PathFinder

    places: list[str] | None = None
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, places)
        if spec is None or spec.submodule_search_locations is None:
            return None
        places = list(spec.submodule_search_locations)
    return places


def complete_import(line: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the word at the end of an import statement and what may stand there; None for other lines."""
    found = _FROM_IMPORT.match(line)
    if found is not None:
        package, word = found.groups()
        names = [(name, "module") for name in modules_in(package)]
        module = sys.modules.get(package)
        if module is not None:
            names += [(name, "name") for name in static.names(module) if not name.startswith("_")]
        return word, sorted({pair for pair in names if pair[0].startswith(word)})
    found = _IMPORT.match(line) or _FROM.match(line)
    if found is not None:
        word = found[1]
        package, dot, last = word.rpartition(".")
        among = modules_in(package) if dot else top_level_modules()
        return last, [(name, "module") for name in among if name.startswith(last)]
    found = _HALF_FROM.match(line)
    if found is not None and "import".startswith(found[2]):
        return found[2], [("import", "keyword")]
    return None


def complete_path(content: str) -> Iterator[tuple[str, str, str]]:
    """Give (text, shown, detail) for the paths that a string may go on to; only if it looks like one."""
    folder, slash, name = content.rpartition("/")
    if not slash and not content.startswith((".", "~")):
        return
    where = os.path.expanduser(folder + slash) or "."
    try:
        with os.scandir(where) as entries:
            found = [
                (entry.name, entry.is_dir())
                for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)
                if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith("."))
            ]
    except OSError:
        return
    for entry_name, is_folder in sorted(found):
        if entry_name.isprintable() and not set(entry_name) & {'"', "'", "\\"}:
            shown = entry_name + "/" * is_folder
            yield folder + slash + shown, shown, "folder" if is_folder else ""
