"""What the mains of sshkit-sftp, sshkit-scp and sshkit-sync have in common: every way to end.

Each names its program, reads its command line and hands on what to run; errors are one line each.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from .sftp_connect import CommandLog

FAILED: Final = 255  #: there was no session
INTERRUPTED: Final = 130


class Typed(Protocol):
    """What a command line came to."""

    @property
    def verbosity(self) -> int:
        """How many -v there were."""
        ...


T = TypeVar("T", bound=Typed)


def run_main(
    program: str,
    argv: list[str] | None,
    usage: str,
    parse: Callable[[list[str]], T],
    run: Callable[[T, "CommandLog"], int],
    *,
    before: str = "",
    unreadable: int = FAILED,
) -> int:
    """Read the command line and run; returns the exit status.

    `before` stands before what is wrong with the command line; `unreadable` is the status where a file that
    it names cannot be read.
    """
    try:
        return _run(program, sys.argv[1:] if argv is None else argv, usage, parse, run, before, unreadable)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(
    program: str,
    argv: list[str],
    usage: str,
    parse: Callable[[list[str]], T],
    run: Callable[[T, "CommandLog"], int],
    before: str,
    unreadable: int,
) -> int:
    from sshkit_keys.errors import SSHKitError
    from sshkit_keys.text import printable

    if argv[:1] == ["-V"]:
        from sshkit import __version__

        print(f"{program} {__version__}", file=sys.stderr)
        return 0
    from .sftp_connect import CommandLog
    from .sftp_options import UsageError

    log = CommandLog(program)
    try:
        typed = parse(argv)
    except UsageError as error:
        log.plain(f"{before}{error}\n{usage}" if str(error) else usage)
        return 1
    except (SSHKitError, OSError) as error:
        log.error(printable(str(error)))
        return unreadable
    try:
        return run(typed, log)
    except (SSHKitError, OSError) as error:
        from .client_run import tell_error

        tell_error(error, None, log)
    except Exception as error:
        # A mistake of ours: one line, and all of it for who asks with -v.
        log.error(printable(f"internal error: {type(error).__name__}: {error}", 1000))
        if typed.verbosity:
            raise
    return FAILED
