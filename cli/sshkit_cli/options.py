"""The command line of sshkit-client, read as ssh(1) reads its own.

Options may stand before and after the host; the command begins at the first word after the host that is no
option.  Each flag that has a configuration keyword becomes a line that comes before all files, so that one
set of rules holds for all: the first value wins, and mistakes are told the same way.
"""

from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE = """\
usage: sshkit-client [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface] [-b bind_address]
                     [-c cipher_spec] [-D [bind_address:]port] [-E log_file] [-e escape_char]
                     [-F configfile] [-I pkcs11] [-i identity_file] [-J destination] [-L address]
                     [-l login_name] [-m mac_spec] [-O ctl_cmd] [-o option] [-P tag] [-p port]
                     [-Q query] [-R address] [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]
                     destination [command [argument ...]]"""

#: Flags with an argument that become a configuration line.
_KEYWORDS = {
    "B": "BindInterface",
    "b": "BindAddress",
    "c": "Ciphers",
    "D": "DynamicForward",
    "e": "EscapeChar",
    "I": "PKCS11Provider",
    "i": "IdentityFile",
    "J": "ProxyJump",
    "L": "LocalForward",
    "l": "User",
    "m": "MACs",
    "P": "Tag",
    "p": "Port",
    "R": "RemoteForward",
    "S": "ControlPath",
}
#: Flags without one.
_SWITCHES: dict[str, tuple[tuple[str, str], ...]] = {
    "4": (("AddressFamily", "inet"),),
    "6": (("AddressFamily", "inet6"),),
    "A": (("ForwardAgent", "yes"),),
    "a": (("ForwardAgent", "no"),),
    "C": (("Compression", "yes"),),
    "f": (("ForkAfterAuthentication", "yes"), ("StdinNull", "yes")),
    "g": (("GatewayPorts", "yes"),),
    "K": (("GSSAPIAuthentication", "yes"), ("GSSAPIDelegateCredentials", "yes")),
    "k": (("GSSAPIDelegateCredentials", "no"),),
    "N": (("SessionType", "none"),),
    "n": (("StdinNull", "yes"),),
    "s": (("SessionType", "subsystem"),),
    "T": (("RequestTTY", "no"),),
    "X": (("ForwardX11", "yes"),),
    "x": (("ForwardX11", "no"),),
    "Y": (("ForwardX11", "yes"), ("ForwardX11Trusted", "yes")),
}
#: Switches of which the last one counts, whatever -o says beside them: as ssh has it.
_LAST_COUNTS = frozenset("AaKkXxY")
#: What -W asks for beside the connection: nothing else is to come of it.
_DIRECT = (
    ("ClearAllForwardings", "yes"),
    ("ExitOnForwardFailure", "yes"),
    ("RequestTTY", "no"),
    ("SessionType", "none"),
)
_OTHERS_WITH_ARGUMENT = frozenset("EFOoQWw")
_OTHERS = frozenset("2GMqtVvy")  #: -2 asks for what is the only version


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class CommandLine(NamedTuple):
    """What was typed."""

    destination: str
    command: str | None
    settings: tuple[tuple[str, str], ...]  #: keyword and value, in order
    config_file: str | None  #: -F; "none" for no files at all
    log_file: str | None
    verbosity: int
    dump: bool  #: -G
    query: str | None  #: -Q
    version: bool
    before: int = 0  #: settings that stood before the destination
    direct: str | None = None  #: -W
    control: str | None = None  #: -O
    syslog: bool = False  #: -y


class _Flags:
    """What the options said so far."""

    def __init__(self) -> None:
        self.settings: list[tuple[str, str]] = []
        self.config_file: str | None = None
        self.log_file: str | None = None
        self.verbosity = 0
        self.quiet = False
        self.terminal = 0
        self.dump = False
        self.query: str | None = None
        self.version = False
        self.direct: str | None = None
        self.control: str | None = None
        self.syslog = False
        self.master = 0
        self.switched: dict[str, str] = {}

    def take(self, letter: str, argument: str) -> None:
        """Obey one option."""
        if letter in _KEYWORDS:
            self.settings.append((_KEYWORDS[letter], _quote(argument)))
        elif letter in _LAST_COUNTS:
            self.switched.update(_SWITCHES[letter])
        elif letter in _SWITCHES:
            self.settings += _SWITCHES[letter]
        elif letter == "W":
            self.direct = argument
        elif letter == "w":
            self.settings += (("TunnelDevice", _quote(argument)), ("Tunnel", "point-to-point"))
        elif letter == "O":
            self.control = argument
        elif letter == "o":
            self.settings.append(("", argument))
        elif letter == "E":
            self.log_file = argument
        elif letter == "F":
            self.config_file = argument
        elif letter == "Q":
            self.query = argument
        elif letter == "t":
            self.terminal += 1
        elif letter == "v":
            self.verbosity += 1
        elif letter == "q":
            self.quiet = True
        elif letter == "G":
            self.dump = True
        elif letter == "V":
            self.version = True
        elif letter == "M":
            self.master += 1
        elif letter == "y":
            self.syslog = True


def parse(argv: list[str]) -> CommandLine:
    """Read the command line; UsageError says what is wrong with it."""
    flags = _Flags()
    rest = _options(argv, flags)
    destination = ""
    before = len(flags.settings)
    if rest and not flags.version:
        destination, rest = rest[0], rest[1:]
        if rest:
            rest = _options(rest, flags)
    settings = flags.settings
    if flags.direct is not None:
        settings += _DIRECT
    leading = len(settings)
    settings[:0] = flags.switched.items()
    if flags.terminal:
        settings.insert(0, ("RequestTTY", "yes" if flags.terminal == 1 else "force"))
    if flags.master:
        settings.insert(0, ("ControlMaster", "yes" if flags.master == 1 else "ask"))
    if flags.quiet:
        settings.insert(0, ("LogLevel", "QUIET"))
    elif flags.verbosity:
        settings.insert(0, ("LogLevel", f"DEBUG{min(flags.verbosity, 3)}"))
    if flags.direct is not None and rest:
        raise UsageError("-W goes without a command")
    if not (destination or flags.version or flags.query):
        raise UsageError("no destination")
    return CommandLine(
        destination=destination,
        command=" ".join(rest) if rest else None,
        settings=tuple(settings),
        config_file=flags.config_file,
        log_file=flags.log_file,
        verbosity=flags.verbosity,
        dump=flags.dump,
        query=flags.query,
        version=flags.version,
        before=before + len(settings) - leading,
        direct=flags.direct,
        control=flags.control,
        syslog=flags.syslog,
    )


def _options(words: list[str], flags: _Flags) -> list[str]:
    """Take the options in front; return the words after them."""
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--":
            return words[index + 1 :]
        if not word.startswith("-") or word == "-":
            break
        index += 1
        position = 1
        while position < len(word):
            letter = word[position]
            position += 1
            if letter in _SWITCHES or letter in _OTHERS:
                flags.take(letter, "")
                continue
            if letter not in _KEYWORDS and letter not in _OTHERS_WITH_ARGUMENT:
                raise UsageError(f"unknown option -{printable(letter)}")
            if position < len(word):
                argument = word[position:]
            elif index < len(words):
                argument = words[index]
                index += 1
            else:
                raise UsageError(f"option -{letter} needs an argument")
            flags.take(letter, argument)
            break
    return words[index:]


def _quote(argument: str) -> str:
    """Return an argument as a configuration file would have to write it to mean the same."""
    if any(char in argument for char in "\n\0"):
        raise UsageError(f"a control character in {quoted(argument)}")
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
