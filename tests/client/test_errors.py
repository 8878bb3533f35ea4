"""docs/errors.md: every error of the page is raised, where it says, and none is missing."""

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest
import sshkit_keys

import sshkit
import sshkit.client
import sshkit.server
import sshkit.ssh
from sshkit.ssh.channels import streams
from sshkit.testing import MemoryPair
from tests.client.world import OTHER_KEY, World, echo, hang, known_line

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def rows() -> set[str]:
    """Return the names in the first column of the page's tables."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {name for line in lines for name in re.findall(r"`(\w+)`", line.split(" | ")[0])}


def test_every_error_of_the_page_exists_where_a_program_finds_it() -> None:
    sources = [path.read_text() for path in Path(next(iter(sshkit.__path__))).rglob("*.py")]
    for name in rows() - {"EOFError"}:
        home = sshkit if hasattr(sshkit, name) else sshkit_keys
        if hasattr(home, name):
            assert issubclass(getattr(home, name), sshkit.SSHKitError), name
        else:  # an error of one room, which is found there
            assert any(f"\nclass {name}(" in text for text in sources), name


def test_every_public_error_is_on_the_page() -> None:
    text = PAGE.read_text()
    for module in (sshkit, sshkit_keys):
        for name in module.__all__:
            value: Any = getattr(module, name)
            if isinstance(value, type) and issubclass(value, sshkit.SSHKitError):
                assert f"`{name}`" in text, name


def test_every_error_that_the_library_defines_is_public_or_kept_inside_knowingly() -> None:
    inside = {
        "ServiceNotAvailable",  # a server's answer to a client; a client sees DisconnectedByPeer
        # What the command sshkit-server tells about its configuration, accounts and programs:
        "AccountError",
        "CannotListen",
        "LineRefused",
        "NotOffered",
        "PasswordsUnavailable",
        "BadHeader",
        "ChildFailed",
        "KeysCommandError",
        "PamError",
        "PamUnavailable",
        "PassedSocketError",
        "RightsNotGiven",
        "SessionRefused",
        # Between its processes:
        "LinkBroken",
        "NoRoom",
        "SessionEnded",
        "SigningRefused",
        "WorkerLies",
        # Warnings, and lines of the trail of a login:
        "DNSError",
        "KeysignFailed",
        "NotAnXClient",  # ends the channel of whoever is none
        # Inside an agent, which answers both with a failure:
        "ConstraintError",
        "Refused",
    }
    for package in (sshkit.client, sshkit.ssh, sshkit.server):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)

    def all_of(root: type) -> set[type]:
        kinds: list[type] = root.__subclasses__()
        return {root}.union(*(all_of(kind) for kind in kinds))

    public = {*sshkit.__all__, *sshkit_keys.__all__}
    for error in all_of(sshkit.SSHKitError):
        if error.__module__.startswith(("sshkit.client", "sshkit.ssh", "sshkit.server")):
            assert error.__name__ in public | inside, error


def failing(world: World, handler: Any = echo, **options: Any) -> BaseException:
    """Connect and run; return what went wrong."""

    async def main() -> BaseException:
        async with world.serve(handler, **options.pop("served", {})):
            try:
                async with world.connect(**options) as connection:
                    await connection.run("x", check=True)
            except Exception as error:
                return error
        raise AssertionError("nothing went wrong")

    return world.run(main())


def test_what_does_not_speak_ssh_2_is_told(world: World) -> None:
    def old(pair: MemoryPair) -> None:
        pair.server.outgoing[:0] = b"SSH-1.5-old\r\n"

    world.network.on_connect = old
    error = failing(world)
    assert isinstance(error, sshkit.VersionNotSupported)


def test_a_damaged_packet_is_told(world: World) -> None:
    async def main(connection: sshkit.ClientConnection) -> BaseException:
        running = connection.run("x")
        world.pair.server.deliver()
        world.network.call_soon(lambda: world.pair.server.write(bytes(64)))
        try:
            await running
        except Exception as error:
            return error
        raise AssertionError("nothing went wrong")

    error = world.with_server(main, hang)
    assert isinstance(error, sshkit.MACMismatch)
    assert isinstance(error, sshkit.RemoteProtocolError)
    assert str(error) == "message authentication code incorrect"


def test_a_stream_that_overflows_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 1 << 20)

    async def flood(session: sshkit.Session) -> None:
        while True:
            session.stderr.write(bytes(1 << 16))
            await session.stderr.drain()

    async def main(connection: sshkit.ClientConnection) -> None:
        process = await connection.start("x")
        reading = process.stdout.read_line()
        reading.add_errback(lambda _: None)
        while not process.stderr.ended:
            await world.tick()
        with pytest.raises(sshkit.StreamOverflow, match="bytes wait in a stream that nobody reads"):
            await process.stderr.read()
        assert process.stderr.size < (1 << 20) + (1 << 18)

    world.with_server(main, flood)


def test_each_error_of_getting_connected(world: World, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    assert isinstance(failing(world, known_hosts=file), sshkit.HostKeyUnknown)
    file.write_text(known_line("host", OTHER_KEY))
    assert isinstance(failing(world, known_hosts=file), sshkit.HostKeyChanged)
    assert isinstance(failing(world, identities=[OTHER_KEY]), sshkit.AuthenticationFailed)
    for error in (sshkit.HostKeyUnknown, sshkit.HostKeyChanged, sshkit.HostKeyRevoked):
        assert issubclass(error, sshkit.HostKeyNotVerified)


def test_listening_twice_at_one_address_is_told(world: World) -> None:
    async def main() -> None:
        async with world.serve():
            with pytest.raises(sshkit.ListenError, match="port 22 is in use"):
                await world.serve()

    world.run(main())


def test_a_server_logs_a_login_that_takes_too_long(world: World) -> None:
    async def main() -> None:
        settings = sshkit.Settings(grace_time=3)
        async with world.serve(settings=settings):

            def silent(pair: MemoryPair) -> None:
                pair.client.reading_paused = True

            world.network.on_connect = silent
            with pytest.raises(sshkit.ConnectionLost):
                await world.connect(login_timeout=9)

    world.run(main())
    assert world.log[0].endswith("ended: no login within 3 seconds")
    assert issubclass(sshkit.LoginTimedOut, sshkit.RemoteProtocolError)
    assert issubclass(sshkit.TooManyAuthenticationFailures, sshkit.RemoteProtocolError)


def test_texts_of_errors_hold_no_control_characters(world: World) -> None:
    async def fail(session: sshkit.Session) -> int:
        session.stderr.write("bad \x1b]0;title\x07 \u202e")
        return 1

    error = failing(world, fail)
    assert str(error) == "'x' ended with status 1: bad \\x1b]0;title\\x07 \\u202e"
