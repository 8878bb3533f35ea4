"""How a manhole behaves: one object for all ways in, made by `serve`, `serve_telnet` and `start`."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sshkit_keys.errors import SSHKitError

from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    import logging

    from sshkit.manhole.access import Access
    from sshkit.manhole.audit import Audit
    from sshkit.manhole.display import Limits

#: Whose names what a person assigns becomes: of his session, of his user's sessions, of everybody and the
#: program.
Sharing = Literal["session", "user", "shared"]
MAX_SESSIONS = 100  #: at once; each has an application of prompt_toolkit, some hundred KiB


class NotLetIn(SSHKitError):
    """Somebody has logged in, and there is nothing here for him."""


class Person(NamedTuple):
    """Who is at the other end."""

    user: str
    key: str | None  #: the fingerprint of the key that was used
    source: str  #: the client's address

    def __str__(self) -> str:
        return f"{self.user} {self.key or 'without a key'} from {self.source}"


class ManholeSettings(NamedTuple):
    """What holds for every session of one manhole."""

    names: Sharing = "session"
    #: For everybody, by fingerprint ("SHA256:...", others get nothing), or a function of the person; None:
    #: who is let in may do everything.
    access: "Access | Mapping[str, Access] | Callable[[Person], Access | None] | None" = None
    threaded: bool = False  #: code runs in a thread of the session, so that it cannot stop the program
    audit: "Audit | logging.Logger | Callable[[str], object] | str | os.PathLike[str] | None" = None
    recordings: "str | os.PathLike[str] | None" = None  #: a folder, where sessions at terminals are recorded
    idle: float | None = None  #: seconds without a key after which a session ends
    banner: str = ""
    title: str = "sshkit"
    history: "str | os.PathLike[str] | None" = None  #: a folder: a file a user; None: memory only
    vi: bool = False
    mouse: bool = False
    colours: bool = True
    complete_as_typing: bool = False
    limits: "Limits | None" = None
    max_sessions: int = MAX_SESSIONS

    def access_of(self, person: Person) -> "Access":
        """Return what somebody may do; raises NotLetIn where that is nothing."""
        from sshkit.manhole.access import FULL, Access

        choice: Any = self.access
        if choice is None:
            return FULL
        if isinstance(choice, Mapping):
            found = choice.get(person.key or "")
        elif isinstance(choice, Access):
            found = choice
        else:
            found = choice(person)
        if found is None:
            raise NotLetIn("this key may do nothing here")
        if not isinstance(found, Access):
            raise TypeError(f"access: an Access is needed, not {type(found).__name__}")
        return found


class Namespaces:
    """Gives each session its names."""

    __slots__ = ("_names", "_of_users", "_sharing")

    def __init__(self, names: dict[str, Any], sharing: Sharing) -> None:
        if sharing not in ("session", "user", "shared"):
            raise LocalProtocolError(f"names={sharing!r}: session, user or shared")
        self._names = names
        self._sharing = sharing
        self._of_users: dict[str, dict[str, Any]] = {}

    def of(self, user: str) -> dict[str, Any]:
        """Return the dictionary that a session of this user works in."""
        if self._sharing == "shared":
            return self._names
        if self._sharing == "user":
            return self._of_users.setdefault(user, dict(self._names))
        return dict(self._names)
