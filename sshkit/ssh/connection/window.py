"""How far a channel may run ahead of its reader (RFC 4254 section 5.2).

The window starts at INITIAL and follows the reader: a reader that keeps up gets twice as much until LARGEST,
one that stops to read gets half, and no less than SMALLEST.  The peer is told at half.
"""

INITIAL = 1024 * 1024  #: bytes; also what a paused channel may hold in memory
SMALLEST = 128 * 1024
LARGEST = 4 * 1024 * 1024
MAX_PACKET = 128 * 1024  #: bytes of data in one packet that we offer to take
MAX_WINDOW = 0xFFFFFFFF  #: RFC 4254 section 5.2


def grown(size: int) -> int:
    """Return the window for a reader that kept up."""
    return min(size * 2, LARGEST)


def shrunk(size: int) -> int:
    """Return the window for a reader that had to stop us."""
    return max(size // 2, SMALLEST)
