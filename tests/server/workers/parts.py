"""What tests of the server's processes share: a reactor moved by hand, a log to read, plans."""

import os
import select
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sshkit_keys import PrivateKey, generate_private_key, write_private_key

from sshkit.config.sshd_config import read_server_config
from sshkit.server.accounts import Account, own_account
from sshkit.server.configured import Plan, Planner
from sshkit.testing import MemoryClock

#: What keeps a plan away from passwords and penalties; of each keyword the first value counts.
QUIET = (
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "StrictModes no",
    "LogLevel VERBOSE",
)


class HandReactor(MemoryClock):
    """Descriptors that are looked at when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Callable[[], object]] = {}
        self.writers: dict[int, Callable[[], object]] = {}

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        self.readers[fd] = callback

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        self.writers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        self.readers.pop(fd, None)

    def remove_writer(self, fd: int) -> None:
        self.writers.pop(fd, None)

    def look(self, seconds: float = 0.0) -> bool:
        """Call whatever is ready, once; wait that long for the first."""
        poll = select.poll()
        for fd in self.readers.keys() | self.writers.keys():
            poll.register(
                fd,
                (select.POLLIN if fd in self.readers else 0) | (select.POLLOUT if fd in self.writers else 0),
            )
        events = poll.poll(seconds * 1000)
        for fd, event in events:
            if event & ~select.POLLOUT and fd in self.readers:
                self.readers[fd]()
            if event & ~select.POLLIN and fd in self.writers:
                self.writers[fd]()
        return bool(events)

    def settle(self) -> None:
        """Go on until nothing is ready."""
        while self.look():
            pass

    def until(self, done: Callable[[], object]) -> None:
        """Go on until it is so; another process has to do something for it."""
        while not done():
            assert self.look(20.0), "nothing happens any more"


class Log:
    """An EventLog that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(
        self,
        level: str,
        text: str,
        error: BaseException | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        self.lines.append(f"{level}: {text}")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def make_key(folder: Path, name: str) -> PrivateKey:
    """Write a private key, and return it."""
    key = generate_private_key("ed25519", comment=name)
    write_private_key(folder / name, key.to_openssh(random_bytes=os.urandom))
    return key


def make_plan(folder: Path, *lines: str, account: Account | None = None) -> Plan:
    """Return a plan with the host key in "host" and the lines of "authorized_keys"."""
    if not any(line.startswith("PerSourcePenalties ") for line in lines):
        lines = (*lines, "PerSourcePenalties no")
    options = read_server_config(
        None,
        (*lines, f"HostKey {folder / 'host'}", f"AuthorizedKeysFile {folder / 'authorized_keys'}", *QUIET),
    )
    return Planner(options, account or own_account()).make()


def open_descriptors() -> set[str]:
    """Return the descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


def children_of(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, whatever their depth."""
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            yield int(child)
            yield from children_of(int(child))
