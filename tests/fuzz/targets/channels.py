"""Channels after a login, in one role: every answer that a program may give, by the channel's body."""

from typing import Any

from sshkit.deferred import Deferred
from sshkit.ssh.connection.channel import Channel
from sshkit.ssh.connection.channel_states import SENDS
from sshkit.ssh.connection.connection import Connection
from sshkit.ssh.errors import ChannelOpenFailed
from tests.fuzz.targets.keyless import Keyless
from tests.ssh.harness import Owner, Recorder


class Echo(Recorder):
    """Sends back what comes, and keeps little."""

    def data_received(self, data: memoryview) -> None:
        self.reply(data)

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        self.reply(data)

    def reply(self, data: memoryview) -> None:
        assert self.channel is not None
        if self.writable and SENDS[self.channel.state]:
            self.channel.write(data)

    def eof_received(self) -> None:
        assert self.channel is not None
        self.channel.close()

    def request_received(self, kind: str, body: bytes) -> Any:
        if body == b"later":
            return Deferred()
        return len(body) % 2 == 0


class Program(Owner):
    """Opens some channels itself, takes some, refuses some and leaves some waiting."""

    def channel_requested(self, kind: str, body: bytes) -> Any:
        if body == b"no":
            raise ChannelOpenFailed(1, "no")
        if body == b"later":
            return Deferred()
        return Echo()

    def global_requested(self, kind: str, body: bytes) -> Any:
        return Deferred() if body == b"later" else (b"yes" if body == b"yes" else None)

    def channel_ended(self, channel: Channel) -> None:
        pass  # none is kept


def run(data: bytes, *, is_client: bool) -> None:
    """Feed an input."""
    owner = Program()

    def begin(layer: Any) -> None:
        owner.connection = Connection(layer, owner)

    keyless = Keyless(owner, begin, is_client=is_client)
    connection = owner.connection
    assert connection is not None
    for kind in ("session", "x11"):
        connection.open_channel(kind, b"", Echo()).add_errback(lambda _: None)
    connection.global_request("question").add_errback(lambda _: None)
    keyless.run(data)
