"""The first line of a connection (RFC 4253 section 4.2)."""

from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.ssh.errors import RemoteProtocolError, VersionNotSupported

if TYPE_CHECKING:
    from sshkit.ssh.ciphers.packet import Opened

IDENTIFICATION = b"SSH-2.0-sshkit_0.1"  #: ours
MAX_LINE = 255  #: bytes with CR LF, for the identification itself (RFC 4253 section 4.2)
MAX_BEFORE_LINE = 8192  #: bytes of one line that a server may send before it (R19)
MAX_BEFORE_LINES = 1024
PREFIXES = (b"SSH-2.0-", b"SSH-1.99-")


class LineOpener:
    """Stands where the opener of packets will stand, and takes lines out of the buffer instead."""

    __slots__ = ("lines", "needed", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self.needed = 1
        self.lines = 0

    def open(self, buffer: memoryview, start: int, end: int) -> "Opened | None":
        size = bytes(buffer[start : min(end, start + MAX_BEFORE_LINE)]).find(b"\n") + 1
        if not size:
            if end - start >= MAX_BEFORE_LINE:
                raise RemoteProtocolError(f"no line end in the first {MAX_BEFORE_LINE} bytes")
            self.needed = end - start + 1
            return None
        self.lines += 1
        return buffer[start : start + size], start + size


def parse_identification(line: bytes) -> bytes:
    """Return the identification in `line` without its line end; raise if it is not of SSH 2.0."""
    if len(line) > MAX_LINE:
        raise RemoteProtocolError(f"identification of {len(line)} bytes, {MAX_LINE} allowed")
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    if b"\0" in text:
        raise RemoteProtocolError("a NUL byte in the identification")
    if not text.startswith(PREFIXES):
        raise VersionNotSupported(f"the peer speaks {printable(text[:60])}, not SSH 2.0")
    return text
