"""The public names: all there, all explained, and cheap to import."""

import inspect
import subprocess
import sys

import pytest
import sshkit_keys

import sshkit

HEAVY = ("asyncio", "logging", "dataclasses", "inspect", "argparse", "subprocess", "traceback")


@pytest.mark.parametrize("name", sshkit.__all__)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    value = getattr(sshkit, name)
    assert name in dir(sshkit)
    if name != "CancelledError":  # asyncio's own
        assert inspect.getdoc(value), f"sshkit.{name} has no docstring"


def test_public_names_are_in_order_and_once() -> None:
    assert len(sshkit.__all__) == len(set(sshkit.__all__))  # the order is the linter's


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sshkit' has no attribute 'conect'"):
        getattr(sshkit, "conect")  # noqa: B009 - a misspelt name


@pytest.mark.parametrize(
    "kind",
    ["ClientConnection", "ClientProcess", "Server", "Session", "StreamReader", "StreamWriter", "Users"],
)
def test_every_public_method_is_explained(kind: str) -> None:
    for name, member in inspect.getmembers(getattr(sshkit, kind)):
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        called_by_layers = kind in ("ClientConnection", "ClientProcess", "Session")
        assert inspect.getdoc(member) or called_by_layers, f"{kind}.{name} has no docstring"


def loaded(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has after `code`."""
    script = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    result = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    return set(result.stdout.split())


def test_importing_sshkit_loads_no_room_and_nothing_heavy() -> None:
    modules = loaded("import sshkit")
    assert not modules & {*HEAVY, "cryptography", "zope", "threading", "socket"}
    assert {name for name in modules if name.startswith(("sshkit.", "sshkit_"))} == set()


def test_importing_sshkit_keys_loads_nothing_heavy() -> None:
    assert not loaded("import sshkit_keys") & {*HEAVY, "cryptography"}


def test_connect_is_there_without_asyncio_and_its_like() -> None:
    assert not loaded("import sshkit; sshkit.connect; sshkit.Algorithms; sshkit.RekeyLimits") & set(HEAVY)


def test_the_names_of_sshkit_keys_are_there_and_explained() -> None:
    for name in sshkit_keys.__all__:
        value = getattr(sshkit_keys, name)
        assert inspect.getdoc(value), f"sshkit_keys.{name} has no docstring"


def test_rooms_are_public_names_too() -> None:
    for room in ("blocking", "testing"):
        assert sshkit.__getattr__(room) is sys.modules[f"sshkit.{room}"]
