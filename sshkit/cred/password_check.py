"""Whether a password is the stored one: one place for passwords in memory and in files (R9, R10).

Called by the checkers.  bcrypt is slow on purpose, so it runs in a thread of the reactor that runs.
"""

from hmac import compare_digest
from typing import Any

MAX_PASSWORD = 1024  #: bytes; longer ones are nobody's, and cost nothing
#: Compared with for a name that nobody has, where stored passwords are hashed: the same work is done.
NOBODY = "$2b$12$Wm4SbNcruLD2KnCwSZSFSeHvylny0C/zo6/J2fww7A6f16O9AMNY6"


def matches(password: str, stored: str | None, hashed: bool) -> Any:
    """Tell whether `password` is `stored` (None: nobody's), a bcrypt hash or text; a Deferred if hashed.

    `hashed` says that stored passwords usually are hashes, so that an unknown name costs one as well.
    """
    entered = password.encode("utf-8", "surrogatepass")
    if len(entered) > MAX_PASSWORD:
        return False
    if stored is None and hashed:
        return _hashed(entered, NOBODY, False)
    if stored is not None and stored.startswith("$2"):
        return _hashed(entered, stored, True)
    same = compare_digest(entered, (stored or "").encode())
    return same and bool(stored)


def _hashed(entered: bytes, stored: str, real: bool) -> Any:
    import bcrypt

    from sshkit.reactor.current import current

    def check() -> bool:
        try:
            return bcrypt.checkpw(entered[:72], stored.encode()) and real
        except ValueError:  # no hash at all: never matches (R10)
            return False

    return current().defer_to_thread(check)
