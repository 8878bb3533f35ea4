"""The command line of sshkit-server: sshd's options (sshd(8)), read into one value.

Called by `server`.  Options that stand for a keyword become lines of configuration that come first.
"""

import getopt
from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

USAGE = """\
usage: sshkit-server [-46DdeGiqTtV] [-E log_file] [-f config_file] [-g login_grace_time]
                     [-h host_key_file] [-o option] [-p port]"""

#: Options of sshd that this server cannot obey, and what for they would be.
REFUSED = {
    "-C": "Match blocks are not supported yet, so there is nothing to test them with",
    "-c": "certificates of hosts are not supported yet",
}
#: Options that stand for a keyword of the configuration.
KEYWORDS = {"-g": "LoginGraceTime", "-h": "HostKey", "-p": "Port"}


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    config_file: str | None
    overrides: tuple[str, ...]  #: lines of configuration that come before the file's
    log_file: str | None
    debug: int  #: how often -d was given
    foreground: bool
    log_to_stderr: bool
    inetd: bool  #: serve the connection on standard input
    test: bool
    dump: bool
    dump_only: bool  #: without a look at keys and users
    quiet: bool
    version: bool


def parse(argv: list[str]) -> Options:
    """Read the command line; raises UsageError."""
    try:
        pairs, rest = getopt.getopt(argv, "46C:c:DdeE:f:Gg:h:io:p:qTtu:V")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    if rest:
        raise UsageError(f"extra argument {printable(rest[0])}")
    given = {name for name, _ in pairs}
    for name, why in REFUSED.items():
        if name in given:
            raise UsageError(f"option {name}: {why}")
    if {"-4", "-6"} <= given:
        raise UsageError("only one of -4 and -6 at a time")
    values = dict(pairs)
    debug = sum(name == "-d" for name, _ in pairs)
    lines = []
    if "-q" in given:
        lines.append("LogLevel QUIET")
    elif debug:
        lines.append(f"LogLevel DEBUG{min(debug, 3)}")
    if "-4" in given:
        lines.append("AddressFamily inet")
    if "-6" in given:
        lines.append("AddressFamily inet6")
    for name, value in pairs:
        if name in KEYWORDS:
            lines.append(f"{KEYWORDS[name]} {_quoted(value)}")
        elif name == "-o":
            lines.append(value)
    return Options(
        config_file=values.get("-f"),
        overrides=tuple(lines),
        log_file=values.get("-E"),
        debug=debug,
        foreground="-D" in given,
        log_to_stderr="-e" in given,
        inetd="-i" in given,
        test="-t" in given,
        dump="-T" in given,
        dump_only="-G" in given,
        quiet="-q" in given,
        version="-V" in given,
    )


def _quoted(value: str) -> str:
    """Write a value so that the parser of the configuration reads it back as it is."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
