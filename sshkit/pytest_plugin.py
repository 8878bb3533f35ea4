"""The pytest plug-in: fixtures, async tests on every engine, a look at what tests leave behind.

It is there where sshkit is installed, by pytest's entry points, and does nothing unasked:

- `sshkit_network`, a `MemoryReactor`; `sshkit_host`, a function that makes a `MemoryHost`;
- ``@pytest.mark.sshkit(engines=("direct", "native"))`` runs a coroutine function as a test, once an engine
  (without a word: "direct"; also "memory", the virtual network of `sshkit_network`);
- ``@pytest.mark.sshkit_leftovers``, or ``sshkit_leftovers = true`` in the configuration for every test: no
  descriptor, thread, reactor or unhandled failure outlives it.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sshkit.testing.host import MemoryHost
    from sshkit.testing.reactor import MemoryReactor

ENGINES = ("direct",)
MARK = "sshkit"
LEFTOVERS = "sshkit_leftovers"
CHOSEN: "pytest.StashKey[str]" = pytest.StashKey()
NETWORK: "pytest.StashKey[MemoryReactor]" = pytest.StashKey()
ENGINE = "sshkit_engine"  #: the fixture that has the engine of an async test


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting."""
    parser.addini(LEFTOVERS, "no test leaves descriptors, threads or failures behind", "bool", False)


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marks."""
    config.addinivalue_line("markers", f"{MARK}(engines=('direct',)): a coroutine function that is a test")
    config.addinivalue_line("markers", f"{LEFTOVERS}: look at what the test leaves behind")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each engine."""
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is not None and inspect.iscoroutinefunction(metafunc.function):
        engines = tuple(mark.kwargs.get("engines", mark.args or ENGINES))
        metafunc.parametrize(ENGINE, engines, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test."""
    function = pyfuncitem.obj
    if pyfuncitem.get_closest_marker(MARK) is None or not inspect.iscoroutinefunction(function):
        return None
    names = inspect.signature(function).parameters
    given: dict[str, Any] = pyfuncitem.funcargs
    arguments = {name: given[name] for name in names if name in given}
    engine = pyfuncitem.stash[CHOSEN]
    if engine == "memory":
        pyfuncitem.stash[NETWORK].run(function(**arguments))
    else:
        import sshkit

        sshkit.run(function(**arguments), engine=engine)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look at what a test leaves behind, where that is asked for."""
    if item.get_closest_marker(LEFTOVERS) is None and not item.config.getini(LEFTOVERS):
        return (yield)
    from sshkit.testing.leftovers import Leftovers

    with Leftovers():
        return (yield)


@pytest.fixture(autouse=True)
def sshkit_engine(request: pytest.FixtureRequest) -> str:
    """Name the engine of this test; "" where it is none of ours."""
    engine = str(getattr(request, "param", ""))
    if engine:
        request.node.stash[CHOSEN] = engine
    if engine == "memory":
        request.node.stash[NETWORK] = request.getfixturevalue("sshkit_network")
    return engine


@pytest.fixture
def sshkit_network() -> "MemoryReactor":
    """Give a network in memory, with a time of its own."""
    from sshkit.testing.reactor import MemoryReactor

    return MemoryReactor()


@pytest.fixture
def sshkit_host(sshkit_network: "MemoryReactor") -> "Callable[..., MemoryHost]":
    """Give a function that makes a host to test against, on the network of this test."""
    from sshkit.testing.host import MemoryHost

    def make(*arguments: Any, **options: Any) -> MemoryHost:
        options.setdefault("network", sshkit_network)
        return MemoryHost(*arguments, **options)

    return make
