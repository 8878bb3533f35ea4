"""prompt_toolkit and textual programs in sessions: sizes, colours, keys, several at once."""

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from sshkit_keys.key_files import write_private_key

import sshkit
from sshkit.server import terminal_programs
from sshkit.server.terminal_programs import Keys, colours_of, prompt_toolkit_session, run_textual
from tests.server.test_serve import HOST_KEY, KEY

TIMEOUT = 30.0


def serving(handler: Any, test: Callable[[Any], Awaitable[None]], **settings: Any) -> list[str]:
    """Run a test with a connection to a server whose sessions `handler` serves, on a loop of asyncio."""
    log: list[str] = []

    async def main() -> None:
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                handler,
                host_keys=[HOST_KEY],
                authorized_keys=[KEY.public],
                settings=sshkit.Settings(**settings),
                log=lambda level, text, error: log.append(f"{level}: {text}"),
            ) as server,
            sshkit.connect(
                f"ann@127.0.0.1:{server.address[1]}", identities=[KEY], host_keys=[HOST_KEY.public]
            ) as connection,
        ):
            await test(connection)

    sshkit.run(main())
    return [line for line in log if line.startswith("error")]


async def until(stream: Any, words: bytes) -> bytes:
    """Read until `words` have come."""
    seen = b""
    while words not in seen:
        data = await stream.read(65536)
        assert data, seen
        seen += data
    return seen


async def ask(session: sshkit.Session) -> int:
    """Ask two questions."""
    async with prompt_toolkit_session(session) as (_, output):
        prompts: PromptSession[str] = PromptSession()
        one = await prompts.prompt_async("one> ")
        two = await prompts.prompt_async("two> ")
        size = output.get_size()
        session.stdout.write(f"{session.command} {one} {two} {size.columns}x{size.rows}\r\n")
    return 3


def test_two_prompts_at_once_have_their_own_keys_and_sizes() -> None:
    async def test(connection: sshkit.ClientConnection) -> None:
        a = await connection.start("a", terminal="xterm", size=sshkit.TerminalSize(60, 20))
        b = await connection.start("b", terminal="vt100", size=sshkit.TerminalSize(90, 30))
        await until(a.stdout, b"one>")
        await until(b.stdout, b"one>")
        a.stdin.write("al")
        b.stdin.write("bob\rtwice\r")  # typed ahead
        a.stdin.write("ice\r\x1b[D")
        await until(a.stdout, b"two>")
        a.stdin.write("x\r")
        assert b"a alice x 60x20" in await a.stdout.read()
        assert b"b bob twice 90x30" in await b.stdout.read()
        for process in (a, b):
            await process.wait()
            assert process.exit_status == 3

    assert serving(ask, test) == []


def test_an_application_is_drawn_anew_when_the_window_changes() -> None:
    resizes: list[Any] = []

    async def draw(session: sshkit.Session) -> int:
        session.on_resize(resizes.append)
        keys = KeyBindings()
        keys.add("q")(lambda event: event.app.exit(result=5))
        async with prompt_toolkit_session(session) as (_, output):
            control = FormattedTextControl(lambda: f"size {output.get_size().columns}")
            app: Application[int] = Application(Layout(Window(control)), full_screen=True, key_bindings=keys)
            return await app.run_async()

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(60, 20))
        await until(process.stdout, b"size 60")
        process.resize(sshkit.TerminalSize(77, 20))
        await until(process.stdout, b"77")
        process.stdin.write("q")
        await process.communicate()
        assert process.exit_status == 5

    assert serving(draw, test) == []
    assert [size.columns for size in resizes] == [77]


def test_the_end_of_the_input_and_a_client_that_goes_end_a_prompt() -> None:
    ended: list[str] = []

    async def handler(session: sshkit.Session) -> int:
        try:
            return await ask(session)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start(None, terminal="xterm")
        await until(process.stdout, b"one>")
        process.stdin.write_eof()
        await process.communicate()
        assert process.exit_status == 1
        process = await connection.start(None, terminal="xterm")
        await until(process.stdout, b"one>")

    serving(handler, test)
    assert ended[0] == "EOFError"
    assert len(ended) == 2


def test_this_process_keeps_its_signals_while_a_prompt_runs() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGWINCH)
    seen: list[Any] = []

    async def handler(session: sshkit.Session) -> int:
        async def look() -> None:
            seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGWINCH)))

        async with prompt_toolkit_session(session):
            prompts: PromptSession[str] = PromptSession()
            await prompts.prompt_async("> ", pre_run=lambda: seen.append(asyncio.ensure_future(look())))
        return 0

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start(None, terminal="xterm")
        await until(process.stdout, b">")
        seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGWINCH)))
        process.stdin.write("\r")
        await process.communicate()

    assert serving(handler, test) == []
    inside = [entry for entry in seen if isinstance(entry, tuple)]
    assert inside
    assert all(entry[1] == before[1] for entry in inside)
    assert len({entry[0] for entry in inside}) == 1


def test_a_program_that_draws_needs_a_terminal() -> None:
    async def draw(session: sshkit.Session) -> None:
        async with prompt_toolkit_session(session):
            raise AssertionError("no terminal")

    async def text(session: sshkit.Session) -> None:
        await run_textual(session, None)

    async def test(connection: sshkit.ClientConnection) -> None:
        assert (await connection.run("x")).exit_status == 1

    for handler in (draw, text):
        (line,) = serving(handler, test)
        assert "a terminal program needs a terminal" in line


@pytest.mark.parametrize(
    ("name", "variables", "colours"),
    [
        ("xterm-256color", {}, 256),
        ("xterm", {}, 256),
        ("vt100", {}, 2),
        ("dumb", {}, 2),
        ("linux", {}, 16),
        ("xterm-direct", {}, 1 << 24),
        ("xterm", {"COLORTERM": "truecolor"}, 1 << 24),
        (None, {}, 2),
    ],
)
def test_colours_are_those_of_the_clients_terminal(
    name: str | None, variables: dict[str, str], colours: int
) -> None:
    found: list[Any] = []

    async def handler(session: sshkit.Session) -> None:
        found.append(colours_of(session))
        if session.terminal is not None:
            async with prompt_toolkit_session(session) as (input, output):
                found.append(output.get_default_color_depth().value)
                with pytest.raises(NotImplementedError):
                    input.fileno()
                with input.cooked_mode(), input.detach():
                    output.flush()

    async def test(connection: sshkit.ClientConnection) -> None:
        result = await connection.start("x", terminal=name, environment=variables)
        await result.communicate()

    assert serving(handler, test, accept_env=("COLORTERM",)) == []
    depths = {2: "DEPTH_1_BIT", 16: "DEPTH_4_BIT", 256: "DEPTH_8_BIT", 1 << 24: "DEPTH_24_BIT"}
    assert found[0] == colours
    assert found[1:] == ([] if name is None else [depths[colours]])


def test_r24_keys_that_no_program_takes_stop_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_programs, "MAX_KEYS", 10)
    all_sent: sshkit.Deferred[None] = sshkit.Deferred()

    async def handler(session: sshkit.Session) -> int:
        async with prompt_toolkit_session(session) as (input, _):
            session.stdout.write("ready")
            await all_sent
            assert session.stdin.size > 0  # what came after the limit stays in the stream
            count = 0
            while count < 90:
                await asyncio.sleep(0)
                count += len(input.read_keys())
            input.flush_keys()
        return 0

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start(None, terminal="xterm")
        for _ in range(3):
            process.stdin.write("x" * 30)
            with pytest.raises(sshkit.ChannelRequestFailed):  # its answer comes when the server has them
                await process.channel.request("are you there")
        all_sent.callback(None)
        await process.wait()
        assert process.exit_status == 0

    assert serving(handler, test) == []


def test_keys_are_left_for_whoever_reads_next() -> None:
    fed: list[str] = []
    came: sshkit.Deferred[None] = sshkit.Deferred()

    async def handler(session: sshkit.Session) -> int:
        def feed(text: str) -> None:
            fed.append(text)
            came.callback(None)

        keys = Keys(session, feed, lambda: None)
        await came
        keys.stop()
        session.stdout.write(await session.stdin.read_exactly(3))
        return 0

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        process.stdin.write("\u20ac")
        await came
        process.stdin.write("abc")
        assert await process.stdout.read() == b"abc"

    assert serving(handler, test) == []
    assert fed == ["\u20ac"]


def test_two_textual_programs_at_once_have_their_own_keys_and_sizes() -> None:
    pytest.importorskip("textual")
    from textual.app import App, ComposeResult
    from textual.events import Resize
    from textual.widgets import Input, Static

    resizes: list[Any] = []
    gone: sshkit.Deferred[None] = sshkit.Deferred()
    streams = sys.stdout, sys.stderr

    class Form(App[str]):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.of = name

        def compose(self) -> ComposeResult:
            yield Static(f"welcome {self.of}")
            yield Input()

        def on_resize(self, event: Resize) -> None:
            self.query_one(Static).update(f"welcome {self.of}, you have {event.size.width}")

        def on_input_submitted(self, event: Input.Submitted) -> None:
            self.exit(f"{event.value} {self.size.width}x{self.size.height}")

    async def handler(session: sshkit.Session) -> int:
        session.on_resize(resizes.append)
        assert session.command is not None
        try:
            result = await run_textual(session, Form(session.command), mouse=session.command == "one")
        finally:
            if session.command == "four":
                gone.callback(None)
        session.stdout.write(f"RESULT {result}")
        return 0

    async def test(connection: sshkit.ClientConnection) -> None:
        one = await connection.start("one", terminal="xterm-256color", size=sshkit.TerminalSize(60, 20))
        two = await connection.start("two", terminal="xterm", size=sshkit.TerminalSize(90, 30))
        assert b"two" not in await until(one.stdout, b"welcome one")
        await until(two.stdout, b"welcome two")
        one.stdin.write("al\x1b")
        two.stdin.write("bob\r")
        two_seen = await two.stdout.read()
        assert two_seen.endswith(b"RESULT bob 90x30")
        assert b"alice" not in two_seen
        one.resize(sshkit.TerminalSize(70, 22))
        await until(one.stdout, b"you have 70")
        one.stdin.write("ice\r")
        assert (await one.stdout.read()).endswith(b"RESULT alice 70x22")
        three = await connection.start("three", terminal="xterm")
        await until(three.stdout, b"welcome three")
        three.stdin.write_eof()  # the client has no more keys: the program ends
        assert (await three.stdout.read()).endswith(b"RESULT None")
        four = await connection.start("four", terminal="xterm")
        await until(four.stdout, b"welcome four")
        four.close()
        await gone

    serving(handler, test)
    assert [(size.columns, size.rows) for size in resizes if size.columns == 70] == [(70, 22)]
    assert (sys.stdout, sys.stderr) == streams


class Terminal:
    """A real ssh on a terminal of its own, typed at like a person would."""

    def __init__(self, command: list[str], columns: int, rows: int) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = b""

    def expect(self, words: bytes) -> None:
        end = time.monotonic() + TIMEOUT
        while words not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, self.seen
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def close(self) -> int:
        status = self.process.wait(TIMEOUT)
        os.close(self.master)
        return status


@pytest.mark.peer("ssh")
def test_two_people_with_a_real_ssh_have_their_own_prompts(tmp_path: Path) -> None:
    write_private_key(tmp_path / "key", KEY.to_openssh(random_bytes=os.urandom))
    ready = threading.Event()
    stop: sshkit.Deferred[None] = sshkit.Deferred()
    port = 0
    reactor: Any = None

    async def main() -> None:
        nonlocal port, reactor
        reactor = sshkit.current_reactor()
        async with sshkit.serve(
            "127.0.0.1:0", ask, host_keys=[HOST_KEY], authorized_keys=[KEY.public]
        ) as server:
            port = server.address[1]
            ready.set()
            await stop

    thread = threading.Thread(target=lambda: sshkit.run(main()))
    thread.start()
    try:
        assert ready.wait(TIMEOUT)
        settings = (
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={tmp_path / 'known'}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "LogLevel=ERROR",
        )
        command = ["ssh", "-tt", "-F", "none", "-i", str(tmp_path / "key"), "-p", str(port)]
        command += [word for setting in settings for word in ("-o", setting)]
        ann = Terminal([*command, "ann@127.0.0.1", "a"], 70, 20)
        ann.expect(b"one>")
        bob = Terminal([*command, "bob@127.0.0.1", "b"], 91, 31)
        bob.expect(b"one>")
        ann.type(b"alice\r")
        bob.type(b"bob\r")
        bob.expect(b"two>")
        ann.expect(b"two>")
        fcntl.ioctl(ann.master, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 72, 0, 0))
        os.killpg(ann.process.pid, signal.SIGWINCH)
        bob.type(b"last\r")
        bob.expect(b"b bob last 91x31")
        ann.type(b"end\r")
        ann.expect(b"a alice end 72x25")
        assert b"bob" not in ann.seen
        assert b"alice" not in bob.seen
        assert (ann.close(), bob.close()) == (3, 3)
    finally:
        reactor.call_from_thread(stop.callback, None)
        thread.join(TIMEOUT)
