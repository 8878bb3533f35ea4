"""The hosts that are known, and the look at one of them."""

from sshkit_keys import KnownHosts


def parse(data: bytes) -> None:
    hosts = KnownHosts()
    hosts.parse(data, "known_hosts")
    hosts.lookup("host.example.org", 2222, "192.0.2.1")
    for entry in hosts.entries:
        assert repr(entry).isprintable()
