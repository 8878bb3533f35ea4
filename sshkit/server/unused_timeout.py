"""UnusedConnectionTimeout: a client that has logged in and has no channel open is let go (sshd_config(5)).

Started by `ServerConnection` after the login.  One timer a connection, armed again when it fires, so that
opening and closing channels costs nothing.
"""

from typing import TYPE_CHECKING

from sshkit.ssh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall
    from sshkit.ssh.connection.connection import Connection


class ConnectionUnused(RemoteProtocolError):
    """No channel was open for as long as the server allows."""

    reason = 11  # SSH_DISCONNECT_BY_APPLICATION: the client broke no rule


class UnusedTimeout:
    """Ends one connection that has had no channel for `seconds`; the server tells of each channel's end."""

    __slots__ = ("_clock", "_connection", "_seconds", "_since", "_timer")

    def __init__(self, connection: "Connection", clock: "Clock", seconds: float) -> None:
        self._connection = connection
        self._clock = clock
        self._seconds = seconds
        self._since = clock.seconds()  # from when on no channel is open, while none is
        self._timer: DelayedCall | None = clock.call_later(seconds, self._look)

    def closed(self) -> None:
        """Take note that a channel has ended; the time counts from the last one's end."""
        self._since = self._clock.seconds()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._clock.seconds()
        if self._connection.channels:
            self._since = now
        left = self._since + self._seconds - now
        if left > 0:
            self._timer = self._clock.call_later(left, self._look)
            return
        self._timer = None
        seconds = self._seconds
        self._connection.layer.disconnect(ConnectionUnused(f"no channel was open for {seconds:g} seconds"))
