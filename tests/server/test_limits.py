"""How many may knock at once: the counts (R42)."""

import socket
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sshkit.server.limits import (
    PENALTY_BURST,
    PENALTY_REMIND,
    REMIND,
    DropLog,
    MaxStartups,
    Startups,
    timeframe,
)
from sshkit.server.source_blocks import block_of, plain_address
from sshkit.testing import MemoryClock
from tests.peers import RealSshd
from tests.servers import read_to_end


def startups(
    limit: MaxStartups, per_source: int | None = None, draw: int = 0, blocks: tuple[int, int] = (32, 128)
) -> Startups:
    return Startups(limit, per_source, lambda size: bytes([draw]) * size, blocks)


def test_r42_below_the_start_nobody_is_refused() -> None:
    counted = startups(MaxStartups(2, 100, 4))
    counted.begin("a")
    assert counted.refusal("a") is None


def test_r42_from_the_full_number_everybody_is_refused() -> None:
    counted = startups(MaxStartups(1, 1, 3), draw=255)
    for _ in range(3):
        assert counted.refusal("a") is None
        counted.begin("a")
    assert counted.refusal("a") == "3 connections are not logged in"
    counted.end("a")
    assert counted.refusal("a") is None


def test_r42_between_both_chance_refuses_ever_more() -> None:
    for count, percent in ((10, 30), (55, 65), (99, 99)):
        refused = 0
        for draw in range(256):
            counted = startups(MaxStartups(10, 30, 100), draw=draw)
            counted.count = count
            refused += counted.refusal("a") is not None
        assert abs(refused / 2.56 - percent) < 1


def test_r42_one_source_cannot_use_up_what_is_for_all() -> None:
    counted = startups(MaxStartups(), per_source=2)
    for _ in range(2):
        assert counted.refusal("192.0.2.1") is None
        counted.begin("192.0.2.1")
    assert counted.refusal("192.0.2.1") == "2 connections of 192.0.2.1 are not logged in"
    assert counted.refusal("192.0.2.2") is None
    counted.end("192.0.2.1")
    assert counted.refusal("192.0.2.1") is None


def test_r42_a_network_counts_as_one_source_where_it_is_configured() -> None:
    counted = startups(MaxStartups(), per_source=1, blocks=(24, 56))
    for source, neighbour, stranger in (
        ("192.0.2.1", "192.0.2.99", "192.0.3.1"),
        ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"),
        ("fe80::1%eth0", "fe80::2%eth1", "2001:db8:1::1"),
        ("local", "local", "other"),
    ):
        counted.begin(source)
        assert counted.refusal(neighbour) is not None
        assert counted.refusal(stranger) is None
        counted.end(source)
        assert counted.refusal(neighbour) is None
    assert counted.count == 0


def test_r42_chance_refuses_by_whole_percents_as_sshd_does() -> None:
    limit = MaxStartups(10, 30, 100)
    for count, percent in ((10, 30), (11, 30), (12, 31), (50, 61), (99, 99)):
        refused = 0
        for draw in range(100):
            counted = Startups(limit, None, partial(int.to_bytes, draw, byteorder="big"))
            counted.count = count
            refused += counted.refusal("a") is not None
        assert refused == percent
    assert Startups(limit, None, bytes).start == 10


def test_addresses_are_read_without_zone_and_without_their_way() -> None:
    assert plain_address("fe80::1%eth0") == "fe80::1"
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("::ffff:0:1") == "::ffff:0:1"
    assert block_of("::ffff:192.0.2.1", (32, 128)) == "192.0.2.1"


PEER, HERE = ("192.0.2.1", 4711), ("2001:db8::1", 22, 0, 0)
DROPPED = "drop connection #{} from [192.0.2.1]:4711 on [2001:db8::1]:22 past MaxStartups"


class Scene:
    """A DropLog with its clock and what it said."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.lines: list[tuple[str, str]] = []
        self.log = DropLog(self.clock, lambda level, text: self.lines.append((level, text)), 10)

    def taken(self) -> list[tuple[str, str]]:
        lines, self.lines = self.lines, []
        return lines


def test_the_beginning_and_the_end_of_throttling_are_told_and_each_drop_to_the_verbose() -> None:
    scene = Scene()
    scene.log.accepted(3)
    assert scene.taken() == []
    scene.log.refused(10, PEER, HERE)
    begun = ("error", "beginning MaxStartups throttling")
    assert scene.taken() == [begun, ("info", DROPPED.format(10))]
    scene.clock.advance(65)
    scene.log.refused(11, PEER, HERE)
    assert scene.taken() == [("verbose", DROPPED.format(11))]
    scene.log.accepted(9)  # too near to the start to be over
    assert scene.taken() == []
    scene.log.accepted(8)
    scene.log.accepted(8)
    ended = "exited MaxStartups throttling after 00:01:05, 2 connections dropped"
    assert scene.taken() == [("info", ended)]
    scene.log.refused(10, PEER, HERE)
    assert scene.taken()[0] == begun


def test_throttling_that_goes_on_is_told_every_five_minutes_of_silence() -> None:
    scene = Scene()
    scene.log.refused(10, PEER, HERE)
    scene.clock.advance(REMIND + 1)
    scene.taken()
    scene.log.refused(12, PEER, HERE)
    still = ("error", "in MaxStartups throttling for 00:05:01, 2 connections dropped")
    assert scene.taken() == [still, ("info", DROPPED.format(12))]


def test_r42_a_flood_of_a_penalised_source_does_not_fill_the_log() -> None:
    scene = Scene()
    for _ in range(1000):
        scene.log.penalised(1, PEER, HERE, "penalty: failed authentication")
        scene.clock.advance(0.01)
    lines = scene.taken()
    told = [text for level, text in lines if level == "info"]
    assert told == [DROPPED.format(1).replace("past MaxStartups", "penalty: failed authentication")] * 8
    assert len(told) == PENALTY_BURST
    scene.clock.advance(PENALTY_REMIND)
    scene.log.penalised(1, PEER, HERE, "x")
    assert scene.taken()[0] == ("info", "992 more connections of penalised sources were dropped")
    scene.clock.advance(PENALTY_REMIND + 1)
    scene.log.penalised(1, PEER, HERE, "x")
    assert len(scene.taken()) == 1


@pytest.mark.parametrize("nowhere", ["", None, "/run/socket"])
def test_a_drop_without_an_address_is_told_too(nowhere: Any) -> None:
    scene = Scene()
    scene.log.penalised(0, nowhere, nowhere, "x")
    assert scene.taken() == [("info", "drop connection #0 from [UNKNOWN]:65535 on [UNKNOWN]:65535 x")]


def test_lengths_of_time_are_written_as_sshd_does() -> None:
    assert timeframe(0.9) == "00:00:00"
    assert timeframe(3661) == "01:01:01"
    assert timeframe(86400 * 2 + 3600 * 3 + 240) == "2d03h04m"
    assert timeframe(86400 * 9 + 3600 * 3) == "1w02d03h"


@pytest.mark.peer("sshd")
def test_the_real_sshd_tells_of_a_drop_in_the_same_words(tmp_path: Path) -> None:
    sshd = RealSshd(tmp_path, "LogLevel VERBOSE")
    with sshd.config.open("a") as config:
        config.write("MaxStartups 2:100:2\n")  # of this keyword sshd takes the last line
    with sshd, ExitStack() as stack:
        while True:  # who looked whether it listens may still count
            client = stack.enter_context(socket.create_connection(("127.0.0.1", sshd.port), 30))
            if client.recv(4) != b"SSH-":
                break
        peer, here = client.getsockname(), client.getpeername()
        read_to_end(client)
        log = sshd.log
    scene = Scene()
    scene.log.refused(2, peer, here)
    for _, text in scene.taken():
        assert text in log
