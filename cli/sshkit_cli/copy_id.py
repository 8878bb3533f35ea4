"""sshkit-copy-id: puts public keys into authorized_keys on a host, so that they let in there.

Options, output and exit statuses are ssh-copy-id's (ssh-copy-id(1)): 0 if the keys are there now (or were
there before), 1 if something failed or the command line makes no sense.  Messages go to standard error, the
summary at the end to standard output.  Which keys stands in `copy_id_keys`, the connections in `copy_id_run`,
what runs on the host in `copy_id_script`.
"""

import getopt
import os
import sys
from typing import Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

USAGE: Final = """\
usage: sshkit-copy-id [-h|-?|-f|-n|-s|-x] [-i identity_file] [-p port] [-F ssh_config_file]
                      [-t target_path] [-o ssh_option ...] [user@]hostname
        -f: force mode -- copy keys without trying whether they are installed already
        -n: dry run    -- no keys are actually copied
        -s: use sftp   -- not there yet
        -x: debug      -- show what the script on the host does
        -h|-?: print this help"""

PROGRAM: Final = "sshkit-copy-id"
FAILED: Final = 1


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    host: str  #: [user@]hostname
    client: tuple[str, ...] = ()  #: -F, -o and -p, for whoever connects
    identity: str | None = None  #: -i; empty means the newest one
    target: str | None = None  #: -t
    force: bool = False
    dry_run: bool = False
    debug: bool = False


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        from .copy_id_run import Run

        return Run(options).run()
    except UsageError as error:
        text = str(error)
        print(*([f"{PROGRAM}: ERROR: {text}\n"] if text else []), USAGE, sep="\n", file=sys.stderr)
    except SSHKitError as error:
        print(f"\n{PROGRAM}: ERROR: {error}\n", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename), 4096)}: " if error.filename else ""
        print(f"\n{PROGRAM}: ERROR: {place}{error.strerror}\n", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return FAILED


def parse(argv: list[str]) -> Options:
    """Read the command line; UsageError says what is wrong with it."""
    try:
        pairs, rest = getopt.getopt(argv, "i:o:p:F:t:fnsxh?")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    given = [name for name, _ in pairs]
    values = dict(pairs)
    if "-h" in given or "-?" in given:
        raise UsageError("")
    if given.count("-i") > 1:
        raise UsageError("-i option must not be specified more than once")
    if "-s" in given:
        raise SSHKitError(
            "option -s: keys are not copied by sftp yet; leave it out where commands can be run"
        )
    if not rest:
        raise UsageError("no hostname")
    if len(rest) > 1:
        raise UsageError(f"too many arguments; one hostname is expected, got: {printable(' '.join(rest))}")
    client: list[str] = []
    for name, value in pairs:
        if name in ("-o", "-p", "-F"):
            client += [name, value]
    return Options(
        host=rest[0],
        client=tuple(client),
        identity=values.get("-i"),
        target=values.get("-t"),
        force="-f" in given,
        dry_run="-n" in given,
        debug="-x" in given,
    )


if __name__ == "__main__":
    sys.exit(main())
