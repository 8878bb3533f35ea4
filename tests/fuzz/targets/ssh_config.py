"""ssh_config(5): the settings for one host, twice through where it is asked for."""

from unittest import mock

from sshkit.config.ssh_config import ConfigFile, expand_hostname, load_client_options
from sshkit.config.tokens import Facts
from tests.fuzz.targets import disk

FACTS = Facts("/home/user", "user", 1000, "here.example.org", {"HOME": "/home/user"}, "uptime", "1.0")


def parse(data: bytes) -> None:
    name = disk.written(data)
    with mock.patch("glob.glob", disk.include_only_the_file):
        options = load_client_options("host.example.org", FACTS, (), [ConfigFile(name, "/", required=True)])
    expand_hostname(options, "host.example.org")
