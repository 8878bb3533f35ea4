"""ObscureKeystrokeTiming: what leaves does not tell when keys were typed."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from sshkit_cli.keystrokes import CHAFF, MOST_TYPED, KeystrokeTiming

from sshkit.ssh.messages.transport import Ping
from sshkit.testing import MemoryClock

INTERVAL = 0.02


class Wire:
    """A session's keys, and what left when."""

    def __init__(self, chance: Sequence[float] = (0.5,)) -> None:
        self.clock = MemoryClock()
        self.left: list[tuple[float, bytes]] = []
        self._chance = list(chance)
        self._turn = 0
        self.keys = KeystrokeTiming(self.clock, INTERVAL, self._send, self._send_chaff, self._random)

    def _random(self, size: int) -> bytes:
        self._turn += 1
        part = self._chance[self._turn % len(self._chance)]
        return min(int(part * (1 << 8 * size)), (1 << 8 * size) - 1).to_bytes(size, "big")

    def _send(self, data: bytes) -> None:
        self.left.append((self.clock.seconds(), data))

    def _send_chaff(self) -> None:
        self.left.append((self.clock.seconds(), b""))

    def type(self, *times: float) -> "Wire":
        """Type a key at each time, then wait for a long while."""
        for when in times:
            self.clock.advance(when - self.clock.seconds())
            self.keys.typed(b"k")
        self.clock.advance(10)
        return self

    @property
    def times(self) -> list[float]:
        return [round(when, 6) for when, _ in self.left]

    @property
    def keys_sent(self) -> bytes:
        return b"".join(data for _, data in self.left)


SLOW = (0.0, 0.213, 0.377, 0.9, 1.3)
FAST = (0.0, 0.051, 0.052, 0.19, 1.3)


def test_what_leaves_does_not_depend_on_when_keys_are_typed() -> None:
    """Two people type five keys each; on the wire both look the same while they do."""
    slow, fast = Wire().type(*SLOW), Wire().type(*FAST)
    assert (slow.keys_sent, fast.keys_sent) == (b"kkkkk", b"kkkkk")
    assert slow.times == fast.times
    gaps = {round(after - before, 6) for before, after in pairwise(slow.times[1:])}
    assert gaps == {INTERVAL}


def test_something_leaves_at_every_tick_and_a_while_longer() -> None:
    wire = Wire().type(0.0)
    assert wire.left[0] == (0.0, b"k")
    assert all(not data for _, data in wire.left[1:])
    last = wire.times[-1]
    assert 1.024 < last < 1.024 + 2.048
    assert len(wire.left) == pytest.approx(last / INTERVAL, abs=2)
    assert not wire.keys.active


def test_the_ticks_are_a_little_irregular_and_never_drift() -> None:
    wire = Wire((0.0, 0.25, 0.999, 0.6)).type(*SLOW)
    gaps = [after - before for before, after in pairwise(wire.times[1:])]
    assert min(gaps) >= 0.9 * INTERVAL - 1e-6
    assert max(gaps) <= 1.1 * INTERVAL + 1e-6
    assert len({round(gap, 5) for gap in gaps}) > 1


def test_how_long_it_goes_on_is_not_foretold() -> None:
    ends = {Wire((chance,)).type(0.0).times[-1] for chance in (0.0, 0.3, 0.9)}
    assert len(ends) == 3


def test_keys_of_one_tick_leave_together() -> None:
    wire = Wire()
    wire.keys.typed(b"a")
    for key in (b"b", b"c", b"d"):
        wire.keys.typed(memoryview(key))
    assert wire.left == [(0.0, b"a")]
    wire.clock.advance(INTERVAL)
    assert wire.left[1][1] == b"bcd"


def test_what_is_pasted_leaves_at_once_behind_what_was_typed() -> None:
    wire = Wire()
    wire.keys.typed(b"a")
    wire.keys.typed(b"b")
    pasted = b"p" * MOST_TYPED
    wire.keys.typed(pasted)
    assert wire.left == [(0.0, b"a"), (0.0, b"b"), (0.0, pasted)]
    assert not wire.keys.active
    wire.clock.advance(10)
    assert len(wire.left) == 3
    wire.keys.typed(b"again")
    assert wire.keys.active


def test_stopping_sends_what_waits_and_is_good_twice() -> None:
    wire = Wire()
    wire.keys.stop()
    wire.keys.typed(b"a")
    wire.keys.typed(b"b")
    wire.keys.stop()
    wire.keys.stop()
    assert wire.keys_sent == b"ab"
    assert wire.clock.next_due() is None


def test_a_late_tick_does_not_make_the_next_ones_late() -> None:
    wire = Wire()
    wire.keys.typed(b"a")
    wire.clock.advance(0.5)
    assert len(wire.left) == pytest.approx(0.5 / INTERVAL, abs=2)


def test_chaff_is_as_long_as_a_key() -> None:
    one_key = 1 + 4 + 4 + 1  # number, channel, size, the key
    assert len(Ping(CHAFF).encode()) == one_key
