"""Page-aligned buffers, lent for as long as bytes lie in them.

An idle connection holds none.  PacketReader and PacketWriter take one when bytes come or go and give it
back when it is empty, so a thousand connections on one thread share a few.  Alignment matters: 16 bytes
off a page cost three times the processor time per GiB.
"""

from mmap import PAGESIZE, mmap

SMALL = 16 * PAGESIZE  #: 64 KiB: every login and every prompt fits
LARGE = 160 * PAGESIZE  #: 640 KiB: two packets of the largest size, and room to read on
KEEP = 16  #: so many free buffers of each size are kept; what is over goes back to the system

_free: dict[int, list[memoryview]] = {SMALL: [], LARGE: []}


def take(size: int) -> memoryview:
    """Return a buffer of `size`, which is SMALL or LARGE.  Safe from any thread."""
    try:
        return _free[size].pop()
    except IndexError:
        return memoryview(mmap(-1, size))


def give(buffer: memoryview) -> None:
    """Take a buffer back; nobody else may hold it or a view of it any longer."""
    free = _free[len(buffer)]
    if len(free) < KEEP:
        free.append(buffer)
