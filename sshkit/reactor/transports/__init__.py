"""Transports: byte streams on sockets, pipes and standard input and output."""
