"""sshkit-sync: makes one directory tree equal to another, here or over SFTP.

Exit statuses: 0, 1 where some of it failed or the command line makes no sense, 255 where there was no
session.
"""

import sys
from typing import Final

PROGRAM: Final = "sshkit-sync"
FAILED: Final = 255
INTERRUPTED: Final = 130


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    from sshkit_keys.errors import SSHKitError
    from sshkit_keys.text import printable

    from .sftp_connect import CommandLog
    from .sftp_options import UsageError
    from .sync_options import HELP, USAGE, parse

    log = CommandLog(PROGRAM)
    if argv[:1] in (["-V"], ["--version"]):
        from sshkit import __version__

        log.plain(f"{PROGRAM} {__version__}")
        return 0
    if argv[:1] in (["-h"], ["--help"]):
        log.output(HELP)
        return 0
    try:
        typed = parse(argv)
    except UsageError as error:
        log.plain(f"{PROGRAM}: {error}\n{USAGE}" if str(error) else USAGE)
        return 1
    except (SSHKitError, OSError) as error:
        log.error(printable(str(error)))
        return 1
    try:
        from .sync_run import Run

        return Run(typed, log).run()
    except (SSHKitError, OSError) as error:
        from .client_run import tell_error

        tell_error(error, None, log)
    except Exception as error:
        # A mistake of ours: one line, and all of it for who asks with -v.
        log.error(printable(f"internal error: {type(error).__name__}: {error}", 1000))
        if typed.verbosity:
            raise
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
