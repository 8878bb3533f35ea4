"""docs/core/tutorial.md: its pieces are those of the examples, people see what it shows, its tests pass."""

import configparser
import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.protocols.framing import Lines
from sshkit.service import ProgramOptions
from sshkit.testing import MemoryReactor
from tests.docs.pages import ROOT
from tests.examples.test_examples import example
from tests.reactor.tls.authority import Authority, write_pair

TEXT = (ROOT / "docs" / "core" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
TRANSCRIPTS = [text for kind, text in BLOCKS if kind == "text"]
PROGRAMS = [text for text in PYTHON if "sshkit.run(main())" in text]
TESTS = [text for text in PYTHON if "def test_" in text]
PIECES = [text for text in PYTHON if text not in PROGRAMS and text not in TESTS]
EXAMPLES = ("chat_server", "notes_service")


class Caller(Lines):
    """Somebody with nc."""

    delimiter = b"\n"


async def play(transcript: str, connect: Callable[[], Any]) -> None:
    """Do what the people of a transcript do, and see what they see."""
    steps = re.findall(r"^(\w+)([<>]) (.*)$", transcript, re.MULTILINE)
    assert len(steps) == len(transcript.splitlines())
    people = {name: await connect() for name in sorted({name for name, _, _ in steps})}
    for name, way, text in steps:
        if text == "(gone)":
            people[name].close()
        elif way == ">":
            people[name].send_line(text.encode())
        else:
            assert (await anext(people[name])).decode() == text
    for caller in people.values():
        caller.close()


def play_in_memory(transcript: str, make: Callable[[MemoryReactor], Any]) -> None:
    network = MemoryReactor()

    async def main() -> None:
        await network.listen_tcp("chat", 8023, make(network))
        await play(transcript, lambda: network.connect_tcp("chat", 8023, Caller))

    network.run(main())
    network.settle()


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the examples be imported by their names, as whoever stands in their folder imports them."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    yield
    for name in EXAMPLES:
        sys.modules.pop(name, None)


def test_the_page_has_what_the_tests_look_for() -> None:
    assert (len(PROGRAMS), len(TESTS), len(TRANSCRIPTS)) == (1, 2, 3)
    assert len(PIECES) >= 10


@pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))
def test_every_piece_is_in_its_example(piece: str) -> None:
    assert any(piece in (ROOT / "examples" / f"{name}.py").read_text() for name in EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_leaves_nothing_of_an_example_out(name: str) -> None:
    module = example(name)
    source = inspect.getsource(module).partition('"""\n\n')[2].partition("\n\nif __name__ ==")[0]
    left = source + "\n"
    for piece in sorted(PIECES, key=len, reverse=True):
        left = left.replace(piece, "")
    assert left.strip() == ""


def test_the_first_program_does_what_is_shown() -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(PROGRAMS[0].replace("sshkit.run(main())", ""), "tutorial", "exec"), names)
    play_in_memory(TRANSCRIPTS[0], lambda network: names["Visitor"])
    assert not names["people"]


def test_the_first_program_listens(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    text = PROGRAMS[0].replace("tcp:8023", "tcp:0").replace("sshkit.Deferred()", "sshkit.sleep(0)")
    exec(compile(text, "tutorial", "exec"), names)
    assert capsys.readouterr().out.startswith("chatting at ('127.0.0.1', ")


def test_the_chat_does_what_is_shown() -> None:
    chat = example("chat_server")
    play_in_memory(TRANSCRIPTS[1], lambda network: chat.visitors(chat.Room(network)))


def test_the_notes_do_what_is_shown(tmp_path: Path) -> None:
    notes = example("notes_service")
    place = f"unix:{tmp_path}/port"

    async def main() -> None:
        await notes.add_person(f"{tmp_path}/notes.db", "ann", "secret")
        async with notes.NotesService(place, f"{tmp_path}/notes.db"):
            await play(TRANSCRIPTS[2], lambda: sshkit.client_from_string(place).connect(Caller))

    sshkit.run(main())


def test_the_chat_speaks_tls_where_the_place_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = re.findall(r"^python examples/chat_server.py (tls:.*)$", TEXT, re.MULTILINE)
    authority = Authority()
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    write_pair(tmp_path, "server", authority.issue("127.0.0.1"))
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        chat = example("chat_server")
        room = chat.Room(sshkit.current_reactor())
        place = words.replace("tls:8023", "tls:0:interface=127.0.0.1")
        listener = await sshkit.server_from_string(place).listen(chat.visitors(room))
        port = listener.address[1]
        client = sshkit.client_from_string(f"tls:127.0.0.1:{port}:trust=authority.pem")
        caller = await client.connect(Caller)
        assert await anext(caller) == b"* your name?"
        caller.close()
        listener.close()

    sshkit.run(main())


@pytest.mark.usefixtures("importable")
def test_the_tests_of_the_chat_pass() -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(TESTS[0], "tutorial", "exec"), names)
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        names[name]()


@pytest.mark.usefixtures("importable")
def test_the_test_of_the_notes_passes(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(TESTS[1], "tutorial", "exec"), names)
    (name,) = (name for name in names if name.startswith("test_"))
    sshkit.run(names[name](tmp_path))


@pytest.mark.parametrize(
    "command", re.findall(r"^(?:ExecStart=\S+|python) (\S*notes_service.py .*)$", TEXT, re.MULTILINE)
)
def test_every_command_for_the_notes_is_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = example("notes_service")
    seen: list[Any] = []

    async def add_person(*person: str) -> None:
        assert person == ("notes.db", "ann", "secret")

    def run_service(service: Any, options: ProgramOptions) -> int:
        seen.append((service.place, service.database, options))
        return 0

    monkeypatch.setattr(notes, "run_service", run_service)
    monkeypatch.setattr(notes, "add_person", add_person)
    monkeypatch.setattr("getpass.getpass", lambda: "secret")
    assert notes.main(shlex.split(command)[1:]) == 0
    assert len(seen) == ("--person" not in command)
    if "systemd:" in command:
        place, database, options = seen[0]
        assert (place, database) == ("systemd:notes", "/var/lib/notes/notes.db")
        assert options.umask == 0o077


def test_the_unit_is_one() -> None:
    (unit,) = (text for kind, text in BLOCKS if kind == "ini")
    parser = configparser.ConfigParser()
    parser.read_string(unit)
    assert parser["Service"]["Type"] == "notify"
    assert parser["Service"]["ExecStart"].startswith("/usr/bin/python3 /opt/notes/notes_service.py ")
