"""The client library and the system's own sshd: what a peer in memory cannot show."""

import getpass
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sshkit
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")
MUCH = 4 << 20


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o755)
    with RealSshd(folder) as sshd:
        yield sshd


def connect(sshd: RealSshd, **options: Any) -> Any:
    options.setdefault("identities", [sshd.user_key_path])
    options.setdefault("known_hosts", sshd.known_hosts)
    return sshkit.connect(f"{getpass.getuser()}@127.0.0.1:{sshd.port}", **options)


def test_commands_run_with_input_variables_and_status(sshd: RealSshd) -> None:
    async def main() -> None:
        async with connect(sshd) as connection:
            assert (await connection.run("tr a-z A-Z", input="abc")).stdout == b"ABC"
            assert (await connection.run("exit 7")).exit_status == 7
            result = await connection.run("echo $LC_TEST", environment={"LC_TEST": "hello"})
            assert result.text == "hello\n"
            process = await connection.start("true", environment={"LC_TEST": "x", "OTHER": "y"})
            assert process.refused == ["OTHER"]
            await process.communicate()
            killed = await connection.run("kill -KILL $$")
            assert (killed.exit_status, killed.exit_signal) == (None, "KILL")

    sshkit.run(main())


def test_streams_never_deadlock(sshd: RealSshd) -> None:
    async def main() -> None:
        async with connect(sshd) as connection:
            process = await connection.start(f"head -c {MUCH} /dev/zero >&2; echo end")
            assert await process.stdout.read() == b"end\n"
            assert len(await process.stderr.read()) == MUCH
            assert (await process.wait()).exit_status == 0
            assert (await connection.run("cat", input=bytes(MUCH))).stdout == bytes(MUCH)

    sshkit.run(main())


def test_a_terminal_a_subsystem_and_a_shell_work(sshd: RealSshd) -> None:
    async def main() -> None:
        async with connect(sshd) as connection:
            size = sshkit.TerminalSize(101, 37)
            process = await connection.start("stty size; read x; stty size", terminal="xterm", size=size)
            assert (await process.stdout.read_line()).strip() == b"37 101"
            process.resize(sshkit.TerminalSize(90, 20))
            process.stdin.write("\n")
            assert b"20 90" in (await process.communicate()).stdout
            subsystem = await connection.subsystem("echo")
            assert (await subsystem.communicate(b"ping")).stdout == b"ping"
            with pytest.raises(sshkit.ChannelRequestFailed):
                await connection.subsystem("nothing-of-the-kind")
            assert (await connection.run(None, input="echo from the shell\n")).stdout == b"from the shell\n"

    sshkit.run(main())


def test_r30_a_connection_that_dies_in_the_middle_is_an_error(sshd: RealSshd) -> None:
    async def main() -> None:
        async with connect(sshd) as connection:
            process = await connection.start("echo $PPID; exec sleep 1000")
            parent = int(await process.stdout.read_line())
            os.kill(parent, signal.SIGKILL)
            with pytest.raises(sshkit.ConnectionLost):
                await process.wait()
            assert process.exit_status is None
            with pytest.raises(sshkit.ConnectionLost):
                await connection.run("true")

    sshkit.run(main())


def test_a_cancelled_command_ends_and_the_connection_lives_on(sshd: RealSshd) -> None:
    async def main() -> None:
        async with connect(sshd) as connection:
            with pytest.raises(TimeoutError):
                await connection.run("exec sleep 1000", timeout=0.2)
            assert (await connection.run("echo fine")).text == "fine\n"

    sshkit.run(main())


def test_r38_accept_new_writes_a_line_that_ssh_itself_would(sshd: RealSshd, tmp_path: Path) -> None:
    async def main() -> None:
        async with connect(sshd, known_hosts=tmp_path / "known", host_key_policy="accept-new"):
            pass
        async with connect(sshd, known_hosts=tmp_path / "known"):
            pass

    sshkit.run(main())
    assert (tmp_path / "known").read_text() == sshd.known_line(sshd.host_key)


def test_the_trail_of_a_login_that_sshd_refuses(sshd: RealSshd) -> None:
    other = sshd.make_key("other")

    async def main() -> None:
        with pytest.raises(sshkit.AuthenticationFailed) as refused:
            await connect(sshd, identities=[sshd.folder / "other"])
        assert [str(attempt).rpartition(": ")[2] for attempt in refused.value.trail] == ["the server refused"]
        assert other.public.fingerprint() in str(refused.value)

    sshkit.run(main())


def test_many_sessions_at_once_over_several_connections(sshd: RealSshd) -> None:
    async def main() -> None:
        connections = await sshkit.gather(*[connect(sshd) for _ in range(3)])
        for _ in range(2):
            running = [connections[number % 3].run("cat", input=f"{number} " * 5000) for number in range(24)]
            for number, result in enumerate(await sshkit.gather(*running)):
                assert result.text == f"{number} " * 5000
        for connection in connections:
            await connection.close()

    sshkit.run(main(), engine="native")
