"""A network that can fall silent: a namespace of its own, joined to ours by two ends that lose all packets.

Needs root and Linux.  What is lost is lost without a word, as behind a router that died: there is no reset.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = "02:00:00:00:de:ad"  #: an address of hardware that there is not


class DeadNetwork:
    """The namespace `name`, where programs of a test run; `ours` is our address as they see it."""

    def __init__(self) -> None:
        number = os.getpid()
        self.name = f"sshkit{number}"
        # Addresses for tests of networks (RFC 2544), of this process alone: ours, and that in the namespace.
        block = f"198.18.{number % 256}."
        first = (number >> 8) % 64 * 4
        self.ours, self.theirs = f"{block}{first + 1}", f"{block}{first + 2}"
        self._here, self._there = f"ska{os.getpid()}", f"skb{os.getpid()}"

    def open(self) -> None:
        """Make the namespace and both ends."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there)
        _ip("link", "set", self._there, "netns", self.name)
        _ip("address", "add", f"{self.ours}/30", "dev", self._here)
        _ip("link", "set", self._here, "up")
        self._inside("address", "add", f"{self.theirs}/30", "dev", self._there)
        self._inside("link", "set", self._there, "up")
        self._inside("link", "set", "lo", "up")

    def close(self) -> None:
        """Take all of it away."""
        for words in (("link", "delete", self._here), ("netns", "delete", self.name)):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip(*words)

    def fall_silent(self) -> None:
        """Lose every packet from now on, in both directions."""
        _ip("neighbour", "replace", self.theirs, "lladdr", NOBODY, "dev", self._here, "nud", "permanent")
        self._inside(
            "neighbour", "replace", self.ours, "lladdr", NOBODY, "dev", self._there, "nud", "permanent"
        )

    def speak(self) -> None:
        """Lose nothing any more."""
        _ip("neighbour", "flush", "dev", self._here, "nud", "permanent")
        self._inside("neighbour", "flush", "dev", self._there, "nud", "permanent")

    def start(self, command: str, *arguments: str, cwd: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start one of our commands in the namespace."""
        program = str(Path(sys.executable).with_name(command))
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
        )

    def _inside(self, *words: str) -> None:
        _ip("-n", self.name, *words)


@contextlib.contextmanager
def dead_network() -> Iterator[DeadNetwork]:
    """A network for one test; skips, with the reason, where the system gives none."""
    if shutil.which("ip") is None or os.geteuid():
        pytest.skip("network namespaces need root and ip(8)")
    network = DeadNetwork()
    try:
        network.open()
    except subprocess.CalledProcessError as error:
        network.close()
        pytest.skip(f"no network namespace: {error.stderr.decode().strip()}")
    try:
        yield network
    finally:
        network.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
