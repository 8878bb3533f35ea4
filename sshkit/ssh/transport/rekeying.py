"""When new keys are due (RFC 4253 section 9, R20)."""

from typing import NamedTuple

DEFAULT_BYTES = 1 << 30  #: RFC 4253 section 9: 1 GB
DEFAULT_SECONDS = 3600.0
#: A packet has 16 bytes at least, so this many bytes are fewer than the 2**31 packets of RFC 4344
#: section 3.1, and nobody needs to count packets.
MAX_BYTES = 1 << 34
#: A key exchange is some thousand bytes itself; a lower limit would start the next one at once, for ever.
MIN_BYTES = 16 * 1024
TIMEOUT = 120.0  #: seconds for one key exchange; then the connection ends


class RekeyLimits(NamedTuple):
    """The limits of one connection: bytes in each direction, seconds (0: no limit by time)."""

    bytes: int = DEFAULT_BYTES
    seconds: float = DEFAULT_SECONDS
