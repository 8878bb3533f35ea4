"""Noticing a peer that is gone: questions that must be answered (OpenSSH's ServerAliveInterval).

Used by clients and servers.  Whatever arrives counts as a sign of life; only silence is asked about.
"""

from typing import TYPE_CHECKING

from sshkit.deferred import Deferred
from sshkit.ssh.errors import ConnectionLost

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall
    from sshkit.ssh.connection.connection import Connection

REQUEST = "keepalive@openssh.com"


class Keepalive:
    """Asks after `interval` seconds of silence; gives the peer up after `count` questions without answer."""

    __slots__ = ("_connection", "_count", "_interval", "_received", "_timer", "_unanswered")

    def __init__(self, connection: "Connection", interval: float, count: int) -> None:
        self._connection = connection
        self._interval = interval
        self._count = count
        self._unanswered = 0
        self._received = connection.layer.bytes_received
        self._timer: DelayedCall = connection.layer.clock.call_later(interval, self._check)

    def stop(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _check(self) -> None:
        layer = self._connection.layer
        if layer.lost is not None:
            return
        if layer.bytes_received != self._received:
            self._received = layer.bytes_received
            self._unanswered = 0
        elif self._unanswered >= self._count:
            seconds = self._interval * (self._count + 1)
            layer.abort(ConnectionLost(f"the peer answered nothing for {seconds:g} seconds"))
            return
        else:
            self._unanswered += 1
            answer: Deferred[object] = self._connection.global_request(REQUEST).add_both(lambda _: None)
            del answer  # that one came is seen by the bytes
        self._timer = layer.clock.call_later(self._interval, self._check)
