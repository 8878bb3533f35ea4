"""The architecture, held: imports go down only, and the rooms without I/O stay without it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "sshkit_keys": ROOT / "keys" / "sshkit_keys",
    "sshkit": ROOT / "sshkit",
    "sshkit_cli": ROOT / "cli" / "sshkit_cli",
}

#: The room list of docs/architecture.md: longest prefix wins.
LEVELS = {
    "sshkit_keys": 0,
    "sshkit.interfaces": 0,
    "sshkit.deferred": 1,
    "sshkit.ssh": 2,
    "sshkit.terminal": 2,
    "sshkit.config": 2,
    "sshkit.opening": 2,
    "sshkit.sftp": 2,
    "sshkit.scp": 2,
    "sshkit.reactor": 3,
    "sshkit.protocols": 2,
    "sshkit.cred": 3,
    "sshkit.databases": 4,
    "sshkit.agent": 4,
    "sshkit.forwarding": 4,
    "sshkit.client": 4,
    "sshkit.server": 4,
    "sshkit.blocking": 5,
    "sshkit.fsspec_plugin": 5,
    "sshkit.pytest_plugin": 7,
    "sshkit.manhole": 5,
    "sshkit.service": 5,
    "sshkit.syncing": 5,
    "sshkit.testing": 6,
    "sshkit_cli": 7,
    "sshkit": 7,  # the lazy table of public names; it imports nothing before it is asked
}
#: Rooms of one level that know nothing of each other.
PEERS = {"sshkit.client", "sshkit.server"}

FORBIDDEN = {"socket", "select", "selectors", "ssl", "asyncio", "threading", "subprocess", "signal", "time"}
#: deferred/ meets asyncio where a program has it; each place says why.
MAY_MEET_ASYNCIO = {
    "sshkit.deferred.cancelled",
    "sshkit.deferred.coroutines",
    "sshkit.deferred.waiter",
    "sshkit.deferred.task",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            yield ".".join(parts).removesuffix(".__init__"), path


def room_of(module: str) -> str:
    found = max(
        (room for room in LEVELS if module == room or module.startswith(room + ".")), key=len, default=""
    )
    assert found, f"{module} is in no room of the list"
    return found


def is_type_checking(node: ast.If) -> bool:
    return "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(module: str, path: Path) -> Iterator[tuple[str, int, bool]]:
    """Yield (imported module, line, only for types)."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node: ast.AST, for_types: bool) -> Iterator[tuple[str, int, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, child.lineno, for_types
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = package.split(".")
                    base = ".".join(
                        [*parts[: len(parts) - child.level + 1], *([child.module] if child.module else [])]
                    )
                for alias in child.names:
                    yield f"{base}.{alias.name}", child.lineno, for_types
            elif isinstance(child, ast.If) and is_type_checking(child):
                for part in child.body:
                    yield from walk(ast.Module([part], []), True)
                for part in child.orelse:
                    yield from walk(ast.Module([part], []), for_types)
            else:
                yield from walk(child, for_types)

    yield from walk(ast.parse(path.read_text()), False)


ALL = list(modules())


@pytest.mark.parametrize(("module", "path"), ALL, ids=[module for module, _ in ALL])
def test_imports_go_down_only(module: str, path: Path) -> None:
    room = room_of(module)
    level = LEVELS[room]
    if module == "sshkit":
        return
    for imported, line, for_types in imports_of(module, path):
        if imported.split(".")[0] not in SOURCES:
            continue
        other = room_of(imported)
        where = f"{path.relative_to(ROOT)}:{line} imports {imported}"
        if other == "sshkit":
            assert imported == "sshkit.opening" or level == 7, where
        elif other != room and not for_types:
            assert LEVELS[other] <= level, f"{where}, which lies above"
            assert not {room, other} <= PEERS, f"{where}, a room of the same level"
        elif for_types and other != room and level <= 2:
            assert LEVELS[other] <= max(level, 2), f"{where}, which lies above, if only for its types"


@pytest.mark.parametrize(("module", "path"), ALL, ids=[module for module, _ in ALL])
def test_levels_0_to_2_touch_no_io(module: str, path: Path) -> None:
    if LEVELS[room_of(module)] > 2:
        return
    for imported, line, for_types in imports_of(module, path):
        top = imported.split(".")[0]
        if for_types or top not in FORBIDDEN:
            continue
        allowed = top == "asyncio" and module in MAY_MEET_ASYNCIO
        assert allowed, f"{path.relative_to(ROOT)}:{line} imports {top}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "os.urandom", (
                f"{path.relative_to(ROOT)}:{node.lineno} calls os.urandom"
            )


def test_every_module_has_a_docstring_and_at_most_600_lines() -> None:
    for module, path in ALL:
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), f"{module} has no docstring"
        assert text.count("\n") <= 600, f"{module} is longer than 600 lines"


def test_the_three_packages_are_typed() -> None:
    for folder in SOURCES.values():
        assert (folder / "py.typed").is_file()


def test_the_tests_run_on_a_supported_python() -> None:
    assert sys.version_info >= (3, 11)
