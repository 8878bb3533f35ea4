"""A path with delay and a limited rate, on loopback: a relay that holds every piece back for its time.

Called by `python -m benchmarks delay`.  Not every kernel has netem; the relay needs nothing of it.
"""

import socket
import threading
import time
from collections import deque

PIECE = 64 * 1024


class Direction:
    """One direction of one connection: pieces wait for their turn on the wire and for the delay."""

    def __init__(self, source: socket.socket, target: socket.socket, rate: float, delay: float) -> None:
        self._source, self._target = source, target
        self._rate, self._delay = rate, delay
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._held = 0
        #: What is on the wire, and a router's queue of the same size behind it.
        self._limit = int(2 * rate * delay) + 4 * PIECE
        self._changed = threading.Condition()
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        free_at = 0.0
        while True:
            try:
                data = self._source.recv(PIECE)
            except OSError:
                data = b""
            now = time.monotonic()
            free_at = max(now, free_at) + len(data) / self._rate
            with self._changed:
                while self._held > self._limit:
                    self._changed.wait()
                self._pieces.append((free_at + self._delay, data))
                self._held += len(data)
                self._changed.notify_all()
            if not data:
                return

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._pieces:
                    self._changed.wait()
                due, data = self._pieces.popleft()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                if not data:
                    self._target.shutdown(socket.SHUT_WR)
                    return
                self._target.sendall(data)
            except OSError:
                return
            with self._changed:
                self._held -= len(data)
                self._changed.notify_all()


class SlowPath:
    """Listens at `port` and passes connections on, `rate` bytes a second, `delay` seconds each way."""

    def __init__(self, target_port: int, rate: float, delay: float) -> None:
        self._target_port, self._rate, self._delay = target_port, rate, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target_port))
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Direction(near, far, self._rate, self._delay)
            Direction(far, near, self._rate, self._delay)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def plain_rate(rate: float, delay: float, amount: int) -> float:
    """Return bytes a second that one TCP stream gets over the path."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = SlowPath(server.getsockname()[1], rate, delay)
        with socket.create_connection(("127.0.0.1", path.port)) as near:
            far, _ = server.accept()
            began = time.monotonic()

            def send() -> None:
                sent = 0
                while sent < amount:
                    far.sendall(bytes(PIECE))
                    sent += PIECE
                far.shutdown(socket.SHUT_WR)

            threading.Thread(target=send, daemon=True).start()
            received = 0
            while data := near.recv(1 << 20):
                received += len(data)
            taken = time.monotonic() - began
            far.close()
        path.close()
    return received / taken
