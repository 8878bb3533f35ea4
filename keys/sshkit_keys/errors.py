"""The root of every error that sshkit raises on purpose, and the errors of keys and trust files.

Level 0: everything else derives its errors from here.
"""


class SSHKitError(Exception):
    """Root of everything sshkit raises on purpose."""


class WireError(SSHKitError, ValueError):
    """Bytes that are not the SSH data type they should be (RFC 4251 section 5)."""
