"""docs/from-twisted.md: every name in its tables exists, none of Twisted's is left out, its pairs do alike.

What is about Twisted's own side needs Twisted, which comes with the benchmarks' packages.
"""

import builtins
import os
import re
import signal
import socket
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import sshkit
from sshkit.databases import ConnectionPool
from sshkit.deferred.periodic import LoopingCall
from sshkit.protocols.framing import LineReceiver
from sshkit.reactor.endpoints.table import CLIENT_KINDS, SERVER_KINDS
from sshkit.reactor.transports.unix import UnixTransport
from sshkit.service import Service, add_program_options
from sshkit.testing import MemoryClock
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "from-twisted.md").read_text()
DEADLINE = 60.0


class Row(NamedTuple):
    """One row of a table."""

    heading: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]


def rows() -> Iterator[Row]:
    heading = ""
    for line in TEXT.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith(("| Twisted", "| ---")):
            left, right = line.strip("| ").split(" | ")
            yield Row(heading, tuple(re.findall(r"`([^`]+)`", left)), tuple(re.findall(r"`([^`]+)`", right)))


ROWS = list(rows())
OURS = sorted({name for row in ROWS for name in row.ours})
THEIRS = sorted({(row.heading, name) for row in ROWS for name in row.theirs})
BLOCKS = re.findall(r"^```python\n# (Twisted|sshkit)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PAIRS = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))

#: What a word before a dot stands for, where it is no module.
KINDS: dict[str, tuple[Any, ...]] = {
    "call": (sshkit.interfaces.DelayedCall,),
    "clock": (MemoryClock,),
    "deferred": (sshkit.Deferred,),
    "failure": (sshkit.Failure, sshkit.Failure(ValueError())),
    "lines": (LineReceiver,),
    "listener": (sshkit.interfaces.Listener,),
    "loop": (LoopingCall,),
    "pool": (ConnectionPool,),
    "process": (sshkit.interfaces.ProcessTransport,),
    "protocol": (
        sshkit.interfaces.StreamProtocol,
        sshkit.interfaces.BufferedProtocol,
        sshkit.interfaces.DatagramProtocol,
        sshkit.interfaces.ProcessProtocol,
    ),
    "service": (Service,),
    "transport": (sshkit.interfaces.Transport, sshkit.interfaces.MulticastTransport, UnixTransport),
}
#: What is neither a name nor a place nor an option.
WORDS = {
    '"TLSv1.2"',
    '"TLSv1.3"',
    '"alpn"',
    '"peercert"',
    '"peername"',
    '"socket"',
    '"sockname"',
    "@pytest.mark.sshkit",
    "Deferred[int]",
    "SSHKIT_DEBUG=1",
    "async def",
    "async for",
    "async with",
    "attempts",
    "await",
    "caplog",
    "connect",
    "cryptography",
    "except Exception",
    "fds_received",
    "finally",
    "input_closed",
    "lambda: protocol",
    "listen",
    "monkeypatch",
    "python -m cProfile",
    "request_avatar",
    "request_avatar_id",
    "return",
    "tmp_path",
    "traceback=True",
}


def options() -> set[str]:
    parser = ArgumentParser()
    add_program_options(parser)
    return set(re.findall(r"--[\w-]+", parser.format_help()))


@pytest.fixture(scope="module")
def reactor() -> Any:
    async def main() -> Any:
        return sshkit.current_reactor()

    return sshkit.run(main())


@pytest.mark.parametrize("name", OURS)
def test_every_name_of_ours_is_there(name: str, reactor: Any) -> None:
    first, dot, rest = name.partition(".")
    kind = name.partition(":")[0]
    if name in WORDS or hasattr(builtins, name):
        return
    if name.startswith("--"):
        assert name in options()
    elif first == "reactor":
        assert hasattr(reactor, rest)
    elif first in KINDS and dot:
        assert any(hasattr(kind, rest) for kind in KINDS[first]), name
    elif ":" in name:
        assert kind in CLIENT_KINDS or kind in SERVER_KINDS
    elif name.endswith("="):
        assert keyword(name[:-1]), name
    else:
        resolve_name(name)


def keyword(name: str) -> bool:
    """Tell whether something that the tables name takes this argument."""
    from inspect import signature

    from sshkit.cred import Challenge
    from sshkit.reactor import tls
    from sshkit.reactor.core import ReactorCore
    from sshkit.reactor.endpoints.reconnecting import ReconnectingClient
    from sshkit.reactor.flow import ConnectionLimits

    takers: tuple[Any, ...] = (
        sshkit.run,
        Challenge,
        ConnectionLimits,
        ConnectionPool,
        ReactorCore.open_udp,
        ReconnectingClient,
        Service,
        tls.TLSClientOptions,
    )
    return any(name in signature(taker).parameters for taker in takers)


def test_the_tables_say_something_of_every_name() -> None:
    assert len(THEIRS) > 400
    for row in ROWS:
        assert row.theirs, row
    for row in ROWS:  # once each, within its heading
        others = [name for other in ROWS if other.heading == row.heading for name in other.theirs]
        assert len(others) == len(set(others)), [name for name in others if others.count(name) > 1]


# -- Twisted's side -------------------------------------------------------------------------------


def twisted_module(heading: str) -> ModuleType:
    pytest.importorskip("twisted")
    return import_module(heading)


def reactor_names() -> set[str]:
    interfaces: Any = twisted_module("twisted.internet.interfaces")
    kinds = [getattr(interfaces, name) for name in dir(interfaces) if name.startswith("IReactor")]
    return {str(name) for kind in kinds for name in kind.names()}


def public_names(module: ModuleType) -> set[str]:
    own = [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    return {name for name in getattr(module, "__all__", own) if not name.startswith("_")}


#: What instances have, and classes do not show.
OF_INSTANCES = {"Failure.value", "Failure.type"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("heading", "name"), THEIRS)
def test_every_name_of_theirs_is_there(heading: str, name: str) -> None:
    if heading == "twistd":
        twisted_module("twisted.application.app")
        app: Any = import_module("twisted.application.app").ServerOptions
        unix: Any = import_module("twisted.scripts._twistd_unix").ServerOptions
        known = [entry[0] for kind in (app, unix) for entry in (*kind.optFlags, *kind.optParameters)]
        assert name[2:] in {*known, "syslog", "reactor"}
    elif heading == "twisted.internet.reactor":
        assert name in reactor_names()
    elif name not in OF_INSTANCES:
        value: Any = twisted_module(heading)
        for part in name.split("."):
            value = value[part] if hasattr(value, "names") else getattr(value, part)


WHOLE = [
    "twisted.internet.defer",
    "twisted.internet.task",
    "twisted.internet.threads",
    "twisted.internet.protocol",
    "twisted.internet.interfaces",
    "twisted.internet.endpoints",
    "twisted.internet.ssl",
    "twisted.internet.error",
    "twisted.internet.abstract",
    "twisted.internet.address",
    "twisted.internet.stdio",
    "twisted.internet.utils",
    "twisted.internet.testing",
    "twisted.protocols.basic",
    "twisted.protocols.policies",
    "twisted.protocols.tls",
    "twisted.protocols.haproxy",
    "twisted.protocols.stateful",
    "twisted.application.service",
    "twisted.application.internet",
    "twisted.application.strports",
    "twisted.cred.portal",
    "twisted.cred.credentials",
    "twisted.cred.error",
    "twisted.cred.checkers",
    "twisted.enterprise.adbapi",
    "twisted.plugin",
    "twisted.python.failure",
    "twisted.python.threadpool",
    "twisted.python.lockfile",
    "twisted.python.procutils",
    "twisted.python.systemd",
    "twisted.python.logfile",
]
#: Public by their name only: helpers of the module itself, or of its tests.
NOT_FOR_USERS = {"WP", "Binding", "IServiceCollection"}


@pytest.mark.parametrize("heading", WHOLE)
def test_none_of_their_names_is_left_out(heading: str) -> None:
    names = public_names(twisted_module(heading))
    told = {name.partition(".")[0] for row in ROWS if row.heading == heading for name in row.theirs}
    assert names - told - NOT_FOR_USERS == set()


def test_no_method_of_their_reactor_is_left_out() -> None:
    told = {name for row in ROWS if row.heading == "twisted.internet.reactor" for name in row.theirs}
    assert reactor_names() - told == set()


# -- the pairs ------------------------------------------------------------------------------------


def test_there_are_five_pairs() -> None:
    assert [(one[0], other[0]) for one, other in PAIRS] == [("Twisted", "sshkit")] * 5


def needs(text: str) -> None:
    if "twisted" in text:
        pytest.importorskip("twisted")


@pytest.mark.parametrize("text", [block[1] for block in BLOCKS[:2]], ids=["Twisted", "sshkit"])
def test_both_echo_servers_echo(text: str, tmp_path: Path) -> None:
    needs(text)
    systemd = "systemd:0" if "sshkit" in text else "systemd:domain=INET:index=0"
    (tmp_path / "echo.py").write_text(text.replace("tcp:8007", systemd))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # The socket is there before the program is, as with systemd, so nobody waits for a port.
        script = 'exec 3<&"$1"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echo exec "$2" "$3"'
        words = [str(listening.fileno()), sys.executable, str(tmp_path / "echo.py")]
        server = subprocess.Popen(["bash", "-c", script, "sh", *words], pass_fds=[listening.fileno()])
        try:
            with socket.create_connection(listening.getsockname(), DEADLINE) as line:
                line.settimeout(DEADLINE)
                line.sendall(b"hello")
                assert line.recv(100) == b"hello"
        finally:
            server.kill()
            server.wait(DEADLINE)


@pytest.mark.parametrize("text", [block[1] for block in BLOCKS[2:4]], ids=["Twisted", "sshkit"])
def test_both_clients_connect_again(text: str, tmp_path: Path) -> None:
    needs(text)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        (tmp_path / "hello.py").write_text(text.replace("8007", str(listening.getsockname()[1])))
        client = subprocess.Popen([sys.executable, str(tmp_path / "hello.py")])
        try:
            for _ in range(2):
                line, _ = listening.accept()
                with line:
                    line.settimeout(DEADLINE)
                    assert line.recv(100) == b"hello\r\n"
        finally:
            os.kill(client.pid, signal.SIGKILL)
            client.wait(DEADLINE)


@pytest.mark.parametrize(
    ("number", "printed"), [(2, "[1, 2]\ntoo late\n"), (3, "[0, 1, 2]\n"), (4, "[('hello',)]\n")]
)
@pytest.mark.parametrize("side", [0, 1], ids=["Twisted", "sshkit"])
def test_both_of_a_pair_print_the_same(number: int, side: int, printed: str) -> None:
    text = PAIRS[number][side][1]
    needs(text)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.stdout, done.stderr) == (printed, "")
