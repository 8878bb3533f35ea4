"""Sharing one connection among programs: OpenSSH's multiplexing protocol, both sides of it (PROTOCOL.mux)."""
