"""Forwards as ssh_config and the command line write them: who listens, and where the connections go.

Called by `client_keywords` for LocalForward, RemoteForward and DynamicForward, by the command for -L, -R, -D
and -W, and by whoever adds a forward to a running connection.  The forms are those of ssh(1): fields with
colons between them, an IPv6 address in brackets, a field with a slash is a UNIX socket.
"""

from typing import NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

#: Kinds of forwards: who listens.
LOCAL, REMOTE, DYNAMIC = "local", "remote", "dynamic"
#: Bytes of a path that fit into a socket's address on Linux, with the NUL at the end.
MAX_PATH = 107


class InvalidForward(SSHKitError):
    """Text that says no forward."""


class Endpoint(NamedTuple):
    """A host and port, or a path alone.  `host` None: nothing was said about the address to listen at."""

    host: str | None
    port: int
    path: str | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return self.path
        if self.host is None:
            return str(self.port)
        return f"[{self.host}]:{self.port}"


class Forward(NamedTuple):
    """One forward; `target` None: whoever connects says where to (SOCKS)."""

    kind: str
    listen: Endpoint
    target: Endpoint | None

    def __str__(self) -> str:
        return str(self.listen) if self.target is None else f"{self.listen} {self.target}"


def parse_forward(text: str, kind: str) -> Forward:
    """Return the forward of ``[bind_address:]port:host:hostport`` and its like, or raise InvalidForward."""
    fields = _split(text)
    if fields is None:
        raise _invalid(text, kind)
    paths = [is_path for _, is_path in fields]
    words = [word for word, _ in fields]
    count = len(fields)
    target: Endpoint | None = None
    if count == 1:
        listen = _path(words[0]) if paths[0] else _at(None, words[0], text, 0)
    elif count == 2 and not any(paths):
        listen = _at(words[0], words[1], text, 0)
    elif count == 2 and paths[1]:
        listen = _path(words[0]) if paths[0] else _at(None, words[0], text, 0)
        target = _path(words[1])
    elif count == 3 and paths[0] and not any(paths[1:]):
        listen, target = _path(words[0]), _at(words[1], words[2], text, 1)
    elif count == 3 and paths[2] and not any(paths[:2]):
        listen, target = _at(words[0], words[1], text, 0), _path(words[2])
    elif count == 3 and not any(paths):
        listen, target = _at(None, words[0], text, 0), _at(words[1], words[2], text, 1)
    elif count == 4 and not any(paths):
        listen, target = _at(words[0], words[1], text, 0), _at(words[2], words[3], text, 1)
    else:
        raise _invalid(text, kind)
    if (kind == DYNAMIC) != (target is None) and not (kind == REMOTE and target is None):
        raise _invalid(text, kind)
    if target is not None and target.path is None and not target.host:
        raise _invalid(text, kind)
    return Forward(kind, listen, target)


def parse_host_port(text: str) -> Endpoint:
    """Return the endpoint of ``host:port``, ``[v6]:port`` or a path (-W, PermitRemoteOpen)."""
    fields = _split(text)
    if fields is not None and len(fields) == 1 and fields[0][1]:
        return _path(fields[0][0])
    if fields is None or len(fields) != 2 or any(is_path for _, is_path in fields) or not fields[0][0]:
        raise InvalidForward(f"{quoted(text)} is not host:port")
    return _at(fields[0][0], fields[1][0], text, 1)


def _split(text: str) -> list[tuple[str, bool]] | None:
    """Return the fields, and which of them are paths; None where brackets do not close."""
    fields: list[tuple[str, bool]] = []
    rest = text.strip()
    while True:
        if rest.startswith("["):
            inside, bracket, rest = rest[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                return None
            fields.append((inside, "/" in inside))
        else:
            word, end = _field(rest)
            fields.append((word, "/" in word))
            rest = rest[end:]
        if not rest:
            return fields
        rest = rest[1:]


def _field(text: str) -> tuple[str, int]:
    """Return the text up to a colon, with a backslash before a character that is meant as it is."""
    word: list[str] = []
    index = 0
    while index < len(text) and text[index] != ":":
        if text[index] == "\\" and index + 1 < len(text):
            index += 1
        word.append(text[index])
        index += 1
    return "".join(word), index


def _path(path: str) -> Endpoint:
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > MAX_PATH:
        raise InvalidForward(f"{quoted(path)} has {size} bytes; a UNIX socket's path may have {MAX_PATH}")
    return Endpoint(None, 0, path)


def _at(host: str | None, port: str, text: str, lowest: int) -> Endpoint:
    if not port.isascii() or not port.isdecimal() or len(port) > 5 or not lowest <= int(port) <= 65535:
        raise InvalidForward(f"{quoted(text)}: {quoted(port)} is not a port from {lowest} to 65535")
    return Endpoint(host, int(port))


def _invalid(text: str, kind: str) -> InvalidForward:
    forms = {
        DYNAMIC: "[bind_address:]port",
        LOCAL: "[bind_address:]port:host:hostport, with paths for UNIX sockets",
        REMOTE: "[bind_address:]port[:host:hostport], with paths for UNIX sockets",
    }
    return InvalidForward(f"{quoted(text)} is not a forward; write {forms[kind]}")
