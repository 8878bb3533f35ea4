"""sshkit-sftp: files of another machine, by hand or from a batch file (sftp(1)).

Options, commands, output and exit statuses are those of OpenSSH's sftp: 0, 1 where a command failed, 255
where there was no session.
"""

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .sftp_connect import CommandLog

PROGRAM: Final = "sshkit-sftp"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    from .sftp_main import run_main
    from .sftp_options import USAGE, CommandLine, parse

    def run(typed: CommandLine, log: "CommandLog") -> int:
        from .sftp_run import Run

        return Run(typed, log).run()

    return run_main(PROGRAM, argv, USAGE, parse, run)


if __name__ == "__main__":
    sys.exit(main())
