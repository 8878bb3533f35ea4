"""Protocols beside SSH, each in a room of its own and free of I/O."""
