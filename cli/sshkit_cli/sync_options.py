"""The command line of sshkit-sync: rsync's letters for what to do, sshkit-scp's for how to connect."""

from typing import Any, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit.syncing.patterns import Rule, parse_lines, parse_rule

from .sftp_options import UsageError, port_of

USAGE = """\
usage: sshkit-sync [-46CWaclnpqrtuvz] [--delete] [--exclude PATTERN] [--include PATTERN]
                   [--progress] [options] SOURCE TARGET
       where a side is PATH, [user@]HOST:PATH or sftp://[user@]HOST[:PORT]/PATH
       "sshkit-sync --help" shows all options"""
HELP = """\
usage: sshkit-sync [options] SOURCE TARGET

Makes TARGET equal to SOURCE: a directory, with or without a slash behind it, or one file.
A side is PATH, [user@]HOST:PATH or sftp://[user@]HOST[:PORT]/PATH.

What is taken over
  -a, --archive            -rlpt
  -r, --recursive          directories
  -l, --links              symbolic links, as links
  -p, --perms              permission bits
  -t, --times              times of change
What counts as different (without these: another size or another time)
  -c, --checksum           other contents; servers hash where they can
      --size-only          another size
  -u, --update             leave files that are newer in TARGET
      --modify-window N    times may differ by N seconds
What is left out
      --exclude PATTERN    names that fit, rsync's patterns; the first rule that fits decides
      --include PATTERN    names that take part though a later rule excludes them
      --exclude-from FILE  patterns, one a line
      --include-from FILE
Removing
      --delete             what SOURCE does not have, when all else went well
      --delete-excluded    what is excluded too
      --max-delete N       nothing, if it were more than N
How
  -n, --dry-run            only show what would be done
  -W, --whole-file         no delta: send changed files whole
      --no-resume          do not keep what arrived of a file when a transfer is cut
      --verify             compare large files after their transfer
What is shown
  -v, --verbose            names; twice: the connection too
  -q, --quiet              errors only
      --progress           a line that tells how far it is
      --stats              counts at the end
  -h, --help   -V, --version
How to connect, as sshkit-scp
  -4 -6 -C -F FILE -i FILE -J HOST -o OPTION --port N
  -S PROGRAM               what connects in place of sshkit
  -D SERVER                a program here that speaks SFTP, in place of a connection
"""
_FLAGS = {
    "a": "archive",
    "r": "recursive",
    "l": "links",
    "p": "perms",
    "t": "times",
    "c": "checksum",
    "u": "update",
    "n": "dry-run",
    "W": "whole-file",
    "v": "verbose",
    "q": "quiet",
    "z": "compress",
    "C": "compress",
    "4": "ipv4",
    "6": "ipv6",
}
_LONG = (
    "archive",
    "recursive",
    "links",
    "perms",
    "times",
    "checksum",
    "size-only",
    "update",
    "modify-window=",
    "exclude=",
    "include=",
    "exclude-from=",
    "include-from=",
    "delete",
    "delete-excluded",
    "max-delete=",
    "dry-run",
    "whole-file",
    "no-resume",
    "verify",
    "verbose",
    "quiet",
    "progress",
    "stats",
    "compress",
    "ipv4",
    "ipv6",
    "port=",
)
_WITH_ARGUMENT = "DFJSio"
MAX_NUMBER = 1 << 31


class CommandLine(NamedTuple):
    """What was typed."""

    source: str
    target: str
    options: dict[str, Any]  #: for `sync`
    filters: tuple[Rule, ...]
    client: tuple[str, ...]  #: options for whoever connects
    port: int | None
    direct: str | None  #: -D
    ssh: str | None  #: -S
    verbosity: int
    quiet: bool
    progress: bool
    stats: bool


def parse(argv: list[str]) -> CommandLine:
    """Read the command line; UsageError says what is wrong with it, PatternError and OSError of files."""
    from getopt import GetoptError, gnu_getopt

    letters = "".join(_FLAGS) + "".join(f"{letter}:" for letter in _WITH_ARGUMENT)
    try:
        found, rest = gnu_getopt(argv, letters, list(_LONG))
    except GetoptError as error:
        raise UsageError(printable(str(error))) from None
    if len(rest) != 2:
        raise UsageError("")
    given: list[str] = []
    values: dict[str, str] = {}
    filters: list[Rule] = []
    client: list[str] = []
    for option, value in found:
        name = option.lstrip("-")
        name = _FLAGS.get(name, name)
        given.append(name)
        if name in ("exclude", "include"):
            filters.append(parse_rule(value, name == "include"))
        elif name in ("exclude-from", "include-from"):
            filters += _rules_of(value, name == "include-from")
        elif name in ("compress", "ipv4", "ipv6"):
            client.append({"compress": "-C", "ipv4": "-4", "ipv6": "-6"}[name])
        elif name in "FJio":
            client += [option, value]
        elif value:
            values[name] = value
    whole = "archive" in given
    verbosity = given.count("verbose")
    client += ["-v"] * (verbosity - 1) + (["-q"] if "quiet" in given else [])
    options = {
        "recursive": whole or "recursive" in given,
        "links": whole or "links" in given,
        "modes": whole or "perms" in given,
        "times": whole or "times" in given,
        "checksum": "checksum" in given,
        "size_only": "size-only" in given,
        "update": "update" in given,
        "modify_window": _number(values, "modify-window") or 0,
        "delete": "delete" in given,
        "delete_excluded": "delete-excluded" in given,
        "max_delete": _number(values, "max-delete"),
        "dry_run": "dry-run" in given,
        "delta": "whole-file" not in given,
        "resume": "no-resume" not in given,
        "verify": "verify" in given,
    }
    return CommandLine(
        source=rest[0],
        target=rest[1],
        options=options,
        filters=tuple(filters),
        client=tuple(client),
        port=port_of(values["port"]) if "port" in values else None,
        direct=values.get("D"),
        ssh=values.get("S"),
        verbosity=verbosity,
        quiet="quiet" in given,
        progress="progress" in given,
        stats="stats" in given,
    )


def _number(values: dict[str, str], name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:12]) >= MAX_NUMBER:
        raise UsageError(f"--{name}: {quoted(text)} is no number that it takes")
    return int(text)


def _rules_of(path: str, include: bool) -> list[Rule]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    found: list[Rule] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            found += parse_lines(line, include)
        except SSHKitError as error:
            raise UsageError(f"{printable(path)}:{number}: {error}") from None
    return found
