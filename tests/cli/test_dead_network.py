"""A network that drops every packet: each command ends within its deadline, with 255 and one line."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.dead_network import DeadNetwork, dead_network
from tests.cli.sharing import wait_until
from tests.cli.user import PATIENCE
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")

ALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")


@pytest.fixture(scope="module")
def network() -> Iterator[DeadNetwork]:
    """The ends, which talk; each test lets them fall silent."""
    with dead_network() as found:
        yield found


@pytest.fixture
def to_server(
    network: DeadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ...]]:
    """Arguments that lead to an sshd on our side of the network, up to and without the host."""
    monkeypatch.setenv("HOME", str(tmp_path))
    network.speak()
    # Its sessions end as well: nobody hears of our end.
    lines = (f"ListenAddress {network.ours}", "ClientAliveInterval 1", "ClientAliveCountMax 1")
    with RealSshd(tmp_path, *lines) as server:
        yield (
            *("-F", "none", "-o", f"Port={server.port}", "-i", str(server.user_key_path)),
            *("-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
            *("-o", "HostKeyAlias=[127.0.0.1]:" + str(server.port), "-o", "BatchMode=yes"),
        )


def end_of(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Wait for the end of a command; its status and what it said."""
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, said.decode()


def until(process: "subprocess.Popen[bytes]", said: bytes) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == said


def test_a_host_that_swallows_all_packets_is_given_up_after_connecttimeout(
    network: DeadNetwork, to_server: tuple[str, ...]
) -> None:
    network.fall_silent()
    process = network.start("sshkit-client", *to_server, "-o", "ConnectTimeout=1", network.ours, "true")
    status, said = end_of(process)
    assert status == 255
    assert said.count("\n") == 1
    assert network.ours in said
    assert "within 1 second" in said


def test_a_session_whose_network_dies_ends_by_serveraliveinterval(
    network: DeadNetwork, to_server: tuple[str, ...]
) -> None:
    process = network.start("sshkit-client", *to_server, *ALIVE, network.ours, "echo up; exec cat")
    until(process, b"up\n")
    network.fall_silent()
    status, said = end_of(process)
    assert status == 255
    assert said.count("\n") == 1
    assert network.ours in said
    assert "answered nothing for 3 seconds" in said


def test_a_session_that_sends_into_a_dead_network_ends_too(
    network: DeadNetwork, to_server: tuple[str, ...]
) -> None:
    process = network.start("sshkit-client", *to_server, *ALIVE, network.ours, "echo up; exec cat >/dev/null")
    until(process, b"up\n")
    network.fall_silent()
    assert process.stdin is not None
    process.stdin.write(bytes(50_000))
    process.stdin.flush()
    status, said = end_of(process)
    assert (status, said.count("\n")) == (255, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_session_on_a_dead_network_at_once(
    network: DeadNetwork, to_server: tuple[str, ...], number: int
) -> None:
    process = network.start("sshkit-client", *to_server, network.ours, "echo up; exec cat")
    until(process, b"up\n")
    network.fall_silent()
    process.send_signal(number)
    assert end_of(process) == (255, "")


@pytest.mark.parametrize("command", ["sshkit-sftp", "sshkit-scp"])
def test_a_copy_whose_network_dies_ends_and_leaves_nothing_that_looks_whole(
    network: DeadNetwork, to_server: tuple[str, ...], tmp_path: Path, command: str
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 400_000_000)
    place = f"{network.ours}:{large}"
    process = network.start(command, *to_server, *ALIVE, "-l", "8000", place, "got", cwd=tmp_path)

    def parts() -> list[str]:
        return [name for name in os.listdir(tmp_path) if name.startswith(".got")]

    wait_until(lambda: parts() or process.poll() is not None)
    network.fall_silent()
    status, said = end_of(process)
    assert status == (255 if command == "sshkit-sftp" else 1)  # as those of OpenSSH
    cause = [line for line in said.splitlines() if "answered nothing for 3 seconds" in line]
    assert cause
    assert len(said.splitlines()) <= 3
    assert not (tmp_path / "got").exists()
    assert parts() == []
