"""sshkit-add: gives private keys to an agent, lists them, takes them back, locks.

Options, output and exit statuses are ssh-add's (ssh-add(1)): 0 for success, 1 if something failed, 2 if there
is no agent.  What is done with files stands in `add_keys`, destinations (-h) in `add_destinations`.
"""

import getopt
import os
import sys
from typing import NamedTuple, NoReturn

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit_cli.agent import UsageError, seconds_of

USAGE = """\
usage: sshkit-add [-CcDdKkLlNQqvXx] [-E fingerprint_hash] [-H hostkey_file]
                  [-h destination_constraint] [-S provider] [-t life] [file ...]
       sshkit-add -s pkcs11 [-Cv] [certificate ...]
       sshkit-add -e pkcs11
       sshkit-add -T pubkey ..."""

NO_AGENT = 2
_ACTIONS = {"-D": "clear", "-l": "list", "-L": "list", "-x": "lock", "-X": "unlock", "-T": "test"}
_ACTIONS.update({"-s": "add-token", "-e": "remove-token", "-K": "resident", "-Q": "query", "-d": "remove"})


class Options(NamedTuple):
    """The command line."""

    action: str = "add"
    files: tuple[str, ...] = ()
    whole: bool = False  #: -L
    hash_name: str = "sha256"
    certificates_only: bool = False  #: -C
    keys_only: bool = False  #: -k
    keep_certificates: bool = False  #: -N
    confirm: bool = False
    lifetime: int = 0
    quiet: bool = False
    verbose: bool = False
    token: str = ""
    provider: str = ""
    destinations: tuple[str, ...] = ()
    host_key_files: tuple[str, ...] = ()


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        print(f"sshkit-add: {error}", USAGE, sep="\n", file=sys.stderr)
        return 1
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        print("Could not open a connection to your authentication agent.", file=sys.stderr)
        return NO_AGENT
    from sshkit_cli.add_keys import Session

    try:
        return Session(options).run(path)
    except SSHKitError as error:
        print(f"sshkit-add: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename))}: " if error.filename else ""
        print(f"sshkit-add: {place}{error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 1


def parse(argv: list[str]) -> Options:
    """Read the command line; UsageError says what is wrong with it."""
    try:
        pairs, rest = getopt.getopt(argv, "CcDdE:e:H:h:KkLlM:m:NQqS:s:Tt:vXx")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    given = [name for name, _ in pairs]
    values = dict(pairs)
    actions = [_ACTIONS[name] for name in given if name in _ACTIONS]
    if len(set(actions)) > 1 or given.count("-l") + given.count("-L") > 1:
        raise UsageError("only one of -D, -d, -e, -K, -L, -l, -Q, -s, -T, -X and -x")
    if "-M" in given or "-m" in given:
        raise UsageError("-M and -m are for XMSS keys, which are not supported")
    if "-C" in given and "-k" in given:
        raise UsageError("only one of -C and -k")
    hash_name = values.get("-E", "sha256").lower()
    if hash_name not in ("sha256", "md5"):
        raise UsageError(f"unknown fingerprint hash {quoted(values['-E'])}; sha256 and md5 are known")
    action = actions[0] if actions else "add"
    if action == "test" and not rest:
        raise UsageError("no keys to test")
    return Options(
        action=action,
        files=tuple(rest),
        whole="-L" in given,
        hash_name=hash_name,
        certificates_only="-C" in given,
        keys_only="-k" in given,
        keep_certificates="-N" in given,
        confirm="-c" in given,
        lifetime=seconds_of(values["-t"]) if "-t" in values else 0,
        quiet="-q" in given,
        verbose="-v" in given,
        token=values.get("-s") or values.get("-e") or "",
        provider=values.get("-S") or os.environ.get("SSH_SK_PROVIDER") or "internal",
        destinations=tuple(value for name, value in pairs if name == "-h"),
        host_key_files=tuple(value for name, value in pairs if name == "-H"),
    )


def run() -> NoReturn:
    """Run as a script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
