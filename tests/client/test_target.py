"""From options to the lists of algorithms: every keyword that holds one is obeyed, or names its line."""

from typing import Any

import pytest

from sshkit.client.target import algorithm_names, algorithms_of
from sshkit.config.client_options import ClientOptions
from sshkit.config.parser import ConfigError, Place, Setting
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
