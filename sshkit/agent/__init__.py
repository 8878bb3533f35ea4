"""Agents over UNIX sockets: `connect_agent` and `serve_agent`."""
