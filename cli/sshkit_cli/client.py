"""sshkit-client: logs in to a host, and runs a command or a shell there (ssh(1)).

Options, configuration files, questions and exit statuses are ssh's: the command's own status, or 255 for
an error.  Little is loaded before it is needed, so that -V and mistakes answer at once and a Ctrl-C in the
first milliseconds is no traceback.
"""

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sshkit.client.target import Target

    from .log import Log
    from .options import CommandLine

FAILED: Final = 255
INTERRUPTED: Final = 130


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        _open_standard_descriptors()
        return _main(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    if argv[:1] == ["-V"]:
        return _version()
    from sshkit_keys.text import printable

    from .log import Log
    from .options import USAGE, UsageError, parse

    log = Log()
    before = argv[: argv.index("--")] if "--" in argv else argv
    if any(word.partition("=")[0] == "--hosts" for word in before):
        from .client_hosts import main_hosts

        return main_hosts(argv, log)
    if argv[:1] == ["doctor"]:  # a host of this name is reached behind --
        from .client_doctor import main_doctor

        return main_doctor(argv[1:], log)
    try:
        typed = parse(argv)
        if typed.version:
            return _version()
        if typed.query is not None:
            from .query import answer

            log.output(f"{answer(typed.query)}\n")
            return 0
        if typed.log_file is not None:
            log = Log(path=typed.log_file)
    except UsageError as error:
        log.error(f"{error}\n{USAGE}")
        return FAILED
    except OSError as error:
        log.error(f"{printable(str(error.filename), 4096)}: {error.strerror}")
        return FAILED
    target: Target | None = None
    try:
        from .client_setup import dump, load_target

        if typed.dump:
            log.output(dump(load_target(typed), places=typed.verbosity > 0))
            return 0
        target = load_target(typed)
        if typed.control is not None or target.options.control_path.value is not None:
            return _shared(typed, target, log)
    except Exception as error:
        return _tell(error, typed, target, log)
    return _connect(typed, target, log)


def _shared(typed: "CommandLine", target: "Target", log: "Log") -> int:
    """Ride another program's connection, or make one that others can ride."""
    from .client_control import ride

    status = ride(typed, target, log)
    if status is not None:
        return status
    from .client_persist import hand_over, persists

    if persists(target, typed):
        return hand_over(typed, target, log, lambda ready: _connect(typed, target, log, ready))
    return _connect(typed, target, log)


def _connect(typed: "CommandLine", target: "Target", log: "Log", ready: int | None = None) -> int:
    """Log in and run the session."""
    from .client_run import Run

    try:
        return Run(typed, log, target, ready).run()
    except Exception as error:
        return _tell(error, typed, target, log)


def _tell(error: Exception, typed: "CommandLine", target: "Target | None", log: "Log") -> int:
    """Say why the command failed."""
    from sshkit_keys.errors import SSHKitError
    from sshkit_keys.text import printable

    from .client_run import tell_error

    if isinstance(error, (SSHKitError, OSError)):
        tell_error(error, target, log)
    else:
        # A mistake of ours: one line, and all of it for who asks with -v.
        log.error(printable(f"internal error: {type(error).__name__}: {error}", 1000))
        if typed.verbosity:
            raise error
    return FAILED


def _open_standard_descriptors() -> None:
    """Fill those of 0, 1 and 2 that are closed, lest a socket becomes our standard output."""
    import os

    while True:
        fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if fd > 2:
            os.close(fd)
            return


def _version() -> int:
    import os

    from sshkit import __version__

    python = ".".join(str(part) for part in sys.version_info[:3])
    os.write(2, f"sshkit-client {__version__}, Python {python}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
