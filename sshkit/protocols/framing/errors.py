"""What a peer can do wrong with the frames of a stream, and what our caller can."""

from sshkit_keys.errors import SSHKitError


class FramingError(SSHKitError):
    """A frame is longer than allowed, or none at all; from a peer the connection ends with it."""
