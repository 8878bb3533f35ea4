"""Real processes in sessions that have a handler, behind middlewares."""

import os
from pathlib import Path
from typing import Any

import sshkit
from sshkit.server.handled_process import run_process
from sshkit.server.middleware import chain, deadline, logging
from tests.server.test_terminal_programs import serving


def test_a_process_has_all_streams_and_its_end_is_told(tmp_path: Path) -> None:
    async def handler(session: sshkit.Session) -> int | None:
        words = ["/bin/sh", "-c", session.command or ""]
        return await run_process(
            session, words, env={"PATH": os.environ["PATH"], "A": "1"}, cwd=str(tmp_path)
        )

    entries: list[Any] = []

    async def test(connection: sshkit.ClientConnection) -> None:
        result = await connection.run("pwd; echo $A; cat; echo oops >&2; exit 4", input=b"x" * 1_000_000)
        assert (result.exit_status, result.stderr) == (4, b"oops\n")
        assert result.stdout == f"{tmp_path}\n1\n".encode() + b"x" * 1_000_000
        result = await connection.run("kill -KILL $$")
        assert (result.exit_status, result.exit_signal) == (None, "KILL")

    assert serving(chain(handler, logging(entries.append, form="dict")), test) == []
    ended = [entry for entry in entries if entry["event"] == "ended"]
    assert (ended[0]["status"], ended[0]["received"]) == (4, 1_000_000)
    assert ended[1]["signal"] == "KILL"


def test_r31_a_process_is_hung_up_on_when_its_session_ends() -> None:
    async def handler(session: sshkit.Session) -> int | None:
        return await run_process(session, ["/bin/sh", "-c", "echo $$; sleep 100 & wait"])

    async def test(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x", terminal="xterm")
        number = int(await process.stdout.read_line())
        result = await process.communicate()
        assert result.exit_status == 124
        while Path(f"/proc/{number}").exists():
            await sshkit.current_reactor().defer_to_thread(os.sched_yield)
        process = await connection.start("x")
        number = int(await process.stdout.read_line())
        process.close()
        while Path(f"/proc/{number}").exists():
            await sshkit.current_reactor().defer_to_thread(os.sched_yield)

    assert serving(chain(handler, deadline(total=0.5)), test) == []
