"""Protocols that cut a stream into pieces: lines, netstrings, length-prefixed and framed messages.

No I/O.  Each comes in two forms: a receiver to derive from, which is called with each piece, and one to
iterate over (``async for line in connection``).  All are bounded, whatever the peer sends.
"""

from .errors import FramingError
from .framed import FramedReceiver, Int8Receiver, Int16Receiver, Int32Receiver
from .iterators import Frames, Lines, Messages8, Messages16, Messages32, Netstrings
from .lines import LineReceiver
from .netstrings import NetstringReceiver
from .receiver import Receiver

__all__ = [
    "FramedReceiver",
    "Frames",
    "FramingError",
    "Int8Receiver",
    "Int16Receiver",
    "Int32Receiver",
    "LineReceiver",
    "Lines",
    "Messages8",
    "Messages16",
    "Messages32",
    "NetstringReceiver",
    "Netstrings",
    "Receiver",
]
