"""sshkit-client and connect(config=) by way of other hosts and of commands; forwards; the background."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sshkit
from tests.cli.test_client_run import beside
from tests.cli.user import PATIENCE, run_here
from tests.interop.peers import free_port
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")
HOST = "127.0.0.1"


@pytest.fixture
def config(home: Path, sshd: RealSshd) -> Path:
    """A file with a host, and one that is reached through it."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    path = folder / "config"
    path.write_text(
        "Host far\n ProxyJump near\n"
        "Host farther\n ProxyJump near,far\n"
        f"Host near far farther itself\n Hostname {HOST}\n Port {sshd.port}\n"
        f" HostKeyAlias [{HOST}]:{sshd.port}\n"
        "Host itself\n ProxyJump itself\n"
        f"Host *\n IdentityFile {sshd.user_key_path}\n IdentityAgent none\n"
        f" UserKnownHostsFile {sshd.known_hosts}\n GlobalKnownHostsFile none\n StrictHostKeyChecking yes\n"
    )
    path.chmod(0o600)
    return path


def run(config: Path, *argv: str) -> tuple[int, bytes, str]:
    return run_here("-F", str(config), *argv)


def test_a_jump_of_the_files_of_the_command_line_and_to_itself(config: Path) -> None:
    assert run(config, "far", "echo far") == (0, b"far\n", "")
    assert run(config, "farther", "echo farther") == (0, b"farther\n", "")
    assert run(config, "-v", "itself", "echo direct")[1] == b"direct\n"


def test_a_jump_of_the_command_line_goes_through_all_hosts(config: Path, sshd: RealSshd) -> None:
    alias = f"HostKeyAlias=[{HOST}]:{sshd.port}"
    argv = ("-v", "-p", str(sshd.port), "-o", alias, "-J", "near,far", "localhost", "echo through")
    status, out, err = run(config, *argv)
    assert (status, out) == (0, b"through\n")
    assert err.count("by way of") == 2


def test_a_proxy_command_is_the_connection_and_its_failure_is_named(config: Path, sshd: RealSshd) -> None:
    relay = (
        f'{sys.executable} -S -c \'import socket,os,threading as t;s=socket.create_connection(("%h",%p));'
        'f=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,65536),b"")];'
        "t.Thread(target=f,daemon=True).start();"
        '[os.write(1,d) for d in iter(lambda:s.recv(65536),b"")]\''
    )
    assert run(config, "-o", f"ProxyCommand={relay}", "near", "echo by way of a command")[:2] == (
        0,
        b"by way of a command\n",
    )
    status, _, err = run(config, "-o", "ProxyCommand=sh -c 'exit 7' %h", "box")
    assert status == 255
    assert err.endswith("the proxy command ended with status 7: sh -c 'exit 7' box\n")
    status, _, err = run(config, "-o", "ProxyCommand=kill -9 $$", "box")
    assert status == 255


def test_a_proxy_command_may_hand_over_a_descriptor(config: Path) -> None:
    passes = (
        f'{sys.executable} -S -c \'import socket;s=socket.create_connection(("%h",%p));'
        'socket.send_fds(socket.socket(fileno=1),[b"x"],[s.fileno()])\''
    )
    options = ("-o", "ProxyUseFdpass=yes")
    assert run(config, *options, "-o", f"ProxyCommand={passes}", "near", "echo passed")[:2] == (
        0,
        b"passed\n",
    )
    status, _, err = run(config, *options, "-o", "ProxyCommand=true", "near")
    assert status == 255
    assert "no descriptor came from true" in err


def test_w_joins_standard_input_and_output_to_a_host_behind(config: Path, sshd: RealSshd) -> None:
    status, out, _ = run_here(
        "-F", str(config), "-W", f"{HOST}:{sshd.port}", "near", stdin=b"SSH-2.0-none\r\n"
    )
    assert out.startswith(b"SSH-2.0-OpenSSH")
    assert status == 0
    status, _, err = run(config, "-W", f"{HOST}:1", "near")
    assert status == 255
    assert "channel refused" in err


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what comes."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    while data := sock.recv(65536):
                        sock.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)


def said(port: int | str) -> bytes:
    family = socket.AF_UNIX if isinstance(port, str) else socket.AF_INET
    deadline = time.monotonic() + PATIENCE
    with socket.socket(family) as sock:
        while True:
            try:
                sock.connect(port if isinstance(port, str) else (HOST, port))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        sock.sendall(b"to and fro")
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(100)


def test_forwards_of_all_kinds_work_in_the_background(config: Path, echo: int, tmp_path: Path) -> None:
    local, remote = free_port(), free_port()
    path = str(tmp_path / "socket")
    pidfile = tmp_path / "pid"
    argv = ("-L", f"{local}:{HOST}:{echo}", "-L", f"{path}:{HOST}:{echo}", "-R", f"{remote}:{HOST}:{echo}")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("sshkit-client"),
            "-F",
            config,
            "-f",
            *argv,
            "near",
            f"echo $$ >{pidfile}; cat",
        ],
        timeout=PATIENCE,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    try:
        assert said(local) == said(remote) == said(path) == b"to and fro"
    finally:
        found = subprocess.run(["pgrep", "-f", f"sshkit-client -F {config}"], capture_output=True, check=True)
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGTERM)


def test_a_forward_that_cannot_be_is_a_warning_or_the_end(config: Path, echo: int) -> None:
    status, out, err = run(config, "-L", f"{echo}:x:1", "-R", f"0:{HOST}:1", "near", "echo on")
    assert (status, out) == (0, b"on\n")
    assert f"Warning: local forward {echo} [x]:1: cannot listen at" in err
    assert re.search(rf"Allocated port \d+ for remote forward to \[{HOST}\]:1\n", err)
    status, out, err = run(config, "-o", "ExitOnForwardFailure=yes", "-L", f"{echo}:x:1", "near", "echo on")
    assert (status, out) == (255, b"")
    status, out, err = run(config, "-L", f"{echo}:x:1", "-o", "ClearAllForwardings=yes", "near", "echo on")
    assert (status, out, err) == (0, b"on\n", "")


def test_a_local_command_runs_after_the_login_where_it_may(config: Path, tmp_path: Path) -> None:
    command = f"LocalCommand=echo %r %h %p >{tmp_path}/local"
    assert run(config, "-o", command, "near", "true")[0] == 0
    assert not (tmp_path / "local").exists()
    assert run(config, "-o", command, "-o", "PermitLocalCommand=yes", "near", "true")[0] == 0
    assert HOST in (tmp_path / "local").read_text()
    status, _, err = run(config, "-o", "LocalCommand=exit 3", "-o", "PermitLocalCommand=yes", "near", "true")
    assert (status, err) == (0, "Warning: LocalCommand ended with status 3\n")


def test_another_try_to_connect_comes_a_second_later(home: Path) -> None:
    before = time.monotonic()
    status, _, err = run_here("-F", "none", "-o", "ConnectionAttempts=2", "-p", "1", HOST)
    assert status == 255
    assert "Connection refused" in err
    assert time.monotonic() - before >= 1


def test_the_address_to_connect_from_may_be_that_of_an_interface(config: Path) -> None:
    assert run(config, "-B", "lo", "near", "echo $SSH_CLIENT")[1].startswith(b"127.0.0.1 ")
    status, _, err = run(config, "-B", "no-such", "near", "true")
    assert status == 255
    assert "command line: BindInterface: no-such is no interface" in err


def test_programs_obey_the_same_files(config: Path, sshd: RealSshd) -> None:
    async def main() -> None:
        async with sshkit.connect("far", config=True) as connection:
            assert (await connection.run("echo $0", timeout=PATIENCE)).exit_status == 0
            assert connection.layer.transport is not None
            assert connection.layer.transport.get_extra_info("jump").host == HOST
        async with sshkit.connect("near", config=str(config), jump="far", keepalive=7) as connection:
            assert (await connection.run("true")).exit_status == 0
        outer = await sshkit.connect("near", config=config)
        async with sshkit.connect("far", config=config, jump=outer) as connection:
            assert (await connection.run("true")).exit_status == 0
        await outer.close()
        with pytest.raises(sshkit.HostKeyNotVerified):
            await sshkit.connect("near", config=True, known_hosts=os.devnull, host_key_policy="strict")
        with pytest.raises(sshkit.AuthenticationFailed):
            await sshkit.connect("near", config=True, identities=[], agent="")
        with pytest.raises(sshkit.ProxyFailed):
            await sshkit.connect("near", config=True, proxy_command="false")

    sshkit.run(main())
    target = sshkit.load_target("far")
    assert (target.hostname, target.port) == (HOST, sshd.port)
    assert str(target.options.port.place) == f"{config}:7"
    config.write_text("Prot 1\n")
    with pytest.raises(sshkit.ConfigError, match="config:1: unknown keyword"):
        sshkit.load_target("far")


def test_files_that_lead_in_a_circle_end(config: Path) -> None:
    config.write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    status, _, err = run(config, "a")
    assert status == 255
    assert "more than 16 hosts on the way" in err


def test_g_and_v_tell_where_each_setting_comes_from(config: Path) -> None:
    out = run(config, "-G", "-v", "far")[1].decode()
    assert re.search(rf"^proxyjump near +# {config}:2$", out, re.MULTILINE)
    assert re.search(r"^host far +# command line$", out, re.MULTILINE)
    assert run(config, "-G", "far")[1].decode().splitlines()[0] == "host far"


def test_the_client_in_a_process_of_its_own_jumps_too(config: Path) -> None:
    process = beside("-F", str(config), "far", "echo there", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"there\n")


def test_a_program_may_name_the_command_to_go_through(
    sshd: RealSshd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = (
        f"{sys.executable} -S -c 'import socket,os,threading as t;"
        f's=socket.create_connection(("{HOST}",{sshd.port}));'
        'f=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,65536),b"")];'
        "t.Thread(target=f,daemon=True).start();"
        '[os.write(1,d) for d in iter(lambda:s.recv(65536),b"")]\''
    )
    options: dict[str, object] = {
        "identities": [str(sshd.user_key_path)],
        "host_keys": [sshd.host_key.public],
        "agent": "",
    }

    async def main(command: str) -> bytes:
        async with sshkit.connect("root@nowhere.invalid", proxy_command=command, **options) as connection:  # type: ignore[arg-type]
            return (await connection.run("echo by way of it")).stdout

    assert sshkit.run(main(relay)) == b"by way of it\n"
    with pytest.raises(sshkit.ProxyFailed, match="ended with status 7: sh -c"):
        sshkit.run(main("sh -c 'exit 7'"))
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    with pytest.raises(sshkit.SSHKitError, match="/nonexistent/shell"):
        sshkit.run(main(relay))


@pytest.mark.parametrize("fdpass", ["yes", "no"])
def test_a_shell_that_is_not_there_is_told_and_leaves_no_descriptor(
    config: Path, monkeypatch: pytest.MonkeyPatch, fdpass: str
) -> None:
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    before = len(os.listdir("/proc/self/fd"))
    options = ("-o", f"ProxyUseFdpass={fdpass}", "-o", "ProxyCommand=true")
    status, _, err = run(config, *options, "near")
    assert status == 255
    assert "/nonexistent/shell" in err
    assert len(os.listdir("/proc/self/fd")) == before


def test_r39_a_host_on_the_way_that_cannot_be_one_names_its_line(config: Path) -> None:
    config.write_text("Host a\n ProxyJump user@-oProxyCommand=x\n")
    status, _, err = run(config, "-T", "a")
    assert status == 255
    assert err.count("\n") == 1
    assert f"{config}:2" in err
