"""Page-aligned buffers, lent for as long as bytes lie in them.

An idle connection holds none.  PacketReader and PacketWriter take one when bytes come or go and give it
back when it is empty, so a thousand connections on one thread share a few.  Alignment matters: 16 bytes
off a page cost three times the processor time per GiB.
"""

from collections import deque
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

SMALL = 16 * PAGESIZE  #: 64 KiB: every login and every prompt fits
LARGE = 160 * PAGESIZE  #: 640 KiB: two packets of the largest size, and room to read on
KEEP = 16  #: so many free buffers of each size are kept; what is over goes back to the system

#: Free buffers by size.  The hot path pops and appends itself, which saves two calls a packet; both are
#: safe from any thread.  Who gives a buffer back holds neither it nor a view of it any longer.
FREE: dict[int, deque[memoryview]] = {SMALL: deque(maxlen=KEEP), LARGE: deque(maxlen=KEEP)}
FREE_SMALL = FREE[SMALL]
FREE_LARGE = FREE[LARGE]


def take(size: int) -> memoryview:
    """Return a buffer of `size`, which is SMALL or LARGE."""
    try:
        return FREE[size].pop()
    except IndexError:
        # Private: a forked child must not share plaintext, nor write into its parent's packets.
        return memoryview(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS))


def give(buffer: memoryview) -> None:
    """Take a buffer back."""
    FREE[len(buffer)].append(buffer)
