"""How far a channel may run ahead of its reader (RFC 4254 section 5.2).

The window starts at INITIAL and follows the reader: a reader that keeps up gets twice as much until LARGEST,
one that stops to read gets half, and no less than SMALLEST.  The peer is told at half, or after STEP: on a
path with a long delay the rest of the window has to last until it hears of it.
"""

INITIAL = 1024 * 1024  #: bytes; also what a paused channel may hold in memory
STEP = 1024 * 1024  #: bytes read after which the peer is told at the latest
SMALLEST = 128 * 1024
LARGEST = 8 * 1024 * 1024
MAX_PACKET = 128 * 1024  #: bytes of data in one packet that we offer to take
MAX_WINDOW = 0xFFFFFFFF  #: RFC 4254 section 5.2


def grown(size: int) -> int:
    """Return the window for a reader that kept up."""
    return min(size * 2, LARGEST)


def shrunk(size: int) -> int:
    """Return the window for a reader that had to stop us."""
    return max(size // 2, SMALLEST)


def threshold(size: int) -> int:
    """Return below which window the peer is told that it may send more."""
    return size - min(size // 2, STEP)
