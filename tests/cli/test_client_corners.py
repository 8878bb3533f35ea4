"""sshkit-client where a server refuses, a channel stands idle, a forward is of a rarer kind: what is said."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_cli.client_doctor import main_doctor
from sshkit_cli.log import Log

from tests.cli.sharing import beside, master_here, wait_until
from tests.cli.user import run_here
from tests.peers import RealSshd

HOST = "127.0.0.1"
Arguments = tuple[str, ...]
pytestmark = pytest.mark.peer("sshd")


def to(server: RealSshd) -> Arguments:
    return (
        *("-F", "none", "-p", str(server.port), "-i", str(server.user_key_path), "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "GlobalKnownHostsFile=none"),
    )


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """An sshd that lets in and gives nothing."""
    lines = ("AllowAgentForwarding no", "X11Forwarding no", "PermitTTY no", "AllowTcpForwarding no")
    with RealSshd(tmp_path_factory.mktemp("refusing"), *lines) as server:
        yield server


@pytest.fixture(scope="module")
def no_sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    with RealSshd(tmp_path_factory.mktemp("no-sessions"), "MaxSessions 0") as server:
        yield server


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    """An sshd that knows old algorithms only."""
    lines = ("Ciphers aes128-cbc", "MACs hmac-sha1", "KexAlgorithms diffie-hellman-group14-sha256")
    with RealSshd(tmp_path_factory.mktemp("old"), *lines) as server:
        yield server


@pytest.mark.peer("ssh-agent")
def test_what_a_server_refuses_is_done_without(
    refusing: RealSshd, home: Path, real_agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(real_agent))
    done = run_here(*to(refusing), "-v", "-A", HOST, "echo ran")
    assert (done.status, done.out) == (0, b"ran\n")
    assert "the server refused agent forwarding" in done.err


def test_x11_without_a_display_is_done_without(refusing: RealSshd, home: Path) -> None:
    done = run_here(*to(refusing), "-v", "-X", HOST, "echo ran")
    assert (done.status, done.out) == (0, b"ran\n")
    assert "DISPLAY names no display" in done.err


def test_a_server_that_gives_no_session_ends_it_with_255(no_sessions: RealSshd, home: Path) -> None:
    done = run_here(*to(no_sessions), HOST, "true")
    assert done.status == 255
    assert done.err.count("\n") == 1
    assert "open failed" in done.err or "refused" in done.err


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("session:command", (HOST, "exec sleep 60")),
        ("session:shell", ("-T", HOST)),
        ("session:subsystem:echo", ("-s", HOST, "echo")),
    ],
)
def test_a_session_that_stands_idle_for_channeltimeout_is_closed(
    sshd: RealSshd, home: Path, kind: str, words: Arguments
) -> None:
    reads, writes = os.pipe()
    try:
        done = run_here(*to(sshd), "-o", f"ChannelTimeout={kind}=1", *words, stdin=reads)
    finally:
        os.close(reads)
        os.close(writes)
    assert (done.status, done.out) == (255, b"")
    assert f"{kind}: nothing has moved (ChannelTimeout)" in done.err
    assert done.err.count("\n") == 1


def test_weak_algorithms_are_warned_of_unless_that_is_unwanted(old: RealSshd, home: Path) -> None:
    options = (
        *("-o", "Ciphers=aes128-cbc", "-o", "MACs=hmac-sha1"),
        *("-o", "KexAlgorithms=diffie-hellman-group14-sha256"),
    )
    done = run_here(*to(old), *options, HOST, "true")
    assert done.status == 0
    assert done.err.startswith(f"Warning: {HOST} port {old.port}: ")
    assert "aes128-cbc" in done.err
    assert run_here(*to(old), *options, "-o", "WarnWeakCrypto=no", HOST, "true") == (0, b"", "")


def test_socks_at_either_side_is_told_where_it_listens(sshd: RealSshd, home: Path) -> None:
    options = ("-v", "-D", "127.0.0.1:0", "-R", "0", "-o", "PermitRemoteOpen=[::1]:80 a:*")
    done = run_here(*to(sshd), *options, HOST, "true")
    assert done.status == 0
    assert re.search(r"forward dynamic \S+: listening at 127.0.0.1 port \d+", done.err)
    assert re.search(r"Allocated port \d+ for remote forward to SOCKS", done.err)


def test_of_several_forwards_the_one_that_is_named_is_cancelled(to_sshd: Arguments, tmp_path: Path) -> None:
    control, paths = str(tmp_path / "control"), [str(tmp_path / name) for name in "abc"]
    forwards = [word for path in paths for word in ("-L", f"{path}:/nowhere")]

    def script() -> None:
        wait_until(lambda: all(os.path.exists(path) for path in paths))
        assert beside(control, "-O", "cancel", "-L", f"{paths[1]}:/nowhere", "x").returncode == 0
        with (
            socket.socket(socket.AF_UNIX) as sock,
            pytest.raises((ConnectionRefusedError, FileNotFoundError)),
        ):
            sock.connect(paths[1])
        for path in (paths[0], paths[2]):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
        done = beside(control, "-O", "cancel", "-L", f"{tmp_path}/d:/nowhere", "x")
        assert b"local forward" in done.stderr

    words = (*to_sshd, "-M", "-S", control, *forwards, "-N", HOST)
    assert master_here(control, words, script).status == 0


# doctor.


def test_doctor_tells_of_a_server_that_opens_no_session(no_sessions: RealSshd, home: Path) -> None:
    done = run_here("doctor", *to(no_sessions), HOST)
    assert b"FAILED session: " in done.out


def test_doctor_tells_of_weak_algorithms_and_of_lines_without_effect(old: RealSshd, home: Path) -> None:
    options = (
        *("-o", "Ciphers=aes128-cbc", "-o", "MACs=hmac-sha1", "-o", "ClearAllForwardings=yes"),
        *("-o", "KexAlgorithms=diffie-hellman-group14-sha256", "-L", "1:a:1"),
        *("-o", "UsePrivilegedPort=yes"),
    )
    done = run_here("doctor", *to(old), *options, HOST)
    text = done.out.decode()
    assert done.status == 0
    assert re.search(r"(?m)^--     algorithms: .*aes128-cbc", text)
    assert "forward: " not in text.replace("configuration: ", "")


def test_doctor_does_not_look_up_what_others_look_up(sshd: RealSshd, home: Path) -> None:
    options = ("-o", "ProxyCommand=false", "-o", "ProxyJump=none")
    done = run_here("doctor", *to(sshd), *options, "nowhere.invalid")
    assert b"not looked up here: a command is the way" in done.out
    done = run_here("doctor", *to(sshd), "-J", "jump.invalid", "nowhere.invalid")
    assert b"not looked up here: by way of jump.invalid" in done.out


def test_doctor_without_arguments_shows_the_usage(capfd: pytest.CaptureFixture[str], home: Path) -> None:
    assert main_doctor([], Log()) == 255
    assert "usage: sshkit-client doctor" in capfd.readouterr().err


# Many hosts.


def test_each_host_tells_how_its_command_ended(sshd: RealSshd, home: Path) -> None:
    config = home / "config"
    config.write_text(f"Host one two\n Hostname {HOST}\n HostKeyAlias [{HOST}]:{sshd.port}\n")
    options = ("-F", str(config), *to(sshd)[2:])
    done = run_here("--hosts", "one", *options, "--", "exit 7")
    assert "one: ended with status 7\n" in done.err
    done = run_here("--hosts", "two", *options, "--", "kill -KILL $$")
    assert "two: ended with signal KILL\n" in done.err
    done = run_here("--hosts", "one,a$b", *options, "--", "true")
    assert done.status == 255
    assert "a$b: " in done.err
    assert "1 ok, 1 failed" in done.err


def test_a_list_of_hosts_that_cannot_be_read_is_told(home: Path) -> None:
    done = run_here("--hosts", str(home), "--", "true")
    assert done.status == 255
    assert "the file does not exist" in done.err
    done = run_here("--hosts", "/proc/self/mem", "--", "true")
    assert done == (255, b"", "sshkit-client: --hosts: cannot be read: Input/output error\n")
