"""The agent's lock: a salted hash, and answers that come later the more often somebody guesses wrong.

Called by the keyring.  The lock keeps a person at the keyboard out; it encrypts nothing (ssh-agent(1)).
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit.deferred import Deferred, succeed

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall

SALT_BYTES = 16
DELAY_STEP = 0.1  #: seconds that each wrong passphrase adds to the delay of its answer
MAX_DELAY = 10.0
MAX_WAITING = 64  #: attempts that wait for their turn; more are refused unheard


class Lock:
    """Locked or not.  Attempts to unlock are heard one after the other, whoever makes them."""

    __slots__ = ("_clock", "_digest", "_failures", "_random_bytes", "_salt", "_timer", "_waiting")

    def __init__(self, clock: "Clock", random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._salt = b""
        self._digest = b""
        self._failures = 0
        self._timer: DelayedCall | None = None
        self._waiting: deque[tuple[bytes, Deferred[bool]]] = deque()

    @property
    def locked(self) -> bool:
        """Whether it is locked."""
        return self._digest != b""

    def close(self, passphrase: bytes) -> bool:
        """Lock; False if it is locked already or the passphrase is empty."""
        if self.locked or not passphrase:
            return False
        self._salt = self._random_bytes(SALT_BYTES)
        self._digest = _hash(self._salt, passphrase)
        return True

    def open(self, passphrase: bytes) -> Deferred[bool]:
        """Unlock; fires with whether that worked, late if it did not."""
        if not self.locked or not passphrase or len(self._waiting) >= MAX_WAITING:
            return succeed(False)
        answer: Deferred[bool] = Deferred()
        self._waiting.append((passphrase, answer))
        if self._timer is None:
            self._hear()
        return answer

    def _hear(self) -> None:
        """Hear the next attempt, unless the answer to a wrong one is still to come."""
        from hmac import compare_digest

        while self._waiting:
            passphrase, answer = self._waiting[0]
            if self.locked and not compare_digest(_hash(self._salt, passphrase), self._digest):
                self._failures += 1
                delay = min(self._failures * DELAY_STEP, MAX_DELAY)
                self._timer = self._clock.call_later(delay, self._answer_late)
                return
            opened = self.locked
            self._salt = self._digest = b""
            self._failures = 0
            self._waiting.popleft()
            _fire(answer, opened)

    def _answer_late(self) -> None:
        self._timer = None
        _, answer = self._waiting.popleft()
        _fire(answer, False)
        if self._timer is None:
            self._hear()

    def __repr__(self) -> str:
        return "<Lock locked>" if self.locked else "<Lock open>"


def _fire(answer: Deferred[bool], value: bool) -> None:
    if not answer.called:  # whoever asked may have gone
        answer.callback(value)


def _hash(salt: bytes, passphrase: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(passphrase, salt=salt).digest()
