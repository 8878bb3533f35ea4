"""The options that every program of services has, for argparse or given in the program.

Called by whoever writes a program; `run_service` follows them.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

STOP_TIMEOUT = 30.0  #: seconds that a graceful stop may take
LOG_FORMATS = ("text", "json")
MAX_UMASK = 0o777


class ProgramOptions(NamedTuple):
    """How a program lives."""

    daemon: bool = False  #: go to the background; the command ends when the service has started
    pid_file: str | None = None
    user: str | None = None  #: a name or a number
    group: str | None = None  #: a name or a number; without it the user's own
    umask: int | None = None
    chroot: str | None = None
    log: str | None = None  #: the file to append to; None: standard error
    log_format: str = "text"
    stop_timeout: float = STOP_TIMEOUT
    engine: str = "direct"


def add_program_options(parser: "ArgumentParser") -> None:
    """Add --daemon, --pid-file, --user, --group, --umask, --chroot, --log and --log-format."""
    group = parser.add_argument_group("the program as a process")
    group.add_argument(
        "--daemon", action="store_true", help="go to the background once the service has started"
    )
    group.add_argument("--pid-file", metavar="FILE", help="write the process id here, and run only once")
    group.add_argument("--user", help="become this user (a name or a number)")
    group.add_argument("--group", help="have this group in place of the user's")
    group.add_argument("--umask", type=umask, metavar="OCTAL", help="rights that new files do not give")
    group.add_argument("--chroot", metavar="FOLDER", help="have this folder as the root of all files")
    group.add_argument("--log", metavar="FILE", help="append the log to this file, not to standard error")
    group.add_argument("--log-format", choices=LOG_FORMATS, default="text", help="default: text")


def program_options(arguments: "Namespace") -> ProgramOptions:
    """Return what the user has given for the options of `add_program_options`."""
    return ProgramOptions(
        arguments.daemon,
        arguments.pid_file,
        arguments.user,
        arguments.group,
        arguments.umask,
        arguments.chroot,
        arguments.log,
        arguments.log_format,
    )


def umask(text: str) -> int:
    """Return the number that `text` is in octal; ValueError tells argparse that it is none."""
    from argparse import ArgumentTypeError

    try:
        value = int(text, 8)
    except ValueError:
        value = -1
    if not 0 <= value <= MAX_UMASK:
        raise ArgumentTypeError(f"{text!r} is no octal number from 0 to 777")
    return value
