"""The parts of sshkit-client by themselves: the log, the terminal, standard input and output."""

import errno
import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import client_run
from sshkit_cli.client_setup import load_target
from sshkit_cli.local_input import READ_SIZE, LocalInput
from sshkit_cli.local_terminal import LocalTerminal
from sshkit_cli.log import Log
from sshkit_cli.options import parse
from sshkit_cli.prompts import Prompter, TerminalQuestion
from sshkit_cli.questions import Questions
from sshkit_cli.session import ClientSession, Plan
from sshkit_keys.errors import SSHKitError

from sshkit.client.output import HIGH_MARK
from sshkit.deferred import Deferred, succeed
from sshkit.reactor.engines.native import NativeReactor
from sshkit.ssh.channels.session import ExitStatus
from tests.cli.user import PtyUser, descriptors, run_at_terminal, run_here

HOST = "127.0.0.1"
Arguments = tuple[str, ...]


@pytest.fixture
def reactor() -> Iterator[NativeReactor]:
    native = NativeReactor()
    yield native
    native.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


# The log.


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (0, []),
        (2, ["sshkit-client: e"]),
        (3, ["sshkit-client: e", "i"]),
        (4, ["sshkit-client: e", "i", "v"]),
        (5, ["sshkit-client: e", "i", "v", "debug1: d", "debug1: d"]),
        (6, ["sshkit-client: e", "i", "v", "debug1: d", "debug1: d", "debug2: dd"]),
    ],
)
def test_each_level_says_more(tmp_path: Path, level: int, shown: list[str]) -> None:
    log = Log(level, str(tmp_path / "log"))
    log.error("e")
    log.info("i")
    log.verbose("v")
    log.debug("d\nd")
    log.debug2("dd")
    assert (tmp_path / "log").read_text().splitlines() == shown
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_lines_of_a_raw_terminal_end_with_a_carriage_return(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = Log()
    log.raw = True
    log.error("e")
    log.notice("a\nb\n")
    assert capfd.readouterr().err == "sshkit-client: e\r\na\r\nb\r\n"
    to_file = Log(path=str(tmp_path / "log"))
    to_file.raw = True
    to_file.error("e")
    assert (tmp_path / "log").read_text() == "sshkit-client: e\n"


def test_a_log_that_nobody_reads_is_no_error(pipe: tuple[int, int]) -> None:
    log = Log()
    log._fd = pipe[1]
    os.close(pipe[0])
    log.error("lost")


def test_a_log_that_is_full_is_waited_for(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    os.set_blocking(write_end, False)
    log = Log()
    log._fd = write_end
    text = "x" * 300_000
    writer = threading.Thread(target=log.error, args=(text,))
    writer.start()
    seen = b""
    while not seen.endswith(b"\n"):
        seen += os.read(read_end, 65536)
    writer.join()
    assert seen.decode() == f"sshkit-client: {text}\n"


# The local terminal.


def test_what_is_no_terminal_has_no_size_and_no_raw_mode(pipe: tuple[int, int]) -> None:
    terminal = LocalTerminal(pipe[0])
    assert not terminal.is_terminal
    assert tuple(terminal.size()) == (0, 0, 0, 0)
    assert not terminal.enter_raw()
    assert not terminal.is_raw
    terminal.restore()


def test_raw_mode_is_entered_once_and_left_once(user: PtyUser) -> None:
    before = user.modes
    terminal = LocalTerminal(user.slave)
    assert terminal.is_terminal
    assert terminal.enter_raw()
    assert terminal.enter_raw()
    assert terminal.is_raw
    assert not user.modes[1] & termios.OPOST
    terminal.restore()
    terminal.restore()
    assert user.modes == before


def test_a_terminal_that_has_gone_cannot_be_put_back_and_that_is_no_error(user: PtyUser) -> None:
    terminal = LocalTerminal(os.dup(user.slave))
    terminal.enter_raw()
    os.close(terminal.fd)
    terminal.restore()


# Standard input.


class Reader:
    """Collects what a LocalInput hands over."""

    def __init__(self, reactor: NativeReactor, fd: int, stop_after: int = 1 << 30) -> None:
        self.reactor = reactor
        self.data = b""
        self.notes: list[str] = []
        self.done: Deferred[None] = Deferred()
        self.stop_after = stop_after
        self.input = LocalInput(reactor, fd, self.take, self.end, self.notes.append)

    def take(self, data: memoryview) -> None:
        self.data += bytes(data)
        if len(self.data) >= self.stop_after:
            self.stop_after = 1 << 30
            self.input.pause()
            self.input.pause()
            self.reactor.call_soon(self.input.resume)

    def end(self) -> None:
        self.input.close()
        if not self.done.called:
            self.done.callback(None)

    def run(self) -> bytes:
        self.input.resume()
        self.input.resume()
        self.reactor.run_until(self.done)
        return self.data


def test_a_file_is_read_in_turns_and_may_be_paused(reactor: NativeReactor, tmp_path: Path) -> None:
    data = os.urandom(6 * READ_SIZE + 5)
    (tmp_path / "f").write_bytes(data)
    for stop_after in (1, READ_SIZE + 1, 1 << 30):
        fd = os.open(tmp_path / "f", os.O_RDONLY)
        assert Reader(reactor, fd, stop_after).run() == data
        os.close(fd)


def test_a_pipe_is_read_and_may_be_paused(reactor: NativeReactor, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x" * 60000)
    os.close(pipe[1])
    assert Reader(reactor, pipe[0], 1).run() == b"x" * 60000


def test_a_closed_descriptor_is_the_end_of_input(reactor: NativeReactor) -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    os.close(read_end)
    assert Reader(reactor, read_end).run() == b""


@pytest.mark.parametrize(("number", "notes"), [(errno.EIO, 0), (errno.EISDIR, 1)])
def test_an_error_of_reading_is_the_end_and_is_noted(
    reactor: NativeReactor,
    pipe: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    notes: int,
) -> None:
    reader = Reader(reactor, pipe[0])

    def fail(*_: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr("sshkit_cli.local_input.os.readv", fail)
    os.write(pipe[1], b"x")
    assert reader.run() == b""
    assert len(reader.notes) == notes


def test_a_reading_that_would_block_is_tried_again(reactor: NativeReactor, pipe: tuple[int, int]) -> None:
    reader = Reader(reactor, pipe[0])
    reader.input._readable()
    os.write(pipe[1], b"later")
    os.close(pipe[1])
    assert reader.run() == b"later"


# Standard output and the session.


def test_a_command_whose_output_was_closed_before_goes_on_without_it(
    reactor: NativeReactor, tmp_path: Path
) -> None:
    saved = os.dup(1)
    os.close(1)
    try:
        session, _ = session_on(reactor, tmp_path)
        session.data_received(memoryview(b"lost"))
        session.channel_closed(None)
        reactor.run_until(session.finished)
        session.close()
    finally:
        os.dup2(saved, 1)
        os.close(saved)


class FakeChannel:
    """Notes what a session asks of its channel."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            self.calls.append(name)
            return Deferred() if name == "request" else None

        return call


def session_on(reactor: NativeReactor, tmp_path: Path) -> tuple[ClientSession, FakeChannel]:
    plan = Plan()
    plan.command = "x"
    plan.input = False
    session = ClientSession(reactor, Log(path=str(tmp_path / "log")), plan)
    channel = FakeChannel()
    session.channel_opened(channel, b"")  # type: ignore[arg-type]
    return session, channel


def test_a_session_without_input_sends_the_end_at_once(reactor: NativeReactor, tmp_path: Path) -> None:
    session, channel = session_on(reactor, tmp_path)
    assert channel.calls == ["request", "write_eof"]
    session.pause_writing()
    session.resume_writing()
    session.resized()
    session.extended_data_received(7, memoryview(b"no such stream"))
    assert not session.request_received("keepalive@openssh.com", b"")
    session.send_break()
    assert not session.request_received("eow@openssh.com", b"")
    assert channel.calls == ["request", "write_eof", "notify", "write_eof"]
    assert session.request_received("exit-status", ExitStatus(3).encode())
    session.channel_closed(None)
    reactor.run_until(session.finished)
    assert session.exit_status == 3
    session.send_break()
    session.resized()
    session.request_received("eow@openssh.com", b"")
    session._typed(memoryview(b"late"))
    session._input_ended()
    session._output_changed()
    session._output_gone()
    session.close()
    assert channel.calls == ["request", "write_eof", "notify", "write_eof"]


def test_a_session_that_never_opened_ends_all_the_same(reactor: NativeReactor, tmp_path: Path) -> None:
    session = ClientSession(reactor, Log(path=str(tmp_path / "log")), Plan())
    session.data_received(memoryview(b"x"))
    session.close()
    failed: list[object] = []
    session.finished.add_errback(failed.append)
    session.channel_closed(SSHKitError("gone"))
    assert len(failed) == 1


def test_r24_output_that_nobody_takes_stops_the_channel(
    reactor: NativeReactor, tmp_path: Path, pipe: tuple[int, int]
) -> None:
    read_end, write_end = pipe
    with descriptors(write_end, write_end, write_end):
        session, channel = session_on(reactor, tmp_path)
    before = list(channel.calls)
    data = memoryview(bytes(HIGH_MARK // 4))
    for _ in range(4):
        session.data_received(data)
    assert channel.calls == before
    session.data_received(data)
    assert channel.calls == [*before, "pause_reading"]
    total, resumed = 0, Deferred[None]()

    def read() -> None:
        nonlocal total
        total += len(os.read(read_end, 65536))
        if "resume_reading" in channel.calls and not resumed.called:
            resumed.callback(None)

    reactor.add_reader(read_end, read)
    reactor.run_until(resumed)
    assert channel.calls == [*before, "pause_reading", "resume_reading"]
    session.channel_closed(None)
    reactor.run_until(session.finished)
    reactor.remove_reader(read_end)
    os.close(write_end)
    while rest := os.read(read_end, 65536):
        total += len(rest)
    assert total == 5 * len(data)


@pytest.mark.peer("sshd")
def test_a_slow_reader_pauses_the_channel_and_gets_everything(to_sshd: Arguments) -> None:
    read_end, write_end = os.pipe()
    size = 12_000_000
    total = [0]

    def read() -> None:
        while data := os.read(read_end, 2048):
            total[0] += len(data)

    reader = threading.Thread(target=read)
    reader.start()
    outcome = run_here(*to_sshd, HOST, f"head -c {size} /dev/zero", stdout=write_end)
    os.close(write_end)
    reader.join()
    os.close(read_end)
    assert (outcome.status, total[0]) == (0, size)


@pytest.mark.peer("sshd")
def test_output_after_the_reader_has_gone_is_dropped(to_sshd: Arguments) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = "echo x; read line; echo y; echo err >&2; exit 4"
    outcome = run_here(*to_sshd, HOST, command, stdin=b"go\n", stdout=write_end)
    os.close(write_end)
    assert outcome.err.startswith(("err", "The command was ended by signal PIPE"))
    assert outcome.status in (4, 255)


@pytest.mark.peer("sshd")
def test_a_command_that_reads_no_more_stops_our_reading(to_sshd: Arguments) -> None:
    outcome = run_here(*to_sshd, HOST, "exec <&-; echo done", stdin=bytes(8_000_000))
    assert (outcome.status, outcome.out) == (0, b"done\n")


# The run.


def test_a_fault_inside_the_loop_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    reactor = client_run.CommandReactor(Log())
    reactor.report("a callback failed", ValueError("a\x1bb"))
    reactor.close()
    assert capfd.readouterr().err == "sshkit-client: internal error: a callback failed: ValueError: a\\x1bb\n"


def test_an_error_of_the_system_names_its_file(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()
    client_run.tell_error(FileNotFoundError(2, "No such file", "/a\x1b"), None, log)
    client_run.tell_error(OSError("odd"), None, log)
    client_run.tell_error(SSHKitError("plain"), None, log)
    assert capfd.readouterr().err == (
        "sshkit-client: /a\\x1b: No such file\nsshkit-client: odd\nsshkit-client: plain\n"
    )


class FakePrompter:
    """Answers with what it was given; notes the questions."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bool]] = []

    def ask(self, prompt: str, *, echo: bool = False) -> Deferred[str | None]:
        self.asked.append((prompt, echo))
        return succeed(self.answers.pop(0))


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [(["a", "b"], ["a", "b"]), (["a", None], None), ([None], None), (["", "b"], ["", "b"])],
)
def test_all_questions_of_a_server_are_asked_in_order_until_one_has_no_answer(
    home: Path, capfd: pytest.CaptureFixture[str], answers: list[str | None], outcome: list[str] | None
) -> None:
    target = load_target(parse(["-F", "none", "-l", "me", "box"]))
    prompter = FakePrompter(*answers)
    questions = Questions(target, prompter, Log())  # type: ignore[arg-type]
    got: list[object] = []
    questions.answers("Title", "Do this", [("One: ", True), ("Two: ", False)]).add_callback(got.append)
    assert got == [outcome]
    assert prompter.asked == [("(me@box) One: ", True), ("(me@box) Two: ", False)][: len(answers)]
    assert capfd.readouterr().err == "Title\nDo this\n"
    assert questions._known_elsewhere(None) == []  # type: ignore[arg-type]


def test_the_destination_may_hold_user_and_port_which_o_overrules(home: Path) -> None:
    target = load_target(parse(["-F", "none", "ssh://you@box:2222"]))
    assert (target.user, target.port, target.place) == ("you", 2222, "box port 2222")
    target = load_target(
        parse(["-F", "none", "-p", "7", "-l", "me", "-o", "# nothing", "ssh://you@box:2222"])
    )
    assert (target.user, target.port) == ("me", 7)


@pytest.mark.peer("sshd")
def test_what_one_would_miss_is_said_without_v(to_sshd: Arguments) -> None:
    outcome = run_here("-I", "/lib/x.so", "-o", "TCPKeepAlive=no", *to_sshd, HOST, "true")
    assert outcome.err == (
        "Warning: command line: PKCS11Provider has no effect: "
        "no foreign library is loaded; an agent can hold a token's keys\n"
    )


def test_a_user_without_a_name_or_home_is_still_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    from sshkit.client.target import local_facts

    def unknown(_: int) -> object:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("USER", "someone")
    monkeypatch.delenv("HOME", raising=False)
    assert local_facts()[:2] == ("/", "someone")


@pytest.mark.peer("sshd")
def test_a_signal_in_a_session_puts_the_terminal_back(to_sshd: Arguments, user: PtyUser) -> None:
    before = user.modes

    def script(user: PtyUser) -> None:
        user.expect("ready\r\n")
        os.kill(os.getpid(), signal.SIGTERM)
        user.expect("Killed by signal 15.\r\n")

    argv = ("-t", "-o", "LogLevel=VERBOSE", *to_sshd, HOST, "echo ready; cat")
    assert run_at_terminal(user, *argv, script=script) == 255
    assert user.modes == before


@pytest.mark.peer("sshd")
def test_a_signal_without_a_session_is_delivered_once_more(
    to_sshd: Arguments, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[int] = []
    kill = os.kill
    handlers = {number: signal.getsignal(number) for number in client_run.ENDING_SIGNALS}

    def script(user: PtyUser) -> None:
        user.expect("Authenticated to")
        kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("sshkit_cli.client_run.os.kill", lambda pid, number: delivered.append(number))
    argv = ("-N", "-o", "LogLevel=VERBOSE", *to_sshd, HOST)
    assert run_at_terminal(user, *argv, script=script) == 255
    assert delivered == [signal.SIGTERM]
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.peer("sshd")
def test_n_ends_with_the_connection(to_sshd: Arguments, sshd: Any, user: PtyUser) -> None:
    def script(user: PtyUser) -> None:
        user.expect("Authenticated to")
        children = Path(f"/proc/{sshd.pid}/task/{sshd.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        user.expect("sshkit-client: 127.0.0.1 port")

    argv = ("-N", "-o", "LogLevel=VERBOSE", *to_sshd, HOST)
    assert run_at_terminal(user, *argv, script=script) == 255


def test_a_question_of_another_run_leaves_nothing_behind(reactor: NativeReactor, user: PtyUser) -> None:
    before = user.modes
    prompter = Prompter(reactor, lambda text: None, {}, lambda: os.dup(user.slave))
    prompter.restore()
    answer = prompter.ask("name: ", echo=True)
    user.expect("name: ")
    prompter.restore()
    prompter.restore()
    assert not answer.called
    assert user.modes == before


def question_at(reactor: NativeReactor, user: PtyUser, echo: bool) -> TerminalQuestion:
    return TerminalQuestion(reactor, os.open(user.name, os.O_RDWR | os.O_NONBLOCK), "? ", echo)


def test_a_question_waits_for_the_whole_line(reactor: NativeReactor, user: PtyUser) -> None:
    question = question_at(reactor, user, True)
    question._readable()
    assert not question.answer.called
    user.type("whole line\n")
    assert reactor.run_until(question.answer) == "whole line"


def test_a_terminal_that_fails_under_a_question_gives_no_answer(
    reactor: NativeReactor, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = question_at(reactor, user, False)

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "gone")

    def refuse(*_: object) -> None:
        raise termios.error(errno.EIO, "gone")

    monkeypatch.setattr("sshkit_cli.prompts.os.read", fail)
    monkeypatch.setattr("sshkit_cli.prompts.os.write", fail)
    monkeypatch.setattr("sshkit_cli.prompts.termios.tcsetattr", refuse)
    question._readable()
    assert reactor.run_until(question.answer) is None


# What is loaded.

HEAVY = ("asyncio", "argparse", "logging", "dataclasses", "inspect", "subprocess", "traceback", "unittest")


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


@pytest.mark.peer("sshd")
def test_a_whole_run_loads_no_asyncio_and_nothing_heavy(to_sshd: Arguments) -> None:
    argv = [*to_sshd, HOST, "true"]
    loaded = loaded_by(f"from sshkit_cli.client import main\nassert main({argv!r}) == 0")
    assert "sshkit.ssh.transport.layer" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert not any(name.startswith("asyncio") for name in loaded)


def test_the_version_loads_next_to_nothing() -> None:
    loaded = loaded_by("from sshkit_cli.client import main\nassert main(['-V']) == 0")
    assert loaded.isdisjoint({*HEAVY, "cryptography", "socket", "sshkit.deferred", "sshkit_cli.options"})
