"""sshkit-keyscan: asks hosts for their keys, without logging in, and prints lines for known_hosts.

Options, output and exit statuses are ssh-keyscan's (ssh-keyscan(1)): 0 if at least one key was found, 1 if
none was or the command line makes no sense, 255 for an error.  Keys go to standard output, in the order of
-t within a host; comments and what went wrong go to standard error.
"""

import getopt
import os
import sys
from typing import Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE: Final = """\
usage: sshkit-keyscan [-46cDHqv] [-f file] [-O option] [-p port] [-T timeout]
                      [-t type] [host | addrlist namelist ...]"""

FAILED: Final = 255
NOTHING_FOUND: Final = 1
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX_TIMEOUT: Final = 86400


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    hosts: tuple[str, ...]
    files: tuple[str, ...] = ()  #: "-" is standard input
    key_types: tuple[str, ...] = ()  #: empty: the usual ones
    port: int = 22
    timeout: float = 5.0
    family: int = 0
    records: bool = False  #: -D
    hashes: tuple[str, ...] = ("sha1", "sha256")
    hashed: bool = False  #: -H
    quiet: bool = False
    verbose: bool = False


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        from .keyscan_run import run

        return run(options)
    except UsageError as error:
        print(f"sshkit-keyscan: {error}", USAGE, sep="\n", file=sys.stderr)
        return NOTHING_FOUND
    except SSHKitError as error:
        print(f"sshkit-keyscan: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename), 4096)}: " if error.filename else ""
        print(f"sshkit-keyscan: {place}{error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return FAILED


def parse(argv: list[str]) -> Options:
    """Read the command line; UsageError says what is wrong with it."""
    try:
        pairs, rest = getopt.getopt(argv, "46cDf:HO:p:qT:t:v")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    given = [name for name, _ in pairs]
    if "-c" in given:
        raise SSHKitError(
            "option -c: certificates of hosts are not asked for yet; leave it out for plain keys"
        )
    options = Options(
        hosts=tuple(rest),
        files=tuple(value for name, value in pairs if name == "-f"),
        records="-D" in given,
        hashed="-H" in given,
        quiet="-q" in given,
        verbose="-v" in given,
    )
    if not options.hosts and not options.files:
        raise UsageError("no host to ask")
    for name, value in pairs:
        if name in ("-4", "-6"):
            options = options._replace(family=2 if name == "-4" else 10)
        elif name == "-p":
            options = options._replace(port=_port(value))
        elif name == "-T":
            options = options._replace(timeout=float(_seconds(value)))
        elif name == "-t":
            options = options._replace(key_types=_key_types(value))
        elif name == "-O":
            options = options._replace(hashes=_hashes(value))
    return options


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:6]) < 65536:
        raise UsageError(f"port {quoted(text)} is not from 1 to 65535")
    return int(text)


def _seconds(text: str) -> int:
    """Return the seconds of a time like "90", "10m" or "1h30m" (sshd_config(5), TIME FORMATS)."""
    total, digits = 0, ""
    for char in f"{text.lower()}s" if text[-1:].isdecimal() else text.lower():
        if char.isascii() and char.isdecimal() and len(digits) < 10:
            digits += char
        elif char in _SECONDS and digits:
            total += int(digits) * _SECONDS[char]
            digits = ""
        else:
            raise UsageError(f"{quoted(text)} is no time")
    if not 0 < total <= _MAX_TIMEOUT:
        raise UsageError(f"{quoted(text)} is no time from one second to one day")
    return total


def _key_types(text: str) -> tuple[str, ...]:
    from sshkit.client.scan import DEFAULT_TYPES, SCAN_TYPES

    types = tuple(dict.fromkeys(name for name in text.split(",") if name))
    for name in types or ("",):
        if name not in SCAN_TYPES:
            if name in ("dsa", "ssh-dss"):
                raise SSHKitError("no DSA key is asked for: nobody should use one any more")
            raise SSHKitError(f"unknown key type {quoted(name, 64)}; known: {', '.join(SCAN_TYPES)}")
    # Like ssh-keyscan, whose order does not depend on how the types were typed.
    order = (*DEFAULT_TYPES, *SCAN_TYPES)
    return tuple(sorted(types, key=order.index))


def _hashes(text: str) -> tuple[str, ...]:
    name, equals, value = text.partition("=")
    if name.lower() != "hashalg" or not equals:
        raise SSHKitError(f"unknown option {quoted(text)}; hashalg=sha1 and hashalg=sha256 are known")
    if value.lower() not in ("sha1", "sha256"):
        raise SSHKitError(f"unknown hash {quoted(value)}; sha1 and sha256 are known")
    return (value.lower(),)


if __name__ == "__main__":
    sys.exit(main())
