"""One-time challenges: a password is proved and not sent.

A server makes one for each login and sends its `text`; what comes back, with the name, becomes credentials
that a checker with plain-text passwords can check.  The default answer is the HMAC of RFC 2104, keyed by the
password, as RFC 2195 (CRAM-MD5) has it with "md5"; protocols with another rule hand in their function.
"""

from collections.abc import Callable
from functools import partial
from hmac import compare_digest, digest
from typing import TYPE_CHECKING

from sshkit.cred.credentials import IChallengeAnswer
from sshkit.cred.errors import LoginFailed
from sshkit.interfaces import implementer

if TYPE_CHECKING:
    from sshkit.interfaces import Clock

RANDOM_SIZE = 18  #: bytes of randomness in a text
LIFETIME = 120.0  #: seconds in which a challenge is to be answered

#: (password, text of the challenge) to the right answer.
Rule = Callable[[bytes, bytes], bytes]


class Challenge:
    """A text that nobody has seen before, good for one answer within its lifetime."""

    __slots__ = ("_clock", "_ends", "_is_used", "_rule", "text")

    def __init__(
        self,
        clock: "Clock",
        *,
        text: bytes | None = None,
        rule: Rule | None = None,
        hash_name: str = "sha256",
        lifetime: float = LIFETIME,
    ) -> None:
        """`text`: what a protocol wants sent; it must be new each time.  Default: random, in hexadecimal."""
        if text is None:
            from os import urandom

            text = urandom(RANDOM_SIZE).hex().encode()
        self.text = text
        self._rule = rule or partial(_hmac, hash_name)
        self._clock = clock
        self._ends = clock.seconds() + lifetime
        self._is_used = False

    def answered(self, username: str, answer: bytes) -> "ChallengeAnswer":
        """Return the credentials for a portal; LoginFailed for a second answer, or one that comes late."""
        if self._is_used:
            raise LoginFailed("the challenge was answered before")
        self._is_used = True
        if self._clock.seconds() > self._ends:
            raise LoginFailed("the challenge was answered too late")
        return ChallengeAnswer(username, self.text, answer, self._rule)


@implementer(IChallengeAnswer)
class ChallengeAnswer:
    """A name and the answer to a challenge."""

    __slots__ = ("_answer", "_rule", "_text", "username")

    def __init__(self, username: str, text: bytes, answer: bytes, rule: Rule) -> None:
        self.username = username
        self._text = text
        self._answer = answer
        self._rule = rule

    def is_answered_by(self, password: str) -> bool:
        """Tell whether `password` gives this answer."""
        right = self._rule(password.encode("utf-8", "surrogatepass"), self._text)
        return compare_digest(right, self._answer)

    def __repr__(self) -> str:
        return f"<ChallengeAnswer {self.username!r}>"


def _hmac(hash_name: str, password: bytes, text: bytes) -> bytes:
    return digest(password, text, hash_name)
