"""The server: accept, let in, and give sessions to a handler."""
