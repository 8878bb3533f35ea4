"""The manholes of the examples open, in the programs that they are for."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.key_files import write_private_key

import sshkit
from sshkit import blocking
from tests.examples.test_examples import HOST_KEY, KEY, ROOT, example
from tests.manhole.unix_bridge import __file__ as bridge


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which KEY may log in, and a host key that we know."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh" / "authorized_keys").write_text(KEY.public.to_line() + "\n")
    folder = tmp_path / ".config" / "sshkit"
    folder.mkdir(parents=True, mode=0o700)
    key = HOST_KEY.to_openssh(random_bytes=os.urandom)
    write_private_key(folder / "ssh_host_ed25519_key", key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("MANHOLE_PORT", raising=False)
    return tmp_path


def evaluate(port: int, source: str, **options: Any) -> str:
    with blocking.connect(
        f"ann@127.0.0.1:{port}", identities=[KEY], host_keys=[HOST_KEY.public], **options
    ) as connection:
        result = connection.run(source, timeout=20)
        assert result.exit_status == 0, result.stderr
        return result.stdout.decode()


def test_starlette_is_looked_at_while_it_serves() -> None:
    import httpx

    module = example("manhole_starlette")

    async def main() -> None:
        async with (
            module.app.router.lifespan_context(module.app),
            httpx.AsyncClient(transport=httpx.ASGITransport(module.app), base_url="http://shop") as client,
            sshkit.connect(
                f"ann@127.0.0.1:{module.app.state.manhole.port}",
                identities=[KEY],
                host_keys=[HOST_KEY.public],
            ) as connection,
        ):
            assert (await client.get("/")).text == "visit 1\n"
            assert (await connection.run("app.state.visits")).stdout == b"1\n"
            assert (await connection.run("app.state.visits += 10")).stdout == b""
            assert (await client.get("/")).text == "visit 12\n"

    asyncio.run(main())


@pytest.mark.parametrize("name", ["manhole_flask", "manhole_django"])
def test_programs_of_wsgi_are_looked_at_while_they_serve(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module
    from io import BytesIO
    from wsgiref.util import setup_testing_defaults

    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    module = import_module(name)
    with module.door:
        application = getattr(module, "application", None) or module.app
        environ: dict[str, Any] = {"wsgi.input": BytesIO()}
        setup_testing_defaults(environ)
        body = b"".join(application(environ, lambda status, headers: None))
        assert body == b"visit 1\n"
        assert evaluate(module.door.port, "visits") == "['/']\n"
        if name == "manhole_django":
            assert evaluate(module.door.port, "settings.ROOT_URLCONF") == f"'{name}'\n"


def test_a_worker_that_blocks_is_looked_at_through_a_unix_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "manhole"
    module = example("manhole_worker")
    made: list[Any] = []

    class Worker(module.Worker):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    module.Worker = Worker
    worker = threading.Thread(target=module.main, args=[str(path)])
    worker.start()
    while not path.exists():
        assert worker.is_alive()
    proxy = f"{sys.executable} {bridge} {path}"
    assert evaluate(22, "worker.jobs.put('one')", proxy_command=proxy) == ""
    assert evaluate(22, "worker.done in (0, 1)", proxy_command=proxy) == "True\n"
    made[0].jobs.put(None)
    worker.join(20)
    assert not worker.is_alive()
    printed = capsys.readouterr().out
    assert "job one" in printed
    assert "entered: worker.jobs.put('one')" in printed


def test_the_service_starts_the_example() -> None:
    unit = (ROOT / "packaging" / "systemd" / "manhole-worker.service").read_text()
    assert "manhole_worker.py /run/worker/manhole" in unit
    assert "RuntimeDirectoryMode=0700" in unit
    source = ROOT / "examples" / "manhole_worker.py"
    assert subprocess.run([sys.executable, "-m", "py_compile", source], check=False).returncode == 0
