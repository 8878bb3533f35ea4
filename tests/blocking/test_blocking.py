"""The library from plain threads: the same calls, the same errors, and no thread that hangs."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sshkit
from sshkit.blocking import BlockingConnection, BlockingServer, ReactorThread
from sshkit.blocking import thread as thread_module
from sshkit.reactor import ReactorClosed
from sshkit.reactor import current as current_module
from tests.client.world import HOST_KEY, OTHER_KEY, USER_KEY, echo

LIMIT = 30.0


async def handler(session: sshkit.Session) -> int | None:
    if session.command == "hang":
        await sshkit.Deferred()
    if session.command == "watch":
        session.on_signal(lambda name: session.stdout.write(f"{name}\n"))
        session.on_resize(lambda size: session.stdout.write(f"{size.columns}\n"))
        await session.stdin.read()
        return 0
    if session.command == "die":
        session.exit_by_signal("KILL")
        return None
    if session.command is None:
        terminal = session.terminal
        session.stdout.write(f"shell on {terminal.name if terminal else None}\n")
        return 0
    return await echo(session)


@pytest.fixture(scope="module")
def server() -> Iterator[BlockingServer]:
    with sshkit.blocking.serve(
        "127.0.0.1:0", handler, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public]
    ) as server:
        yield server


def connect(server: BlockingServer, **options: Any) -> BlockingConnection:
    options.setdefault("identities", [USER_KEY])
    return sshkit.blocking.connect(
        f"me@127.0.0.1:{server.address[1]}", host_keys=[HOST_KEY.public], **options
    )


@pytest.fixture
def connection(server: BlockingServer) -> Iterator[BlockingConnection]:
    with connect(server) as connection:
        yield connection


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    """Run all at once; return what each gave, or its error."""
    outcomes: list[Any] = [None] * len(works)
    ready = threading.Barrier(len(works))

    def run(number: int) -> None:
        ready.wait(LIMIT)
        try:
            outcomes[number] = works[number]()
        except Exception as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    return outcomes


def test_run_waits_and_returns_the_result(connection: BlockingConnection) -> None:
    result = connection.run("hello", check=True)
    assert (result.text, result.stderr, result.exit_status) == ("out hello\n", b"err hello\n", 0)


def test_errors_pass_through_with_their_type(server: BlockingServer, connection: BlockingConnection) -> None:
    with pytest.raises(sshkit.CommandFailed) as failed:
        connection.run("exit 3", check=True)
    assert failed.value.result.exit_status == 3
    with pytest.raises(sshkit.AuthenticationFailed) as refused:
        connect(server, identities=[OTHER_KEY])
    assert len(refused.value.trail) == 1
    with pytest.raises(sshkit.InvalidDestination):
        sshkit.blocking.connect("-x@host")
    with pytest.raises(sshkit.ListenError):
        sshkit.blocking.serve(server.address, handler, host_keys=[HOST_KEY], passwords={"a": "b"})
    assert connection.run("hello").exit_status == 0


def test_a_process_is_talked_to(connection: BlockingConnection) -> None:
    with connection.start("cat") as process:
        process.stdin.write("one\ntwo\n")
        process.stdin.write(b"12345rest")
        assert not process.process.closed
        assert process.stdout.read_line() == b"one\n"
        assert process.stdout.read(4) == b"two\n"
        assert process.stdout.read_exactly(5) == b"12345"
        process.stdin.close()
        assert process.stdout.read() == b"rest"
        assert process.stderr.read() == b""
        assert process.wait() == 0
        assert (process.exit_status, process.exit_signal) == (0, None)


def test_lines_are_iterated(connection: BlockingConnection) -> None:
    process = connection.start("cat")
    process.stdin.write("a\nb\nc")
    process.stdin.close()
    assert list(process.stdout) == [b"a\n", b"b\n", b"c"]
    with pytest.raises(EOFError):
        process.stdout.read_exactly(1)


def test_communicate_gives_the_result(connection: BlockingConnection) -> None:
    assert connection.start("cat").communicate("in").stdout == b"in"
    assert connection.start("exit 2").communicate().exit_status == 2


def test_a_signal_is_an_end_without_a_status(connection: BlockingConnection) -> None:
    process = connection.start("die")
    assert process.wait() is None
    assert process.exit_signal == "KILL"


def test_signals_and_sizes_are_sent(connection: BlockingConnection) -> None:
    process = connection.start("watch", terminal="xterm")
    process.send_signal("INT")
    process.resize(sshkit.TerminalSize(132, 50))
    assert process.stdout.read_exactly(8) == b"INT\n132\n"
    process.close()
    process.close()


def test_a_shell_has_a_terminal_unless_told_otherwise(connection: BlockingConnection) -> None:
    assert connection.shell().communicate().stdout == b"shell on xterm\n"
    assert connection.shell(terminal=None).communicate().stdout == b"shell on None\n"


def test_each_wait_has_a_deadline_and_nothing_gets_lost(connection: BlockingConnection) -> None:
    process = connection.start("cat")
    for wait in (
        lambda: process.stdout.read(timeout=0.01),
        lambda: process.stdout.read_line(timeout=0.01),
        lambda: process.stdout.read_exactly(9, timeout=0.01),
        lambda: process.wait(timeout=0.01),
    ):
        with pytest.raises(TimeoutError, match=r"did not end within 0\.01 s"):
            wait()
    with pytest.raises(TimeoutError):
        connection.run("hang", timeout=0.01)
    process.stdin.write("still")
    assert process.stdout.read_exactly(5) == b"still"
    with pytest.raises(TimeoutError):
        connection.start("hang").communicate(timeout=0.01)
    full = connection.start("hang")
    with pytest.raises(TimeoutError):
        full.stdin.write(bytes(64 << 20), timeout=0.01)


def test_two_threads_use_one_connection(connection: BlockingConnection) -> None:
    works: list[Callable[[], Any]] = [
        lambda number=number: [connection.run(f"exit {number}").exit_status for _ in range(20)]  # type: ignore[misc]
        for number in range(6)
    ]
    assert in_threads(works) == [[number] * 20 for number in range(6)]


def test_threads_connect_at_once(server: BlockingServer) -> None:
    def work() -> str:
        with connect(server) as connection:
            return connection.run("hello").text

    assert in_threads([work] * 8) == ["out hello\n"] * 8


def test_two_threads_that_read_one_stream_are_told(connection: BlockingConnection) -> None:
    process = connection.start("cat")
    outcomes = in_threads([lambda: process.stdout.read(1, timeout=0.3)] * 2)
    assert {type(outcome) for outcome in outcomes} <= {TimeoutError, sshkit.LocalProtocolError}
    assert any(isinstance(outcome, sshkit.LocalProtocolError) for outcome in outcomes)


def test_leaving_a_lost_connection_does_not_raise(server: BlockingServer) -> None:
    with connect(server) as connection:
        for mine in tuple(server.server.connections):
            connection._thread.do(mine.close)
        with pytest.raises(sshkit.ConnectionLost):
            connection.run("hang")
    connection.close()
    with pytest.raises(sshkit.ConnectionLost):
        connection.run("hello")


def test_an_error_in_the_block_is_not_hidden(server: BlockingServer) -> None:
    with pytest.raises(ZeroDivisionError), connect(server):
        raise ZeroDivisionError


def test_a_server_is_closed_from_another_thread_than_the_one_that_waits() -> None:
    server = sshkit.blocking.serve("127.0.0.1:0", handler, host_keys=[HOST_KEY], passwords={"a": "b"})
    waiting = threading.Thread(target=server.wait_closed)
    waiting.start()
    server.close()
    waiting.join(LIMIT)
    assert not waiting.is_alive()
    server.close()


def test_a_blocking_call_in_the_reactors_own_thread_is_an_error(connection: BlockingConnection) -> None:
    outcome: list[Any] = []

    def inside() -> None:
        try:
            connection.run("hello")
        except sshkit.SSHKitError as error:
            outcome.append(str(error))

    connection._thread.do(inside)
    assert "would wait for itself" in outcome[0]


def test_a_thread_of_ones_own_can_be_stopped_and_says_so_afterwards() -> None:
    own = ReactorThread()
    assert own.is_alive

    def wait() -> None:
        with pytest.raises(ReactorClosed):
            own.call(sshkit.Deferred, timeout=LIMIT)

    waiting = threading.Thread(target=wait)
    waiting.start()
    own.stop()
    waiting.join(LIMIT)
    assert not waiting.is_alive()
    assert not own.is_alive
    own.stop()
    for call in (lambda: own.do(print), lambda: own.call(sshkit.Deferred, timeout=1)):
        with pytest.raises(ReactorClosed, match="the reactor's thread does not run"):
            call()


def test_objects_of_a_stopped_thread_close_without_an_error(
    server: BlockingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ReactorThread()
    monkeypatch.setattr(thread_module, "_shared", own)
    other = sshkit.blocking.serve("127.0.0.1:0", handler, host_keys=[HOST_KEY], passwords={"a": "b"})
    with other, connect(server) as connection, connection.start("cat"):
        own.stop()
        with pytest.raises(ReactorClosed):
            connection.run("hello")


def test_a_thread_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_module, "START_TIMEOUT", 0.01)
    stuck = threading.Event()

    class Stuck(ReactorThread):
        def _run(self) -> None:
            stuck.wait(LIMIT)
            self._reactor.close()

    with pytest.raises(TimeoutError, match=r"did not start within 0\.01 seconds"):
        Stuck()
    stuck.set()


def test_one_thread_serves_all() -> None:
    assert sshkit.blocking.shared() is sshkit.blocking.shared()


def script(text: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of its own."""
    prelude = (
        "import os, sys, sshkit\n"
        "from sshkit_keys import generate_private_key\n"
        "key = generate_private_key('ed25519')\n"
        "def handler(session):\n"
        "    session.stdout.write(f'{session.command}')\n"
        "def connect():\n"
        "    where = 'me@127.0.0.1:%d' % server.address[1]\n"
        "    return sshkit.blocking.connect(where, identities=[key], host_keys=[key.public])\n"
        "def serve():\n"
        "    where = '127.0.0.1:0'\n"
        "    return sshkit.blocking.serve(where, handler, host_keys=[key], authorized_keys=[key.public])\n"
        "server = serve()\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", prelude + text],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={**os.environ, "PYTHONDEVMODE": "0"},
    )


def test_the_interpreter_ends_whatever_is_still_open() -> None:
    ended = script(
        "connection = connect()\nprocess = connection.start('x')\nprint(connection.run('y').text)\n"
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "y\n", "")


def test_after_a_fork_the_child_connects_anew_and_the_parent_goes_on() -> None:
    ended = script(
        "connection = connect()\n"
        "sys.stdout.flush()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try:\n"
        "        connection.run('x')\n"
        "    except sshkit.SSHKitError as error:\n"
        "        print(type(error).__name__)\n"
        "    connection.close()\n"
        "    server.close()\n"
        "    server = serve()\n"
        "    with connect() as own:\n"
        "        print(own.run('child').text)\n"
        "    sys.stdout.flush()\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(connection.run('parent').text)\n"
        "print(connect().run('again').text)\n"
    )
    assert ended.stderr == ""
    assert ended.stdout.split() == ["ReactorClosed", "child", "parent", "again"]


def test_a_fork_while_another_thread_holds_the_lock_does_not_hang_the_child() -> None:
    ended = script(
        "from sshkit.blocking import thread\n"
        "with thread._lock:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        server = serve()\n"
        "        with connect() as own:\n"
        "            print(own.run('child').text, flush=True)\n"
        "        os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    assert (ended.stdout, ended.stderr) == ("child\n", "")


def test_a_fork_inside_a_running_reactor_keeps_that_one() -> None:
    ended = script(
        "async def main():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        sshkit.current_reactor()\n"
        "        print('still', flush=True)\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "sshkit.run(main())\n"
    )
    assert (ended.stdout, ended.stderr) == ("still\n", "")


def test_a_child_forgets_the_reactors_of_threads_that_it_does_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = threading.get_ident()
    running: dict[int, Any] = {mine: "mine", mine + 1: "another thread's"}
    lock = threading.Lock()
    monkeypatch.setattr(current_module, "running_reactors", running)
    monkeypatch.setattr(thread_module, "_lock", lock)
    thread_module._forked()
    current_module._forked()
    assert running == {mine: "mine"}
    assert thread_module._lock is not lock
