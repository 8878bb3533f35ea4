"""sshkit-keygen: makes, shows, converts, certifies and revokes keys, signs files, keeps known_hosts.

Options, prompts and exit statuses are ssh-keygen's (ssh-keygen(1)): 255 for an error, 1 for wrong usage
and for a file that was not to be overwritten.  Errors are one line: "sshkit-keygen: FILE: cause".  What an
action needs is loaded when it is asked for.
"""

import getopt
import os
import sys
from importlib import import_module
from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE = """\
usage: sshkit-keygen [-q] [-a rounds] [-b bits] [-C comment] [-f output_keyfile] [-m format]
                     [-N new_passphrase] [-O option]
                     [-t ecdsa | ecdsa-sk | ed25519 | ed25519-sk | ed448 | mldsa44-ed25519 | rsa]
                     [-Z cipher]
       sshkit-keygen -p [-q] [-a rounds] [-f keyfile] [-m format] [-N new_passphrase]
                     [-P old_passphrase] [-Z cipher]
       sshkit-keygen -i | -e [-f input_keyfile] [-m format] [-P passphrase]
       sshkit-keygen -y [-f input_keyfile] [-P passphrase]
       sshkit-keygen -c [-a rounds] [-C comment] [-f keyfile] [-P passphrase]
       sshkit-keygen -l [-v] [-E fingerprint_hash] [-f input_keyfile]
       sshkit-keygen -B [-f input_keyfile]
       sshkit-keygen -F hostname [-Hlv] [-f known_hosts_file]
       sshkit-keygen -H [-f known_hosts_file]
       sshkit-keygen -R hostname [-f known_hosts_file]
       sshkit-keygen -r hostname [-g] [-f input_keyfile] [-O hashalg=hash]
       sshkit-keygen -A [-a rounds] [-f prefix_path]
       sshkit-keygen -I certificate_identity -s ca_key [-hU] [-n principals] [-O option]
                     [-t signature_type] [-V validity_interval] [-z serial_number] file ...
       sshkit-keygen -L [-f input_keyfile]
       sshkit-keygen -k -f krl_file [-u] [-s ca_public] [-z version_number] file ...
       sshkit-keygen -Q [-l] -f krl_file [file ...]
       sshkit-keygen -Y sign [-U] -f key_file -n namespace [-O option] [file ...]
       sshkit-keygen -Y verify -f allowed_signers_file -I signer_identity -n namespace
                     -s signature_file [-r krl_file] [-O option]
       sshkit-keygen -Y find-principals -f allowed_signers_file -s signature_file [-O option]
       sshkit-keygen -Y match-principals -f allowed_signers_file -I signer_identity
       sshkit-keygen -Y check-novalidate -n namespace -s signature_file [-O option]
       sshkit-keygen -M generate [-O option] output_file
       sshkit-keygen -M screen [-f input_file] [-O option] output_file"""

_FAILED = 255
_REFUSED = 1
FINGERPRINT_HASHES = ("sha256", "md5")


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    action: str  #: "", or one of ACTIONS; "" makes a key
    values: dict[str, str]  #: option with its value, the last one counts
    settings: tuple[str, ...] = ()  #: every -O
    files: tuple[str, ...] = ()  #: what follows the options
    verbosity: int = 0

    def number(self, option: str, default: int) -> int:
        """Return the value of an option that takes a number above 0."""
        text = self.values.get(option)
        if text is None:
            return default
        if not text.isascii() or not text.isdecimal() or not 0 < len(text) < 10 or int(text) == 0:
            raise UsageError(f"option {option} needs a number, not {quoted(text)}")
        return int(text)

    @property
    def hash_name(self) -> str:
        """The hash of fingerprints."""
        return self.values.get("-E", "sha256").lower()

    @property
    def quiet(self) -> bool:
        """Whether -q was given."""
        return "-q" in self.values


class Action(NamedTuple):
    """One thing that the command does."""

    home: str  #: the module, after "keygen_"
    function: str  #: takes Options, returns the exit status
    modifiers: str = ""  #: letters of other actions that mean something else beside this one
    files: bool = False  #: whether it takes files after the options


#: By option, those first that take others for their modifiers; "" makes a key.
ACTIONS: dict[str, Action] = {
    "-Y": Action("sign", "sign_or_verify", "rs", True),
    "-k": Action("revoke", "make_list", "s", True),
    "-Q": Action("revoke", "ask_list", "l", True),
    "-s": Action("certify", "certify", "", True),
    "-F": Action("hosts", "find", "Hl"),
    "-M": Action("moduli", "generate_or_screen", "", True),
    "-A": Action("make", "make_host_keys"),
    "-B": Action("show", "show_words"),
    "-c": Action("make", "change_comment"),
    "-e": Action("convert", "export_key"),
    "-H": Action("hosts", "hash_names"),
    "-i": Action("convert", "import_key"),
    "-L": Action("certify", "show_certificates"),
    "-l": Action("show", "show_fingerprints"),
    "-p": Action("make", "change_passphrase"),
    "-R": Action("hosts", "remove"),
    "-r": Action("show", "show_records"),
    "-y": Action("show", "show_public"),
    "": Action("make", "make_key"),
}
_NOT_HERE = {
    "-D": "libraries of smartcards (PKCS#11) are not loaded",
    "-K": "resident keys are not downloaded; make a key with -t ed25519-sk",
    "-w": "libraries of security keys are not loaded; the extra sshkit[fido2] talks to them",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        action = ACTIONS[options.action]
        status: int = getattr(import_module(f"sshkit_cli.keygen_{action.home}"), action.function)(options)
        return status
    except UsageError as error:
        print(f"sshkit-keygen: {error}", USAGE, sep="\n", file=sys.stderr)
        return _REFUSED
    except SSHKitError as error:
        print(f"sshkit-keygen: {error}", file=sys.stderr)
    except OSError as error:
        place = printable(os.fsdecode(error.filename)) if error.filename else "terminal"
        print(f"sshkit-keygen: {place}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _REFUSED
    return _FAILED


def parse(argv: list[str]) -> Options:
    """Read the command line."""
    try:
        pairs, rest = getopt.gnu_getopt(
            argv, "Aa:Bb:C:cD:E:eF:f:gHhI:iKkLlM:m:N:n:O:P:pQqR:r:s:t:UuV:vw:yY:Z:z:"
        )
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    values = dict(pairs)
    for name, reason in _NOT_HERE.items():
        if name in values:
            raise UsageError(f"option {name}: {reason}")
    name = next(name for name in ACTIONS if name in values or not name)
    action = ACTIONS[name]
    modifiers = {name, *(f"-{letter}" for letter in action.modifiers)}
    others = sorted(option for option in values if option in ACTIONS and option not in modifiers)
    if others:
        raise UsageError(f"only one of {', '.join(sorted({name, *others}))} at a time")
    if rest and not action.files:
        raise UsageError("too many arguments")
    if values.get("-E", "sha256").lower() not in FINGERPRINT_HASHES:
        raise UsageError(f"unknown fingerprint hash {quoted(values['-E'])}; sha256 and md5 are known")
    settings = tuple(value for option, value in pairs if option == "-O")
    return Options(name, values, settings, tuple(rest), sum(option == "-v" for option, _ in pairs))


if __name__ == "__main__":
    sys.exit(main())
