"""From options to the lists of algorithms, and what of this machine a configuration asks for."""

import ctypes
import errno
from pathlib import Path
from typing import Any

import pytest

from sshkit.client import target as targets
from sshkit.client.destination import InvalidDestination
from sshkit.client.local_addresses import local_addresses
from sshkit.client.target import algorithm_names, algorithms_of, load_target, user_line
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.parser import ConfigError, Place, Setting
from sshkit.config.ssh_config import ConfigFile
from sshkit.ssh.algorithms import DEFAULT, HOST_CERTIFICATES, USER_KEYS


def edited(**texts: str) -> Any:
    options = ClientOptions()
    for name, text in texts.items():
        setattr(options, name, Setting(text, Place("config", 3)))
    return algorithms_of(options, lambda text: None)


def test_host_certificates_can_be_asked_for_by_name() -> None:
    wanted = "ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com"
    assert edited(host_key_algorithms=wanted).host_keys == tuple(wanted.split(","))
    assert set(HOST_CERTIFICATES) <= set(algorithm_names("host_keys"))


def test_the_algorithms_of_hosts_that_vouch_and_of_authorities_are_obeyed() -> None:
    algorithms = edited(hostbased_algorithms="-*ed25519*", ca_algorithms="ssh-ed25519")
    assert algorithms.ca_signatures == ("ssh-ed25519",)
    assert algorithms.hostbased_keys == tuple(name for name in USER_KEYS if "ed25519" not in name)
    assert algorithms.user_keys == DEFAULT.user_keys


@pytest.mark.parametrize("name", ["hostbased_algorithms", "ca_algorithms", "host_key_algorithms"])
def test_a_name_that_nobody_knows_names_its_line(name: str) -> None:
    with pytest.raises(ConfigError, match=r"config:3: .*unknown algorithm 'rot13'"):
        edited(**{name: "rot13"})


# What is asked of this machine.


def load(*lines: tuple[str, str], where: str = "me@host", files: Any = ()) -> Any:
    return load_target(where, [command_line(*line) for line in lines], list(files))


def file_of(folder: Path, text: str) -> list[ConfigFile]:
    path = folder / "config"
    path.write_text(text)
    path.chmod(0o600)
    return [ConfigFile(str(path), str(folder))]


def test_match_exec_is_a_command_of_the_users_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    text = 'Match exec "test %n = host"\n Port 7\nMatch exec "echo out; exit 1"\n User b\n'
    found = load(files=file_of(tmp_path, text))
    assert (found.port, found.user) == (7, "me")


def test_a_match_exec_that_cannot_be_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    with pytest.raises(ConfigError, match=r"Match exec: true: .*No such file"):
        load(files=file_of(tmp_path, "Match exec true\n Port 7\n"))


def test_a_match_exec_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setattr(targets, "EXEC_TIMEOUT", 0.05)
    with pytest.raises(ConfigError, match="timed out"):
        load(files=file_of(tmp_path, 'Match exec "exec sleep 20"\n Port 7\n'))


def test_match_localnetwork_looks_at_this_machines_addresses(tmp_path: Path) -> None:
    text = "Match localnetwork 127.0.0.0/8\n Port 7\nMatch localnetwork 192.0.2.0/24\n User b\n"
    found = load(files=file_of(tmp_path, text))
    assert (found.port, found.user) == (7, "me")


def test_tokens_in_the_user_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "red")
    assert load(("User", "${TEAM}-%n"), where="host").user == "red-host"


@pytest.mark.parametrize("user", ["a\nb", "a\0b"])
def test_r39_a_user_that_would_be_a_second_line_is_refused(user: str) -> None:
    with pytest.raises(InvalidDestination, match="holds a control character"):
        user_line(user)


def test_an_algorithm_that_is_left_out_is_told_with_its_line() -> None:
    options = ClientOptions()
    options.ciphers = Setting("aes128-ctr,no-such-cipher@openssh.com", Place("config", 3))
    said: list[str] = []
    try:
        algorithms_of(options, said.append)
    except ConfigError as error:
        said.append(str(error))
    assert any("config:3" in text and "no-such-cipher" in text for text in said)


def test_addresses_that_cannot_be_listed_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "127.0.0.1" in [entry.address for entry in local_addresses()]

    class Failing:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.freeifaddrs = self

        def getifaddrs(self, _: Any) -> int:
            ctypes.set_errno(errno.ENOMEM)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Failing)
    with pytest.raises(OSError, match="cannot list the network interfaces"):
        local_addresses()
