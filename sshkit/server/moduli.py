"""The server's own groups for the group exchange (ModuliFile of sshd_config(5), moduli(5)).

Read when the server starts or reloads, and only where a group exchange is offered: the file of a
distribution is half a megabyte.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.ssh.key_exchange.group_exchange import GroupExchange
from sshkit.ssh.key_exchange.moduli import MAX_GROUPS, Group, parse_moduli

if TYPE_CHECKING:
    from sshkit.ssh.algorithms import Algorithms

MAX_FILE = 16 * 1024 * 1024  #: bytes: thirty times what distributions ship
MAX_WARNINGS = 10  #: of one file; the rest is counted
FIELDS = 7


def with_moduli(algorithms: "Algorithms", path: str | None, warn: Callable[[str], object]) -> "Algorithms":
    """Return the algorithms with the groups of the file, where they hold a group exchange.

    Without a file, or with none that is fit for use, the fixed groups serve, as in sshd.
    """
    if path is None or not any(issubclass(method, GroupExchange) for method in algorithms.key_exchanges):
        return algorithms
    groups = load_moduli(path, warn)
    return algorithms.with_groups(groups) if groups else algorithms


def load_moduli(path: str, warn: Callable[[str], object]) -> tuple[Group, ...]:
    """Return the groups of a file that are fit for use; empty where there is none.

    `warn` is told "file:line: cause" of lines that are damaged, and why the file could not be read.  Lines
    about groups that are too small or were never tested are passed over: every distribution ships some.
    """
    place = printable(path, 4096)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        warn(f"{place}: {error.strerror}: the fixed groups are used")
        return ()
    if len(data) > MAX_FILE:
        warn(f"{place}: more than {MAX_FILE} bytes: the fixed groups are used")
        return ()
    text = data.decode("ascii", "replace")
    damaged = 0
    for number, line in enumerate(text.splitlines(), 1):
        cause = _fault(line)
        if cause:
            damaged += 1
            if damaged <= MAX_WARNINGS:
                warn(f"{place}:{number}: {cause}")
    if damaged > MAX_WARNINGS:
        warn(f"{place}: {damaged - MAX_WARNINGS} more lines are damaged")
    groups = parse_moduli(text)
    if not groups:
        warn(f"{place}: no group is fit for use: the fixed groups are used")
    elif len(groups) == MAX_GROUPS:
        warn(f"{place}: only the first {MAX_GROUPS} groups are used")
    return groups


def _fault(line: str) -> str:
    """Return what is wrong with the form of a line; empty where nothing is."""
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return ""
    if len(fields) != FIELDS:
        return f"{len(fields)} fields, {FIELDS} wanted"
    try:
        size = int(fields[4])
        for text in fields[1:4]:
            int(text)
        int(fields[5], 16)
        prime = int(fields[6], 16)
    except ValueError:
        return "a field is no number"
    if size + 1 != prime.bit_length():
        return f"a size of {size} is told, and the prime has {prime.bit_length()} bits"
    return ""
