"""A link between two processes: what may come over it, and what ends it."""

import os
import socket
from array import array
from typing import Any

import pytest

from sshkit.server.workers import link as links
from sshkit.server.workers.link import MAX_FDS, MAX_MESSAGE, Link, LinkBroken, pair
from tests.server.workers.parts import HandReactor, open_descriptors


class End:
    """One end, and what it was told."""

    def __init__(self, reactor: HandReactor, sock: socket.socket) -> None:
        self.messages: list[bytes] = []
        self.fds: list[int] = []
        self.errors: list[BaseException] = []
        self.link = Link(reactor, sock, self.received, self.errors.append)  # type: ignore[arg-type]

    def received(self, data: bytes, fds: list[int]) -> None:
        self.fds += fds
        self.messages.append(data)
        if data == b"nonsense":
            raise ValueError("that is nonsense")


class World:
    def __init__(self) -> None:
        self.reactor = HandReactor()
        left, right = pair()
        self.left, self.right = End(self.reactor, left), End(self.reactor, right)


@pytest.fixture
def world() -> Any:
    before = open_descriptors()
    world = World()
    yield world
    for end in (world.left, world.right):
        end.link.close()
        for fd in end.fds:
            os.close(fd)
    assert open_descriptors() == before


def test_messages_and_descriptors_arrive_whole_and_in_order(world: World) -> None:
    read_end, write_end = os.pipe()
    world.left.link.send(b"one")
    world.left.link.send(b"two", (read_end,))
    world.left.link.send(b"x" * MAX_MESSAGE)
    os.close(read_end)
    world.reactor.settle()
    assert world.right.messages == [b"one", b"two", b"x" * MAX_MESSAGE]
    os.write(write_end, b"through")
    os.close(write_end)
    (fd,) = world.right.fds
    assert os.read(fd, 10) == b"through"
    assert not os.get_inheritable(fd)


def test_r18_a_message_that_is_too_long_ends_the_link_and_closes_its_descriptors() -> None:
    before = open_descriptors()
    reactor = HandReactor()
    ours, theirs = pair()
    end = End(reactor, ours)
    with open(os.devnull, "rb") as file:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file.fileno()]))]
        theirs.sendmsg([bytes(MAX_MESSAGE + 1)], ancillary)
        reactor.settle()
    theirs.close()
    assert end.messages == []
    assert [str(error) for error in end.errors] == ["a message that is too long"]
    assert end.link.closed
    assert open_descriptors() == before


def test_r18_more_descriptors_than_a_message_may_have_are_not_taken(world: World) -> None:
    with open(os.devnull, "rb") as file:
        world.left.link.send(b"many", [file.fileno()] * (MAX_FDS + 3))
        world.reactor.settle()
    assert world.right.messages == [b"many"]
    assert len(world.right.fds) <= MAX_FDS + 1  # the kernel rounds the room up


def test_an_exception_of_the_receiver_ends_the_link_once(world: World) -> None:
    world.left.link.send(b"nonsense")
    world.left.link.send(b"more")
    world.reactor.settle()
    assert world.right.messages == [b"nonsense"]
    assert [str(error) for error in world.right.errors] == ["that is nonsense"]
    assert world.right.link.closed
    assert len(world.left.errors) == 1
    world.left.link.send(b"goes nowhere")
    assert len(world.left.errors) == 1


def test_who_closes_a_link_is_not_told_of_its_end(world: World) -> None:
    world.left.link.close()
    world.left.link.close()
    world.reactor.settle()
    assert world.left.errors == []
    assert len(world.right.errors) == 1


def test_a_receiver_that_closes_its_link_gets_no_more(world: World) -> None:
    world.right.link.close()
    ours, theirs = pair()
    messages: list[bytes] = []

    def received(data: bytes, fds: list[int]) -> None:
        messages.append(data)
        closing.close()

    closing = Link(world.reactor, ours, received, pytest.fail)  # type: ignore[arg-type]
    theirs.send(b"one")
    theirs.send(b"two")
    world.reactor.settle()
    theirs.close()
    assert messages == [b"one"]


def test_what_does_not_fit_waits_with_its_descriptors(world: World) -> None:
    block = bytes(MAX_MESSAGE)
    sent = 0
    while not world.reactor.writers:
        world.left.link.send(block)
        sent += 1
    read_end, write_end = os.pipe()
    world.left.link.send(b"last", (write_end,))
    os.close(write_end)  # the link has its own
    world.reactor.settle()
    assert world.right.messages == [block] * sent + [b"last"]
    (fd,) = world.right.fds
    os.write(fd, b"kept")
    assert os.read(read_end, 10) == b"kept"
    os.close(read_end)
    assert world.reactor.writers == {}


def test_what_waits_is_dropped_with_its_descriptors_when_the_link_closes(world: World) -> None:
    while not world.reactor.writers:
        world.left.link.send(bytes(MAX_MESSAGE))
    with open(os.devnull, "rb") as file:
        world.left.link.send(b"last", (file.fileno(),))
    world.left.link.close()
    assert world.reactor.writers == {}


def test_r24_a_process_that_reads_nothing_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_WAITING", 3)
    while not world.left.errors:
        world.left.link.send(bytes(MAX_MESSAGE))
    assert [str(error) for error in world.left.errors] == ["3 messages wait for a process that does not read"]
    assert world.left.link.closed


def test_a_send_to_a_process_that_has_gone_ends_the_link() -> None:
    reactor = HandReactor()
    ours, theirs = pair()
    end = End(reactor, ours)
    theirs.close()
    end.link.send(b"hello?")
    assert end.link.closed
    (error,) = end.errors
    assert isinstance(error, LinkBroken)
    assert "takes nothing: Broken pipe" in str(error)


def test_a_process_that_goes_while_messages_wait_ends_the_link() -> None:
    reactor = HandReactor()
    ours, theirs = pair()
    end = End(reactor, ours)
    while not reactor.writers:
        end.link.send(bytes(MAX_MESSAGE))
    theirs.close()
    reactor.writers[ours.fileno()]()
    assert end.link.closed
    assert len(end.errors) == 1


def test_a_broken_socket_ends_the_link() -> None:
    reactor = HandReactor()
    ours, theirs = pair()
    broken: Any = BrokenSocket(ours)
    end = End(reactor, broken)
    reactor.readers[ours.fileno()]()
    theirs.close()
    assert [str(error) for error in end.errors] == ["the other process has gone: Connection reset by peer"]


class BrokenSocket:
    """A socket whose reads fail."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def recvmsg(self, *_: object) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")


def test_descriptors_for_which_there_is_no_room_are_missing(world: World) -> None:
    """A process that may have no more gets the message all the same: tried in one that may not."""
    import resource

    with open(os.devnull, "rb") as file:
        world.left.link.send(b"socket", (file.fileno(),))
    pid = os.fork()
    if not pid:
        status = 1
        try:
            low = os.dup(0)  # here: what the parent's reactors had open may be closed in a child
            os.close(low)
            resource.setrlimit(resource.RLIMIT_NOFILE, (low, low))
            world.reactor.readers[world.right.link._sock.fileno()]()  # type: ignore[union-attr]
            right = world.right
            status = (right.messages, right.fds, right.link.closed) != ([b"socket"], [], False)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_pair_is_made_without_roots_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        links, "SO_SNDBUFFORCE", 9999
    )  # the system refuses it, as it does for others than root
    left, right = pair()
    assert left.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 200_000
    left.close()
    right.close()
