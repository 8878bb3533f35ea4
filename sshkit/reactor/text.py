"""Addresses and foreign text for error messages: one line, nothing that a terminal would obey."""

from typing import Any


def shown(text: str | bytes) -> str:
    """Return `text` with everything escaped that is not printable (control and direction characters)."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shown_address(address: Any) -> str:
    """Return a socket address as people write it: host:port, [host]:port or a path."""
    if isinstance(address, tuple):
        host, port = shown(address[0]), address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return shown(address) if isinstance(address, str | bytes) else repr(address)


def shown_error(error: BaseException) -> str:
    """Return what went wrong, without Python's "[Errno 111]" before it."""
    if isinstance(error, OSError) and error.strerror:
        return shown(error.strerror)
    return shown(str(error)) or type(error).__name__
