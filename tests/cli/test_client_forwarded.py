"""sshkit-client with an agent and a display to forward: a real sshd, real programs, two hops."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_cli.client_agent import listens

from tests.cli.user import PATIENCE, PtyUser, run_at_terminal, run_here, spawn_at_terminal
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")
CLIENT = (sys.executable, "-m", "sshkit_cli.client")
BLANK = {"SSH_AUTH_SOCK": "", "DISPLAY": "", "SSH_ASKPASS": ""}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """An sshd that forwards displays."""
    with RealSshd(tmp_path_factory.mktemp("sshd-x11"), "X11Forwarding yes", "X11DisplayOffset 60") as found:
        yield found


def run(server: RealSshd, home: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the client; `words` are options and the command, with the host between them as "@"."""
    split = words.index("@")
    argv = [*CLIENT, "-F", "none", "-p", str(server.port), "-i", str(server.user_key_path)]
    argv += ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    return subprocess.run(
        [*argv, *words[:split], "127.0.0.1", *words[split + 1 :]],
        env={**os.environ, "HOME": str(home), **BLANK, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def add(agent: Path, *words: str) -> None:
    subprocess.run(
        ["ssh-add", "-q", *words],
        env={**os.environ, "SSH_AUTH_SOCK": str(agent)},
        check=True,
        capture_output=True,
    )


@pytest.mark.peer("ssh-agent")
def test_the_agent_is_forwarded_in_every_way_to_ask_for_it(
    server: RealSshd, home: Path, real_agent: Path
) -> None:
    add(real_agent, str(server.user_key_path))
    agent = str(real_agent)
    for options, environment in (
        (("-A",), {"SSH_AUTH_SOCK": agent}),
        (("-o", f"ForwardAgent={agent}"), {}),
        (("-o", "ForwardAgent=$MINE"), {"MINE": agent}),
        (("-A", "-o", f"IdentityAgent={agent}"), {}),
    ):
        done = run(server, home, *options, "@", "ssh-add -l", **environment)
        assert (done.returncode, done.stdout.count("ED25519")) == (0, 1), done.stderr
    without: tuple[tuple[str, ...], ...] = (
        (),
        ("-a",),
        ("-A", "-o", "IdentityAgent=none"),
        ("-o", "ForwardAgent=$NONE"),
    )
    for words in without:
        done = run(server, home, *words, "@", "test -z $SSH_AUTH_SOCK", SSH_AUTH_SOCK=agent)
        assert (done.returncode, words) == (0, words)


def test_an_agent_that_is_not_there_is_not_asked_for(server: RealSshd, home: Path) -> None:
    gone = str(home / "gone")
    done = run(server, home, "-v", "-A", "@", "test -z $SSH_AUTH_SOCK", SSH_AUTH_SOCK=gone)
    assert done.returncode == 0
    assert f"no agent to forward at {gone}" in done.stderr
    assert not listens("/" + "x" * 200)
    assert not listens(gone)


@pytest.mark.peer("ssh-agent")
def test_keys_limited_to_destinations_stay_so_over_two_hops(
    server: RealSshd, home: Path, real_agent: Path
) -> None:
    """The key may be used to log in here, and from here only where the destination says."""
    host = f"[127.0.0.1]:{server.port}"
    known = ("-H", str(server.known_hosts))
    inner = " ".join(
        [
            *CLIENT,
            *("-F", "none", "-p", str(server.port), "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={server.known_hosts}", "127.0.0.1", "echo inside"),
        ]
    )
    path = ":".join(sys.path)
    agent = {"SSH_AUTH_SOCK": str(real_agent)}
    for limits, ok in (((), False), (("-h", f"{host}>{host}"), True)):
        add(real_agent, "-D")
        add(real_agent, *known, "-h", host, *limits, str(server.user_key_path))
        only = ("-A", "-o", "IdentityFile=none")
        done = run(server, home, *only, "@", f"HOME={home} PYTHONPATH={path} {inner}", **agent)
        assert (done.stdout == "inside\n") == ok, done.stderr


class Screen:
    """An X server without a screen, and the user's cookie for it."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "Xauthority"
        self.name = ""
        cookie = os.urandom(16).hex()
        read_end, write_end = os.pipe()
        self._xauth("add", ":0", "MIT-MAGIC-COOKIE-1", cookie)
        self._process = subprocess.Popen(
            [
                *("Xvfb", "-displayfd", str(write_end), "-screen", "0", "320x200x8", "-nolisten", "tcp"),
                *("-noreset", "+extension", "SECURITY", "-auth", str(self.authority)),
            ],
            pass_fds=[write_end],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write_end)
        with os.fdopen(read_end) as told:
            self.name = f":{told.readline().strip()}"
        self._xauth("add", self.name, "MIT-MAGIC-COOKIE-1", cookie)

    def _xauth(self, *words: str) -> None:
        subprocess.run(["xauth", "-q", "-f", str(self.authority), *words], check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        return {"DISPLAY": self.name, "XAUTHORITY": str(self.authority)}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """One X server for all tests."""
    found = Screen(tmp_path_factory.mktemp("screen"))
    yield found
    found.close()


@pytest.mark.peer("Xvfb")
@pytest.mark.peer("xdpyinfo")
@pytest.mark.parametrize("option", ["-X", "-Y"])
def test_real_x_clients_draw_here(server: RealSshd, home: Path, screen: Screen, option: str) -> None:
    command = "echo $DISPLAY; xdpyinfo | head -1; timeout 1 xclock; echo $?"
    done = run(server, home, option, "@", command, **screen.environment)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("localhost:6"), done.stderr
    assert lines[1] == f"name of display:    {lines[0]}"
    assert lines[2] == "124"  # xclock was there until it was stopped
    assert (done.returncode, done.stderr) == (0, "") or "xauth" in done.stderr


@pytest.mark.peer("Xvfb")
@pytest.mark.peer("xdpyinfo")
def test_the_wrong_cookie_and_the_late_client_are_refused(
    server: RealSshd, home: Path, screen: Screen, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    command = (
        f"xauth -q -f {wrong} add unix:${{DISPLAY#localhost:}} MIT-MAGIC-COOKIE-1 {'ab' * 16};"
        f"XAUTHORITY={wrong} xdpyinfo; xdpyinfo | head -1; sleep 1.2; xdpyinfo"
    )
    done = run(server, home, "-X", "-o", "ForwardX11Timeout=1", "@", command, **screen.environment)
    assert "X11: an X client was refused: the cookie is none" in done.stderr
    assert "X11: an X client came too late" in done.stderr
    assert done.stdout.count("name of display") == 1


@pytest.mark.peer("Xvfb")
def test_without_a_display_the_session_goes_on(server: RealSshd, home: Path, screen: Screen) -> None:
    command = "test -z $DISPLAY; echo $?"
    for option, environment, told in (
        ("-X", {}, ""),
        ("-x", screen.environment, ""),
        ("-X", {**screen.environment, "DISPLAY": "nonsense"}, "Warning: untrusted X11 forwarding is not"),
        ("-X", {"DISPLAY": ":4999"}, "Warning: untrusted X11 forwarding is not set up"),
    ):
        done = run(server, home, option, "@", command, **environment)
        assert (done.stdout, told in done.stderr) == ("0\n", True), done.stderr
    unset = run(server, home, "-v", "-X", "@", command)
    assert "DISPLAY names no display" in unset.stderr
    open_one = run(server, home, "-Y", "-o", "XAuthLocation=none", "@", "echo", **screen.environment)
    assert "a false one" in open_one.stderr


@pytest.mark.peer("Xvfb")
def test_a_server_without_displays_is_told(home: Path, screen: Screen, tmp_path: Path) -> None:
    with RealSshd(tmp_path, "X11Forwarding no", "AllowAgentForwarding no") as refusing:
        done = run(refusing, home, "-Y", "@", "echo on", **screen.environment)
    assert done.stdout == "on\n"
    assert "X11 forwarding was refused by the server." in done.stderr


@pytest.mark.peer("Xvfb")
@pytest.mark.peer("xterm")
def test_the_client_waits_for_x_clients_that_are_left(server: RealSshd, home: Path, screen: Screen) -> None:
    command = "(xterm -e 'sleep 1.5' >/dev/null 2>&1 </dev/null &); sleep 0.7; echo left"
    start = time.monotonic()
    done = run(server, home, "-v", "-Y", "@", command, **screen.environment)
    assert done.stdout == "left\n"
    assert done.returncode == 0
    if "waiting for their end" in done.stderr:  # sshd may keep the session open itself
        assert time.monotonic() - start > 1.0


def test_the_command_line_and_the_list_of_forwards(
    to_sshd: tuple[str, ...], user: PtyUser, tmp_path: Path
) -> None:
    path = tmp_path / "s"

    def script(user: PtyUser) -> None:
        user.expect("ready\r\n")
        user.type("~C")
        user.expect("ssh> ")
        user.wait_until(lambda: not user.is_raw)
        user.type(f"-L {path}:{path}\r")
        user.expect("is in force.\r\n")
        user.wait_until(path.exists)
        user.wait_until(lambda: user.is_raw)
        user.type("\r~C")
        user.expect("ssh> ")
        user.type(f"-KL {path}\r")
        user.expect("The forward is cancelled.\r\n")
        user.wait_until(lambda: not path.exists())
        user.type("\r~C")
        user.expect("ssh> ")
        user.type("help\r")
        user.expect("-KD[bind_address:]port")
        user.type("\r~.")
        user.expect("~.\r\n")

    argv = ("-t", "-o", "EnableEscapeCommandline=yes", *to_sshd, "127.0.0.1", "echo ready; cat")
    assert run_at_terminal(user, *argv, script=script) == 255


def test_everything_that_is_typed_arrives_at_fixed_times(to_sshd: tuple[str, ...], user: PtyUser) -> None:
    text = "the quick brown fox jumps"

    def script(user: PtyUser) -> None:
        user.expect("ready\r\n")
        for key in text:
            user.type(key)
        user.type("\r")
        user.expect(f"<{text}>\r\n")
        user.expect("closed.\r\n")

    argv = ("-t", "-o", "ObscureKeystrokeTiming=interval:5", *to_sshd, "127.0.0.1")
    assert run_at_terminal(user, *argv, 'echo ready; read x; echo "<$x>"', script=script) == 0


def test_in_the_background_open_connections_are_served_on(
    to_sshd: tuple[str, ...], user: PtyUser, tmp_path: Path
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    path = tmp_path / "s"
    argv = ("-t", "-L", f"{path}:127.0.0.1:{port}", *to_sshd, "127.0.0.1", "echo ready; cat; echo end")
    process = spawn_at_terminal(user, *argv)
    user.expect("ready\r\n")
    with listening, socket.socket(socket.AF_UNIX) as near:
        near.settimeout(PATIENCE)
        near.connect(str(path))
        far, _ = listening.accept()
        with far:
            far.settimeout(PATIENCE)
            user.type("~#")
            user.expect("1 open, 1 in all\r\n")
            user.type("~&")
            user.expect("~& [in the background]\r\n")
            assert process.wait(PATIENCE) == 0
            near.sendall(b"out")
            assert far.recv(10) == b"out"
            far.sendall(b"back")
            assert near.recv(10) == b"back"
            user.wait_until(lambda: not path.exists())
            user.expect("end")
        assert near.recv(10) == b""


def own_arguments(server: RealSshd) -> tuple[str, ...]:
    return (
        *("-F", "none", "-p", str(server.port), "-i", str(server.user_key_path)),
        *("-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
    )


@pytest.mark.peer("ssh-agent")
@pytest.mark.peer("Xvfb")
@pytest.mark.peer("xdpyinfo")
def test_agent_and_display_together(
    server: RealSshd, home: Path, real_agent: Path, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))
    for name, value in screen.environment.items():
        monkeypatch.setenv(name, value)
    add(real_agent, str(server.user_key_path))
    command = "ssh-add -l; xdpyinfo | head -1"
    for option in ("-X", "-Y"):
        done = run_here("-A", option, *own_arguments(server), "127.0.0.1", command)
        assert (done.status, done.out.count(b"ED25519"), done.out.count(b"name of display")) == (0, 1, 1)
    for words in (("-Y", "-o", "XAuthLocation=none"), ("-X", "-o", "XAuthLocation=/nowhere")):
        done = run_here(*words, *own_arguments(server), "127.0.0.1", "echo on")
        assert (done.status, done.out) == (0, b"on\n")
        assert "Warning: " in done.err
    monkeypatch.setenv("DISPLAY", "")
    missing: tuple[tuple[str, ...], ...] = (
        ("-X",),
        ("-o", "ForwardAgent=/nowhere"),
        ("-A", "-o", "IdentityAgent=none"),
    )
    for asked in missing:
        done = run_here("-v", *asked, *own_arguments(server), "127.0.0.1", "echo on")
        assert (done.status, done.out) == (0, b"on\n")
        assert "DISPLAY names no display" in done.err or "no agent to forward" in done.err


def test_a_tunnel_that_cannot_be_had_is_told_or_the_end(server: RealSshd, home: Path) -> None:
    tunnel = ("-o", "Tunnel=ethernet", "-o", "TunnelDevice=0:any")
    words = (*tunnel, *own_arguments(server), "127.0.0.1", "echo on")
    done = run_here(*words)  # the server permits none
    assert (done.status, done.out) == (0, b"on\n")
    assert "Warning: tunnel: " in done.err
    done = run_here("-o", "ExitOnForwardFailure=yes", *words)
    assert done.status == 255
    assert "tunnel: " in done.err
