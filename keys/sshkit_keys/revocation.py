"""Which keys and certificates are revoked: key revocation lists (PROTOCOL.krl in OpenSSH's sources)."""


class RevocationList:
    """Being written."""

    __slots__ = ()
