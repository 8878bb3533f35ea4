"""Messages of the connection protocol (RFC 4254)."""

from sshkit.ssh.messages.record import Boolean, Message, Rest, String, Text, UInt32, message

GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE = 90, 91, 92
CHANNEL_WINDOW_ADJUST, CHANNEL_DATA, CHANNEL_EXTENDED_DATA = 93, 94, 95
CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST = 96, 97, 98
CHANNEL_SUCCESS, CHANNEL_FAILURE = 99, 100
EXTENDED_DATA_STDERR = 1


@message(GLOBAL_REQUEST)
class GlobalRequest(Message):
    """Ask for something that belongs to no channel (RFC 4254 section 4)."""

    kind: Text
    want_reply: Boolean
    body: Rest


@message(REQUEST_SUCCESS)
class RequestSuccess(Message):
    """The oldest unanswered global request succeeded (RFC 4254 section 4)."""

    body: Rest


@message(REQUEST_FAILURE)
class RequestFailure(Message):
    """The oldest unanswered global request failed (RFC 4254 section 4)."""


@message(CHANNEL_OPEN)
class ChannelOpen(Message):
    """Ask for a channel (RFC 4254 section 5.1)."""

    kind: Text
    sender: UInt32  #: the channel's number at the sending side
    window: UInt32  #: bytes the sender is ready to take
    max_packet: UInt32  #: bytes of data at most in one packet to the sender
    body: Rest


@message(CHANNEL_OPEN_CONFIRMATION)
class ChannelOpenConfirmation(Message):
    """The channel is open (RFC 4254 section 5.1)."""

    recipient: UInt32
    sender: UInt32
    window: UInt32
    max_packet: UInt32
    body: Rest


@message(CHANNEL_OPEN_FAILURE)
class ChannelOpenFailure(Message):
    """The channel was refused (RFC 4254 section 5.1)."""

    recipient: UInt32
    code: UInt32
    description: String
    language: String


@message(CHANNEL_WINDOW_ADJUST)
class ChannelWindowAdjust(Message):
    """The sender takes this many bytes more (RFC 4254 section 5.2)."""

    recipient: UInt32
    size: UInt32


@message(CHANNEL_DATA)
class ChannelData(Message):
    """Data of a channel (RFC 4254 section 5.2)."""

    recipient: UInt32
    data: String


@message(CHANNEL_EXTENDED_DATA)
class ChannelExtendedData(Message):
    """Data of a second stream of a channel; kind 1 is standard error (RFC 4254 section 5.2)."""

    recipient: UInt32
    kind: UInt32
    data: String


@message(CHANNEL_EOF)
class ChannelEof(Message):
    """The sender sends no more data (RFC 4254 section 5.3)."""

    recipient: UInt32


@message(CHANNEL_CLOSE)
class ChannelClose(Message):
    """The sender is done with the channel (RFC 4254 section 5.3)."""

    recipient: UInt32


@message(CHANNEL_REQUEST)
class ChannelRequest(Message):
    """Ask the peer to act on one channel (RFC 4254 section 5.4)."""

    recipient: UInt32
    kind: Text  #: "exec", "pty-req", ...; unknown kinds are refused, not fatal
    want_reply: Boolean
    body: Rest


@message(CHANNEL_SUCCESS)
class ChannelSuccess(Message):
    """The channel's oldest unanswered request succeeded (RFC 4254 section 5.4)."""

    recipient: UInt32


@message(CHANNEL_FAILURE)
class ChannelFailure(Message):
    """The channel's oldest unanswered request failed (RFC 4254 section 5.4)."""

    recipient: UInt32
