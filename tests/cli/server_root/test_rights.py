"""sshkit-server for all accounts, with the system's ssh: each user has his own rights only."""

import contextlib
import os
import pwd
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.server_root.accounts import (
    GROUP,
    NAMES,
    Start,
    Users,
    free_port,
    ids_of,
    sftp_line,
)
from tests.servers import TIMEOUT, Place

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="accounts are made by root only"),
    pytest.mark.peer("ssh"),
    pytest.mark.peer("useradd"),
]


def listening_pid(port: int) -> int:
    """Return the process that listens at a port of the loopback."""
    wanted = f"0100007F:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(line[9] for line in lines if line[1] == wanted and line[3] == "0A")
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{number}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{number}/fd/{fd}") == f"socket:[{inode}]":
                        return int(number)
    raise AssertionError(f"nobody listens at {port}")


def test_each_user_has_his_own_rights_only(start: Start, users: Users) -> None:
    server = start()
    for name, other in (NAMES, NAMES[::-1]):
        entry = pwd.getpwnam(name)
        result = server.as_user(
            name, f"id -u; id -g; id -Gn; umask; pwd; cat {users.folder}/home-{other}/secret"
        )
        lines = result.stdout.decode().splitlines()
        assert lines[:2] == [str(entry.pw_uid), str(entry.pw_gid)], result.stderr
        assert (GROUP in lines[2].split()) == (name == NAMES[1])
        assert lines[3:] == ["0022", entry.pw_dir]
        assert b"Permission denied" in result.stderr
        assert server.as_user(name, "cat secret").stdout == f"of {name}\n".encode()


def test_what_serves_a_user_runs_as_him_with_no_way_back(start: Start) -> None:
    server = start()
    entry = pwd.getpwnam(NAMES[0])
    result = server.as_user(NAMES[0], "echo $PPID; cat /proc/$PPID/status; ls -l /proc/self/fd")
    serving = result.stdout.decode()
    uid, gid = str(entry.pw_uid), str(entry.pw_gid)
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", serving, re.MULTILINE)
    assert re.search(rf"^Gid:\s+{gid}\s+{gid}\s+{gid}\s+{gid}$", serving, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", serving, re.MULTILINE)
    assert re.search(r"^CapPrm:\s+0+$", serving, re.MULTILINE)
    opened = {line.split()[8] for line in serving.splitlines() if " -> " in line}
    assert opened <= {"0", "1", "2", "3"}, serving  # 3 is the folder that ls reads


def test_who_speaks_with_strangers_has_no_rights_and_no_network(start: Start) -> None:
    server = start("Workers 2")
    account = pwd.getpwnam("sshd") if "sshd" in {entry.pw_name for entry in pwd.getpwall()} else None
    uid = account.pw_uid if account is not None else pwd.getpwnam("nobody").pw_uid
    pids = server.processes()
    assert len(pids) == 3  # the holder of the keys, and the workers
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        assert ids_of(pid)[0] == {uid}
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0  # nobody of the same user may look into it


def test_r43_no_process_but_the_holder_has_the_host_key(start: Start, place: Place) -> None:
    """Its seed is looked for in all memory of monitor, workers and sessions."""
    from sshkit_keys import load_private_key

    private: Any = load_private_key(place.folder / "host")
    seed = private_seed(private)
    server = start("Workers 1")
    entry = server.ssh_command("echo up; cat", user=NAMES[0], identity=NAMES[0])
    with subprocess.Popen(entry, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        holders = [pid for pid in [server.process.pid, *server.processes()] if holds(pid, seed)]
        assert process.communicate(b"", TIMEOUT)[0] == b""
    assert len(holders) == 1
    assert holders[0] != server.process.pid


def private_seed(key: Any) -> bytes:
    from sshkit_keys.wire import WireReader

    text = key.to_openssh(random_bytes=os.urandom).decode()
    import base64

    data = base64.b64decode("".join(text.splitlines()[1:-1]))
    at = data.rindex(b"ssh-ed25519")
    reader = WireReader(data[at - 4 :])
    reader.string("type")
    reader.string("public")
    return bytes(reader.string("private")[:32])


def holds(pid: int, wanted: bytes) -> bool:
    """Say whether the memory of a process has these bytes."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if not line.split()[1].startswith("rw"):
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(begin)
                if wanted in memory.read(end - begin):
                    return True
    return False


def test_sftp_has_the_users_rights(start: Start, place: Place) -> None:
    server = start()
    target = place.folder / "got"
    line = sftp_line(server, NAMES[0])

    def run(batch: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(line, input=batch.encode(), capture_output=True, timeout=TIMEOUT, check=False)

    result = run(f"get /etc/shadow {target}\n")
    assert b"ermission denied" in result.stderr + result.stdout, result
    assert result.returncode == 1
    assert not target.exists()
    result = run(f"put {server.place.folder / 'host.pub'} mine\nget secret {target}\n")
    assert result.returncode == 0, result.stderr
    assert target.read_text() == f"of {NAMES[0]}\n"
    entry = pwd.getpwnam(NAMES[0])
    status = (Path(entry.pw_dir) / "mine").stat()
    assert (status.st_uid, status.st_gid) == (entry.pw_uid, entry.pw_gid)


def test_forwards_listen_as_the_user_and_may_not_take_low_ports(start: Start) -> None:
    server = start()
    port = free_port()
    options = ("-R", f"127.0.0.1:{port}:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes")
    entry = server.ssh_command("echo up; cat", user=NAMES[0], identity=NAMES[0], options=options)
    with subprocess.Popen(entry, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert ids_of(listening_pid(port))[0] == {pwd.getpwnam(NAMES[0]).pw_uid}
        process.communicate(b"", TIMEOUT)
    low = ("-R", "127.0.0.1:87:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes")
    result = server.as_user(NAMES[0], "echo up", options=low)
    if Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() != "0":
        assert result.returncode == 255
        assert b"remote port forwarding failed" in result.stderr


def test_unix_forwards_and_agents_are_the_users(start: Start, users: Users) -> None:
    server = start()
    entry = pwd.getpwnam(NAMES[0])
    path = f"{entry.pw_dir}/forwarded"
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    variables = dict(re.findall(r"(SSH_\w+)=([^;]+);", agent))
    try:
        options = ("-A", "-R", f"{path}:/nowhere", "-o", f"IdentityAgent={variables['SSH_AUTH_SOCK']}")
        command = f"stat -c '%U %a' $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK) {path}"
        result = server.as_user(NAMES[0], command, options=options)
    finally:
        os.kill(int(variables["SSH_AGENT_PID"]), signal.SIGTERM)
    owners = [line.split() for line in result.stdout.decode().splitlines()]
    assert [owner for owner, _ in owners] == [NAMES[0]] * 3, result.stderr
    assert [mode for _, mode in owners][1:] == ["700", "600"]
    refused = server.as_user(
        NAMES[0],
        "true",
        options=("-R", f"{users.folder}/home-{NAMES[1]}/x:/nowhere", "-o", "ExitOnForwardFailure=yes"),
    )
    assert refused.returncode == 255
    assert server.as_user(
        NAMES[0], "true", options=("-R", "/run/sshkit-test:/x", "-o", "ExitOnForwardFailure=yes")
    ).returncode


def test_a_terminal_is_the_users(start: Start) -> None:
    server = start()
    result = server.as_user(NAMES[0], "stat -c %U $(tty); tty", options=("-tt",))
    assert result.stdout.split()[0] == NAMES[0].encode(), result


def test_an_unknown_user_and_anothers_key_are_refused(start: Start) -> None:
    server = start()
    assert server.ssh("true", user="sshkit-nobody", identity=NAMES[0]).returncode == 255
    assert server.ssh("true", user=NAMES[1], identity=NAMES[0]).returncode == 255
    assert server.ssh("true", user="root", identity=NAMES[0]).returncode == 255


def test_a_user_with_another_root_sees_nothing_else(start: Start, jail: Path) -> None:
    server = start(f"ChrootDirectory {jail}", "ForceCommand internal-sftp")
    batch = b"ls -1 /\nput /etc/hostname /home/x\nls -1 /home\n-get /link /dev/null\n-ls /etc\n"
    result = subprocess.run(
        sftp_line(server, NAMES[0]), input=batch, capture_output=True, timeout=TIMEOUT, check=False
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.decode().splitlines()
    assert {"/home", "/link", "/note", "/home/x"} <= set(lines)
    assert b"No such file" in result.stderr  # where the link leads to
    assert b'"/etc" not found' in result.stderr
    assert (jail / "home" / "x").stat().st_uid == pwd.getpwnam(NAMES[0]).pw_uid


@pytest.mark.parametrize("kind", ["writable", "not root's", "missing"])
def test_a_root_that_others_can_change_is_refused(start: Start, jail: Path, kind: str) -> None:
    if kind == "writable":
        jail.chmod(0o777)
    elif kind == "not root's":
        os.chown(jail, pwd.getpwnam(NAMES[0]).pw_uid, 0)
    server = start(
        f"ChrootDirectory {jail}{'/missing' if kind == 'missing' else ''}", "ForceCommand internal-sftp"
    )
    result = subprocess.run(
        sftp_line(server, NAMES[0]), input=b"ls\n", capture_output=True, timeout=TIMEOUT, check=False
    )
    assert result.returncode == 255
    server.wait_for(f"ChrootDirectory {jail}")


def test_match_blocks_hold_for_those_whom_they_name(start: Start, tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("for the crew\n")
    server = start(
        f"Match User {NAMES[0]}",
        "    ForceCommand echo forced for anna",
        "    AllowTcpForwarding no",
        f"Match Group {GROUP}",
        f"    Banner {banner}",
        "    PermitTTY no",
        "Match Address 127.0.0.0/8 User sk*",
        "    SetEnv MATCHED=yes",
        "Match Address 192.0.2.1",
        "    ForceCommand echo never",
    )
    quiet = ("-o", "LogLevel=INFO")
    first = server.as_user(NAMES[0], "echo own", options=quiet)
    assert first.stdout == b"forced for anna\n"
    assert b"for the crew" not in first.stderr
    second = server.as_user(NAMES[1], "echo own $MATCHED", options=quiet)
    assert second.stdout == b"own yes\n"
    assert b"for the crew" in second.stderr
    port = free_port()
    forward = ("-R", f"127.0.0.1:{port}:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes")
    assert server.as_user(NAMES[0], "true", options=forward).returncode == 255
    assert server.as_user(NAMES[1], "true", options=forward).returncode == 0
    assert server.as_user(NAMES[0], options=("-tt",)).returncode == 0
    assert (
        b"PTY allocation request failed" in server.as_user(NAMES[1], "true", options=("-tt", *quiet)).stderr
    )


def test_methods_are_those_of_the_users_block(start: Start) -> None:
    server = start(f"Match User {NAMES[0]}", "    AuthenticationMethods publickey,publickey")
    assert server.as_user(NAMES[0], "true").returncode == 255
    assert server.as_user(NAMES[1], "true").returncode == 0
