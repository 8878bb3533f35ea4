"""sshkit-server as people start it: foreground, background, inetd, checks, faults."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_cli.server import main
from sshkit_keys import load_private_key

from tests.servers import TIMEOUT, USER, OwnServer, Place, command_line, environment, read_to_end

peer = pytest.mark.peer("ssh")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def run(place: Place, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run sshkit-server to its end."""
    return subprocess.run(
        command_line(*arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        stdin=subprocess.DEVNULL,
        env=environment(place.folder),
        check=False,
    )


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@peer
def test_without_configuration_it_makes_itself_a_key_and_tells_how_to_connect(place: Place) -> None:
    keys = ("-o", f"AuthorizedKeysFile={place.authorized}", "-o", "StrictModes=no")
    server = OwnServer(place, "-D", "-p", "0", *keys)
    path = place.folder / "config" / "sshkit" / "ssh_host_ed25519_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    fingerprint = load_private_key(path).public.fingerprint()
    line = server.lines[0]
    assert line == (
        f"sshkit-server: listening on 127.0.0.1 port {server.port}; host key ED25519 {fingerprint}; "
        f"connect with: ssh -p {server.port} {USER}@127.0.0.1"
    )
    assert server.ssh("echo in").stdout == b"in\n"
    assert server.stop() == 0
    again = OwnServer(place, "-D", "-p", "0", *keys)
    assert fingerprint in again.lines[0]
    assert again.stop() == 0


def test_without_configuration_it_listens_on_the_loopback_at_port_2222(place: Place) -> None:
    result = run(place, "-T")
    assert result.returncode == 0
    assert "listenaddress 127.0.0.1:2222" in result.stdout.splitlines()


@peer
def test_the_users_own_configuration_is_read(place: Place) -> None:
    folder = place.folder / "config" / "sshkit"
    folder.mkdir(parents=True)
    place.config("Banner none").rename(folder / "sshd_config")
    server = OwnServer(place, "-D")
    assert server.ssh("echo in").stdout == b"in\n"
    assert server.stop() == 0


@peer
def test_the_server_loads_no_asyncio(place: Place) -> None:
    script = (
        "import sys, json; from sshkit_cli.server import main; status = main(sys.argv[1:]);"
        "open(sys.argv[-1], 'w').write(json.dumps([name for name in"
        " ('asyncio', 'argparse', 'concurrent.futures', 'ssl') if name in sys.modules]));"
        "sys.exit(status)"
    )
    listed = place.folder / "modules"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "-D", "-f", str(place.config()), "-E", str(listed)],
        stderr=subprocess.PIPE,
        env=environment(place.folder),
        text=True,
    )
    assert process.stderr is not None
    assert "listening" in process.stderr.readline()
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    process.stderr.close()
    assert json.loads(listed.read_text()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 255)])
def test_a_signal_ends_it_cleanly(place: Place, number: int, status: int) -> None:
    server = OwnServer(place, "-D", "-f", str(place.config()))
    assert server.stop(number) == status
    said = f"{signal.Signals(number).name}: the server ends"
    assert server.lines[-1] == (f"{said} with its last session" if number == signal.SIGTERM else said)


@peer
def test_sessions_get_sighup_when_the_server_ends(place: Place) -> None:
    server = OwnServer(place, "-D", "-f", str(place.config()))
    told = place.folder / "told"
    os.mkfifo(told)
    script = f"exec 2> /dev/null; trap 'echo hup > {told}; exit' HUP; echo up; while :; do sleep 0.01; done"
    with subprocess.Popen(
        server.ssh_command(script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert server.stop() == 0
        assert told.read_text() == "hup\n"
        process.communicate(None, TIMEOUT)
        assert process.returncode == 255


@peer
def test_sighup_reads_the_configuration_again_and_drops_no_session(place: Place) -> None:
    path = place.config()
    server = OwnServer(place, "-D", "-f", str(path))
    command = server.ssh_command("echo up; cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        path.write_text(f"ForceCommand echo forced\n{path.read_text()}")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("the configuration was read again")
        assert server.ssh("echo still").stdout == b"forced\n"
        assert process.communicate(b"old", TIMEOUT)[0] == b"old"
    path.write_text(f"NoSuch keyword\n{path.read_text()}")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(f"the configuration was not read again: {path}:1: unknown keyword 'NoSuch'")
    assert server.ssh("echo still").stdout == b"forced\n"
    assert server.stop() == 0


def test_a_port_in_use_is_one_line_and_255(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        for mode in (["-D"], []):
            result = run(place, *mode, "-f", str(place.config()), "-p", str(port))
            assert result.returncode == 255
            assert result.stderr == f"sshkit-server: 127.0.0.1 port {port}: Address already in use\n"


def test_an_address_that_does_not_exist_is_named(place: Place) -> None:
    result = run(place, "-D", "-f", str(place.config("ListenAddress 192.0.2.1:2022")))
    assert result.returncode == 255
    assert result.stderr.startswith("sshkit-server: 192.0.2.1 port 2022: ")


@peer
def test_it_listens_at_every_address_and_port(place: Place, free_port: int) -> None:
    server = OwnServer(place, "-D", "-f", str(place.config(f"ListenAddress 127.0.0.1:{free_port}")), "-4")
    first, second = re.findall(r"127\.0\.0\.1 port (\d+)", server.wait_for("connect with").string)
    assert int(first) == free_port
    for port in (first, second):
        server.port = int(port)
        assert server.ssh("true").returncode == 0
    assert server.stop() == 0


@pytest.fixture
def daemon(place: Place) -> Iterator[tuple[Path, Path, str]]:
    """A server in the background: its pid file, its log, and what it printed."""
    pid_file, log = place.folder / "pid", place.folder / "log"
    result = run(place, "-f", str(place.config(f"PidFile {pid_file}")), "-E", str(log))
    assert result.returncode == 0, result.stderr
    yield pid_file, log, result.stderr
    if pid_file.exists():
        end(pid_file)


def end(pid_file: Path) -> int:
    """End the server and wait for it, though it is no child of ours."""
    import select

    number = int(pid_file.read_text())
    fd = os.pidfd_open(number)
    os.kill(number, signal.SIGTERM)
    assert select.select([fd], [], [], TIMEOUT)[0]
    os.close(fd)
    return number


@peer
def test_without_d_it_becomes_a_daemon(place: Place, daemon: tuple[Path, Path, str]) -> None:
    pid_file, log, printed = daemon
    number = int(pid_file.read_text())
    assert "listening on 127.0.0.1 port" in printed
    assert os.getsid(number) not in (number, os.getsid(0))
    assert os.readlink(f"/proc/{number}/cwd") == "/"
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{number}/fd/{fd}") == "/dev/null"
    server = OwnServer.__new__(OwnServer)
    server.place, server.port = place, int(re.findall(r"port (\d+)", printed)[0])
    assert server.ssh("echo in").stdout == b"in\n"
    end(pid_file)
    assert not pid_file.exists()
    text = log.read_text()
    assert f"{USER}' logged in by publickey" in text
    assert re.search(r"^\d{4}-\d\d-\d\dT.* SIGTERM: the server ends with its last session$", text, re.M)


def test_a_pid_file_that_cannot_be_written_is_logged(place: Place) -> None:
    server = OwnServer(place, "-D", "-f", str(place.config("PidFile /no/such/folder/pid")))
    server.wait_for("PidFile /no/such/folder/pid: No such file or directory")
    assert server.stop() == 0


def test_a_pid_file_that_another_server_took_over_stays(place: Place) -> None:
    pid_file = place.folder / "pid"
    server = OwnServer(place, "-D", "-f", str(place.config(f"PidFile {pid_file}")))
    assert pid_file.read_text() == f"{server.process.pid}\n"
    pid_file.write_text("1\n")
    assert server.stop() == 0
    assert pid_file.read_text() == "1\n"
    server = OwnServer(place, "-D", "-f", str(place.config(f"PidFile {pid_file}")))
    pid_file.unlink()
    assert server.stop() == 0


@peer
def test_with_i_it_serves_the_socket_on_standard_input(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = OwnServer.__new__(OwnServer)
        client.place, client.port = place, listener.getsockname()[1]
        with subprocess.Popen(
            client.ssh_command("echo $SSH_CONNECTION"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        ) as process:
            accepted, address = listener.accept()
            server = OwnServer(place, "-i", "-e", "-f", str(place.config()), pass_socket=accepted)
            accepted.close()
            output = process.communicate(None, TIMEOUT)[0].decode().split()
            assert process.returncode == 0
    assert output == ["127.0.0.1", str(address[1]), "127.0.0.1", str(client.port)]
    assert server.wait() == 0
    assert "ended: the peer disconnected" in server.log


@peer
def test_with_i_it_serves_two_pipes(place: Place) -> None:
    client = OwnServer.__new__(OwnServer)
    client.place, client.port = place, 22
    server = " ".join(command_line("-i", "-e", "-f", str(place.config())))
    line = client.ssh_command("echo $SSH_CONNECTION; exit 3", options=("-o", f"ProxyCommand={server}"))
    result = subprocess.run(
        line, capture_output=True, timeout=TIMEOUT, env=environment(place.folder), check=False
    )
    assert (result.returncode, result.stdout) == (3, b"UNKNOWN 65535 UNKNOWN 65535\n"), result.stderr


@peer
def test_with_d_it_serves_one_connection_with_a_debug_log(place: Place) -> None:
    server = OwnServer(place, "-d", "-f", str(place.config(f"PidFile {place.folder / 'pid'}")))
    assert server.ssh("exit 2").returncode == 2
    assert server.wait() == 0
    assert not (place.folder / "pid").exists()
    assert "starts command 'exit 2'" in server.log


def test_with_q_nothing_is_told(place: Place, free_port: int) -> None:
    process = subprocess.Popen(
        command_line("-D", "-q", "-f", str(place.config()), "-p", str(free_port)),
        stderr=subprocess.PIPE,
        env=environment(place.folder),
    )
    while True:  # nothing tells when it listens, that is the point
        try:
            with socket.create_connection(("127.0.0.1", free_port), timeout=TIMEOUT) as raw:
                assert raw.recv(8) == b"SSH-2.0-"
                break
        except ConnectionRefusedError:
            os.sched_yield()
            assert process.poll() is None
    process.terminate()
    assert process.communicate(None, TIMEOUT)[1] == b""
    assert process.returncode == 0


def test_a_peer_that_connects_during_the_end_is_not_served(place: Place) -> None:
    server = OwnServer(place, "-D", "-f", str(place.config()))
    with server.connect() as raw:
        assert raw.recv(8) == b"SSH-2.0-"
        server.process.send_signal(signal.SIGTERM)
        assert b"the connection was closed" in read_to_end(raw)
    assert server.wait() == 0


# Checks, in this process.


@pytest.fixture
def own_config(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.folder / "config"))
    return place


def test_t_is_silent_where_all_is_well(own_config: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", "-f", str(own_config.config())]) == 0
    assert capsys.readouterr() == ("", "")


def test_t_names_every_mistake_with_file_and_line(
    own_config: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_config.config("NoSuch 1", "UsePAM maybe", "Ciphers nosuch")
    assert main(["-t", "-f", str(path)]) == 255
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"sshkit-server: {path}:1: unknown keyword 'NoSuch'"
    assert lines[1].startswith(f"sshkit-server: {path}:2: UsePAM: 'maybe' is none of yes, no")
    assert lines[2].startswith(f"sshkit-server: {path}:3: Ciphers: unknown algorithm")
    assert len(lines) == 3


def test_a_missing_configuration_is_named(own_config: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-t", "-f", "/no/such/config"]) == 255
    assert capsys.readouterr().err == "sshkit-server: /no/such/config: No such file or directory\n"


def test_capital_t_shows_what_is_in_force(own_config: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_config.config(
        "SetEnv A=1",
        "Subsystem sftp /bin/sftp -x",
        "AllowUsers a b",
        "RekeyLimit 1G none",
        "Ciphers +aes128-ctr",
        "ListenAddress [::1]:7",
    )
    assert main(["-T", "-o", "LogLevel DEBUG", "-f", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "setenv A=1",
        "subsystem sftp /bin/sftp -x",
        "allowusers a",
        "allowusers b",
        "rekeylimit 1073741824 0",
        "loglevel DEBUG",
        "listenaddress [::1]:7",
        "listenaddress 127.0.0.1:0",
        "authenticationmethods any",
        "banner none",
        "maxstartups 10:30:100",
        "passwordauthentication no",
        "permitrootlogin without-password",
        "persourcenetblocksize 32:128",
        "port 0",
        "syslogfacility AUTH",
        "strictmodes no",
        "usepam no",
        f"hostkey {own_config.folder / 'host'}",
        f"authorizedkeysfile {own_config.authorized}",
    ):
        assert line in lines
    assert any(line.startswith("kexalgorithms mlkem768x25519-sha256,") for line in lines)


def test_capital_g_looks_at_no_keys(own_config: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = own_config.config("HostKey /no/such/key")
    assert main(["-G", "-f", str(path)]) == 0
    assert "hostkey /no/such/key" in capsys.readouterr().out
    assert main(["-T", "-f", str(path)]) == 255
    assert "HostKey: /no/such/key: No such file or directory" in capsys.readouterr().err


def test_capital_v_tells_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-V"]) == 0
    assert re.fullmatch(r"sshkit-server \d+\.\d+\.\d+\n", capsys.readouterr().err)


def test_a_log_that_cannot_be_opened_is_named(own_config: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-D", "-E", "/no/such/log", "-f", str(own_config.config())]) == 255
    assert capsys.readouterr().err == "sshkit-server: /no/such/log: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["-z"], "option -z not recognized"),
        (["-f"], "option -f requires argument"),
        (["extra"], "extra argument extra"),
        (["-4", "-6"], "only one of -4 and -6"),
        (["-C", "what=x"], "option -C: 'what=x' is none of user="),
        (["-R"], "option -R: sshd calls itself with it"),
    ],
)
def test_a_wrong_command_line_shows_the_usage(
    arguments: list[str], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 255
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"sshkit-server: {cause}")
    assert lines[1].startswith("usage: sshkit-server ")


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sshkit_cli.server

    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sshkit_cli.server, "_run", interrupted)
    assert main([]) == 255
    assert capsys.readouterr().err == ""


@peer
def test_with_i_the_log_goes_to_the_system(place: Place) -> None:
    client = OwnServer.__new__(OwnServer)
    client.place, client.port = place, 22
    server = " ".join(command_line("-i", "-f", str(place.config())))
    line = client.ssh_command("exit 3", options=("-o", f"ProxyCommand={server}"))
    result = subprocess.run(
        line, capture_output=True, timeout=TIMEOUT, env=environment(place.folder), check=False
    )
    assert (result.returncode, result.stderr) == (3, b"")
