"""Terminals: their modes on the wire."""
