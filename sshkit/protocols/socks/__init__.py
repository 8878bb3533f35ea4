"""The server's side of SOCKS 4, 4a and 5 (RFC 1928), without I/O."""
