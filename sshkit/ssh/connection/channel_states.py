"""When a channel may carry what: one table (RFC 4254 section 5.3).

A channel ends twice, once in each direction, and each direction ends in two steps: EOF, then CLOSE.
`Channel` advances for EOF and CLOSE only; data packets look at `receives` instead.
"""

from typing import Final

from sshkit.ssh.errors import LocalProtocolError, RemoteProtocolError

# Plain numbers, since an Enum as a key hashes in Python.
OPEN: Final = 0
EOF_SENT: Final = 1  #: we send no more data
EOF_RECEIVED: Final = 2  #: the peer sends no more data
EOF_BOTH: Final = 3
CLOSE_SENT: Final = 4  #: we send nothing; what still comes is dropped until the peer's CLOSE
CLOSED: Final = 5  #: the number may be reused
NAMES: Final = ("open", "EOF sent", "EOF received", "EOF both ways", "CLOSE sent", "closed")

SEND_EOF: Final = 0
RECEIVE_EOF: Final = 1
SEND_CLOSE: Final = 2
RECEIVE_CLOSE: Final = 3
EVENTS: Final = ("sending EOF", "a received EOF", "sending CLOSE", "a received CLOSE")

NEXT: Final = {
    (OPEN, SEND_EOF): EOF_SENT,
    (OPEN, RECEIVE_EOF): EOF_RECEIVED,
    (OPEN, SEND_CLOSE): CLOSE_SENT,
    (OPEN, RECEIVE_CLOSE): CLOSED,
    (EOF_SENT, RECEIVE_EOF): EOF_BOTH,
    (EOF_SENT, SEND_CLOSE): CLOSE_SENT,
    (EOF_SENT, RECEIVE_CLOSE): CLOSED,
    (EOF_RECEIVED, SEND_EOF): EOF_BOTH,
    (EOF_RECEIVED, SEND_CLOSE): CLOSE_SENT,
    (EOF_RECEIVED, RECEIVE_CLOSE): CLOSED,
    (EOF_BOTH, SEND_CLOSE): CLOSE_SENT,
    (EOF_BOTH, RECEIVE_CLOSE): CLOSED,
    (CLOSE_SENT, RECEIVE_EOF): CLOSE_SENT,
    (CLOSE_SENT, RECEIVE_CLOSE): CLOSED,
}
RECEIVES: Final = (
    True,
    True,
    False,
    False,
    True,
    False,
)  #: by state: data may come (dropped after CLOSE sent)
SENDS: Final = (True, False, True, False, False, False)  #: by state: data may leave


def advance(state: int, event: int) -> int:
    """Return the next state; where the table has none, raise the error of whoever broke it."""
    try:
        return NEXT[state, event]
    except KeyError:
        blame = RemoteProtocolError if event in (RECEIVE_EOF, RECEIVE_CLOSE) else LocalProtocolError
        raise blame(f"{EVENTS[event]} is not allowed on a channel that is: {NAMES[state]}") from None
