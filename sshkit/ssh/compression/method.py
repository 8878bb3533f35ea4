"""A line of the table of compressions (RFC 4253 section 6.2, OpenSSH's PROTOCOL section 1.2)."""

from typing import Literal, NamedTuple


class Compression(NamedTuple):
    """How payloads are compressed: not at all, or with zlib from some time on."""

    name: str
    begins: Literal["never", "login", "keys"]
