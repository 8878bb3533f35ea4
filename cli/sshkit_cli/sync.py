"""sshkit-sync: makes one directory tree equal to another, here or over SFTP.

Exit statuses: 0, 1 where some of it failed or the command line makes no sense, 255 where there was no
session.
"""

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .sftp_connect import CommandLog

PROGRAM: Final = "sshkit-sync"


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    from .sftp_main import run_main
    from .sync_options import HELP, USAGE, CommandLine, parse

    words = sys.argv[1:] if argv is None else argv
    if words[:1] in (["-h"], ["--help"]):
        from .sftp_connect import CommandLog

        CommandLog(PROGRAM).output(HELP)
        return 0
    if words[:1] == ["--version"]:
        words = ["-V"]

    def run(typed: CommandLine, log: "CommandLog") -> int:
        from .sync_run import Run

        return Run(typed, log).run()

    return run_main(PROGRAM, words, USAGE, parse, run, before=f"{PROGRAM}: ", unreadable=1)


if __name__ == "__main__":
    sys.exit(main())
