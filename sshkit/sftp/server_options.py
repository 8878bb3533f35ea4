"""The options of sftp-server(8): of sshkit-sftp-server, and of ``internal-sftp`` in our server."""

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE = """usage: sshkit-sftp-server [-ehR] [-d start_directory] [-f log_facility] [-l log_level]
\t[-P denied_requests] [-p allowed_requests] [-u umask]
       sshkit-sftp-server -Q protocol_feature"""

#: Log levels, as sshd numbers them; DEBUG and DEBUG1 are one.
LEVELS = {
    "QUIET": 0,
    "FATAL": 1,
    "ERROR": 2,
    "INFO": 3,
    "VERBOSE": 4,
    "DEBUG": 5,
    "DEBUG1": 5,
    "DEBUG2": 6,
    "DEBUG3": 7,
}
FACILITIES = ("DAEMON", "USER", "AUTH", *(f"LOCAL{number}" for number in range(8)))
_WITH_VALUE = "dflPpQu"


class UsageError(SSHKitError):
    """The command line is not one of sftp-server's."""


class Options:
    """What the command line says."""

    __slots__ = (
        "allowed",
        "denied",
        "facility",
        "help",
        "level",
        "log_to_stderr",
        "query",
        "read_only",
        "start",
        "umask",
    )

    def __init__(self) -> None:
        self.start: str | None = None
        self.log_to_stderr = False
        self.facility = "AUTH"
        self.help = False
        self.level = LEVELS["ERROR"]
        self.denied: tuple[str, ...] = ()
        self.allowed: tuple[str, ...] | None = None
        self.query: str | None = None
        self.read_only = False
        self.umask: int | None = None


def parse(arguments: "list[str]") -> Options:
    """Read the command line; raises UsageError."""
    options = Options()
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if len(word) < 2 or not word.startswith("-"):
            # Words are ignored, as by OpenSSH's: scp -D gives the host's name.  No option may be lost so.
            lost = next((other for other in words if len(other) > 1 and other.startswith("-")), None)
            if lost is not None:
                raise UsageError(f"option {quoted(lost)} behind {quoted(word)}")
            break
        position = 1
        while position < len(word):
            letter = word[position]
            position += 1
            if letter in _WITH_VALUE:
                value = word[position:] or next(words, None)
                if value is None:
                    raise UsageError(f"option -{letter} needs a value")
                _set(options, letter, value)
                break
            if letter == "e":
                options.log_to_stderr = True
            elif letter == "R":
                options.read_only = True
            elif letter == "h":
                options.help = True
            else:
                raise UsageError(f"unknown option -{printable(letter)}")
    return options


def _set(options: Options, letter: str, value: str) -> None:
    if letter == "d":
        options.start = value
    elif letter == "f":
        if value.upper() not in FACILITIES:
            raise UsageError(f"Invalid log facility {quoted(value)}")
        options.facility = value.upper()
    elif letter == "l":
        if value.upper() not in LEVELS:
            raise UsageError(f"Invalid log level {quoted(value)}")
        options.level = LEVELS[value.upper()]
    elif letter == "P":
        options.denied = tuple(value.split(","))
    elif letter == "p":
        options.allowed = tuple(value.split(","))
    elif letter == "Q":
        if value != "requests":
            raise UsageError(f"Invalid query type {quoted(value)}")
        options.query = value
    else:
        octal = value.isascii() and value.isdigit() and len(value) <= 5 and not set(value) & {"8", "9"}
        if not octal or int(value, 8) > 0o777:
            raise UsageError(f"Invalid umask {quoted(value)}")
        options.umask = int(value, 8)


def expanded(text: str, values: "dict[str, str]") -> str:
    """Return a path with its tokens replaced; raises UsageError for one that is not known."""
    parts = text.split("%")
    out = parts[0]
    position = 1
    while position < len(parts):
        part = parts[position]
        if part:
            if part[0] not in values:
                raise UsageError(f"-d: unknown token %{printable(part[0])}")
            out += values[part[0]] + part[1:]
        elif position + 1 < len(parts):  # two signs stand for one
            position += 1
            out += "%" + parts[position]
        else:
            raise UsageError("-d: a single % at the end")
        position += 1
    return out
