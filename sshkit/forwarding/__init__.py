"""Forwards of TCP ports and UNIX sockets through a connection; used by the client and by the server."""
