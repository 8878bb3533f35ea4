"""ChannelTimeout: channels on which nothing moves for long enough are closed (ssh_config(5), sshd_config(5)).

Started by clients and servers after the login where there are time-outs.  It looks now and then whether the
windows of a channel have moved, so that what moves costs nothing more than without it.  A protocol tells what
kind of session it is ("session:command") by its attribute `session_kind`; its method `timed_out`, if it has
one, is called for each channel that is closed: the peer may take its time with its own CLOSE.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sshkit_keys.host_patterns import matches_glob

if TYPE_CHECKING:
    from sshkit.interfaces import Clock, DelayedCall
    from sshkit.ssh.connection.channel import Channel
    from sshkit.ssh.connection.connection import Connection

#: Looks during the shortest time-out: a channel lives at most so much of it longer.
LOOKS: Final = 8
SHORTEST_LOOK: Final = 0.25  #: seconds
GLOBAL: Final = "global"  #: nothing moves on any channel
#: What the configuration calls the kinds of channels that are not called so there.
NAMES: Final = {
    "auth-agent@openssh.com": "agent-connection",
    "tun@openssh.com": "tun-connection",
    "x11": "x11-connection",
}


class ChannelTimeouts:
    """Watches the channels of one connection."""

    __slots__ = ("_clock", "_connection", "_every", "_seen", "_since", "_timeouts", "_timer")

    def __init__(
        self, connection: "Connection", clock: "Clock", timeouts: Iterable[tuple[str, float]]
    ) -> None:
        """`timeouts` are patterns of kinds with seconds; the first that fits counts, and 0 is never."""
        self._connection = connection
        self._clock = clock
        self._timeouts = tuple(timeouts)
        # By our number: the channel, where its windows stood, since when they do.
        self._seen: dict[int, tuple[Channel, tuple[int, ...], float]] = {}
        self._since = clock.seconds()  # the last time that anything moved
        seconds = [seconds for _, seconds in self._timeouts if seconds]
        self._every = max(min(seconds) / LOOKS, SHORTEST_LOOK) if seconds else 0.0
        self._timer: DelayedCall | None = None
        if self._every:
            self._timer = clock.call_later(self._every, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._seen.clear()

    def _look(self) -> None:
        now = self._clock.seconds()
        seen, self._seen = self._seen, {}
        channels = tuple(self._connection.channels.values())
        for channel in channels:
            mark = (channel.send_window, channel.receive_window, channel.receive_size, channel.state)
            before = seen.get(channel.number)
            if before is None or before[0] is not channel or before[1] != mark:
                self._since = now
                before = (channel, mark, now)
            self._seen[channel.number] = before
        for channel in channels:
            limit = self._limit_of(channel)
            if limit and now - self._seen[channel.number][2] >= limit:
                _expire(channel)
        limit = next((seconds for pattern, seconds in self._timeouts if pattern == GLOBAL), 0.0)
        if limit and now - self._since >= limit:
            for channel in channels:
                _expire(channel)
        self._timer = self._clock.call_later(self._every, self._look)

    def _limit_of(self, channel: "Channel") -> float:
        if channel.peer < 0:  # it is not open yet
            return 0.0
        names = (getattr(channel.protocol, "session_kind", ""), NAMES.get(channel.kind, channel.kind))
        for name in names:
            for pattern, seconds in self._timeouts:
                if name and pattern != GLOBAL and matches_glob(pattern, name):
                    return seconds
        return 0.0


def _expire(channel: "Channel") -> None:
    if channel.is_closing():
        return
    channel.abort()
    told = getattr(channel.protocol, "timed_out", None)
    if told is not None:
        told()
