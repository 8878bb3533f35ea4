"""The command line of sshkit-server: sshd's options (sshd(8)), read into one value.

Called by `server`.  Options that stand for a keyword become lines of configuration that come first.
"""

import getopt
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

if TYPE_CHECKING:
    from sshkit.config.sshd_match import MatchFacts

USAGE = """\
usage: sshkit-server [-46DdeGiqrTtvV] [-C connection_spec] [-c host_certificate_file] [-E log_file]
                     [-f config_file] [-g login_grace_time] [-h host_key_file] [-k key_gen_time]
                     [-o option] [-p port] [-u len]"""

#: Options that stand for a keyword of the configuration.
KEYWORDS = {"-c": "HostCertificate", "-g": "LoginGraceTime", "-h": "HostKey", "-p": "Port"}
#: What -C may say, and of which fact.
SPECIFICATIONS = {
    "user": "user",
    "host": "host",
    "addr": "address",
    "laddr": "local_address",
    "lport": "local_port",
    "rdomain": "rdomain",
}


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
    specifications: tuple[str, ...] = ()  #: -C: the connection that -T and -G are about
    verbose: bool = False  #: -T and -G say where each value was set

    @property
    def connection(self) -> "MatchFacts":
        """The connection that -T and -G are about."""
        return parse_connection(self.specifications)


def parse(argv: list[str]) -> Options:
    """Read the command line; raises UsageError."""
    try:
        pairs, rest = getopt.getopt(argv, "46C:c:DdeE:f:Gg:h:ik:o:p:qRrTtu:vV")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    if rest:
        raise UsageError(f"extra argument {printable(rest[0])}")
    given = {name for name, _ in pairs}
    if "-R" in given:
        raise UsageError("option -R: sshd calls itself with it; it has no meaning here")
    if {"-4", "-6"} <= given:
        raise UsageError("only one of -4 and -6 at a time")
    values = dict(pairs)
    debug = sum(name == "-d" for name, _ in pairs)
    specifications = tuple(value for name, value in pairs if name == "-C")
    if specifications:
        parse_connection(specifications)
    return Options(
        config_file=values.get("-f"),
        overrides=tuple(_lines(pairs, given, debug)),
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
        specifications=specifications,
        verbose="-v" in given,
    )


def _lines(pairs: list[tuple[str, str]], given: set[str], debug: int) -> list[str]:
    """Return the lines of configuration that options stand for."""
    lines: list[str] = []
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
        elif name == "-u" and value == "0":
            lines.append("UseDNS no")
    return lines


def parse_connection(specifications: tuple[str, ...]) -> "MatchFacts":
    """Return what ``user=ann,addr=192.0.2.1`` says; raises UsageError."""
    from sshkit.config.sshd_addresses import small_number
    from sshkit.config.sshd_match import MatchFacts

    facts: dict[str, str | int | bool] = {}
    for text in filter(None, ",".join(specifications).split(",")):
        name, equals, value = text.partition("=")
        if name == "invalid-user" and not equals:
            facts["invalid_user"] = True
        elif not equals or name not in SPECIFICATIONS:
            known = ", ".join((*(f"{name}=" for name in SPECIFICATIONS), "invalid-user"))
            raise UsageError(f"option -C: {quoted(text)} is none of {known}")
        elif name != "lport":
            facts[SPECIFICATIONS[name]] = value
        elif 0 < small_number(value) <= 65535:
            facts["local_port"] = int(value)
        else:
            raise UsageError(f"option -C: {quoted(value)} is not a port")
    found = MatchFacts(version=version_text())._replace(**facts)  # type: ignore[arg-type]
    return found if found.user is None else found._replace(groups=lambda: groups_of(str(found.user)))


def version_text() -> str:
    """Return what Match version is compared with: how the server names itself to clients."""
    from sshkit.ssh.transport.identification import IDENTIFICATION

    return IDENTIFICATION.decode("ascii").removeprefix("SSH-2.0-")


def groups_of(user: str) -> tuple[str, ...]:
    """Return the names of the groups that a user of this machine is in; none for who does not exist."""
    import os
    from grp import getgrgid
    from pwd import getpwnam

    names: list[str] = []
    try:
        for number in os.getgrouplist(user, getpwnam(user).pw_gid):
            names.append(getgrgid(number).gr_name)
    except (KeyError, ValueError, UnicodeError):
        pass  # no such user, a name with a NUL, or a group without a name
    return tuple(names)


def _quoted(value: str) -> str:
    """Write a value so that the parser of the configuration reads it back as it is."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
