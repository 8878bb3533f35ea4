"""sshkit-client doctor: set-ups that are broken in ten ways, and what it says of each."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from tests.cli.user import run_here
from tests.peers import RealSshd

HOST = "127.0.0.1"
Arguments = tuple[str, ...]


def examined(*argv: str) -> tuple[int, dict[str, Any], str]:
    """Return the status, the JSON, and the text of an examination."""
    outcome = run_here("doctor", "--json", *argv)
    told = run_here("doctor", *argv)
    assert told.status == outcome.status
    return outcome.status, json.loads(outcome.out), told.out.decode()


def failed_step(found: dict[str, Any]) -> str:
    return next(str(step["name"]) for step in reversed(found["steps"]) if step["ok"] is False)


@pytest.fixture
def speaks() -> Iterator[list[bytes]]:
    """What a listening socket says to whoever comes; the port is the first element, as text."""
    with socket.create_server((HOST, 0)) as listener:
        words: list[bytes] = [str(listener.getsockname()[1]).encode()]

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    for word in words[1:]:
                        sock.sendall(word)
                    if words[1:]:
                        sock.settimeout(5)
                        try:
                            while sock.recv(4096):
                                pass
                        except OSError:
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield words
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.peer("sshd")
def test_a_sound_connection_is_told_step_by_step(sshd: RealSshd, to_sshd: Arguments) -> None:
    status, found, text = examined(*to_sshd, "-L", "0:localhost:1", HOST)
    assert status == 0
    assert found["ok"] is True
    names = [step["name"] for step in found["steps"] if step["ok"]]
    assert list(dict.fromkeys(names)) == [
        "configuration",
        "name",
        "address",
        "identification",
        "algorithms",
        "host key",
        "login",
        "session",
        "forward",
    ]
    assert f"known by {sshd.known_hosts}:" in text
    assert f"port {sshd.port} (command line)" in text
    assert text.endswith("All is well.\n")


def test_1_a_line_that_makes_no_sense(home: Path) -> None:
    path = home / "config"
    path.write_text("Host box\n Prot 22\n")
    status, found, text = examined("-F", str(path), "box")
    assert (status, failed_step(found)) == (255, "configuration")
    assert f"Why: the configuration cannot be obeyed at {path}:2: unknown keyword 'Prot'.\n" in text


def test_2_a_name_without_an_address(home: Path) -> None:
    path = home / "config"
    path.write_text("Host box\n Hostname no.such.invalid\n")
    status, found, text = examined("-F", str(path), "box")
    assert (status, failed_step(found)) == (255, "name")
    assert f"the name comes from Hostname at {path}:2" in text


def test_3_a_port_at_which_nobody_listens(home: Path) -> None:
    status, found, text = examined("-F", "none", "-p", "1", HOST)
    assert (status, failed_step(found)) == (255, "address")
    assert "Why: the host is there, and nothing listens at port 1.\n" in text
    assert "port 1 comes from: command line" in text


def test_4_a_port_that_speaks_something_else(home: Path, speaks: list[bytes]) -> None:
    speaks.append(b"HTTP/1.1 400 Bad Request\r\n\r\nSSH-1.5-old\r\n")
    status, found, text = examined("-F", "none", "-p", speaks[0].decode(), HOST)
    assert (status, failed_step(found)) == (255, "identification")
    assert "Why: what listens there does not speak SSH 2.\n" in text


def test_5_a_server_that_closes_at_once(home: Path, speaks: list[bytes]) -> None:
    status, found, text = examined("-F", "none", "-p", speaks[0].decode(), HOST)
    assert (status, failed_step(found)) == (255, "identification")
    assert "closed it at once" in text
    assert "MaxStartups" in text


@pytest.mark.peer("sshd")
def test_6_no_algorithm_in_common(to_sshd: Arguments, home: Path) -> None:
    path = home / "config"
    path.write_text("KexAlgorithms curve448-sha512\n")
    argv = [str(path) if word == "none" and index == 1 else word for index, word in enumerate(to_sshd)]
    status, found, text = examined(*argv, HOST)
    assert (status, failed_step(found)) == (255, "algorithms")
    assert f"KexAlgorithms is limited at {path}:1" in text
    assert "-o KexAlgorithms=+NAME" in text


@pytest.mark.peer("sshd")
def test_7_a_host_that_is_not_known(to_sshd: Arguments) -> None:
    status, found, text = examined(
        "-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=new", *to_sshd, HOST
    )
    assert (status, failed_step(found)) == (255, "host key")
    assert "Why: the host key is in none of the known_hosts files.\n" in text
    assert "SHA256:" in text


@pytest.mark.peer("sshd")
def test_8_a_host_whose_key_changed(to_sshd: Arguments, sshd: RealSshd, tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_text(f"[{HOST}]:{sshd.port} {generate_private_key('ed25519').public.to_line()}\n")
    status, found, text = examined("-o", f"UserKnownHostsFile={path}", *to_sshd, HOST)
    assert (status, failed_step(found)) == (255, "host key")
    assert f"the known key is at {path}:1" in text
    assert "sshkit-keygen -R" in text


@pytest.mark.peer("sshd")
def test_9_a_key_that_the_server_does_not_know(to_sshd: Arguments, sshd: RealSshd) -> None:
    stranger = sshd.make_key("unknown")
    argv = [word.replace(str(sshd.user_key_path), str(sshd.folder / "unknown")) for word in to_sshd]
    status, found, text = examined("-o", "BatchMode=yes", *argv, HOST)
    assert (status, failed_step(found)) == (255, "login")
    assert "the server refused 1 key(s)" in text
    assert stranger.public.fingerprint() in text


@pytest.mark.peer("sshd")
def test_10_no_key_at_all(to_sshd: Arguments, sshd: RealSshd, tmp_path: Path) -> None:
    argv = [word.replace(str(sshd.user_key_path), str(tmp_path / "none")) for word in to_sshd]
    status, found, text = examined("-o", "BatchMode=yes", "-o", "IdentityAgent=none", *argv, HOST)
    assert (status, failed_step(found)) == (255, "login")
    assert "no key was offered" in text
    assert f"not used: publickey ({tmp_path / 'none'}): the file does not exist" in text


def test_a_way_that_leads_nowhere_is_told_apart_from_the_host(home: Path) -> None:
    status, _, text = examined("-F", "none", "-o", "ProxyCommand=false", "box")
    assert status == 255
    assert "the proxy command ended with status 1: false" in text
    assert "the host itself was never asked" in text


@pytest.mark.peer("sshd")
def test_a_forward_that_cannot_be_is_told_and_the_rest_goes_on(to_sshd: Arguments) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        status, found, text = examined("-L", f"{port}:localhost:1", *to_sshd, HOST)
    assert (status, failed_step(found)) == (0, "forward")
    assert os.strerror(98) in text


def test_a_command_line_that_makes_no_sense_shows_the_usage(home: Path) -> None:
    outcome = run_here("doctor", "--json")
    assert outcome.status == 255
    assert outcome.err.endswith("usage: sshkit-client doctor [--json] [ssh options] destination\n")
