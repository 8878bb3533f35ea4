"""Whether a password is the stored one: one place for passwords in memory, files and databases (R9, R10).

Called by the checkers.  Hashes are slow on purpose, so they run in a thread of the reactor that runs.
"""

from collections.abc import Iterable
from hmac import compare_digest
from typing import Any

from sshkit.cred.errors import HashError
from sshkit.cred.password_hashes import Crypt, is_hash, is_right

MAX_PASSWORD = 1024  #: bytes; longer ones are nobody's, and cost nothing
#: Compared with for a name that nobody has, where no stored hash is at hand: the same work is done.
NOBODY = "$2b$12$Wm4SbNcruLD2KnCwSZSFSeHvylny0C/zo6/J2fww7A6f16O9AMNY6"


def model_of(stored: Iterable[str]) -> str | None:
    """Return the first hash, whose cost an unknown name shall have; None if there is none."""
    return next((text for text in stored if is_hash(text)), None)


def matches(password: str, stored: str | None, model: str | None, crypt: Crypt | None = None) -> Any:
    """Tell whether `password` is `stored` (None: nobody's), a hash or text; a Deferred where one is hashed.

    `model` is what a password of nobody is compared with, in vain; None where stored passwords are text.
    """
    entered = password.encode("utf-8", "surrogatepass")
    if len(entered) > MAX_PASSWORD:
        return False
    if stored is not None and is_hash(stored):
        return _hashed(entered, stored, crypt, True)
    if stored is None and model is not None:
        return _hashed(entered, model, crypt, False)
    same = compare_digest(entered, (stored or "").encode("utf-8", "surrogatepass"))
    return same and bool(stored)


def _hashed(entered: bytes, stored: str, crypt: Crypt | None, real: bool) -> Any:
    from sshkit.reactor.current import current

    def check() -> bool:
        try:
            return is_right(entered, stored, crypt) and real
        except HashError:  # no hash at all: never matches (R10)
            return False

    return current().defer_to_thread(check)
