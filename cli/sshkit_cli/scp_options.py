"""The command line of sshkit-scp, read as scp(1) reads its own."""

from typing import NamedTuple

from .sftp_options import MAX_LIMIT, UsageError, letters, number, port_of, sftp_option

USAGE = """\
usage: sshkit-scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]
                  [-i identity_file] [-J destination] [-l limit] [-o ssh_option]
                  [-P port] [-S program] [-X sftp_option] source ... target"""
_WITH_ARGUMENT = frozenset("DFJPSXcilo")
_WITHOUT = frozenset("12346ABCOpqRrsTvdft")


class CommandLine(NamedTuple):
    """What was typed."""

    sources: tuple[str, ...]
    target: str
    client: tuple[str, ...]  #: options for whoever connects
    port: int | None
    direct: str | None  #: -D
    ssh: str | None  #: -S
    limit: int  #: Kbit/s; 0: none
    buffer: int  #: bytes of one request; 0: as the server likes
    legacy: bool  #: -O
    direct_copy: bool  #: -R: the source's host copies to the target's
    unchecked: bool  #: -T
    preserve: bool
    recursive: bool
    quiet: bool
    verbosity: int
    far: str  #: "-t" or "-f" where this is the far side
    must_be_folder: bool  #: -d


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
        elif letter in "vq":
            client.append(f"-{letter}")
        elif letter == "B":
            client.append("-oBatchMode=yes")
        elif letter == "X":
            name, size = sftp_option(value)
            buffer = size if name == "buffer" else buffer
    if "1" in given:
        raise UsageError("SSH protocol v.1 is not supported")
    far = "-t" if "t" in given else "-f" if "f" in given else ""
    least = 1 if far else 2
    if len(rest) < least or (far == "-t" and len(rest) > 1):
        raise UsageError("" if not far else "ambiguous target")
    modes = [letter for letter in given if letter in "Os"]
    return CommandLine(
        sources=tuple(rest if far == "-f" else rest[:-1]),
        target=rest[-1],
        client=tuple(client),
        port=port_of(last["P"]) if "P" in last else None,
        direct=last.get("D"),
        ssh=last.get("S"),
        limit=number(last["l"], "limit", MAX_LIMIT) if "l" in last else 0,
        buffer=buffer,
        legacy=modes[-1:] == ["O"],
        direct_copy="R" in given and "3" not in given,
        unchecked="T" in given,
        preserve="p" in given,
        recursive="r" in given,
        quiet="q" in given,
        verbosity=given.count("v"),
        far=far,
        must_be_folder="d" in given,
    )
