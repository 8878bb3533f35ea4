"""Starting programs: what is refused, and what the C library is asked."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import gather
from sshkit.interfaces import ExitStatus, TerminalSize
from sshkit.reactor import SpawnError, new_reactor, spawning

from .helpers import ENGINES, ProcessRecorder

Run = Callable[[Any], Any]


def refused(reactor: Any, argv: Any, **options: Any) -> str:
    with pytest.raises(SpawnError) as caught:
        reactor.spawn_process(ProcessRecorder(), argv, **options)
    return str(caught.value)


def test_what_cannot_start_is_named_with_the_cause(run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")

    async def main(reactor: Any) -> None:
        before = len(os.listdir("/proc/self/fd"))
        assert refused(reactor, []) == "cannot start a program without its argument vector"
        assert refused(reactor, ["no-such"]) == "cannot start no-such: No such file or directory"
        assert refused(reactor, ["/no/such"]) == "cannot start /no/such: No such file or directory"
        assert refused(reactor, [str(plain)]) == f"cannot start {plain}: Permission denied"
        text = refused(reactor, ["plain"], env={"PATH": str(tmp_path)})
        assert text == "cannot start plain: Permission denied"
        text = refused(reactor, ["true"], cwd="/no/such")
        assert text == "cannot start true in the directory /no/such: No such file or directory"
        text = refused(reactor, ["true"], cwd=str(plain))
        assert text == f"cannot start true in the directory {plain}: Not a directory"
        assert refused(reactor, ["/bin/no"], cwd="/") == "cannot start /bin/no: No such file or directory"
        assert refused(reactor, ["/no\x1b[2J"], pty=TerminalSize()).startswith("cannot start /no\\x1b[2J: ")
        assert len(os.listdir("/proc/self/fd")) == before

    run(main)


@pytest.mark.parametrize(
    "options",
    [
        {"argv": ["true", "a\0b"]},
        {"argv": ["true"], "executable": "/bin/true\0x"},
        {"argv": ["true"], "cwd": "/\0"},
        {"argv": ["true"], "env": {"A": "b\0c"}},
    ],
)
def test_r29_a_nul_is_refused_and_not_cut_at(options: Any) -> None:
    reactor = new_reactor("native")
    assert "a NUL in" in refused(reactor, **options)
    reactor.close()


@pytest.mark.parametrize("name", ["", "A=B"])
def test_r29_an_environment_name_with_an_equals_sign_is_refused(name: str) -> None:
    reactor = new_reactor("native")
    assert "cannot be the name of an environment variable" in refused(reactor, ["true"], env={name: "x"})
    reactor.close()


def test_a_lack_of_descriptors_or_terminals_is_a_spawn_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    reactor = new_reactor("native")
    monkeypatch.setattr(os, "openpty", none)
    assert refused(reactor, ["true"], pty=TerminalSize()) == (
        "cannot start true: no terminal: Too many open files"
    )
    pipes = [os.pipe(), os.pipe()]
    monkeypatch.setattr(os, "pipe", lambda: pipes.pop() if pipes else none())
    assert refused(reactor, ["true"]) == "cannot start true: no pipes: Too many open files"
    assert refused(reactor, []) == "cannot start : no pipes: Too many open files"
    reactor.close()


def test_low_descriptors_do_not_overwrite_each_other() -> None:
    """Run with 0, 1 and 2 closed, so that pipes get these numbers."""
    script = """
import os, sys
os.dup2(1, 9)
for fd in (0, 1, 2):
    os.close(fd)
from sshkit.reactor import run
from sshkit.reactor.current import current
from sshkit.deferred import Deferred
class Protocol:
    def __init__(self): self.out = b""; self.done = Deferred()
    def process_started(self, transport): transport.write(b"through"); transport.write_eof()
    def output_received(self, descriptor, data): self.out += b"%d:" % descriptor + data
    def output_closed(self, descriptor):
        if descriptor == 1: self.done.callback(None)
    def process_exited(self, status): pass
async def main():
    protocol = Protocol()
    current().spawn_process(protocol, ["cat"])
    await protocol.done
    os.write(9, protocol.out)
run(main(), "native")
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=30)
    assert result.stdout == b"1:through"


def test_a_library_without_closefrom_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __getattr__(self, name: str) -> Any:
            if name.endswith("addclosefrom_np"):
                raise AttributeError(name)
            return getattr(real, name)

    real = spawning._library()
    monkeypatch.setattr(spawning, "_library", Library)

    async def main(reactor: Any) -> None:
        protocol = ProcessRecorder()
        reactor.spawn_process(protocol, ["sh", "-c", "exit 6"])
        await gather(protocol.closed[1], protocol.closed[2])
        assert await protocol.exited == ExitStatus(code=6)

    ENGINES["native"](main)


def test_an_error_of_the_library_is_a_spawn_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def posix_spawnattr_init(self, attributes: Any) -> int:
            return errno.ENOMEM

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = spawning._library()
    monkeypatch.setattr(spawning, "_library", Library)
    reactor = new_reactor("native")
    assert refused(reactor, ["true"]) == "cannot start true: Cannot allocate memory"
    reactor.close()
