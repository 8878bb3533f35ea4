"""Cuts a stream of bytes into agent messages.  Called by both sides.

No more is kept than one message of the largest size and one read; a length beyond the limit is an error
before anything is kept for it (rules R18 and R40).
"""

from sshkit_keys.errors import WireError

from sshkit.ssh.agent.messages import MAX_MESSAGE


class Frames:
    """What has arrived and was not taken yet."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._data += data

    def next(self) -> bytes | None:
        """Return the next whole message, None if there is none yet; WireError for an impossible length."""
        data = self._data
        if len(data) < 4:
            return None
        size = int.from_bytes(data[:4], "big")
        if not 1 <= size <= MAX_MESSAGE:
            raise WireError(f"an agent message of {size} bytes; 1 to {MAX_MESSAGE} are allowed")
        if len(data) < 4 + size:
            return None
        message = bytes(data[4 : 4 + size])
        del data[: 4 + size]
        return message

    def clear(self) -> None:
        """Forget everything."""
        self._data.clear()
