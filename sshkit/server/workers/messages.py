"""What the monitor and a worker say to each other.

Declared as the messages of the protocol are; they travel over a `Link`.  A worker names a connection by the
number that the monitor gave it; what it asks has a number of its own, and the answer bears it.
"""

from typing import Final

from sshkit.ssh.messages.record import (
    Boolean,
    Byte,
    Message,
    NameList,
    Record,
    Rest,
    String,
    Text,
    UInt32,
    UInt64,
    message,
    record,
)

# From the monitor.


@message(1)
class NewConnection(Message):
    """Serve this: its socket comes with the message."""

    connection: UInt32


@message(2)
class Answer(Message):
    """The answer to a question; a grant comes with the socket of the session's process."""

    request: UInt32
    kind: Byte
    body: Rest


@message(3)
class Drain(Message):
    """Take no more, and end when the last connection has; `now`: at once those that are not logged in."""

    now: Boolean


@message(5)
class Drop(Message):
    """End this connection: there may be no more from where it comes."""

    connection: UInt32


@message(4)
class End(Message):
    """End all connections."""


# From a worker, or from the process of a session.


@message(10)
class Sign(Message):
    """Sign with the host key of an algorithm: a key exchange's hash."""

    request: UInt32
    connection: UInt32
    algorithm: Text
    data: String


@message(11)
class Prepare(Message):
    """Somebody wants to log in as `user`: what holds for him?"""

    request: UInt32
    connection: UInt32
    user: Text
    identification: String  #: of the client's program


@message(12)
class Ask(Message):
    """Decide on one request to log in; `body` is what its method needs."""

    request: UInt32
    connection: UInt32
    method: Text
    body: Rest


@message(13)
class Failed(Message):
    """A request was refused; the reason that the worker knows."""

    connection: UInt32
    user: Text
    method: Text
    detail: Text


@message(14)
class Ended(Message):
    """A connection has ended."""

    connection: UInt32
    cause: Text  #: "", what it is punished for, or BAD_PROXY_HEADER
    received: UInt64  #: bytes, of the packets
    sent: UInt64
    key_exchange: Text  #: "" where there was none


#: The connection was refused before its first word of SSH.
BAD_PROXY_HEADER: Final = "proxy_header"


@message(16)
class LoggedIn(Message):
    """Where privileges are not separated: somebody was let in."""

    connection: UInt32
    user: Text
    method: Text


@message(17)
class Address(Message):
    """Whom a proxy speaks for: host and port of the client, then of the side that he has called."""

    connection: UInt32
    host: Text
    port: UInt32
    local_host: Text
    local_port: UInt32


@message(18)
class Terminal(Message):
    """From a session's process: it has opened a terminal."""

    name: Text


@message(15)
class Ready(Message):
    """The worker serves."""


# What the bodies hold.


@record
class Rules(Record):
    """What holds for a user before he has logged in: the answer to Prepare."""

    methods: NameList
    takes_certificates: Boolean
    max_tries: UInt32
    user_keys: NameList  #: the algorithms that he may use
    banner: Text


@record
class KeyQuestion(Record):
    """The method `publickey`."""

    key: String
    algorithm: Text
    signed: Boolean
    signature: String
    host_key: String


@record
class HostQuestion(Record):
    """The method `hostbased`."""

    key: String
    algorithm: Text
    signature: String
    host: Text
    local_user: Text


@record
class PasswordQuestion(Record):
    """The method `password`, and (with `new`) the change of a password."""

    old: Text
    change: Boolean
    new: Text


@record
class Granted(Record):
    """Who was let in, and how."""

    method: Text
    key: Text


# What an answer is.

REFUSED: Final = 0
ACCEPTABLE: Final = 1  #: a key that would let in
GRANTED: Final = 2
PARTIAL: Final = 3  #: body: the methods that go on
EXPIRED: Final = 4  #: body: the prompt for a new password
QUESTIONS: Final = 5
RULES: Final = 6
SIGNATURE: Final = 7
FAULT: Final = 8  #: body: why there is none
