"""Groups for the group exchange, as moduli(5) files have them.

A server reads its file, parses it here once and hands the groups to `Algorithms.with_groups`.
"""

from typing import NamedTuple

MIN_BITS, MAX_BITS = 2048, 8192  #: R14, and what peers are ready to compute
MAX_GROUPS = 4096
_FIELDS = 7
#: type 2 is a safe prime; test bits: 1 composite, 2 sieved, 4 and 8 tested (moduli(5)).
_SAFE, _COMPOSITE, _TESTED = 2, 1, 0b1100


class Group(NamedTuple):
    """A safe prime and a generator."""

    prime: int
    generator: int


def parse_moduli(text: str) -> tuple[Group, ...]:
    """Return the groups of a file that are fit for use; lines that are not are left out, as in OpenSSH."""
    groups: list[Group] = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != _FIELDS or line.startswith("#"):
            continue
        try:
            kind, tests, size = int(fields[1]), int(fields[2]), int(fields[4])
            group = Group(int(fields[6], 16), int(fields[5], 16))
        except ValueError:
            continue
        tested = tests & _TESTED and not tests & _COMPOSITE
        if kind == _SAFE and tested and size + 1 == group.prime.bit_length() and is_usable(group):
            groups.append(group)
        if len(groups) == MAX_GROUPS:
            break
    return tuple(groups)


def is_usable(group: Group) -> bool:
    """Return whether the numbers can be a group: odd, of a fit size, with a generator in range (R14)."""
    prime, generator = group
    return MIN_BITS <= prime.bit_length() <= MAX_BITS and prime & 1 == 1 and 1 < generator < prime - 1
