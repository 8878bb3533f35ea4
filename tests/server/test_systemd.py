"""Under systemd: the sockets that it passes, and what it is told.  systemd is a socket of the test's."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sshkit.server.systemd import MAX_FDS, Notifier, PassedSocketError, listen_fds
from sshkit.testing import MemoryClock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


@pytest.fixture
def first() -> Iterator[int]:
    """Two listening sockets, a connected one and a pipe at descriptors in a row; the first of them."""
    one, two = socket.socket(), socket.socket()
    near, far = socket.socketpair()
    read_end, write_end = os.pipe()
    one.bind(("127.0.0.1", 0))
    one.listen()
    two.bind(("127.0.0.1", 0))
    two.listen()
    start = 900
    sources = (one.fileno(), two.fileno(), near.fileno(), read_end)
    for index, descriptor in enumerate(sources):
        os.dup2(descriptor, start + index)
    yield start
    for sock in (one, two, near, far):
        sock.close()
    for descriptor in (read_end, write_end, *range(start, start + len(sources))):
        try:
            os.close(descriptor)
        except OSError:
            pass  # the test closed its socket


def passed(count: object, names: str = "", process: int | None = None) -> dict[str, str]:
    variables = {"LISTEN_PID": str(process or os.getpid()), "LISTEN_FDS": str(count), "PATH": "x"}
    return {**variables, "LISTEN_FDNAMES": names} if names else variables


def test_passed_sockets_are_taken_and_children_see_nothing_of_them(first: int) -> None:
    environment = passed(3, "ssh::one")
    found = listen_fds(environment, first)
    assert environment == {"PATH": "x"}
    assert [(one.name, one.is_listening) for one in found] == [
        ("ssh", True),
        ("unknown", True),
        ("one", False),
    ]
    for index, one in enumerate(found):
        assert one.sock.fileno() == first + index
        assert not os.get_inheritable(first + index)
        assert one.sock.gettimeout() == 0
        one.sock.close()
    assert listen_fds(environment, first) == ()


def test_names_may_be_missing(first: int) -> None:
    found = listen_fds(passed(2), first)
    assert [one.name for one in found] == ["unknown", "unknown"]
    for one in found:
        one.sock.close()


def test_sockets_of_another_process_are_left_alone(first: int) -> None:
    environment = passed(2, process=os.getpid() + 1)
    assert listen_fds(environment, first) == ()
    assert environment == {"PATH": "x"}
    for count in ("", "-1", "x", "0"):
        assert listen_fds(passed(count), first) == ()


def test_what_is_no_stream_socket_is_refused_by_name(first: int) -> None:
    with pytest.raises(PassedSocketError, match=rf"descriptor {first + 3} \(a\\nb\) is no socket"):
        listen_fds(passed(1, "a\nb"), first + 3)
    with pytest.raises(PassedSocketError, match=r"descriptor 999 .unknown.: Bad file descriptor"):
        listen_fds(passed(1), 999)
    with pytest.raises(PassedSocketError, match=f"at most {MAX_FDS}"):
        listen_fds(passed(MAX_FDS + 1), first)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(PassedSocketError, match="no stream socket"):
            listen_fds(passed(1), datagrams.fileno())
        datagrams.getsockname()  # it was not closed behind our back


@pytest.mark.peer("systemd-socket-activate")
def test_the_sockets_of_a_real_systemd_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    script = (
        "from sshkit.server.systemd import listen_fds; import os\n"
        "(one,) = listen_fds(); sock, _ = one.sock.accept()\n"
        "sock.sendall(f'{one.name} {one.is_listening} {os.environ.get(\"LISTEN_FDS\")}'.encode())"
    )
    line = ["systemd-socket-activate", "-l", str(path), "--fdname=ssh", sys.executable, "-c", script]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()  # it listens
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.settimeout(30)
            answer = client.recv(1000)
        process.communicate(timeout=30)
    assert answer == b"ssh True None"


def test_systemd_is_told_of_start_reload_and_end(manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "PATH": "x"}
    notifier = Notifier(environment)
    assert environment == {"PATH": "x"}
    assert notifier.ready("listening on port 22")
    assert told(manager) == ["READY=1", "STATUS=listening on port 22", f"MAINPID={os.getpid()}"]
    assert notifier.reloading()
    word, stamp = told(manager)
    assert word == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", stamp)
    assert notifier.ready()
    assert told(manager)[0] == "READY=1"
    assert notifier.stopping("2 sessions are left")
    assert told(manager) == ["STOPPING=1", "STATUS=2 sessions are left"]
    assert notifier.status("a\nREADY=1")
    assert told(manager) == [r"STATUS=a\nREADY=1"]


def test_a_manager_at_an_abstract_address_is_told_too() -> None:
    name = f"sshkit-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert told(sock) == ["STOPPING=1"]


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    for address in ("", "vsock:2:1234", "relative", str(tmp_path / "gone")):
        notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
        assert notifier.ready() is False
    assert Notifier({}).ready() is False


def test_the_watchdog_gets_two_signs_of_life_in_its_time(manager: socket.socket) -> None:
    clock = MemoryClock()
    variables = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"}
    notifier = Notifier({**variables, "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog == 30
    notifier.start_watchdog(clock)
    for _ in range(3):
        assert told(manager) == ["WATCHDOG=1"]
        clock.advance(15)
    told(manager)
    notifier.stop_watchdog()
    notifier.stop_watchdog()
    assert clock.next_due() is None
    for other in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}):
        quiet = Notifier({**variables, **other})
        quiet.start_watchdog(clock)
        assert clock.next_due() is None


def test_the_unit_files_name_what_there_is() -> None:
    folder = ROOT / "packaging" / "systemd"
    service = (folder / "sshkit-server.service").read_text()
    assert "Type=notify" in service
    assert "KillMode=process" in service
    assert "FileDescriptorName=ssh" in (folder / "sshkit-server.socket").read_text()
