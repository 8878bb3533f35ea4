"""What a server loads before it listens: all that its rooms load in functions, but for good reasons."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sshkit.server.preload import MODULES
from tests.servers import ROOT

#: Where a server's code is.
ROOMS = (
    "sshkit/server",
    "sshkit/sftp",
    "sshkit/forwarding",
    "sshkit/terminal",
    "sshkit/ssh",
    "sshkit/reactor",
    "keys/sshkit_keys",
)


def sources() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "keys" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Say whether a dotted name of ours is a module, and not something inside of one."""
    base = ROOT / "keys" if name.startswith("sshkit_keys") else ROOT
    path = base.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node: ast.AST, path: Path, inside: bool = False) -> Iterator[str]:
    """Yield the modules that functions load."""
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            continue
        if inside and isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif inside and isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                here = module_name(path).split(".")
                package = here if path.name == "__init__.py" else here[:-1]
                package = package[: len(package) - child.level + 1]
                base = ".".join((*package, base)) if base else ".".join(package)
            named = [f"{base}.{alias.name}" for alias in child.names]
            modules = [name for name in named if name.startswith("sshkit") and is_module(name)]
            yield from modules or [base]
        within = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(child, path, within)


def loaded_late() -> dict[str, set[str]]:
    """Return the modules that functions load, with the modules that do so."""
    found: dict[str, set[str]] = {}
    for path in sources():
        for name in imports(ast.parse(path.read_bytes()), path):
            found.setdefault(name, set()).add(module_name(path))
    return found


#: What is not loaded before, and why.
AT_START = "loaded while the server begins, where it is switched on"
CLIENT = "for clients"
LIBRARY = "for programs that embed a server; sshkit-server has no use for it"
FILES = "a format of key files: read at the start, or by the holder of keys that a reload starts"
EXCEPTIONS = {
    "crypt": AT_START,
    "json": AT_START,
    "syslog": AT_START,
    "sshkit.agent.connect": AT_START,
    "sshkit.server.metrics_endpoint": AT_START,
    "sshkit.server.systemd": AT_START,
    "cryptography.hazmat.primitives.kdf": FILES,
    "sshkit_keys.jwk": FILES,
    "sshkit_keys.pkcs8": FILES,
    "sshkit_keys.putty": FILES,
    "sshkit_keys.rfc4716": FILES,
    "sshkit_keys.revocation_spec": "for whoever writes a list of revoked keys",
    "sshkit_keys.security_key_devices": "for whoever has a device: a server verifies only",
    "sshkit.forwarding.dynamic": CLIENT,
    "sshkit.forwarding.handled": CLIENT,
    "sshkit.sftp.transfer": CLIENT,
    "sshkit.sftp.tree": CLIENT,
    "sshkit.sftp.tree_put": CLIENT,
    "sshkit.reactor.engines.direct": "on asyncio; sshkit-server has the native engine",
    "sshkit.reactor.engines.guest": "on asyncio; sshkit-server has the native engine",
    "importlib.metadata": LIBRARY,
    "service_identity": LIBRARY,
    "service_identity.cryptography": LIBRARY,
    "sshkit.reactor.accounts": LIBRARY,
    "sshkit.reactor.datagrams": LIBRARY,
    "sshkit.reactor.launching": LIBRARY,
    "sshkit.reactor.running": LIBRARY,
    "sshkit.reactor.running_programs": LIBRARY,
    "sshkit.reactor.transports.file_sending": LIBRARY,
    "sshkit.reactor.transports.multicast": LIBRARY,
    "wcwidth": LIBRARY,
    "sshkit.server.portal_users": LIBRARY,
    "sshkit.server.textual_driver": LIBRARY,
    "tarfile": LIBRARY,
    "zipfile": LIBRARY,
}
#: Packages that only programs of one's own use.
PACKAGES = ("asyncio", "concurrent", "prompt_toolkit", "textual")


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    """What is there when the list was loaded."""
    script = (
        "import sys, sshkit_cli.server, sshkit.server.daemon\n"
        "from sshkit.server.preload import preload\n"
        "preload()\n"
        "print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return frozenset(result.stdout.split())


def test_what_functions_load_is_loaded_before_or_has_a_reason(loaded: frozenset[str]) -> None:
    missing = {
        name: sorted(where)
        for name, where in loaded_late().items()
        if name not in MODULES
        and name not in loaded
        and name not in EXCEPTIONS
        and name not in sys.builtin_module_names
        and name.partition(".")[0] not in PACKAGES
    }
    assert missing == {}


def test_no_exception_is_out_of_date() -> None:
    late = loaded_late()
    assert [name for name in EXCEPTIONS if name not in late or name in MODULES] == []


def test_the_list_has_each_name_once_and_in_order() -> None:
    assert list(MODULES) == sorted(set(MODULES))


def test_the_server_stays_small(loaded: frozenset[str]) -> None:
    """What it preloads brings nothing with it that only clients and shells of programs need."""
    unwanted = ("asyncio", "argparse", "ssl", "concurrent.futures", "prompt_toolkit", "textual")
    assert [name for name in unwanted if name in loaded] == []
