"""The agent protocol, both sides, without I/O (RFC 9987 and OpenSSH's extensions to it)."""
