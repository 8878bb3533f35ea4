"""The command line of sshkit-sftp, read as sftp(1) reads its own."""

from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

USAGE = """\
usage: sshkit-sftp [-46AaCfNpqrv] [-B buffer_size] [-b batchfile] [-c cipher]
                   [-D sftp_server_command] [-F ssh_config] [-i identity_file]
                   [-J destination] [-l limit] [-o ssh_option] [-P port]
                   [-R num_requests] [-S program] [-s subsystem | sftp_server]
                   [-X sftp_option] destination"""
MAX_LIMIT = 100 * 1024 * 1024  #: Kbit/s
MAX_BUFFER = 16 * 1024 * 1024
_WITH_ARGUMENT = frozenset("BDFJPRSXbcilos")
_WITHOUT = frozenset("46AaCNfpqrv")
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "b": 1}


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class OptionError(SSHKitError):
    """A value that cannot be; the command ends with 255."""


class Place(NamedTuple):
    """A host, a user and a path that a word names."""

    host: str
    user: str | None = None
    port: int | None = None
    path: str | None = None


class CommandLine(NamedTuple):
    """What was typed."""

    place: Place | None
    target: str | None  #: the local path behind the destination
    client: tuple[str, ...]  #: options for whoever connects
    program: tuple[str, ...]  #: the same, for a program in its place
    port: int | None
    batch: str | None
    direct: str | None  #: -D
    server: str | None  #: -s
    ssh: str | None  #: -S
    limit: int  #: Kbit/s; 0: none
    buffer: int  #: bytes of one request; 0: as the server likes
    resume: bool
    sync: bool
    preserve: bool
    recursive: bool
    quiet: bool
    loud: bool  #: -N: no quiet for -b
    verbosity: int


def letters(
    argv: list[str], with_argument: frozenset[str], without: frozenset[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options in front, as getopt(3) finds them, and the other words."""
    found: list[tuple[str, str]] = []
    index = 0
    while index < len(argv):
        word = argv[index]
        if word == "--":
            return found, argv[index + 1 :]
        if not word.startswith("-") or word == "-":
            break
        index += 1
        position = 1
        while position < len(word):
            letter = word[position]
            position += 1
            if letter in without:
                found.append((letter, ""))
                continue
            if letter not in with_argument:
                raise UsageError(f"unknown option -- {printable(letter)}")
            if position < len(word):
                found.append((letter, word[position:]))
            elif index < len(argv):
                found.append((letter, argv[index]))
                index += 1
            else:
                raise UsageError(f"option requires an argument -- {letter}")
            break
    return found, argv[index:]


def number(text: str, what: str, most: int, *, units: bool = False) -> int:
    """Return a number from 1 to `most`, with K, M or G behind it where `units` are allowed."""
    factor = 1
    digits = text
    if units and text[-1:].lower() in _UNITS:
        factor, digits = _UNITS[text[-1:].lower()], text[:-1]
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:20]) * factor <= most:
        raise OptionError(f"Invalid {what} {quoted(text)}")
    return int(digits) * factor


def sftp_option(text: str) -> tuple[str, int]:
    """Return name and value of -X."""
    name, equals, value = text.partition("=")
    if equals and name.lower() == "nrequests":
        return "nrequests", number(value, "number of requests", 1 << 31)
    if equals and name.lower() == "buffer":
        return "buffer", number(value, "buffer size", MAX_BUFFER, units=True)
    raise OptionError("Invalid -X option")


def port_of(text: str) -> int:
    """Return a port from 1 to 65535."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) < 65536:
        raise OptionError(f"Bad port {quoted(text)}")
    return int(text)


def place_of(text: str, scheme: str, *, bare: bool = False) -> Place | None:
    """Return what ``[user@]host:path`` or ``scheme://[user@]host[:port][/path]`` names; None for a local one.

    `bare`: a word without a colon is a host too.
    """
    if text.startswith(f"{scheme}://"):
        return _uri(text, scheme)
    head, path = _colon(text)
    if path is None:
        if not bare:
            return None
        head = text
    user, at, host = head.rpartition("@")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise UsageError("Missing hostname")
    return Place(host, user or None if at else None, None, path or None)


def _colon(text: str) -> tuple[str, str | None]:
    """Split at the colon behind the host; one behind a slash, or at the beginning, is of a local name."""
    if text.startswith(":"):
        return text, None
    inside = text.startswith("[")
    for position, char in enumerate(text):
        if char == "@" and text[position + 1 : position + 2] == "[":
            inside = True
        elif char == "]" and inside and text[position + 1 : position + 2] == ":":
            return text[: position + 1], text[position + 2 :]
        elif char == ":" and not inside:
            return text[:position], text[position + 1 :]
        elif char == "/":
            break
    return text, None


def _uri(text: str, scheme: str) -> Place:
    from urllib.parse import unquote

    rest = text[len(scheme) + 3 :]
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    port: int | None = None
    if host.startswith("["):
        host, _, tail = host[1:].partition("]")
        port_text = tail.removeprefix(":")
    else:
        host, _, port_text = host.partition(":")
    if port_text:
        port = port_of(port_text)
    if not host:
        raise UsageError(f"{quoted(text)}: invalid uri")
    return Place(
        unquote(host),
        unquote(user.partition(";")[0], errors="surrogateescape") if at else None,
        port,
        unquote(path, errors="surrogateescape") or None if slash else None,
    )


def parse(argv: list[str]) -> CommandLine:
    """Read the command line; UsageError or OptionError say what is wrong with it."""
    found, rest = letters(argv, _WITH_ARGUMENT, _WITHOUT)
    given = [letter for letter, _ in found]
    last = dict(found)
    client: list[str] = []
    buffer = 0
    for letter, value in found:
        if letter in "46AC":
            client.append(f"-{letter}")
        elif letter in "FJcio":
            client += [f"-{letter}", value]
        elif letter == "v":
            client.append("-v")
        elif letter == "X":
            name, size = sftp_option(value)
            buffer = size if name == "buffer" else buffer
        elif letter == "B":
            buffer = number(value, "buffer size", MAX_BUFFER, units=True)
        elif letter == "R":
            number(value, "number of requests", 1 << 31)
    if given.count("b") > 1:
        raise OptionError("Batch file already specified.")
    if "q" in given:
        client.append("-q")
    if "b" in given:
        client.append("-oBatchMode=yes")
    direct = last.get("D")
    if direct is not None and not direct.strip():
        raise OptionError("No sftp server specified via -D")
    place: Place | None = None
    if direct is None:
        if not 1 <= len(rest) <= 2:
            raise UsageError("")
        place = place_of(rest[0], "sftp", bare=True)
        assert place is not None
    port = port_of(last["P"]) if "P" in last else None
    if place is not None and place.port is not None:
        port = place.port
    return CommandLine(
        place=place,
        target=rest[1] if place is not None and len(rest) > 1 else None,
        client=tuple(client),
        program=tuple(client),
        port=port,
        batch=last.get("b"),
        direct=direct,
        server=last.get("s"),
        ssh=last.get("S"),
        limit=number(last["l"], "limit", MAX_LIMIT) if "l" in last else 0,
        buffer=buffer,
        resume="a" in given,
        sync="f" in given,
        preserve="p" in given,
        recursive="r" in given,
        quiet="q" in given,
        loud="N" in given,
        verbosity=given.count("v"),
    )
