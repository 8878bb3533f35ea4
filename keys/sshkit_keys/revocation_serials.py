"""The serial numbers of one authority's revoked certificates (PROTOCOL.krl, section 3).

Called by `revocation` and `revocation_format`.  A range is two numbers and a bitmap one, however many serials
they stand for: nothing that a file says is multiplied out in memory (rule R18).
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge

from .errors import KeyFormatError
from .wire import MAX_MPINT_BITS, mpint, uint64

MAX_SERIAL = 2**64 - 1

#: Kinds of section, as the file numbers them.
LIST, RANGE, BITMAP = 0x20, 0x21, 0x22
#: What a new section costs at least, in bits: its number, and the first of its serials.
_KIND_BITS, _SERIAL_BITS = 8, 64


class SerialSet:
    """A set of serials from 1 to 2**64 - 1; 0 means that a certificate has no number."""

    __slots__ = ("_bitmaps", "_highs", "_lows", "_offsets", "_ranges")

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._bitmaps: dict[int, int] = {}
        # The same, sorted for searching; made on first use after a change.
        self._lows: list[int] | None = None
        self._highs: list[int] = []
        self._offsets: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._ranges or self._bitmaps)

    def add(self, low: int, high: int) -> None:
        """Add all serials from `low` to `high`, both included."""
        if not 0 < low <= high <= MAX_SERIAL:
            raise KeyFormatError(f"{low}-{high} is no range of serials: they go from 1 to {MAX_SERIAL}")
        self._ranges.append((low, high))
        self._lows = None

    def add_bitmap(self, offset: int, bits: int) -> None:
        """Add `offset` + n for each bit n that is set."""
        if bits < 0 or bits.bit_length() > MAX_MPINT_BITS:
            raise KeyFormatError("a bitmap of serials is negative or too large")
        if (offset == 0 and bits & 1) or (bits and offset + bits.bit_length() - 1 > MAX_SERIAL):
            raise KeyFormatError("a bitmap of serials leaves their range")
        if bits:
            self._bitmaps[offset] = self._bitmaps.get(offset, 0) | bits
            self._lows = None

    def update(self, other: "SerialSet") -> None:
        """Add all serials of another set."""
        self._ranges += other._ranges
        for offset, bits in other._bitmaps.items():
            self.add_bitmap(offset, bits)
        self._lows = None

    def __contains__(self, serial: int) -> bool:
        lows = self._settle()
        at = bisect_right(lows, serial) - 1
        if at >= 0 and serial <= self._highs[at]:
            return True
        at = bisect_right(self._offsets, serial) - 1
        while at >= 0 and serial - self._offsets[at] < MAX_MPINT_BITS:
            offset = self._offsets[at]
            if self._bitmaps[offset] >> (serial - offset) & 1:
                return True
            at -= 1
        return False

    def _settle(self) -> list[int]:
        """Sort, and join ranges that touch."""
        if self._lows is None:
            self._ranges = list(_joined(iter(sorted(self._ranges))))
            self._highs = [high for _, high in self._ranges]
            self._offsets = sorted(self._bitmaps)
            self._lows = [low for low, _ in self._ranges]
        return self._lows

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield (low, high) of all runs of serials in their order; none touches the next."""
        self._settle()
        bitmaps = (_runs(offset, self._bitmaps[offset]) for offset in self._offsets)
        return _joined(merge(self._ranges, *bitmaps))


def _joined(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join ranges that touch or overlap; they come sorted."""
    current: tuple[int, int] | None = None
    for low, high in ranges:
        if current is not None and low <= current[1] + 1:
            current = (current[0], max(current[1], high))
            continue
        if current is not None:
            yield current
        current = (low, high)
    if current is not None:
        yield current


def _runs(offset: int, bits: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of set bits of a bitmap, as serials."""
    for run in re.finditer("1+", f"{bits:b}"[::-1]):
        yield offset + run.start(), offset + run.end() - 1


def encode_sections(serials: SerialSet) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, contents) of the sections that hold the serials in about the fewest bytes.

    The choice for each run looks at its length, the gaps beside it and the section before, by the same
    estimate as ssh-keygen's, so that both write the same file.  But no bitmap here grows beyond what
    ssh-keygen reads.
    """
    kind, last, start, bits = 0, 0, 0, 0
    parts: list[bytes] = []
    runs = serials.ranges()
    following = next(runs, None)
    while following is not None:
        low, high = following
        following = next(runs, None)
        gap_after = None if following is None else following[0] - high
        chosen, restart = _choose(kind, high - low + 1, low - last if kind else 0, gap_after)
        if kind == chosen == BITMAP and high - start >= MAX_MPINT_BITS:
            restart = True
        if kind and (restart or chosen != kind or kind == RANGE):
            yield kind, _contents(kind, parts, start, bits)
            parts, bits = [], 0
        if chosen == BITMAP:
            if not bits:
                start = low
            bits |= ((1 << (high - low + 1)) - 1) << (low - start)
        elif chosen == RANGE:
            parts += [uint64(low), uint64(high)]
        else:
            parts += [uint64(serial) for serial in range(low, high + 1)]
        kind, last = chosen, high
    if kind:
        yield kind, _contents(kind, parts, start, bits)


def _contents(kind: int, parts: list[bytes], start: int, bits: int) -> bytes:
    return uint64(start) + mpint(bits) if kind == BITMAP else b"".join(parts)


def _choose(kind: int, length: int, gap_before: int, gap_after: int | None) -> tuple[int, bool]:
    """Return the kind of section for a run of `length` serials, and whether it must be a new bitmap.

    `gap_after` is None for the last run; else leaving for another section later costs something too.
    """
    new = _KIND_BITS + _SERIAL_BITS
    leaving = 0 if gap_after is None else new
    staying = 0 if gap_after is None else min(gap_after, new)
    costs = (
        ((0 if kind == BITMAP else new) + gap_before + length + staying, BITMAP, False),
        (_KIND_BITS + 2 * _SERIAL_BITS + leaving, RANGE, False),
        ((0 if kind == LIST else _KIND_BITS) + _SERIAL_BITS * length + leaving, LIST, False),
        (new + length + staying, BITMAP, True),
    )
    # Whole bytes are compared; of equals the first wins.
    _, chosen, restart = min(costs, key=lambda cost: (cost[0] + 7) // 8)
    return chosen, restart
