"""One session with an SFTP server in memory: requests go in as bytes, answers come out as records."""

from collections.abc import Callable
from itertools import count
from struct import unpack_from
from typing import Any

from sshkit_keys import wire

from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.backends.interface import Backend
from sshkit.sftp.server import SFTPServer

NOW = 1_700_000_000.0
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8


def counting() -> Callable[[int], bytes]:
    """Return a source of bytes that are never the same."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Wire:
    """The transport: keeps what the server writes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = False
        self.reading_paused = False
        self.on_write: Callable[[], object] = lambda: None

    def write(self, data: Any) -> None:
        self.data += data
        self.on_write()

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


class Session:
    """A client's view of one server."""

    def __init__(self, backend: Backend, *, init: bool = True, **options: Any) -> None:
        self.wire = Wire()
        self.events: list[str] = []
        self.errors: list[BaseException] = []
        options.setdefault("on_event", lambda event: self.events.append(str(event)))
        self.server = SFTPServer(
            backend,
            random_bytes=options.pop("random_bytes", counting()),
            now=lambda: NOW,
            on_error=self.errors.append,
            **options,
        )
        self.server.connection_made(self.wire)
        self.numbers = count(1)
        if init:
            self.feed(b"\0\0\0\5\1\0\0\0\3")
            kind, body = self.answers()[0]
            assert kind == m.VERSION
            self.version = body

    def feed(self, data: bytes) -> None:
        """Hand bytes to the server."""
        self.server.data_received(data)

    def answers(self) -> list[tuple[int, bytes]]:
        """Take the packets that came so far: (kind, what follows)."""
        data, found = bytes(self.wire.data), []
        self.wire.data.clear()
        while data:
            (size,) = unpack_from(">I", data)
            assert len(data) >= 4 + size
            found.append((data[4], data[5 : 4 + size]))
            data = data[4 + size :]
        return found

    def packet(self, kind: int, body: bytes, number: int | None = None) -> bytes:
        """Return a request's bytes."""
        number = next(self.numbers) if number is None else number
        return m.frame(bytes([kind]) + wire.uint32(number) + body)

    def ask(self, kind: int, body: bytes) -> tuple[int, bytes]:
        """Send one request; return its answer behind the number."""
        number = next(self.numbers)
        self.feed(self.packet(kind, body, number))
        answers = self.answers()
        assert len(answers) == 1, answers
        kind, answer = answers[0]
        assert unpack_from(">I", answer)[0] == number
        return kind, answer[4:]

    def status(self, kind: int, body: bytes) -> int:
        """Send one request; return the code of its STATUS."""
        answered, body = self.ask(kind, body)
        assert answered == m.STATUS, (answered, body)
        return int(unpack_from(">I", body)[0])

    # Requests.

    def open(self, path: bytes, flags: int = m.READ_FLAG, mode: int | None = None) -> bytes:
        """Open a file; return the handle."""
        body = wire.string(path) + wire.uint32(flags) + Attributes(permissions=mode).encode()
        return self.handle(m.OPEN, body)

    def open_status(self, path: bytes, flags: int = m.READ_FLAG) -> int:
        """Fail to open a file."""
        return self.status(m.OPEN, wire.string(path) + wire.uint32(flags) + wire.uint32(0))

    def opendir(self, path: bytes) -> bytes:
        """Open a directory; return the handle."""
        return self.handle(m.OPENDIR, wire.string(path))

    def handle(self, kind: int, body: bytes) -> bytes:
        """Send a request that is answered with a handle."""
        answered, body = self.ask(kind, body)
        assert answered == m.HANDLE, (answered, body)
        return body[4:]

    def read(self, handle: bytes, offset: int, size: int) -> bytes | int:
        """Read; return the data, or a status."""
        kind, body = self.ask(m.READ, wire.string(handle) + wire.uint64(offset) + wire.uint32(size))
        if kind == m.STATUS:
            return int(unpack_from(">I", body)[0])
        assert kind == m.DATA
        assert unpack_from(">I", body)[0] == len(body) - 4
        return body[4:]

    def write(self, handle: bytes, offset: int, data: bytes) -> int:
        """Write; return the status."""
        return self.status(m.WRITE, wire.string(handle) + wire.uint64(offset) + wire.string(data))

    def close(self, handle: bytes) -> int:
        """Close a handle."""
        return self.status(m.CLOSE, wire.string(handle))

    def path(self, kind: int, path: bytes, rest: bytes = b"") -> int:
        """Send a request of a path that is answered with a STATUS."""
        return self.status(kind, wire.string(path) + rest)

    def attributes(self, kind: int, path: bytes) -> Attributes | int:
        """Ask for attributes; return them, or a status."""
        answered, body = self.ask(kind, wire.string(path))
        if answered == m.STATUS:
            return int(unpack_from(">I", body)[0])
        assert answered == m.ATTRS
        return Attributes.decode_at(memoryview(body), 0)[0]

    def name(self, kind: int, path: bytes) -> bytes | int:
        """Ask for one name; return it, or a status."""
        return self.one_name(*self.ask(kind, wire.string(path)))

    @staticmethod
    def one_name(answered: int, body: bytes) -> bytes | int:
        """Return the name of a NAME, or a status."""
        if answered == m.STATUS:
            return int(unpack_from(">I", body)[0])
        entries = m.unpack_names(memoryview(b"h\0\0\0\0" + body))
        assert answered == m.NAME
        assert len(entries) == 1
        return entries[0][0]

    def listing(self, path: bytes) -> list[m.Entry]:
        """List a directory to its end."""
        handle, found = self.opendir(path), []
        while True:
            kind, body = self.ask(m.READDIR, wire.string(handle))
            if kind == m.STATUS:
                assert unpack_from(">I", body)[0] == EOF
                assert self.close(handle) == OK
                return found
            assert kind == m.NAME
            found += m.unpack_names(memoryview(b"h\0\0\0\0" + body))

    def extended(self, name: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request of an extension."""
        return self.ask(m.EXTENDED, wire.string(name) + body)

    def extended_status(self, name: bytes, body: bytes = b"") -> int:
        """Send one that is answered with a STATUS."""
        return self.status(m.EXTENDED, wire.string(name) + body)
