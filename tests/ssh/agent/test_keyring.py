"""Keys held, and the lock."""

import pytest

from sshkit.deferred import CancelledError
from sshkit.ssh.agent.lock import MAX_WAITING, Lock
from sshkit.testing import MemoryClock
from tests.ssh.agent.world import ED25519, World, fixed_bytes


def locked(clock: MemoryClock) -> Lock:
    lock = Lock(clock, fixed_bytes)
    assert lock.close(b"word")
    return lock


def test_r18_guesses_that_wait_are_limited() -> None:
    clock = MemoryClock()
    lock = locked(clock)
    waiting = [lock.open(b"guess") for _ in range(MAX_WAITING)]
    refused = lock.open(b"word")
    assert refused.result() is False
    clock.advance(10 * MAX_WAITING)
    assert [answer.result() for answer in waiting] == [False] * MAX_WAITING
    assert lock.open(b"word").result() is True


def test_the_delay_of_a_wrong_passphrase_ends_growing_at_ten_seconds() -> None:
    clock = MemoryClock()
    lock = locked(clock)
    for _ in range(120):
        lock.open(b"guess")
        clock.advance(20)
    last = lock.open(b"guess")
    clock.advance(9.9)
    assert not last.called
    clock.advance(0.2)
    assert last.result() is False
    assert lock.open(b"").result() is False


def test_whoever_waited_and_left_does_not_hold_up_the_others() -> None:
    clock = MemoryClock()
    lock = locked(clock)
    first, right, late = lock.open(b"guess"), lock.open(b"word"), lock.open(b"word")
    first.cancel()
    clock.advance(0.2)
    assert right.result() is True
    assert late.result() is False  # nothing was locked any more
    with pytest.raises(CancelledError):
        first.result()


def test_the_lock_can_be_closed_once() -> None:
    lock = locked(MemoryClock())
    assert not lock.close(b"other")
    assert lock.locked
    assert repr(lock) == "<Lock locked>"


def test_a_keyring_shows_what_it_holds_and_no_more() -> None:
    world = World()
    held = world.keyring.add(ED25519, comment="mine\x1b")
    assert repr(world.keyring) == "<Keyring of 1 keys>"
    assert repr(held) == f"<HeldKey ssh-ed25519 {ED25519.public.fingerprint()} 'mine\\\\x1b'>"
    assert world.keyring.get(ED25519.public.blob) is held


def test_whoever_guesses_again_at_once_waits_again() -> None:
    clock = MemoryClock()
    lock = locked(clock)
    answers: list[bool] = []

    def again(answer: bool) -> None:
        answers.append(answer)
        if len(answers) < 3:
            lock.open(b"guess").add_callback(again)

    lock.open(b"guess").add_callback(again)
    for wait in (0.1, 0.2, 0.3):
        before = len(answers)
        clock.advance(wait / 2)
        assert len(answers) == before
        clock.advance(wait / 2 + 0.001)
    assert answers == [False] * 3
