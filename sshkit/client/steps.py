"""What happened on the way to a login, step by step: for whoever wants to know why it failed.

Made from a connection's own state when somebody asks, or when it ends with an error: `steps_of` of the
connection or of the error that it ended with.  ``sshkit-client doctor`` prints them.
"""

from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable

from sshkit.ssh.authentication.verdicts import ACCEPTED, PARTIAL

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection

ATTRIBUTE = "connection_steps"


class Step(NamedTuple):
    """One step.  `ok` None: it tells something, and can neither succeed nor fail."""

    name: str  #: "address", "identification", "algorithms", "host key", "login" and others
    ok: bool | None
    text: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILED", None: "--"}[self.ok]
        return f"{mark:<6} {self.name}: {self.text}"


def steps_of(subject: "ClientConnection | BaseException") -> tuple[Step, ...]:
    """Return the steps of a connection, or those that led to an error of one; () where nothing is known."""
    if isinstance(subject, BaseException):
        found: tuple[Step, ...] = getattr(subject, ATTRIBUTE, ())
        return found
    return _of_connection(subject)


def remember_steps(error: BaseException, connection: "ClientConnection") -> None:
    """Hang the steps of a connection on the error that ended it, the first time."""
    if not hasattr(error, ATTRIBUTE):
        setattr(error, ATTRIBUTE, _of_connection(connection))


def _of_connection(connection: "ClientConnection") -> tuple[Step, ...]:
    layer, verifier = connection.layer, connection.verifier
    steps: list[Step] = []
    error = layer.lost
    failed = "" if error is None else _first_line(error)

    def reached(name: str, done: bool, text: str) -> bool:
        """Add a step; False where it is the one that failed, or is still to come."""
        if done:
            steps.append(Step(name, True, text))
        elif failed:
            steps.append(Step(name, False, failed))
        return done

    address = connection.address
    if not reached(
        "address", bool(address or layer.peer_identification), f"connected to {address or 'the host'}"
    ):
        return tuple(steps)
    identification = printable(layer.peer_identification)
    if not reached("identification", bool(identification), identification):
        return tuple(steps)
    negotiated = layer.negotiated
    agreed = negotiated is not None or connection.shown_key is not None
    if not reached("algorithms", agreed, negotiated.summary() if negotiated else "agreed"):
        return tuple(steps)
    key = layer.host_key
    described = "" if key is None else f"{key.key_type} {key.fingerprint()}, {verifier.reason or 'accepted'}"
    if not reached("host key", key is not None, described):
        return tuple(steps)
    for attempt in connection.trail:
        steps.append(Step("login", attempt.verdict in (ACCEPTED, PARTIAL), printable(str(attempt), 2000)))
    if connection.logged_in.called and connection.was_let_in:
        steps.append(Step("login", True, f"logged in as {printable(connection.user)}"))
        if error is not None:
            steps.append(Step("connection", False, failed))
    elif failed:
        steps.append(Step("login", False, failed))
    return tuple(steps)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
