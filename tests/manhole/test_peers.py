"""The manhole with other people's clients and on other people's loops."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.key_files import write_private_key

import sshkit
from sshkit import manhole
from tests.interop.peers import PATH
from tests.manhole.rooms import WAIT, App
from tests.server.test_serve import HOST_KEY, KEY


@pytest.fixture
def door() -> Iterator[Any]:
    with manhole.start(
        {"app": App()}, authorized_keys=[KEY.public], host_key=HOST_KEY, threaded=False
    ) as opened:
        yield opened


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    write_private_key(path, KEY.to_openssh(random_bytes=os.urandom))
    return path


def openssh(door: Any, identity: Path, *words: str) -> list[str]:
    options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    quiet = ["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]
    return ["ssh", *options, *quiet, "-i", str(identity), "-p", str(door.port), "ann@127.0.0.1", *words]


def ours(door: Any, identity: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "sshkit_cli.client", *openssh(door, identity, *words)[1:]]


def dropbear(door: Any, identity: Path, *words: str) -> list[str]:
    key = identity.with_suffix(".dropbear")
    convert = ["dropbearconvert", "openssh", "dropbear", str(identity), str(key)]
    subprocess.run(convert, check=True, capture_output=True, env={**os.environ, "PATH": PATH})
    return ["dbclient", "-y", "-y", "-i", str(key), "-p", str(door.port), "ann@127.0.0.1", *words]


def plink(door: Any, identity: Path, *words: str) -> list[str]:
    key = identity.with_suffix(".ppk")
    key.write_bytes(KEY.to_putty(random_bytes=os.urandom))
    (host_key,) = door.host_keys
    trusted = ["-hostkey", host_key.fingerprint()]
    return ["plink", "-batch", *trusted, "-i", str(key), "-P", str(door.port), "ann@127.0.0.1", *words]


CLIENTS = [
    pytest.param(openssh, marks=pytest.mark.peer("ssh")),
    pytest.param(dropbear, marks=[pytest.mark.peer("dbclient"), pytest.mark.peer("dropbearconvert")]),
    pytest.param(plink, marks=pytest.mark.peer("plink")),
    ours,
]


def call(argv: list[str], input: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    argv[0] = shutil.which(argv[0], path=f"{PATH}:{os.environ['PATH']}") or argv[0]
    return subprocess.run(argv, input=input, capture_output=True, timeout=WAIT, check=False)


@pytest.mark.parametrize("client", CLIENTS)
def test_real_clients_get_values_scripts_and_statuses(
    client: Callable[..., list[str]], door: Any, identity: Path
) -> None:
    assert call(client(door, identity, "len(app.users)")).stdout == b"2\n"
    failed = call(client(door, identity, "1/0"))
    assert failed.returncode == 1
    assert b"ZeroDivisionError" in failed.stderr
    script = client(door, identity)
    script.insert(3 if client is ours else 1, "-T")  # dbclient and plink ask for a terminal without one
    assert call(script, b"print(6 * 7)\n").stdout == b"42\n"
    assert call(client(door, identity, "exit(3)")).returncode == 3


@pytest.mark.peer("ssh")
def test_a_tool_speaks_json_lines_through_ssh(door: Any, identity: Path) -> None:
    argv = openssh(door, identity)
    argv[1:1] = ["-s"]
    answered = call([*argv, "manhole"], b'{"id": 1, "run": "app.users"}\n')
    assert b'"value": ["ann", "bob"]' in answered.stdout


@pytest.mark.peer("ssh")
@pytest.mark.parametrize("client", [openssh, ours])
def test_consoles_of_real_clients_at_the_same_time(
    client: Callable[..., list[str]], door: Any, identity: Path
) -> None:
    typists = []
    for name in ("one", "two", "three"):
        argv = client(door, identity)
        argv.insert(3 if client is ours else 1, "-tt")
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        typists.append((name, process))
    for number in range(30):  # everybody types a character at a time
        for name, process in typists:
            assert process.stdin is not None
            line = f"'{name}' + '-typed'.upper()\r"
            if number < len(line):
                process.stdin.write(line[number].encode())
                process.stdin.flush()
    for name, process in typists:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdin.write(b"exit()\r")
        process.stdin.flush()
        seen = process.stdout.read()
        assert process.wait(WAIT) == 0
        process.stdin.close()
        process.stdout.close()
        assert f"{name}-TYPED".encode() in seen
        for other, _ in typists:
            assert other == name or f"'{other}'".encode() not in seen


async def evaluated() -> bytes:
    """Open a manhole in whatever loop runs, and evaluate one expression."""
    async with (
        manhole.serve({"app": App()}, authorized_keys=[KEY.public], host_key=HOST_KEY) as door,
        sshkit.connect(
            f"ann@127.0.0.1:{door.port}", identities=[KEY], host_keys=[HOST_KEY.public]
        ) as connection,
    ):
        console = await connection.start(terminal="xterm", size=sshkit.TerminalSize(80, 24))
        console.stdin.write("await asyncio.sleep(0, 'slept')\r")
        seen = b""
        while b"asyncio" not in seen:
            seen += await console.stdout.read(65536)
        console.stdin.write("exit()\r")
        await console.stdout.read()
        return (await connection.run("len(app.users)")).stdout


@pytest.mark.parametrize("loop", ["ours", "asyncio", "uvloop"])
def test_it_opens_on_every_loop(loop: str) -> None:
    run: Callable[[Any], Any]
    if loop == "ours":
        run = sshkit.run
    elif loop == "asyncio":
        run = asyncio.run
    else:
        import uvloop

        run = uvloop.run
    assert run(evaluated()) == b"2\n"
