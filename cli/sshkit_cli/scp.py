"""sshkit-scp: copies files between machines (scp(1)).

It speaks SFTP, or with -O the legacy protocol; with -t and -f it is the far side of the latter.  Options,
output and exit statuses are those of OpenSSH's scp: 0, 1 where a copy failed, 255 where there was no session.
"""

import sys
from typing import Final

PROGRAM: Final = "sshkit-scp"
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

    from .scp_options import USAGE, parse
    from .sftp_options import UsageError

    if argv[:1] == ["-V"]:
        from sshkit import __version__

        print(f"{PROGRAM} {__version__}", file=sys.stderr)
        return 0
    from .sftp_connect import CommandLog

    log = CommandLog(PROGRAM)
    try:
        typed = parse(argv)
    except UsageError as error:
        log.plain(f"{error}\n{USAGE}" if str(error) else USAGE)
        return 1
    except SSHKitError as error:
        log.error(str(error))
        return FAILED
    try:
        if typed.far:
            from .scp_far import run_far

            return run_far(typed, log)
        from .scp_run import Run

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
