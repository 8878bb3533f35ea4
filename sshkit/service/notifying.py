"""Telling systemd how a program is, whatever folder its root has become meanwhile (sd_notify(3)).

Made by `run_service` before it gives up rights: the socket's path may be out of reach afterwards, a socket
that is connected to it is not.
"""

import os
import socket
from collections.abc import MutableMapping

from sshkit.server.systemd import Notifier


class ConnectedNotifier(Notifier):
    """A notifier that keeps one socket, connected at the start."""

    __slots__ = ("_sock",)

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        super().__init__(environment)
        self._sock: socket.socket | None = None
        if self._address:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.setblocking(False)
            try:
                sock.connect(self._address)
            except OSError:  # nobody is there yet: each message tries by itself
                sock.close()
            else:
                self._sock = sock

    def notify(self, *lines: str) -> bool:
        """Send assignments; say whether somebody was there to take them."""
        if self._sock is not None:
            try:
                self._sock.send("\n".join(lines).encode())
            except OSError:  # the manager has a new socket, or its queue is full
                pass
            else:
                return True
        return super().notify(*lines)

    def close(self) -> None:
        """Give the socket back."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
