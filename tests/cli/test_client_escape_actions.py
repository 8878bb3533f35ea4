"""What the escapes do, with a command line and connections of a test's own."""

from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_cli import client_escapes
from sshkit_cli.client_escapes import connections_of, make_escapes, run_command
from sshkit_cli.prompts import NobodyToAsk

from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint
from sshkit.deferred import Deferred, fail, set_unhandled_handler, succeed
from sshkit.forwarding.errors import ForwardRefused


class FakeLog:
    def __init__(self) -> None:
        self.level = 3
        self.shown: list[str] = []

    def notice(self, text: str) -> None:
        self.shown.append(text)

    info = notice


class FakeForwards:
    def __init__(self) -> None:
        self.added: list[Any] = []
        self.cancelled: list[Any] = []
        self.outcome: Any = "running"

    def add(self, wanted: Any) -> Deferred[Any]:
        self.added.append(wanted)
        return fail(self.outcome) if isinstance(self.outcome, BaseException) else succeed(self.outcome)

    def cancel(self, kind: str, listen: Endpoint) -> Deferred[None] | None:
        self.cancelled.append((kind, listen))
        return succeed(None) if listen.port == 8080 else None

    def connections(self) -> list[str]:
        return ["local forward 8080 [db]:5432: 1 open, 4 in all"]


class FakeHost:
    """A session that only notes what is done to it."""

    def __init__(self, commandline: bool = True, local_commands: bool = False) -> None:
        self.log: Any = FakeLog()
        self.reactor: Any = None
        self.done: list[str] = []
        options = SimpleNamespace(
            enable_escape_commandline=SimpleNamespace(value=commandline),
            permit_local_command=SimpleNamespace(value=local_commands),
        )
        self.target: Any = SimpleNamespace(options=options)
        channels = {
            index: SimpleNamespace(number=index, kind=kind)
            for index, kind in enumerate(("session", "auth-agent@openssh.com", "x11", "tun@openssh.com"))
        }
        self.connection: Any = SimpleNamespace(
            core=SimpleNamespace(channels=channels), rekey=lambda: self.done.append("rekey")
        )
        self.session: Any = SimpleNamespace(
            send_break=lambda: self.done.append("break"),
            pause_typing=lambda: self.done.append("pause"),
            resume_typing=lambda: self.done.append("resume"),
        )
        self.forwards: Any = FakeForwards()

    def end(self) -> None:
        self.done.append("end")

    def suspend(self) -> None:
        self.done.append("suspend")

    def background(self) -> None:
        self.done.append("background")

    def leave_raw(self) -> None:
        self.done.append("leave_raw")

    def enter_raw(self) -> None:
        self.done.append("enter_raw")

    @property
    def text(self) -> str:
        return "".join(self.log.shown)

    def type(self, keys: bytes) -> bytes:
        return bytes(make_escapes(self, ord("~")).feed(keys))


def test_each_escape_does_what_it_says() -> None:
    host = FakeHost()
    assert host.type(b"~.~&~\x1a~R~B~x") == b"~x"
    assert host.done == ["end", "background", "suspend", "rekey", "break"]
    assert host.text == "~.\n~& [in the background]\n~^Z [suspended]\n~B [sent BREAK]\n"


def test_escapes_before_there_is_anything_do_nothing() -> None:
    host = FakeHost()
    host.session = host.connection = host.forwards = None
    host.type(b"~R~B~C~#")
    assert host.done == []
    assert host.text == "~#\nThere are no forwarded connections.\n"
    run_command(host, "-L8080:db:5432")
    assert host.text.endswith("No such command: -L8080:db:5432\n")


def test_the_list_has_forwards_and_other_channels() -> None:
    host = FakeHost()
    assert connections_of(host) == [
        "local forward 8080 [db]:5432: 1 open, 4 in all",
        "agent: channel 1",
        "X client: channel 2",
        "tunnel: channel 3",
    ]
    host.type(b"~#")
    assert host.text.startswith("~#\nForwarded connections:\n  local forward")


def test_the_level_of_messages_has_two_ends() -> None:
    host = FakeHost()
    host.type(b"~v" * 9 + b"~V")
    assert host.log.level == 6
    host.type(b"~V" * 9)
    assert host.log.level == 0
    assert "~v [log level 7]\n~V [log level 6]\n" in host.text


def test_the_help_names_every_escape() -> None:
    host = FakeHost()
    host.type(b"~?")
    for key in (".", "B", "C", "R", "V/v", "^Z", "#", "&", "?", "~"):
        assert f" ~{key} " in host.text


@pytest.mark.parametrize("dash", ["-", ""])
@pytest.mark.parametrize(
    ("word", "kind", "listen"),
    [
        ("L8080:db:5432", LOCAL, Endpoint(None, 8080)),
        ("R 9090:db:5432", REMOTE, Endpoint(None, 9090)),
        ("D 127.0.0.1:1080", DYNAMIC, Endpoint("127.0.0.1", 1080)),
        ("R 9091", REMOTE, Endpoint(None, 9091)),
    ],
)
def test_a_forward_is_added(dash: str, word: str, kind: str, listen: Endpoint) -> None:
    host = FakeHost()
    run_command(host, f"{dash}{word}")
    (wanted,) = host.forwards.added
    assert (wanted.kind, wanted.listen) == (kind, listen)
    assert host.text == f"{kind} forward {word[1:].strip()} is in force.\n"


def test_a_forward_that_is_refused_is_told() -> None:
    host = FakeHost()
    host.forwards.outcome = ForwardRefused("the server does not listen")
    run_command(host, "-R 9090:db:5432")
    assert host.text == "remote forward 9090:db:5432: the server does not listen\n"


@pytest.mark.parametrize(("letter", "kind"), [("L", LOCAL), ("R", REMOTE), ("D", DYNAMIC)])
def test_a_forward_is_cancelled_by_where_it_listens(letter: str, kind: str) -> None:
    host = FakeHost()
    run_command(host, f"-K{letter} 8080")
    run_command(host, f"-K{letter}127.0.0.1:9")
    assert host.forwards.cancelled == [(kind, Endpoint(None, 8080)), (kind, Endpoint("127.0.0.1", 9))]
    assert host.text == "The forward is cancelled.\nThere is no such forward.\n"


@pytest.mark.parametrize("line", ["-Z", "-K", "nonsense", "-K8080", "-\x1b[m"])
def test_what_is_no_command_is_told(line: str) -> None:
    host = FakeHost()
    run_command(host, line)
    assert host.text.startswith("No such command: ")
    assert "\x1b" not in host.text


def test_a_forward_that_makes_no_sense_is_told() -> None:
    host = FakeHost()
    run_command(host, "-L x")
    assert "is not a" in host.text
    assert not host.forwards.added


@pytest.mark.parametrize("allowed", [True, False])
def test_a_command_here_only_where_the_configuration_allows(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr("subprocess.call", ran.append)
    host = FakeHost(local_commands=allowed)
    run_command(host, "! date ")
    for word in ("?", "-h", "help"):
        run_command(host, word)
    assert ("!command" in host.text) == allowed
    assert [argv[1:] for argv in ran] == ([["-c", "date"]] if allowed else [])
    assert ("PermitLocalCommand" in host.text) != allowed


def asking(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    prompts: list[str] = []

    class FakePrompter:
        def __init__(self, *_: object) -> None:
            """It asks nobody."""

        def ask(self, prompt: str, echo: bool) -> Deferred[Any]:
            prompts.append(prompt)
            if isinstance(answer, NobodyToAsk):
                raise answer
            return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    monkeypatch.setattr("sshkit_cli.prompts.Prompter", FakePrompter)
    return prompts


def test_the_command_line_has_the_terminal_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    prompts = asking(monkeypatch, " -D 1080 ")
    host.type(b"~C")
    assert prompts == ["\r\nssh> "]
    assert host.done == ["pause", "leave_raw", "enter_raw", "resume"]
    assert len(host.forwards.added) == 1


@pytest.mark.parametrize("answer", [None, "", "  "])
def test_an_empty_command_line_is_no_command(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    asking(monkeypatch, answer)
    host.type(b"~C")
    assert host.text == ""
    assert host.done[-1] == "resume"


@pytest.mark.parametrize("error", [NobodyToAsk("no terminal"), OSError("no terminal")])
def test_without_a_terminal_the_session_goes_on(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    asking(monkeypatch, error)
    host.type(b"~C")
    assert host.text == "no terminal"
    assert host.done == ["pause", "leave_raw", "enter_raw", "resume"]


def test_the_command_line_is_off_unless_switched_on() -> None:
    host = FakeHost(commandline=False)
    host.type(b"~C")
    assert host.text == "~C [switched off: EnableEscapeCommandline]\n"
    assert not host.done


def test_a_mistake_of_ours_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    unhandled: list[Any] = []
    before = set_unhandled_handler(lambda failure, places: unhandled.append(failure.exception))
    try:
        host = FakeHost()
        host.forwards.outcome = ZeroDivisionError("ours")
        run_command(host, "-D 1080")
    finally:
        set_unhandled_handler(before)
    assert "in force" not in host.text
    assert client_escapes.KINDS["D"] == DYNAMIC
