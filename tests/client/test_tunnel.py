"""A channel as a transport: what a protocol asks reaches the channel, and nothing once that has ended."""

from typing import Any

import pytest

from sshkit.client.tunnel import ChannelTransport


class Channel:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.calls.append(bytes(data))

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 7


class Inner:
    """The protocol on top, which keeps its side open after the end where it is told so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.keep_open = False

    def connection_made(self, transport: Any) -> None:
        self.calls.append("made")

    def eof_received(self) -> bool:
        return self.keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause_writing")

    def resume_writing(self) -> None:
        self.calls.append("resume_writing")

    def connection_lost(self, error: BaseException | None) -> None:
        self.calls.append(error)


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def channel() -> Channel:
    return Channel()


def every_call(transport: ChannelTransport) -> None:
    transport.writelines([b"a", b"b"])
    transport.pause_reading()
    transport.resume_reading()
    transport.write_eof()
    transport.abort()


def test_a_channel_does_what_is_asked_of_the_transport(inner: Inner, channel: Channel) -> None:
    transport = ChannelTransport(inner, {"jump": "host"})
    transport.channel_opened(channel, b"")  # type: ignore[arg-type]
    assert inner.calls == ["made"]
    every_call(transport)
    assert channel.calls == [b"a", b"b", "pause_reading", "resume_reading", "write_eof", "abort"]
    assert transport.can_write_eof()
    assert transport.get_write_buffer_size() == 7
    assert not transport.is_closing()
    channel.closing = True
    assert transport.is_closing()
    assert (transport.get_extra_info("jump"), transport.get_extra_info("none", 1)) == ("host", 1)
    transport.pause_writing()
    transport.resume_writing()
    assert inner.calls == ["made", "pause_writing", "resume_writing"]


def test_a_transport_whose_channel_is_not_open_or_has_ended_does_nothing(
    inner: Inner, channel: Channel
) -> None:
    transport = ChannelTransport(inner)
    every_call(transport)
    transport.close()
    assert transport.is_closing()
    assert transport.get_write_buffer_size() == 0
    transport.channel_opened(channel, b"")  # type: ignore[arg-type]
    error = ConnectionError("lost")
    transport.channel_closed(error)
    assert inner.calls == ["made", error]
    every_call(transport)
    transport.close()
    assert channel.calls == []
    assert transport.is_closing()


@pytest.mark.parametrize("keep_open", [False, True])
def test_the_end_of_the_other_side_closes_unless_the_protocol_goes_on(
    inner: Inner, channel: Channel, keep_open: bool
) -> None:
    inner.keep_open = keep_open
    transport = ChannelTransport(inner)
    transport.channel_opened(channel, b"")  # type: ignore[arg-type]
    transport.eof_received()
    assert channel.calls == ([] if keep_open else ["write_eof", "resume_reading", "close"])


def test_another_protocol_may_take_over(inner: Inner) -> None:
    transport = ChannelTransport(inner)
    other = Inner()
    transport.set_protocol(other)
    transport.set_write_buffer_limits(1, 2)
    assert transport.get_protocol() is other
