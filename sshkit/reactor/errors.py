"""What can go wrong below the protocols: connecting, listening, resolving, running, spawning."""

from collections.abc import Sequence
from typing import Any, Final

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError

#: What code that the loop calls may raise without ending more than its own connection.  CancelledError is no
#: Exception, yet an outcome as any other: a handler gets it from the Deferred of somebody else's call.
FAULTS: Final = (Exception, CancelledError)


class ReactorError(SSHKitError):
    """The reactor was asked for what it cannot do now; the message says what to do instead."""


class ReactorClosed(ReactorError):
    """The reactor was closed under a connection, a wait or a call."""


class ConnectError(SSHKitError, ConnectionError):
    """No connection came about; `attempts` has (address, error) of each address that was tried."""

    def __init__(self, message: str, attempts: Sequence[tuple[str, BaseException]] = ()) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)


class ConnectTimeout(ConnectError, TimeoutError):
    """The deadline passed before a connection came about."""


class ResolveError(SSHKitError, OSError):
    """A host name has no address, or could not be looked up."""


class ResolveTimeout(ResolveError, TimeoutError):
    """The deadline passed before a name was looked up."""


class ListenError(SSHKitError, OSError):
    """An address cannot be listened at."""


class FileSendError(SSHKitError, OSError):
    """A file could not be sent as far as it was promised."""


class MulticastError(SSHKitError, OSError):
    """A group cannot be joined or left, or datagrams cannot be sent to groups as asked."""


class SpawnError(SSHKitError, OSError):
    """A program could not be started."""


class ProcessError(SSHKitError):
    """A program did not do what was asked of it."""


class ProcessFailed(ProcessError):
    """A program ended with another status than 0; `completed` has its status and output."""

    def __init__(self, message: str, completed: Any) -> None:
        super().__init__(message)
        self.completed = completed


class ProcessTimeout(ProcessError, TimeoutError):
    """A program took too long, and was ended."""


class TooMuchOutput(ProcessError):
    """A program wrote more than is taken, and was ended."""
