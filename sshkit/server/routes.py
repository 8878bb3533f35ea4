"""`Router`: which handler serves a session, by user, key, subsystem, command or environment.

``router = Router(); @router.route(user="git", command="git-upload-pack") ...``; then ``sshkit.serve(...,
router, ...)``: a router is a handler.  Routes are tried in the order in which they were added.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sshkit_keys.host_patterns import matches_glob

from sshkit.server.middleware.chain import Middleware, call, chain, describe, fingerprint_of, refuse

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.server.handler import Handler, Session

NO_ROUTE = 127  #: the status where nothing serves a session, as a shell has it for an unknown command
H = TypeVar("H", bound=Callable[..., object])


class Route(NamedTuple):
    """What all has to be so; None is not asked."""

    handler: "Handler"
    users: tuple[str, ...] | None
    keys: tuple[str, ...] | None
    subsystems: tuple[str, ...] | None
    commands: tuple[str, ...] | None
    shell: bool | None
    terminal: bool | None
    environment: Mapping[str, str]

    def fits(self, session: "Session") -> bool:
        """Tell whether this route serves the session."""
        command, subsystem = session.command, session.subsystem
        if self.users is not None and not _matches(session.user, self.users):
            return False
        if self.keys is not None and fingerprint_of(session) not in self.keys:
            return False
        if self.subsystems is not None and (subsystem is None or not _matches(subsystem, self.subsystems)):
            return False
        if self.commands is not None:
            word = (command or "").split(maxsplit=1)[:1]
            if subsystem is not None or not word or not _matches(word[0], self.commands):
                return False
        if self.shell is not None and self.shell != (command is None and subsystem is None):
            return False
        if self.terminal is not None and self.terminal != (session.terminal is not None):
            return False
        return all(
            name in session.environment and matches_glob(pattern, session.environment[name])
            for name, pattern in self.environment.items()
        )


class Router:
    """A handler that gives each session to the first route that fits."""

    __slots__ = ("_default", "_message", "_routes")

    def __init__(self, message: str = "nothing here serves this: {what}") -> None:
        self._routes: list[Route] = []
        self._default: Handler | None = None
        self._message = message

    def route(
        self,
        *middlewares: Middleware,
        user: "str | Sequence[str] | None" = None,
        key: "str | Sequence[str] | None" = None,
        subsystem: "str | Sequence[str] | None" = None,
        command: "str | Sequence[str] | None" = None,
        shell: bool | None = None,
        terminal: bool | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Callable[[H], H]:
        """Serve with the decorated handler, inside `middlewares`, what fits all that is given.

        `user`, `subsystem` and `command` (the first word) are patterns with * and ?, one or several; `key`
        are fingerprints; `environment` has a pattern for each variable that the client must have sent.  The
        first word says nothing about the rest of a command: a handler that hands it to a shell must look.
        """
        keys = _several(key)
        for name in keys or ():
            if not name.startswith("SHA256:"):
                raise ValueError(f"{name!r}: not a fingerprint SHA256:...")

        def add(handler: H) -> H:
            self._routes.append(
                Route(
                    chain(handler, *middlewares),  # type: ignore[arg-type]
                    _several(user),
                    keys,
                    _several(subsystem),
                    _several(command),
                    shell,
                    terminal,
                    dict(environment or {}),
                )
            )
            return handler

        return add

    def default(self, handler: H) -> H:
        """Serve with the decorated handler what no route fits."""
        self._default = handler  # type: ignore[assignment]
        return handler

    def find(self, session: "Session") -> "Handler | None":
        """Return what serves `session`."""
        return next((route.handler for route in self._routes if route.fits(session)), self._default)

    def __call__(self, session: "Session") -> "Deferred[int | None] | int | None":
        handler = self.find(session)
        if handler is None:
            refuse(session, self._message.replace("{what}", describe(session)), "no route fits")
            return NO_ROUTE
        return call(handler, session)


def _several(given: "str | Sequence[str] | None") -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(given)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(matches_glob(pattern, name) for pattern in patterns)
