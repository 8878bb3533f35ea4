"""A host to test against: in memory, and at a loopback port for programs that are not ours."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.testing import Answer, MemoryHost
from sshkit.testing.host import Ran


def test_commands_are_answered_from_a_table_and_written_down() -> None:
    async def count(session: Any) -> int:
        session.stdout.write(str(len(await session.stdin.read())))
        return 4

    host = MemoryHost(
        {
            "uname": "Linux\n",
            "fail": Answer(stderr="no space left\n", exit_status=3),
            "count": count,
            "plain": lambda session: session.stdout.write("plain"),
        }
    )

    async def main() -> None:
        async with host.connect() as connection:
            assert (await connection.run("uname")).stdout == b"Linux\n"
            failed = await connection.run("fail", input=b"given")
            assert (failed.stderr, failed.exit_status) == (b"no space left\n", 3)
            counted = await connection.run("count", input=b"four")
            assert (counted.stdout, counted.exit_status) == (b"4", 4)
            assert (await connection.run("plain")).exit_status == 0
            missing = await connection.run("make coffee")
            assert (missing.stderr, missing.exit_status) == (b"make: not found\n", 127)
        async with host.connect() as again:
            host.otherwise = "anything\n"
            assert (await again.run()).stdout == b"anything\n"

    host.run(main())
    assert host.ran[0] == Ran("tester", "uname", b"")
    assert host.ran[1].stdin == b"given"
    assert [each.command for each in host.ran[2:]] == ["count", "plain", "make coffee", ""]


def test_files_are_served_and_can_be_looked_at() -> None:
    host = MemoryHost(files={"/etc/motd": b"hello"})

    async def main() -> None:
        async with host.connect() as connection, connection.sftp() as sftp:
            assert await sftp.read_bytes("/etc/motd") == b"hello"
            await sftp.write_bytes("/etc/hosts", b"127.0.0.1")

    host.run(main())
    assert host.files.get("/etc/hosts") == b"127.0.0.1"


def test_a_password_is_accepted_where_there_is_one() -> None:
    host = MemoryHost({"id": "tester\n"}, user="ann", password="secret")

    async def main() -> bytes:
        async with host.connect(identities=(), password="secret") as connection:
            return (await connection.run("id")).stdout

    assert host.run(main()) == b"tester\n"
    assert host.ran[0].user == "ann"
    with pytest.raises(sshkit.AuthenticationFailed):
        host.run(host.connect(identities=(), password="wrong"))


@pytest.mark.peer("ssh")
def test_other_programs_find_it_at_a_loopback_port(tmp_path: Path) -> None:
    host = MemoryHost({"uname": Answer("Linux\n", "warned\n", 5)}, files={"/motd": b"hello\n"})
    with host.on_loopback(tmp_path) as place:
        done = subprocess.run(
            ["ssh", *place.arguments, "uname"], capture_output=True, timeout=30, check=False
        )
        assert (done.stdout, done.returncode) == (b"Linux\n", 5)
        assert b"warned" in done.stderr
        sftp = ["-P" if word == "-p" else word for word in place.arguments]
        fetched = subprocess.run(
            ["sftp", "-q", *sftp[:-1], f"{sftp[-1]}:/motd", str(tmp_path / "motd")],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "motd").read_bytes() == b"hello\n"
    assert os.listdir(tmp_path) == ["motd"]


def test_paramiko_finds_it_too() -> None:
    import paramiko

    host = MemoryHost({"uname": "Linux\n"}, password="secret")
    with host.on_loopback() as place, paramiko.SSHClient() as client:
        client.load_host_keys(place.known_hosts)
        client.connect(
            place.host, place.port, place.user, place.password, look_for_keys=False, allow_agent=False
        )
        stdin, stdout, _ = client.exec_command("uname")
        stdin.channel.shutdown_write()
        assert stdout.read() == b"Linux\n"
