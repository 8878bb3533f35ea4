"""sshkit-scp: copies files between machines (scp(1)).

It speaks SFTP, or with -O the legacy protocol; with -t and -f it is the far side of the latter.  Options,
output and exit statuses are those of OpenSSH's scp: 0, 1 where a copy failed, 255 where there was no session.
"""

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .sftp_connect import CommandLog

PROGRAM: Final = "sshkit-scp"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    from .scp_options import USAGE, CommandLine, parse
    from .sftp_main import run_main

    def run(typed: CommandLine, log: "CommandLog") -> int:
        if typed.far:
            from .scp_far import run_far

            return run_far(typed, log)
        from .scp_run import Run

        return Run(typed, log).run()

    return run_main(PROGRAM, argv, USAGE, parse, run)


if __name__ == "__main__":
    sys.exit(main())
