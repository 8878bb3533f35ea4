"""sshkit-server's agents, displays and ends of writing, met by OpenSSH's ssh and real X clients."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_client_forwarded import Screen
from tests.servers import OwnServer, Place

pytestmark = pytest.mark.peer("ssh")
AGENT = ("-A", "-o", "IdentityAgent=SSH_AUTH_SOCK")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def server(place: Place) -> Iterator[OwnServer]:
    """A server of ours that forwards displays."""
    found = OwnServer(place, "-D", "-f", str(place.config("X11Forwarding yes", "X11DisplayOffset 70")))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    found = Screen(tmp_path_factory.mktemp("screen"))
    yield found
    found.close()


@pytest.fixture
def agent(tmp_path: Path, place: Place) -> Iterator[dict[str, str]]:
    """A real agent that holds the user's key: its environment."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
        key = str(place.folder / "id")
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True, capture_output=True)
        yield environment
        process.kill()


@pytest.mark.peer("ssh-agent")
def test_processes_reach_the_clients_agent_by_a_socket_of_their_own(
    server: OwnServer, agent: dict[str, str]
) -> None:
    modes = "stat -c %a $(dirname $SSH_AUTH_SOCK) $SSH_AUTH_SOCK"
    command = f"echo $SSH_AUTH_SOCK; {modes}; ssh-add -l; ssh-add -l"
    done = server.ssh(command, options=AGENT, env=agent)
    path, folder_mode, mode, first, second = done.stdout.decode().splitlines()
    assert (folder_mode, mode) == ("700", "600")
    assert first == second
    assert "ED25519" in first
    server.wait_for("ended: the peer disconnected")
    end = time.monotonic() + 10
    while os.path.exists(os.path.dirname(path)):  # its process ends after the client
        assert time.monotonic() < end
        time.sleep(0.01)
    without = server.ssh("test -z $SSH_AUTH_SOCK", env=agent)
    assert without.returncode == 0


@pytest.mark.peer("ssh-agent")
def test_r28_a_key_and_a_configuration_may_forbid_the_agent(place: Place, agent: dict[str, str]) -> None:
    for lines, options in (((), "no-agent-forwarding"), (("AllowAgentForwarding no",), "")):
        place.authorize(place.line(options))
        own = OwnServer(place, "-D", "-f", str(place.config(*lines)))
        try:
            done = own.ssh("test -z $SSH_AUTH_SOCK", options=AGENT, env=agent)
            assert done.returncode == 0, own.log
        finally:
            own.stop()
            place.authorize(place.line())


@pytest.mark.peer("Xvfb")
@pytest.mark.peer("xdpyinfo")
@pytest.mark.parametrize("option", ["-X", "-Y"])
def test_real_x_clients_draw_at_the_client(server: OwnServer, screen: Screen, option: str) -> None:
    environment = {**os.environ, **screen.environment}
    command = "echo $DISPLAY; xdpyinfo | head -1; timeout 1 xclock; echo $?; xauth list $DISPLAY"
    trust = "no" if option == "-X" else "yes"
    options = [option, "-o", f"ForwardX11Trusted={trust}"]
    done = server.ssh(command, options=options, env=environment)
    display, drawn, clock, cookie = done.stdout.decode().splitlines()
    assert display.startswith("localhost:7")
    assert drawn == f"name of display:    {display}"
    assert clock == "124"
    assert "MIT-MAGIC-COOKIE-1" in cookie
    again = server.ssh(f"sleep 0.3; xauth list {display}", env=environment)
    assert again.stdout == b""  # it was taken back


@pytest.mark.peer("Xvfb")
def test_r28_a_key_may_forbid_displays(place: Place, screen: Screen) -> None:
    place.authorize(place.line("no-x11-forwarding"))
    own = OwnServer(place, "-D", "-f", str(place.config("X11Forwarding yes")))
    try:
        environment = {**os.environ, **screen.environment}
        done = own.ssh("test -z $DISPLAY; echo $?", options=["-Y", "-o", "LogLevel=INFO"], env=environment)
    finally:
        own.stop()
        place.authorize(place.line())
    assert done.stdout == b"0\n"
    assert b"X11 forwarding request failed" in done.stderr


def test_an_endless_output_ends_when_nobody_takes_it(server: OwnServer, place: Place) -> None:
    """Our own client says so (eow@openssh.com), and the command at the server ends by SIGPIPE."""
    client = f"{sys.executable} -m sshkit_cli.client -F none -p {server.port} -i {place.folder / 'id'}"
    known = f"-o UserKnownHostsFile={place.folder / 'known'} -o StrictHostKeyChecking=accept-new"
    done = subprocess.run(
        f"{client} {known} 127.0.0.1 'yes; echo over >&2' | head -2",
        shell=True,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == b"y\ny\n"
    assert b"over" in done.stderr


def test_a_command_that_reads_no_more_ends_our_writing(server: OwnServer, place: Place) -> None:
    client = f"{sys.executable} -m sshkit_cli.client -F none -p {server.port} -i {place.folder / 'id'}"
    known = f"-o UserKnownHostsFile={place.folder / 'known'} -o StrictHostKeyChecking=accept-new"
    done = subprocess.run(
        f"yes | {client} {known} 127.0.0.1 'exec <&-; sleep 0.5; echo done'",
        shell=True,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == b"done\n"
