"""Telnet's two sides joined in memory, with sessions that remember what they were told."""

from collections.abc import Callable
from typing import Any, cast

from sshkit.protocols.telnet.protocol import TelnetProtocol


class Session:
    """Writes down every call but `connected`, which says who it talks through."""

    def __init__(self) -> None:
        self.telnet: TelnetProtocol | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.data = b""

    def connected(self, telnet: TelnetProtocol) -> None:
        self.telnet = telnet

    def data_received(self, data: bytes) -> None:
        self.data += data

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, *arguments))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class Wire:
    """A transport that keeps what was written until somebody takes it."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = ""
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def take(self) -> bytes:
        taken, self.written = self.written, b""
        return taken

    def writelines(self, list_of_data: Any) -> None:
        raise NotImplementedError

    def write_eof(self) -> None:
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = "close"

    def abort(self) -> None:
        self.closed = "abort"

    def is_closing(self) -> bool:
        return bool(self.closed)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return name if name == "peername" else default


def connect(protocol: TelnetProtocol) -> Wire:
    wire = Wire()
    protocol.connection_made(cast("Any", wire))
    return wire


def exchange(one: TelnetProtocol, its_wire: Wire, other: TelnetProtocol, other_wire: Wire) -> int:
    """Carry what was written until both are silent; return how many rounds it took."""
    rounds = 0
    while its_wire.written or other_wire.written:
        other.data_received(its_wire.take())
        one.data_received(other_wire.take())
        rounds += 1
        assert rounds < 20
    return rounds
