"""Telnet (RFC 854), both sides, without I/O."""
