"""What every MAC has in common: its entry in the table, and how a tag is asked for.

`start` gives a function that a cipher calls once a packet, with the packet's sequence number (RFC 4253
section 6.4).
"""

from collections.abc import Callable
from typing import NamedTuple

#: sequence number, what is covered -> the tag
Tagger = Callable[[int, memoryview], bytes]


class MAC(NamedTuple):
    """One line of the table of MACs; sizes are bytes."""

    name: str
    key_size: int
    tag_size: int
    etm: bool  #: the tag covers the ciphertext, and the length field is in the clear
    start: Callable[[bytes], Tagger]  #: takes the key
