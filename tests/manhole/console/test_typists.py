"""Three people type at the same time: over our own client, and with real ssh on terminals of their own."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.key_files import write_private_key

import sshkit
from sshkit.manhole.console import ConsoleOptions, Screen, run_console
from sshkit.manhole.interpreter import Interpreter
from sshkit.server.terminal_programs import prompt_toolkit_session
from tests.server.test_serve import HOST_KEY, KEY
from tests.server.test_terminal_programs import TIMEOUT, Terminal, serving, until


async def console(session: sshkit.Session) -> int:
    """Serve one person."""
    screen = Screen(drain=session.stdout.drain)
    interpreter = Interpreter(
        {"me": session.user, "terminal": session.terminal},
        write=screen.write,
        drained=screen.drained,
        read_line=screen.read_line,
    )
    try:
        async with prompt_toolkit_session(session):
            return await run_console(interpreter, ConsoleOptions(banner=f"hello {session.user}\n"), screen)
    finally:
        interpreter.close()


def test_three_typists_get_no_key_and_no_character_of_each_other() -> None:
    names = ("alpha", "bravo", "charlie")

    async def test(connection: sshkit.ClientConnection) -> None:
        people = [
            await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(60 + n, 20))
            for n in range(3)
        ]
        for person in people:
            await until(person.stdout, b"In [1]")
        texts = [f"name = '{name}'\rprint('I a' + 'm', name, terminal.size.columns)\r" for name in names]
        for column in range(max(map(len, texts))):  # each types one key, in turn
            for person, text in zip(people, texts, strict=True):
                person.stdin.write(text[column : column + 1])
            await asyncio.sleep(0)
        for number, (person, name) in enumerate(zip(people, names, strict=True)):
            seen = await until(person.stdout, f"I am {name} {60 + number}".encode())
            person.stdin.write("\x04")
            seen += await person.stdout.read()
            assert not [other for other in names if other != name and other.encode() in seen]
            await person.wait()
            assert person.exit_status == 0

    assert serving(console, test) == []


def test_a_client_that_goes_in_mid_evaluation_and_one_that_resizes_harm_nobody() -> None:
    async def test(connection: sshkit.ClientConnection) -> None:
        leaves = await connection.start(None, terminal="xterm")
        stays = await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(60, 20))
        await until(leaves.stdout, b"In [1]")
        await until(stays.stdout, b"In [1]")
        leaves.stdin.write("import asyncio; print('be' + 'gun'); await asyncio.sleep(1000)\r")
        await until(leaves.stdout, b"begun")
        leaves.close()
        stays.resize(sshkit.TerminalSize(90, 25))
        await until(stays.stdout, b"In [1]")
        stays.stdin.write("'columns %d' % terminal.size.columns\r")
        await until(stays.stdout, b"columns 90")
        stays.stdin.write("exit(4)\r")
        await stays.stdout.read()
        await stays.wait()
        assert stays.exit_status == 4

    assert serving(console, test) == []


@pytest.mark.peer("ssh")
def test_three_people_with_a_real_ssh_type_at_once(tmp_path: Path) -> None:
    write_private_key(tmp_path / "key", KEY.to_openssh(random_bytes=os.urandom))
    ready = threading.Event()
    stop: sshkit.Deferred[None] = sshkit.Deferred()
    found: dict[str, Any] = {}

    async def main() -> None:
        found["reactor"] = sshkit.current_reactor()
        async with sshkit.serve(
            "127.0.0.1:0", console, host_keys=[HOST_KEY], authorized_keys=[KEY.public]
        ) as server:
            found["port"] = server.address[1]
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
        command = ["ssh", "-tt", "-F", "none", "-i", str(tmp_path / "key"), "-p", str(found["port"])]
        command += [word for setting in settings for word in ("-o", setting)]
        names = ("ann", "bob", "cyd")
        people = [Terminal([*command, f"{name}@127.0.0.1"], 70, 20) for name in names]
        for person, name in zip(people, names, strict=True):
            person.expect(f"hello {name}".encode())
            person.expect(b"In [1]")
        texts = [f"'this is {name}'.upper()\r" for name in names]
        for column in range(max(map(len, texts))):
            for person, text in zip(people, texts, strict=True):
                if column < len(text):
                    person.type(text[column].encode())
        for person, name in zip(people, names, strict=True):
            person.expect(f"THIS IS {name.upper()}".encode())
            person.expect(b"In [2]")
            person.type(b"\x04")
        for person, name in zip(people, names, strict=True):
            assert person.close() == 0
            others = [other for other in names if other != name and other.encode() in person.seen]
            assert others == []
    finally:
        found["reactor"].call_from_thread(stop.callback, None)
        thread.join(TIMEOUT)
