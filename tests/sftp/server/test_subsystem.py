"""`sshkit.serve(sftp=...)`: the subsystem in a program's own server, with a real client on loopback."""

from collections.abc import Callable
from typing import Any

import asyncssh
import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.server.session import SessionRequest
from sshkit.server.sftp import SFTPService
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.backends.memory import MemoryBackend

KEY = generate_private_key("ed25519")


async def handler(session: sshkit.Session) -> int:
    session.stdout.write(b"handler\n")
    return 0


def with_client(sftp: Any, act: Callable[[Any], Any], log: Callable[..., object] | None = None) -> Any:
    """Serve `sftp`, and let an asyncssh client act."""

    async def main() -> Any:
        async with sshkit.serve(
            "127.0.0.1:0", handler, host_keys=[KEY], passwords={"joe": "secret"}, sftp=sftp, log=log
        ) as server:
            options = {
                "username": "joe",
                "password": "secret",
                "known_hosts": None,
                "config": None,
                "client_keys": None,
            }
            async with asyncssh.connect("127.0.0.1", server.address[1], **options) as connection:
                return await act(connection)

    return sshkit.run(main())


def with_sftp(sftp: Any, act: Callable[[Any], Any], log: Callable[..., object] | None = None) -> Any:
    async def open_and_act(connection: Any) -> Any:
        async with connection.start_sftp_client() as client:
            return await act(client)

    return with_client(sftp, open_and_act, log)


def test_a_backend_for_all_is_served() -> None:
    backend = MemoryBackend({"/file": b"content" * 100_000})

    async def act(client: Any) -> Any:
        async with client.open("/new", "wb") as file:
            await file.write(b"x" * 500_000)
        async with client.open("/file", "rb") as file:
            return await file.read()

    assert with_sftp(backend, act) == b"content" * 100_000
    assert backend.get("/new") == b"x" * 500_000
    assert with_sftp(backend, act) == b"content" * 100_000  # it is still open


def test_everybody_gets_a_root_of_his_own(tmp_path: Any) -> None:
    (tmp_path / "joe").mkdir()
    (tmp_path / "joe" / "mine").touch()
    closed: list[str] = []
    events: list[str] = []

    class Root(LocalBackend):
        def close(self) -> None:
            closed.append("closed")
            super().close()

    def choose(request: SessionRequest) -> SFTPService:
        root = Root(tmp_path / request.connection.user)
        return SFTPService(
            root, read_only=True, on_event=lambda event: events.append(str(event)), close_backend=True
        )

    async def act(client: Any) -> Any:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await client.mkdir("/new")
        return await client.listdir("/")

    assert sorted(with_sftp(choose, act)) == [".", "..", "mine"]
    assert closed == ["closed"]
    assert events[0] == 'denied "mkdir"'


def test_a_backend_that_a_function_makes_is_closed_with_its_session() -> None:
    closed: list[int] = []

    class Backend(MemoryBackend):
        def close(self) -> None:
            closed.append(1)

    async def act(client: Any) -> Any:
        return await client.exists("/x")

    assert with_sftp(lambda request: Backend({"/x": b""}), act) is True
    assert closed == [1]


def test_true_serves_the_files_of_this_process() -> None:
    async def act(client: Any) -> Any:
        return await client.exists("/etc/passwd"), await client.realpath(".")

    there, home = with_sftp(True, act)
    assert there
    assert home.startswith("/")


@pytest.mark.parametrize(("choice", "fails"), [(lambda request: None, False), (lambda request: 1 / 0, True)])
def test_a_function_may_refuse(choice: Callable[[Any], Any], fails: bool) -> None:
    logged: list[str] = []

    async def act(connection: Any) -> Any:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        return (await connection.run("x")).stdout

    assert with_client(choice, act, lambda *event: logged.append(str(event))) == "handler\n"
    assert any("ZeroDivisionError" in line for line in logged) == fails


def test_without_sftp_the_handler_gets_the_subsystem() -> None:
    async def act(connection: Any) -> Any:
        process = await connection.create_process(subsystem="sftp")
        return await process.stdout.read()

    assert with_client(False, act) == "handler\n"


def test_r33_a_client_that_breaks_the_protocol_is_told_by_its_exit_status() -> None:
    logged: list[str] = []

    async def act(connection: Any) -> Any:
        process = await connection.create_process(subsystem="sftp", encoding=None)
        process.stdin.write(b"\xff\xff\xff\xff")
        await process.wait()
        return process.exit_status

    assert with_client(MemoryBackend(), act, lambda *event: logged.append(str(event))) == 255
    assert any("sftp of 'joe' ended: a packet of 4294967295 bytes" in line for line in logged)


def test_a_mistake_of_a_backend_is_logged_and_answered() -> None:
    logged: list[str] = []

    class Broken(MemoryBackend):
        def stat(self, path: bytes) -> Any:
            raise KeyError(path)

    async def act(client: Any) -> Any:
        with pytest.raises(asyncssh.SFTPFailure):
            await client.stat("/x")
        return await client.listdir("/")

    assert with_sftp(Broken(), act, lambda *event: logged.append(str(event))) == [".", ".."]
    assert any("sftp: KeyError" in line for line in logged)


def test_a_client_that_does_not_read_stops_the_server() -> None:
    """Its window is full; the server reads no further and goes on when it is read again."""
    backend = MemoryBackend({"/file": bytes(256 * 1024)})

    async def act(client: Any) -> Any:
        async with client.open("/file", "rb") as file:
            parts = [file.read(256 * 1024, 0) for _ in range(40)]
            import asyncio

            return sum(len(part) for part in await asyncio.gather(*parts))

    assert with_sftp(backend, act) == 40 * 256 * 1024
