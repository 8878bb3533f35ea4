"""What a channel tells whoever stands at its end.

A subclass overrides what it needs; `Channel` calls these in the order of the packets.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sshkit.deferred import Deferred
    from sshkit.ssh.connection.channel import Channel


class ChannelProtocol:
    """The far end of nothing: refuses every request and drops all data."""

    __slots__ = ()

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        """The channel can be used; `body` is what the confirmation carried beside it."""

    def data_received(self, data: memoryview) -> None:
        """Take data; the view is valid during this call only."""

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        """Take data of a second stream; `kind` is 1, standard error (others mean nothing and are dropped)."""

    def eof_received(self) -> None:
        """The peer sends no more data."""

    def request_received(self, kind: str, body: bytes) -> "bool | Deferred[bool]":
        """Act on a request and tell whether it worked; unknown kinds do not."""
        return False

    def request_granted(self, kind: str) -> None:
        """The request was answered with success; what follows from it may be sent now."""

    def pause_writing(self) -> None:
        """Write no more for now: the peer's window, or the network, is full."""

    def resume_writing(self) -> None:
        """Write again."""

    def channel_closed(self, error: BaseException | None) -> None:
        """The channel has ended; `error` where the connection did.  Called once, and last."""
