"""The examples run, and do what their first lines say."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit

ROOT = Path(__file__).resolve().parents[2]
HOST_KEY, KEY = generate_private_key("ed25519"), generate_private_key("ed25519")


def example(name: str) -> Any:
    """Load an example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve(handler: Any, **options: Any) -> Any:
    options.setdefault("log", lambda level, text, error: None)
    return sshkit.serve("127.0.0.1:0", handler, host_keys=[HOST_KEY], authorized_keys=[KEY.public], **options)


def connect(user: str, server: Any, **options: Any) -> Any:
    port = server.address[1]
    return sshkit.connect(user, host_keys=[HOST_KEY.public], identities=[KEY], **{"port": port, **options})


async def until(stream: Any, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        data = await stream.read(65536)
        assert data, seen
        seen += data
    return seen


def test_every_example_has_a_main() -> None:
    names = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    assert {"bastion", "recorded_shell", "terminal_program"} <= set(names)
    for name in ("bastion", "recorded_shell", "terminal_program"):
        module = example(name)
        assert callable(module.main)
        assert f"python examples/{name}.py" in (module.__doc__ or "")


def test_the_bastion_reaches_the_hosts_it_is_for_and_no_others() -> None:
    module = example("bastion")

    async def target_handler(session: sshkit.Session) -> int:
        session.stdout.write(f"{session.user} at the target: {session.command}")
        return 4

    async def main() -> None:
        async with serve(target_handler) as target:
            port = target.address[1]
            handler = module.make_handler(
                "", ["127.*"], identities=[KEY], host_keys=[HOST_KEY.public], port=port
            )
            policy = module.make_policy(["127.*"], port)
            async with serve(handler, forwards=policy) as bastion:
                async with connect("ann%127.0.0.1@127.0.0.1", bastion) as connection:
                    result = await connection.run("x")
                    assert (result.exit_status, result.stdout) == (4, b"ann at the target: x")
                    # As ssh -J does it: a connection to the target within that to the bastion.
                    async with connection.open_connection(f"127.0.0.1:{port}") as stream:
                        assert (await stream.reader.read(4)) == b"SSH-"
                    for refused in (f"localhost:{port}", "127.0.0.1:1"):
                        with pytest.raises(sshkit.ChannelOpenFailed):
                            await connection.open_connection(refused)
                async with connect("ann%other@127.0.0.1", bastion) as connection:
                    result = await connection.run("x")
                    assert (result.exit_status, result.stderr) == (
                        255,
                        b"other is not reached through here\n",
                    )

    sshkit.run(main())


def test_a_recorded_shell_is_watched_and_played_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "casts"
    folder.mkdir()
    module = example("recorded_shell")

    async def main() -> None:
        async with (
            serve(module.make_handler(str(folder))) as server,
            connect("ann@127.0.0.1", server) as connection,
        ):
            assert (await connection.run(None)).exit_status == 1  # no terminal
            shell = await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(70, 22))
            shell.stdin.write("PS1='prompt: '; stty -echo; stty size\r")
            await until(shell.stdout, b"22 70")
            watcher = await connection.start("watch 1", terminal="xterm")
            assert b"22 70" in await until(watcher.stdout, b"22 70")
            listed = await connection.run("list")
            assert listed.text.startswith("1 ann watched by 1\r\n")
            shell.resize(sshkit.TerminalSize(81, 25))
            shell.stdin.write("stty size; exit 3\r")
            await until(shell.stdout, b"25 81")
            await shell.stdout.read()
            await shell.wait()
            assert shell.exit_status == 3
            assert b"25 81" in await watcher.stdout.read()
            (cast,) = folder.iterdir()
            played = await connection.run(f"play {cast.name}")
            assert b"25 81" in played.stdout
            for command in ("watch 1", "watch", "play ../../etc/passwd"):
                assert (await connection.run(command)).exit_status == 1

    sshkit.run(main())


def test_people_in_the_chat_hear_each_other() -> None:
    module = example("terminal_program")

    async def main() -> None:
        async with (
            serve(module.make_handler()) as server,
            connect("ann@127.0.0.1", server) as one,
            connect("bob@127.0.0.1", server) as two,
        ):
            ann = await one.start(None, terminal="xterm")
            await until(ann.stdout, b"ann>")
            bob = await two.start(None, terminal="xterm")
            await until(bob.stdout, b"bob>")
            ann.stdin.write("hello\r")
            await until(bob.stdout, b"ann: hello")
            bob.stdin.write("welcome\r")
            await until(ann.stdout, b"bob: welcome")
            ann.stdin.write("\x04")
            assert (await ann.stdout.read()).endswith(b"bye\r\n")
            await ann.wait()
            assert ann.exit_status == 0

    sshkit.run(main())
