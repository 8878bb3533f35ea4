"""Pollers: each kind tells the same of the same descriptors."""

import os
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sshkit.reactor.pollers import FAULT, POLLERS, READ, WRITE, Poller, Select, default_poller

HERE = [kind for kind in POLLERS if kind.available()]


@pytest.fixture(params=HERE, ids=[kind.name for kind in HERE])
def poller(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


Pair = tuple[socket.socket, socket.socket]


def test_readiness_is_told_for_what_was_asked(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    fd = ours.fileno()
    poller.register(fd, READ)
    assert poller.poll(0) == []
    theirs.send(b"x")
    assert poller.poll(None) == [(fd, READ)]
    assert poller.poll(0) == [(fd, READ)]
    poller.modify(fd, READ | WRITE)
    assert poller.poll(1.0) == [(fd, READ | WRITE)]
    poller.modify(fd, WRITE)
    assert poller.poll(0) == [(fd, WRITE)]
    poller.unregister(fd)
    assert poller.poll(0) == []


def test_a_hang_up_is_told_as_something_to_read(poller: Poller, pair: Pair) -> None:
    ours, theirs = pair
    poller.register(ours.fileno(), READ)
    theirs.close()
    [(fd, mask)] = poller.poll(1.0)
    assert fd == ours.fileno()
    assert mask & (READ | FAULT)


def test_a_reader_that_went_is_told_to_the_writer(poller: Poller) -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    os.write(write_fd, bytes(65536))
    poller.register(write_fd, WRITE)
    assert poller.poll(0) == []
    os.close(read_fd)
    [(fd, mask)] = poller.poll(1.0)
    assert fd == write_fd
    assert mask & (WRITE | FAULT)
    poller.unregister(write_fd)
    os.close(write_fd)


def test_a_poller_with_a_descriptor_is_readable_when_it_would_find_something(
    poller: Poller, pair: Pair
) -> None:
    fd = poller.fileno()
    poller.register(pair[0].fileno(), READ)
    if fd >= 0:
        assert select.select([fd], [], [], 0)[0] == []
        pair[1].send(b"x")
        assert select.select([fd], [], [], 1)[0] == [fd]


def test_the_best_poller_of_the_platform_comes_first() -> None:
    best = default_poller()
    assert best.name == HERE[0].name
    best.close()
    assert Select in HERE


def test_poll_tells_of_a_descriptor_that_was_closed_behind_its_back() -> None:
    from sshkit.reactor.pollers import Poll

    poller = Poll()
    read_fd, write_fd = os.pipe()
    poller.register(read_fd, READ)
    os.close(read_fd)
    os.close(write_fd)
    assert poller.poll(0) == [(read_fd, FAULT)]
