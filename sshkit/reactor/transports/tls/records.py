"""Bytes in and out of OpenSSL: the two ways to drive one TLS connection that lives in memory.

Called by the layer only.  `DirectRecords` calls OpenSSL's functions on our own buffers, as pyOpenSSL does on
buffers that it makes anew for each call, and without an exception for each "nothing more": that is
about half the cost of a bulk transfer.  `PublicRecords` does the same by pyOpenSSL's documented methods;
it is used where a pyOpenSSL keeps its inner parts elsewhere.
"""

from _thread import _local
from typing import Any

from OpenSSL import SSL

from sshkit.interfaces.transport import Writable

#: Plain bytes given to OpenSSL at once, and returned at once: four records of 16 KiB.
CHUNK = 64 * 1024

#: Encrypted bytes taken from OpenSSL at once: a chunk and the overhead of its records.
SEALED_CHUNK = CHUNK + 4 * 1024

#: Encrypted bytes received at once.  64 KiB cost a tenth to a fifth more by GiB; but OpenSSL keeps, for each
#: connection, a third more than what it was once given in one piece.
INCOMING = 128 * 1024

#: `read_into` says: the peer has sent its close_notify.
ENDED = -1


class Scratch(_local):
    """Buffers of one thread, lent for the time of one call; calls may nest (TLS inside TLS)."""

    def __init__(self) -> None:
        self.free: list[memoryview] = []
        self._incoming: memoryview | None = None

    def take(self) -> memoryview:
        """Borrow a buffer; give it back to `free`."""
        return self.free.pop() if self.free else aligned(SEALED_CHUNK)

    @property
    def incoming(self) -> memoryview:
        """Where a transport receives to; emptied by the very call that tells how much came."""
        if self._incoming is None:
            self._incoming = aligned(INCOMING)
        return self._incoming


def aligned(size: int) -> memoryview:
    """Return a buffer that begins with a page: a copy to one that does not costs three times as much."""
    import mmap

    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


SCRATCH = Scratch()


class PublicRecords:
    """By pyOpenSSL's documented methods."""

    __slots__ = ("_connection", "_error")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._error: tuple[Any, ...] | None = None  # found behind data; the next read raises it

    def put(self, data: Writable) -> None:
        """Take encrypted bytes of the peer's."""
        self._connection.bio_write(bytes(data))

    def read_into(self, view: memoryview) -> int:
        """Decrypt into `view`; return how many bytes, 0 for none yet, or ENDED.  Raises SSL.Error."""
        if self._error is not None:
            raise SSL.Error(*self._error)
        size = 0
        try:
            while size < len(view):
                size += self._connection.recv_into(view[size:])
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return size or ENDED
        except SSL.Error as error:
            self._error = error.args
            if not size:
                raise
        return size

    def write(self, data: Writable) -> None:
        """Encrypt at most CHUNK bytes, not none."""
        self._connection.sendall(bytes(data))

    def take_into(self, view: memoryview) -> int:
        """Put encrypted bytes for the peer into `view`; return how many, 0 for no more."""
        try:
            data = self._connection.bio_read(len(view))
        except SSL.WantReadError:
            return 0
        view[: len(data)] = data
        return len(data)

    def resumed(self) -> bool:
        """Tell whether the session was resumed: never known here."""
        return False


_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)


class DirectRecords:
    """By OpenSSL's own functions."""

    __slots__ = ("_connection", "_error", "_from", "_into", "_ssl")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._error: tuple[Any, ...] | None = None  # found behind data; the next read raises it
        self._ssl = connection._ssl
        self._into = connection._into_ssl
        self._from = connection._from_ssl

    def put(self, data: Writable) -> None:
        """Take encrypted bytes of the peer's."""
        _lib.BIO_write(self._into, _ffi.from_buffer(data), len(data))

    def read_into(self, view: memoryview) -> int:
        """Decrypt into `view`; return how many bytes, 0 for none yet, or ENDED.  Raises SSL.Error."""
        if self._error is not None:
            raise SSL.Error(*self._error)
        read = _lib.SSL_read
        ssl = self._ssl
        start = _ffi.from_buffer(view)
        room = len(view)
        size = 0
        _lib.ERR_clear_error()
        try:
            while size < room:
                got = read(ssl, start + size, room - size)
                if got > 0:
                    size += got
                    continue
                code = _lib.SSL_get_error(ssl, got)
                if code == _lib.SSL_ERROR_ZERO_RETURN:
                    return size or ENDED
                if code != _lib.SSL_ERROR_WANT_READ:
                    self._failed(got, size)
                break
        finally:
            start = None  # a traceback that is kept must not keep the buffer locked
        return size

    def _failed(self, got: int, size: int) -> None:
        """Raise what OpenSSL found, or keep it for the next read if there is data before it."""
        try:
            self._connection._raise_ssl_error(self._ssl, got)
        except SSL.Error as error:
            self._error = error.args
            if not size:
                raise

    def write(self, data: Writable) -> None:
        """Encrypt at most CHUNK bytes, not none."""
        result = _lib.SSL_write(self._ssl, _ffi.from_buffer(data), len(data))
        if result <= 0:
            self._connection._raise_ssl_error(self._ssl, result)

    def take_into(self, view: memoryview) -> int:
        """Put encrypted bytes for the peer into `view`; return how many, 0 for no more."""
        size = _lib.BIO_read(self._from, _ffi.from_buffer(view), len(view))
        return size if size > 0 else 0

    def resumed(self) -> bool:
        """Tell whether the session was resumed."""
        return bool(_lib.SSL_session_reused(self._ssl))


Records = DirectRecords | PublicRecords

_NEEDED = (
    "BIO_read",
    "BIO_write",
    "ERR_clear_error",
    "SSL_get_error",
    "SSL_read",
    "SSL_session_reused",
    "SSL_write",
)


def records_of(connection: SSL.Connection) -> Records:
    """Return the quick way where this pyOpenSSL has it."""
    inner = ("_ssl", "_into_ssl", "_from_ssl", "_raise_ssl_error")
    if all(hasattr(_lib, name) for name in _NEEDED) and all(hasattr(connection, name) for name in inner):
        return DirectRecords(connection)
    return PublicRecords(connection)
