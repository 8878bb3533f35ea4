"""The service of the tutorial keeps notes for people who log in, and ends in order."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred
from sshkit.protocols.framing import Lines
from tests.examples.test_examples import ROOT, example

DEADLINE = 30.0
notes = example("notes_service")


class Caller(Lines):
    """A client."""

    delimiter = b"\n"

    async def ask(self, **request: Any) -> Any:
        self.send_line(json.dumps(request).encode())
        return json.loads(await anext(self))


async def connect(service: Any) -> Caller:
    place = sshkit.client_from_string(f"unix:{service.place.partition(':')[2]}")
    return await place.connect(Caller)


def serving(tmp_path: Path) -> Any:
    return notes.NotesService(f"unix:{tmp_path}/port", f"{tmp_path}/notes.db")


async def with_ann(tmp_path: Path) -> Any:
    await notes.add_person(f"{tmp_path}/notes.db", "ann", "secret")
    return serving(tmp_path)


@pytest.mark.sshkit(engines=("direct", "native"))
async def test_notes_are_kept_for_whoever_logs_in_and_for_nobody_else(tmp_path: Path) -> None:
    async with await with_ann(tmp_path) as service:
        caller = await connect(service)
        assert await caller.ask(do="list") == {"error": "log in first"}
        wrong = await caller.ask(do="login", name="ann", password="guess")
        assert set(wrong) == {"error"}
        assert await caller.ask(do="login", name="ann", password="secret") == {"ok": "hello ann"}
        assert await caller.ask(do="add", text="buy bread") == {"ok": 1}
        assert await caller.ask(do="add", text="eat it") == {"ok": 2}
        assert await caller.ask(do="list") == {"ok": ["buy bread", "eat it"]}
        assert "error" in await caller.ask(do="drop")
        other = await connect(service)
        assert await other.ask(do="list") == {"error": "log in first"}
    async with serving(tmp_path) as again:
        caller = await connect(again)
        await caller.ask(do="login", name="ann", password="secret")
        assert await caller.ask(do="list") == {"ok": ["buy bread", "eat it"]}


@pytest.mark.parametrize("line", [b"hello", b"[]", b'{"do": 5}', b"[" * 60000, b"\xff"])
def test_what_is_no_request_is_refused_and_the_connection_goes_on(tmp_path: Path, line: bytes) -> None:
    async def main() -> None:
        async with await with_ann(tmp_path) as service:
            caller = await connect(service)
            caller.send_line(line)
            assert "error" in json.loads(await anext(caller))
            assert await caller.ask(do="list") == {"error": "log in first"}

    sshkit.run(main())


def test_a_line_that_is_too_long_ends_its_connection_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with await with_ann(tmp_path) as service:
            caller, other = await connect(service), await connect(service)
            caller.send_line(b"x" * 100_000)
            with pytest.raises((OSError, StopAsyncIteration)):  # a reset or an end: the kernel's choice
                await anext(caller)
            assert await other.ask(do="list") == {"error": "log in first"}

    sshkit.run(main())


def test_an_error_of_the_database_is_logged_and_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with await with_ann(tmp_path) as service:
            caller = await connect(service)
            await caller.ask(do="login", name="ann", password="secret")
            await service.pool.run_operation("DROP TABLE note")
            assert await caller.ask(do="list") == {"error": "the database cannot do that now"}

    sshkit.run(main())
    assert "no such table: note" in caplog.text


def test_a_stop_waits_for_the_answer_that_is_being_made(tmp_path: Path) -> None:
    async def main() -> None:
        service = await with_ann(tmp_path)
        await service.begin()
        begun: Deferred[None] = Deferred()
        finish: Deferred[str] = Deferred()

        async def do(self: Any, request: Any) -> str:
            begun.callback(None)
            return await finish

        slow = type("Slow", (notes.Client,), {"do": do})
        service.listener.close()
        service.listener = await sshkit.server_from_string(service.place).listen(lambda: slow(service))
        idle, caller = await connect(service), await connect(service)
        answer = sshkit.ensure_deferred(caller.ask(do="wait"))
        await begun
        ending = sshkit.ensure_deferred(service.end())
        with pytest.raises(StopAsyncIteration):
            await anext(idle)
        assert not ending.called
        finish.callback("done")
        assert await answer == {"ok": "done"}
        await ending
        assert service.pool.closed

    sshkit.run(main())


def test_a_port_that_cannot_be_had_leaves_no_database_open(tmp_path: Path) -> None:
    async def main() -> None:
        service = notes.NotesService(f"unix:{tmp_path}/none/port", f"{tmp_path}/notes.db")
        with pytest.raises(sshkit.ListenError):
            await service.begin()
        assert service.pool.closed

    sshkit.run(main())


def test_a_database_that_cannot_be_had_is_an_error_that_names_it(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(notes.DatabaseError, match="unable to open"):
            await notes.NotesService("tcp:0", f"{tmp_path}/none/notes.db").begin()

    sshkit.run(main())


def test_the_program_is_a_daemon_that_ends_in_order(tmp_path: Path) -> None:
    sshkit.run(notes.add_person(f"{tmp_path}/notes.db", "ann", "secret"))
    pid_file, log, port = tmp_path / "pid", tmp_path / "log", tmp_path / "port"
    arguments = ["notes.db", "--place", f"unix:{port}", "--daemon", "--pid-file", "pid", "--log", "log"]
    program = [sys.executable, str(ROOT / "examples" / "notes_service.py"), *arguments]
    subprocess.run(program, cwd=tmp_path, check=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
    daemon = os.pidfd_open(int(pid_file.read_text()))
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(DEADLINE)
            line.connect(str(port))
            line.sendall(b'{"do": "login", "name": "ann", "password": "secret"}\n')
            assert json.loads(line.recv(4096)) == {"ok": "hello ann"}
            signal.pidfd_send_signal(daemon, signal.SIGTERM)
            assert line.recv(1) == b""
        assert select.select([daemon], [], [], DEADLINE)[0]
    finally:
        if not select.select([daemon], [], [], 0)[0]:
            signal.pidfd_send_signal(daemon, signal.SIGKILL)
        os.close(daemon)
    assert not pid_file.exists()
    assert not port.exists()
    assert "service 'notes' stops: SIGTERM" in log.read_text()


def test_a_person_is_added_by_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda: "secret")
    assert notes.main([f"{tmp_path}/notes.db", "--person", "ann"]) == 0

    async def main() -> None:
        async with serving(tmp_path) as service:
            caller = await connect(service)
            assert await caller.ask(do="login", name="ann", password="secret") == {"ok": "hello ann"}

    sshkit.run(main())
