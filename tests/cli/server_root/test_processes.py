"""sshkit-server for all accounts: its processes, and the ways to start it."""

import json
import os
import re
import select
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.server_root.accounts import NAMES, RootServer, Start, free_port, started, write_config
from tests.servers import TIMEOUT, Place, command_line, environment

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="accounts are made by root only"),
    pytest.mark.peer("ssh"),
    pytest.mark.peer("useradd"),
]


def workers_of(server: RootServer) -> list[int]:
    """Return the workers: the monitor has started the holder of its keys before them."""
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in listed][1:]


def test_connections_go_to_both_workers_and_the_death_of_one_harms_its_own_only(start: Start) -> None:
    server = start("Workers 2")
    workers = workers_of(server)
    clients = [started(server, name, "cat") for name in NAMES]
    os.kill(workers[0], signal.SIGKILL)
    server.wait_for(rf"worker {workers[0]} has ended")
    outputs = [client.communicate(b"still here", TIMEOUT)[0] for client in clients]
    assert sorted(outputs) == [b"", b"still here"]
    assert sorted(client.returncode for client in clients) == [0, 255]
    assert server.as_user(NAMES[0], "echo in").stdout == b"in\n"


def test_sighup_keeps_sessions_and_sigterm_waits_for_them(start: Start, place: Place) -> None:
    server = start("Workers 2")
    process = started(server, NAMES[0], "cat")
    path = place.folder / "sshd_config"
    path.write_text("ForceCommand echo forced\n" + path.read_text())
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("the configuration was read again")
    assert server.as_user(NAMES[1], "echo own").stdout == b"forced\n"
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("the server ends with its last session")
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    assert process.communicate(b"old one", TIMEOUT)[0] == b"old one"
    assert server.wait() == 0


def test_a_reload_leaves_no_processes_behind(start: Start) -> None:
    server = start("Workers 1")
    old = server.processes()
    watches = [os.pidfd_open(pid) for pid in old]
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("the configuration was read again")
    for watch in watches:
        assert select.select([watch], [], [], TIMEOUT)[0]
        os.close(watch)
    assert server.as_user(NAMES[0], "echo in").stdout == b"in\n"  # the monitor has had a turn since
    assert not set(old) & set(server.processes())


def test_a_session_process_ends_its_programs_with_its_client(start: Start) -> None:
    server = start()
    process = started(server, NAMES[0], "echo $$; exec cat")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    watch = os.pidfd_open(pid)
    process.kill()
    process.communicate()
    assert select.select([watch], [], [], TIMEOUT)[0]
    os.close(watch)


def test_log_lines_are_json_if_wanted(start: Start) -> None:
    server = start("LogFormat json")
    assert server.as_user(NAMES[0], "true").returncode == 0
    server.wait_for("logged in")
    records = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert any(NAMES[0] in record["event"] for record in records)


@pytest.mark.peer("curl")
def test_metrics_count_logins(start: Start) -> None:
    port = free_port()
    server = start(f"MetricsAddress 127.0.0.1:{port}", "Workers 2")
    assert server.as_user(NAMES[0], "true").returncode == 0
    result = subprocess.run(
        ["curl", "-s", f"http://127.0.0.1:{port}/metrics"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert re.search(r"^sshkit_\w*logins\w*\{.*publickey.*success.*\} 1$", result.stdout, re.MULTILINE), (
        result.stdout
    )


def inetd(place: Place, name: str, *options: str) -> list[str]:
    """Return ssh with our server at the end of its ProxyCommand."""
    server = " ".join(command_line("-i", "-e", "-f", str(write_config(place))))
    line = ["ssh", "-F", "none", "-i", str(place.folder / name), *options]
    for setting in (
        f"ProxyCommand={server}",
        f"UserKnownHostsFile={place.folder / 'known'}",
        "StrictHostKeyChecking=accept-new",
        "IdentitiesOnly=yes",
        "BatchMode=yes",
    ):
        line += ["-o", setting]
    return [*line, f"{name}@inetd", "id -un; cat"]


@pytest.mark.parametrize("way", ["pipes", "socket"])
def test_with_i_one_connection_is_served(place: Place, way: str) -> None:
    options = ("-o", "ProxyUseFdpass=no") if way == "pipes" else ()
    if way == "socket":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            line = ["ssh", *inetd(place, NAMES[0])[1:]]
            at = next(index for index, word in enumerate(line) if word.startswith("ProxyCommand"))
            del line[at - 1 : at + 1]
            line[-2] = f"{NAMES[0]}@127.0.0.1"
            line[1:1] = ["-p", str(port)]
            with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
                sock, _ = listener.accept()
                server = subprocess.Popen(
                    command_line("-i", "-e", "-f", str(place.folder / "sshd_config")),
                    stdin=sock.fileno(),
                    stdout=sock.fileno(),
                    stderr=subprocess.PIPE,
                    env=environment(place.folder),
                )
                sock.close()
                out = client.communicate(b"through", TIMEOUT)[0]
                told = server.communicate(None, TIMEOUT)[1]
                assert server.returncode == 0, told
    else:
        result = subprocess.run(
            inetd(place, NAMES[0], *options),
            input=b"through",
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            env=environment(place.folder),
        )
        out = result.stdout
        assert result.returncode == 0, result.stderr
    assert out == f"{NAMES[0]}\nthrough".encode()


@pytest.mark.peer("systemd-socket-activate")
def test_systemd_hands_its_sockets_over(place: Place) -> None:
    port = free_port()
    path = write_config(place)
    line = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
    line += ["-E", "XDG_CONFIG_HOME", "-E", "COVERAGE_FILE"]
    process = subprocess.Popen(
        [*line, *command_line("-D", "-e", "-f", str(path))],
        stderr=subprocess.PIPE,
        env=environment(place.folder),
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "Listening on" in process.stderr.readline()
        server = RootServer.__new__(RootServer)
        server.place, server.port = place, port
        assert server.as_user(NAMES[0], "id -un").stdout == f"{NAMES[0]}\n".encode()
        assert server.as_user(NAMES[1], "id -un").stdout == f"{NAMES[1]}\n".encode()
    finally:
        process.terminate()
        told = process.communicate(None, TIMEOUT)[1]
    assert process.returncode == 0, told
