"""Every block of Python in the pages runs, against a server in this process where it needs a host.

Each block has an entry in `SCENES` that says how it is run; a new block without one fails the first test.
"""

import io
import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key, write_private_key, write_public_key

import sshkit
from sshkit.blocking import BlockingServer
from sshkit.blocking.thread import shared
from sshkit.sftp.backends.memory import MemoryBackend
from tests.docs.pages import Block, python_blocks

BLOCKS = {block.name: block for block in python_blocks()}
HOST_KEY, USER_KEY = generate_private_key("ed25519"), generate_private_key("ed25519")


async def handler(session: sshkit.Session) -> int:
    """Stand for the host of the examples."""
    if session.command == "sort":
        session.stdout.write(b"".join(sorted([line async for line in session.stdin])))
    else:
        session.stdout.write(f"answer to {session.command}\n")
    return 0


class Stage:
    """Where a block is run: a server to connect to, and a folder with the files that the pages name."""

    def __init__(self, server: BlockingServer, folder: Path) -> None:
        self.where = f"me@127.0.0.1:{server.address[1]}"
        self.folder = folder
        self.stored: list[bytes] = []
        self.visited: list[sshkit.Result] = []

    def names(self) -> dict[str, Any]:
        """Return what a block finds beside what it imports."""
        return {
            "__name__": "example",
            "USER": USER_KEY,
            "HOST": HOST_KEY,
            "store": self.stored.append,
            "visit": self.visit,
        }

    def connect(self) -> Any:
        return sshkit.connect(self.where, identities=[USER_KEY], host_keys=[HOST_KEY.public])

    async def visit(self, server: sshkit.Server) -> None:
        """Use a server of an example, in place of waiting until it is closed."""
        port = server.address[1]
        async with sshkit.connect(
            f"joe@127.0.0.1:{port}", identities=[USER_KEY], host_keys=[HOST_KEY.public]
        ) as connection:
            for command in ("backup", "other"):
                self.visited.append(await connection.run(command, input="precious"))

    def run(self, text: str) -> dict[str, Any]:
        """Run a block as a module, with the host, the port and the wait put in place of the examples'."""
        substitutes = {
            '"user@host"': f'"{self.where}", identities=[USER], host_keys=[HOST.public]',
            '"127.0.0.1:8022"': '"127.0.0.1:0"',
            "await server.wait_closed()": "await visit(server)",
        }
        for words, others in substitutes.items():
            text = text.replace(words, others)
        names = self.names()
        exec(compile(text, "example", "exec"), names)
        return names

    def run_inside(self, text: str, **around: Any) -> None:
        """Run a block that is the inside of a coroutine with a connection."""
        source = "async def example(connection, one, other):\n" + textwrap.indent(text, "    ")
        names = self.names()
        exec(compile(source, "example", "exec"), names)

        async def main() -> None:
            async with self.connect() as connection, self.connect() as one, self.connect() as other:
                await names["example"](connection, one, other)

        sshkit.run(main())


@pytest.fixture(scope="module")
def server() -> Iterator[BlockingServer]:
    with sshkit.blocking.serve(
        "127.0.0.1:0",
        handler,
        host_keys=[HOST_KEY],
        authorized_keys=[USER_KEY.public],
        sftp=MemoryBackend({"/inbox/letter.txt": b"a letter\n"}),
    ) as server:
        yield server


@pytest.fixture
def stage(server: BlockingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    write_private_key(tmp_path / "host_key", HOST_KEY.to_openssh(random_bytes=os.urandom))
    write_public_key(tmp_path / "keys", USER_KEY.public)
    monkeypatch.chdir(tmp_path)
    return Stage(server, tmp_path)


def whole(stage: Stage, block: Block) -> None:
    """A program that needs nothing else."""
    stage.run(block.text)


def inside(stage: Stage, block: Block) -> None:
    """Lines inside a coroutine that has connections."""
    stage.run_inside(block.text)


def greeting(stage: Stage, block: Block) -> None:
    """The server of the readme."""
    stage.run(block.text)
    assert [result.text for result in stage.visited] == [
        "Hello joe, you said 'backup'\n",
        "Hello joe, you said 'other'\n",
    ]


def backup(stage: Stage, block: Block) -> None:
    """The server that takes backups."""
    stage.run(block.text)
    assert b"".join(stage.stored) == b"precious"
    assert [result.exit_status for result in stage.visited] == [0, 1]
    assert stage.visited[1].stderr == b"only 'backup' is offered\n"


def hello(stage: Stage, block: Block) -> None:
    """The server with routes."""
    stage.run(block.text)
    assert [result.text for result in stage.visited] == ["hello joe\n", "hello joe\n"]


def with_report(stage: Stage, block: Block) -> None:
    """A program that sends a file of this folder."""
    (stage.folder / "report.pdf").write_bytes(b"a report")
    stage.run(block.text)
    assert (stage.folder / "copy-of-inbox" / "letter.txt").read_bytes() == b"a letter\n"


def with_site(stage: Stage, block: Block) -> None:
    """A program that sends a folder of this folder."""
    (stage.folder / "site").mkdir()
    (stage.folder / "site" / "index.html").write_text("<p>Hello</p>")
    stage.run(block.text)


def shared_files(stage: Stage, block: Block) -> None:
    """The server of files."""
    (stage.folder / "homes" / "joe").mkdir(parents=True)
    stage.run(block.text)
    assert [result.exit_status for result in stage.visited] == [1, 1]


def with_agent(stage: Stage, block: Block) -> None:
    """A program that asks the user's agent."""
    path = stage.folder / "running" / "socket"
    thread = shared()
    agent = thread.call(lambda: sshkit.serve_agent(path, reactor=thread.reactor), timeout=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", str(path))
        stage.run(block.text)
    thread.call(agent.close, timeout=10)


def with_config(stage: Stage, block: Block) -> None:
    """A program of a user with a file of configuration."""
    folder = stage.folder / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "config").write_text("Host box\n Hostname 127.0.0.1\n User ann\n Port 2222\n")
    (folder / "config").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(stage.folder))
        stage.run(block.text)


async def device(session: sshkit.Session) -> int:
    """Stand for a device that is talked with."""
    session.stdout.write("box> ")
    async for line in session.stdin:
        if line.startswith(b"reload"):
            session.stdout.write("Reload? [confirm]")
        else:
            session.stdout.write("version 1\n" if line.startswith(b"show") else "")
            session.stdout.write("box> ")
    return 0


def on_a_server(stage: Stage, block: Block) -> None:
    """Lines inside a coroutine, with a server of their own: a device, which is also a host on the way."""

    async def main() -> None:
        async with sshkit.serve(
            "127.0.0.1:0", device, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public], forwards=True
        ) as server:
            where = f"127.0.0.1:{server.address[1]}"
            key = " ".join(HOST_KEY.public.to_line().split()[:2])
            (stage.folder / "hosts").write_text(f"[127.0.0.1]:{server.address[1]} {key}\n")
            options = "identities=[USER], host_keys=[HOST.public]"
            text = block.text
            for words, others in {
                '"me@inner", jump="me@gate"': f'"me@{where}", jump="me@{where}", identities=[USER]',
                '["me@one", "me@two"], "uptime"': f'["me@{where}"], "uptime", input="", {options}',
                'connect("me@host")': 'connect("me@127.0.0.1:1")',
                'run("hostname")': 'run("hostname", input="")',
            }.items():
                text = text.replace(words, others)
            names: dict[str, Any] = {**stage.names(), "sshkit": sshkit}
            exec(f"async def example(connection):\n{textwrap.indent(text, '    ')}", names)
            async with sshkit.connect(
                f"me@{where}", identities=[USER_KEY], host_keys=[HOST_KEY.public]
            ) as connection:
                await names["example"](connection)

    sshkit.run(main())


def its_test(stage: Stage, block: Block) -> None:
    """A module of tests: its test is run."""
    names = stage.run(block.text)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test()


def in_a_home(stage: Stage, block: Block) -> None:
    """Run a block whose user has a key of his own to log in with; then its `main(app)`, on asyncio."""
    import asyncio

    before = {name: os.environ.get(name) for name in ("HOME", "XDG_CONFIG_HOME")}
    here = os.getcwd()
    (stage.folder / ".ssh").mkdir(mode=0o700, exist_ok=True)
    (stage.folder / ".ssh" / "id_ed25519.pub").write_text(USER_KEY.public.to_line() + "\n")
    os.environ["HOME"] = str(stage.folder)
    os.environ.pop("XDG_CONFIG_HOME", None)
    os.chdir(stage.folder)
    try:
        names = stage.names()
        exec(compile(block.text, block.name, "exec"), names)
        if "main" in names:
            asyncio.run(names["main"](object()))
    finally:
        os.chdir(here)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


SCENES: dict[str, tuple[Callable[[Stage, Block], None], str]] = {
    "README.md:1": (whole, "answer to uname -a\n\n"),
    "README.md:2": (whole, "answer to uptime\n\n"),
    "README.md:3": (greeting, "listening at ('127.0.0.1', "),
    "README.md:4": (in_a_home, "ssh -p "),
    "README.md:5": (whole, ""),
    "docs/client.md:1": (whole, "answer to ls -l /tmp\n\n"),
    "docs/client.md:2": (inside, "b'a\\n'\nb'b\\n'\n0\n"),
    "docs/client.md:3": (on_a_server, "version 1\n\n0\n"),
    "docs/client.md:4": (on_a_server, "me@127.0.0.1:"),
    "docs/client.md:5": (on_a_server, "FAILED address: cannot connect to 127.0.0.1 port 1: "),
    "docs/embedding.md:1": (hello, ""),
    "docs/embedding.md:2": (whole, "('publickey',)\n"),
    "docs/embedding.md:3": (whole, "{'home': '/srv/ann'}\nann has left\n"),
    "docs/embedding.md:4": (whole, ""),
    "docs/embedding.md:5": (whole, ""),
    "docs/event-core.md:1": (whole, ""),
    "docs/event-core.md:2": (inside, ""),
    "docs/forwarding.md:1": (inside, "port 5432 behind the server is here: "),
    "docs/forwarding.md:2": (on_a_server, "box> \n"),
    "docs/keys.md:1": (whole, "SHA256:"),
    "docs/keys.md:2": (whole, "ssh-ed25519-cert-v01@openssh.com AAAA"),
    "docs/keys.md:3": (whole, "the key ssh-ed25519 SHA256:"),
    "docs/keys.md:4": (whole, "-----BEGIN SSH SIGNATURE-----\n"),
    "docs/keys.md:5": (whole, "('known_hosts:1',)\n"),
    "docs/keys.md:6": (with_agent, "ssh-ed25519 for an hour\n"),
    "docs/keys.md:7": (whole, "AuditEvent("),
    "docs/manhole.md:1": (in_a_home, "ssh -p "),
    "docs/manhole.md:2": (in_a_home, "('127.0.0.1', "),
    "docs/manhole.md:3": (in_a_home, ""),
    "docs/server.md:1": (backup, ""),
    "docs/sftp.md:1": (with_report, "letter.txt 9\nreport.pdf 8\n"),
    "docs/sftp.md:2": (whole, "first line\n\n"),
    "docs/sftp.md:3": (whole, ""),
    "docs/sftp.md:4": (with_site, "['index.html']\n"),
    "docs/sftp.md:5": (shared_files, ""),
    "docs/sharing.md:1": (inside, "answer to uptime\n"),
    "docs/ssh_config.md:1": (with_config, "127.0.0.1 2222 ann\n"),
    "docs/testing.md:1": (its_test, ""),
    "docs/testing.md:2": (whole, "hello\n"),
}


def test_every_block_of_the_pages_has_a_scene() -> None:
    assert set(BLOCKS) == set(SCENES)


@pytest.mark.parametrize("name", SCENES)
def test_every_block_runs_and_prints_what_it_should(stage: Stage, name: str) -> None:
    scene, printed = SCENES[name]
    output = io.StringIO()
    with redirect_stdout(output):
        scene(stage, BLOCKS[name])
    assert output.getvalue().startswith(printed)
    assert bool(output.getvalue()) == bool(printed)
