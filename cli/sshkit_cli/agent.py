"""sshkit-agent: holds private keys and signs with them for the programs of its user.

Options, output and exit statuses are ssh-agent's (ssh-agent(1)); --upstream, --audit and --policy are ours.
The work is done in `agent_run`, which is loaded when there is an agent to run.
"""

import getopt
import os
import sys
from typing import NamedTuple, NoReturn

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE = """\
usage: sshkit-agent [-c | -s] [-DdTU] [-a bind_address] [-E fingerprint_hash] [-O option]
                    [-P allowed_providers] [-t life] [--upstream socket] [--audit file]
                    [--policy module:function] [command [arg ...]]
       sshkit-agent [-c | -s] -k
       sshkit-agent -u
       sshkit-agent -V"""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MAX_LIFETIME = 0xFFFFFFFF


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    action: str = "run"  #: "run", "kill", "clean" or "version"
    c_shell: bool = False
    foreground: bool = False  #: -D
    debug: bool = False  #: -d
    address: str = ""  #: -a
    in_temporary: bool = False  #: -T
    keep_stale: bool = False  #: -U
    clean_all: bool = False  #: -u twice
    hash_name: str = "sha256"
    lifetime: int = 0
    websafe: tuple[str, ...] | None = ("ssh:*",)
    remote_tokens: bool = False
    providers: tuple[str, ...] = ("/usr/lib*/*", "/usr/local/lib*/*")
    upstreams: tuple[str, ...] = ()
    audit: str = ""
    policy: str = ""
    command: tuple[str, ...] = ()


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        if options.action == "version":
            from sshkit import __version__

            print(f"sshkit-agent {__version__}", file=sys.stderr)
            return 0
        if options.action == "kill":
            return kill(options)
        if options.action == "clean":
            from sshkit_cli.agent_place import clean

            clean(os.path.expanduser("~"), every_host=options.clean_all)
            return 0
        from sshkit_cli.agent_run import start

        return start(options)
    except UsageError as error:
        print(f"sshkit-agent: {error}", USAGE, sep="\n", file=sys.stderr)
    except SSHKitError as error:
        print(f"sshkit-agent: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename))}: " if error.filename else ""
        print(f"sshkit-agent: {place}{error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return 2
    return 1


def parse(argv: list[str]) -> Options:
    """Read the command line; UsageError says what is wrong with it."""
    try:
        pairs, rest = getopt.getopt(argv, "a:cDdE:kO:P:sTt:UuV", ["upstream=", "audit=", "policy="])
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    given = [name for name, _ in pairs]
    values = dict(pairs)
    if "-c" in given and "-s" in given:
        raise UsageError("only one of -c and -s")
    hash_name = values.get("-E", "sha256").lower()
    if hash_name not in ("sha256", "md5"):
        raise UsageError(f"unknown fingerprint hash {quoted(values['-E'])}; sha256 and md5 are known")
    action = "kill" if "-k" in given else "clean" if "-u" in given else "version" if "-V" in given else "run"
    foreground = "-D" in given or "-d" in given
    if rest and (action != "run" or foreground or "-c" in given or "-s" in given):
        raise UsageError("a command can be run only without -c, -s, -k, -u, -D and -d")
    options = Options(
        action=action,
        c_shell="-c" in given or (not {"-s", "-c"} & set(given) and _login_shell_is_c()),
        foreground="-D" in given,
        debug="-d" in given,
        address=values.get("-a", ""),
        in_temporary="-T" in given,
        keep_stale="-U" in given,
        clean_all=given.count("-u") > 1,
        hash_name=hash_name,
        lifetime=seconds_of(values["-t"]) if "-t" in values else 0,
        upstreams=tuple(value for name, value in pairs if name == "--upstream"),
        audit=values.get("--audit", ""),
        policy=values.get("--policy", ""),
        command=tuple(rest),
    )
    if "-P" in given:
        options = options._replace(providers=_patterns(values["-P"]))
    for name, value in pairs:
        if name == "-O":
            options = _take_option(options, value)
    return options


def _take_option(options: Options, text: str) -> Options:
    if text == "no-restrict-websafe":
        return options._replace(websafe=None)
    if text == "allow-remote-pkcs11":
        return options._replace(remote_tokens=True)
    if text.startswith("websafe-allow="):
        return options._replace(websafe=_patterns(text.removeprefix("websafe-allow=")))
    raise UsageError(f"unknown option -O {quoted(text)}")


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(pattern for pattern in text.split(",") if pattern)


def _login_shell_is_c() -> bool:
    return os.environ.get("SHELL", "").endswith("csh")


def seconds_of(text: str) -> int:
    """Return the seconds that a time like "90", "10m" or "1h30m" means (sshd_config(5), TIME FORMATS)."""
    total, digits = 0, ""
    for char in text.lower():
        if char.isascii() and char.isdecimal():
            digits += char
            continue
        if char not in _SECONDS or not 0 < len(digits) <= 10:
            raise UsageError(f"{quoted(text)} is no time")
        total += int(digits) * _SECONDS[char]
        digits = ""
    total += int(digits[:11] or "0")
    if not 0 < total <= MAX_LIFETIME:
        raise UsageError(f"{quoted(text)} is no time")
    return total


def kill(options: Options) -> int:
    """End the agent that SSH_AGENT_PID names."""
    text = os.environ.get("SSH_AGENT_PID")
    if text is None:
        raise UsageError("SSH_AGENT_PID not set, cannot kill agent")
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < 2:
        raise UsageError(f"SSH_AGENT_PID={quoted(text)}, which is not a good PID")
    from signal import SIGTERM

    os.kill(int(text), SIGTERM)
    word = "unsetenv" if options.c_shell else "unset"
    print(f"{word} SSH_AUTH_SOCK;\n{word} SSH_AGENT_PID;\necho Agent pid {text} killed;")
    return 0


def shell_lines(options: Options, path: str, pid: int | None) -> str:
    """Return what a shell shall evaluate to reach the agent."""
    if options.c_shell:
        lines = [f"setenv SSH_AUTH_SOCK {_quote(path)};"]
        if pid is not None:
            lines.append(f"setenv SSH_AGENT_PID {pid};")
    else:
        lines = [f"SSH_AUTH_SOCK={_quote(path)}; export SSH_AUTH_SOCK;"]
        if pid is not None:
            lines.append(f"SSH_AGENT_PID={pid}; export SSH_AGENT_PID;")
    lines.append(f"echo Agent pid {os.getpid() if pid is None else pid};")
    return "\n".join(lines) + "\n"


def _quote(path: str) -> str:
    """Quote a path for a shell where it needs to be: nothing in it may be run."""
    if all(char.isalnum() or char in "/._-+,:@" for char in path):
        return path
    return "'" + path.replace("'", "'\\''") + "'"


def run() -> NoReturn:
    """Run as a script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
