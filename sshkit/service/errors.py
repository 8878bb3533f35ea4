"""What can go wrong with a long-running program; every message names the service, option or file."""

from sshkit_keys.errors import SSHKitError


class ServiceError(SSHKitError):
    """A service was told what does not fit its state: to begin twice, for instance."""


class ServiceStartError(ServiceError):
    """A service did not start; the cause is its `__cause__`."""


class ServiceStopError(ServiceError):
    """Services did not stop in order; the message names each, `__cause__` is the first one's error."""


class OptionError(SSHKitError):
    """An option of the program cannot be followed: an unknown user, a file that cannot be opened."""


class PidFileError(SSHKitError):
    """The pid file cannot be written or locked."""


class NotAlone(PidFileError):
    """The program runs already; `pid` is the process that its pid file names, or None."""

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid
