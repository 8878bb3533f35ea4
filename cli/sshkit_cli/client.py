"""sshkit-client: logs in to a host, and runs a command or a shell there (ssh(1)).

Options, configuration files, questions and exit statuses are ssh's: the command's own status, or 255 for
an error.  Little is loaded before it is needed, so that -V and mistakes answer at once and a Ctrl-C in the
first milliseconds is no traceback.
"""

import sys
from typing import Final

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
    from sshkit_keys.errors import SSHKitError
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
    from .client_run import Run, tell_error

    target = None
    try:
        if typed.dump:
            from .client_setup import dump, load_target

            log.output(dump(load_target(typed), places=typed.verbosity > 0))
            return 0
        run = Run(typed, log)
        target = run.target
        return run.run()
    except (SSHKitError, OSError) as error:
        tell_error(error, target, log)
    except Exception as error:
        # A mistake of ours: one line, and all of it for who asks with -v.
        log.error(printable(f"internal error: {type(error).__name__}: {error}", 1000))
        if typed.verbosity:
            raise
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
