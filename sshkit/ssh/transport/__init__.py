"""The transport layer of SSH (RFC 4253)."""
