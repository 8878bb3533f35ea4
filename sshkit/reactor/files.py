"""Sending a file over any transport: TLS, an SSH channel, asyncio's own.

Called by programs.  A plain socket's transport has `send_file` itself; over others a file is read and written
piece by piece, and the protocol is watched meanwhile for being paused.
"""

from typing import Any

from sshkit.deferred import Deferred, fail

from .transports.file_sending import FileReader


def send_file(transport: Any, file: Any, offset: int = 0, count: int | None = None) -> Deferred[int]:
    """Send `count` bytes of `file` (None: up to its end); fires with their number.

    Over a transport without a `send_file` of its own, write nothing else until it has fired.
    """
    own = getattr(transport, "send_file", None)
    if own is not None:
        result: Deferred[int] = own(file, offset, count)
        return result
    try:
        reader = FileReader(file, offset, count)
    except (OSError, ValueError) as error:
        return fail(error)
    return Pump(transport, reader).start()


class Pump:
    """Stands in for the protocol of a transport while a file is written to it."""

    def __init__(self, transport: Any, reader: FileReader) -> None:
        self._transport = transport
        self._reader = reader
        self._protocol = transport.get_protocol()
        self._room = True
        self._writing = False
        self._result: Deferred[int] = Deferred(lambda _: self._stop())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def start(self) -> Deferred[int]:
        """Begin."""
        self._transport.set_protocol(self)
        self._write()
        return self._result

    def _write(self) -> None:
        """Write while there is room."""
        reader = self._reader
        if self._writing:
            return
        self._writing = True
        try:
            while self._room and not self._result.called:
                data = reader.read() if reader.left else b""
                if not data:
                    self._stop()
                    self._result.callback(reader.sent)
                    break
                reader.sent += len(data)
                self._transport.write(data)
        except Exception as error:
            self._stop()
            self._result.errback(error)
        finally:
            self._writing = False

    def _stop(self) -> None:
        if self._transport.get_protocol() is self:
            self._transport.set_protocol(self._protocol)

    def pause_writing(self) -> None:
        """No room."""
        self._room = False
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Room again."""
        self._room = True
        self._protocol.resume_writing()
        self._write()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The rest cannot be sent."""
        self._protocol.connection_lost(exc)
        if not self._result.called:
            self._result.errback(exc or ConnectionAbortedError("the connection was closed"))
