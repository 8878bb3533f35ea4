"""sshkit-server as an ordinary user starts it: it serves him alone, in as many processes as he likes.

The interpreter may lie where only root can read: it loads everything before it becomes the user.
"""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.server_root.accounts import (
    NAMES,
    RootServer,
    Users,
    free_port,
    ids_of,
    sftp_line,
    started,
    write_config,
)
from tests.servers import TIMEOUT, Place

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="accounts are made by root only"),
    pytest.mark.peer("ssh"),
    pytest.mark.peer("useradd"),
]
NAME = NAMES[0]
PROGRAM = """
import os, sys
from pwd import getpwnam
import sshkit_cli.server, sshkit_cli.server_dump, sshkit.server.daemon, sshkit.server.configured
import sshkit.server.event_log, sshkit.config.sshd_config, sshkit.config.sshd_keywords
from sshkit.server.preload import preload
from sshkit.server.privileges import become
from sshkit.server.accounts import find_account
preload()
import sshkit.server.systemd
become(find_account(sys.argv[1]))
os.environ["HOME"] = getpwnam(sys.argv[1]).pw_dir
sys.exit(sshkit_cli.server.main(sys.argv[2:]))
"""


class OneUserServer(RootServer):
    """A server that NAME runs."""

    def __init__(self, place: Place, *arguments: str) -> None:
        super().__init__(place, NAME, *arguments)


@pytest.fixture(params=[1, 2])
def server(
    place: Place, users: Users, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OneUserServer]:
    from tests import servers

    entry = pwd.getpwnam(NAME)
    home = Path(entry.pw_dir)
    host = home / f"host{request.param}"
    host.write_bytes((place.folder / "host").read_bytes())
    host.chmod(0o600)
    configured = write_config(place, f"Workers {request.param}", f"HostKey {host}").read_text()
    path = home / f"sshd_config{request.param}"
    path.write_text(configured.replace(f"HostKey {place.folder / 'host'}\n", ""))
    for each in (host, path):
        os.chown(each, entry.pw_uid, entry.pw_gid)
    monkeypatch.setattr(servers, "command_line", lambda *words: [sys.executable, "-c", PROGRAM, *words])
    running = OneUserServer(place, "-D", "-e", "-f", str(path))
    yield running
    assert running.stop() == 0, running.log


def test_he_alone_is_served_and_all_of_it_is_his(server: OneUserServer) -> None:
    entry = pwd.getpwnam(NAME)
    assert server.as_user(NAME, "id -un; pwd").stdout.decode().split() == [NAME, entry.pw_dir]
    assert server.as_user(NAMES[1], "true").returncode == 255
    assert server.ssh("true", user="root", identity=NAME).returncode == 255
    assert all(ids_of(pid)[0] == {entry.pw_uid} for pid in (server.process.pid, *server.processes()))


def test_commands_terminals_files_and_forwards_work(server: OneUserServer, tmp_path: Path) -> None:
    assert server.as_user(NAME, "cat", input=b"x" * 300_000).stdout == b"x" * 300_000
    assert server.as_user(NAME, "stat -c %U $(tty)", options=("-tt",)).stdout.split() == [NAME.encode()]
    target = tmp_path / "got"
    result = subprocess.run(
        sftp_line(server, NAME),
        input=f"get secret {target}\n-get /etc/shadow {target}2\n".encode(),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert target.read_text() == f"of {NAME}\n"
    assert not (tmp_path / "got2").exists()
    forwarded = through_a_free_port(server)
    while b"forwarding failed for listen port" in forwarded.stderr:  # another test was given it meanwhile
        forwarded = through_a_free_port(server)
    assert forwarded.stdout == b"SSH-2.0-", forwarded.stderr


def through_a_free_port(server: OneUserServer) -> "subprocess.CompletedProcess[bytes]":
    """Read the server's greeting through a port that it listens at for the client."""
    port = free_port()
    options = ("-R", f"127.0.0.1:{port}:127.0.0.1:{server.port}", "-o", "ExitOnForwardFailure=yes")
    return server.as_user(NAME, f"exec 3<> /dev/tcp/127.0.0.1/{port}; head -c 8 <&3", options=options)


def test_sighup_keeps_sessions_and_sigterm_waits_for_them(server: OneUserServer) -> None:
    process = started(server, NAME, "cat")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("the configuration was read again")
    assert server.as_user(NAME, "echo in").stdout == b"in\n"
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("the server ends with its last session")
    assert process.communicate(b"old one", TIMEOUT)[0] == b"old one"
    assert server.wait() == 0
