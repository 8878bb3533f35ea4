"""Variables that telnet's two sides tell each other (RFC 1572), and which of them a server takes.

Called by `sshkit.protocols.telnet.server` and `client`.  As over SSH, a server takes names of the language's
settings only (rule R29).
"""

import re

from .options import ESCAPE, USER_VARIABLE, VALUE, VARIABLE

#: More variables than this in one message are not looked at.
MAX_VARIABLES = 32
#: Longest name and value that are taken.
MAX_LENGTH = 256

_ALLOWED = re.compile(r"LANG|LANGUAGE|LC_[A-Z]{1,20}")
_MARKED = re.compile(rb"\x02(.)|([\x00\x01\x03])|([^\x00-\x03]+)|\x02", re.DOTALL)
_SPECIAL = re.compile(rb"[\x00-\x03]")


def parse_variables(body: bytes) -> dict[str, str]:
    """Return the variables that an IS or INFO message tells, of allowed names, printable and in UTF-8."""
    found: list[tuple[bytearray, bytearray | None]] = []
    target: bytearray | None = None
    for escaped, mark, text in _MARKED.findall(body):
        if not mark:
            if target is not None:
                target += escaped or text
        elif mark[0] == VALUE:
            if found:
                target = bytearray()
                found[-1] = (found[-1][0], target)
        elif len(found) == MAX_VARIABLES:
            break
        else:
            target = bytearray()
            found.append((target, None))
    variables = {}
    for name, value in found:
        if value is not None and max(len(name), len(value)) <= MAX_LENGTH:
            key, text = name.decode("ascii", "replace"), value.decode("utf-8", "replace")
            if _ALLOWED.fullmatch(key) and text.isprintable():
                variables[key] = text
    return variables


def format_variables(variables: dict[str, str]) -> bytes:
    """Return variables as an IS message has them (without its first byte)."""
    parts = bytearray()
    for name, value in variables.items():
        parts += bytes((USER_VARIABLE if name not in _WELL_KNOWN else VARIABLE,)) + _escape(name)
        parts += bytes((VALUE,)) + _escape(value)
    return bytes(parts)


#: RFC 1572 section 3; every other name is a user's variable.
_WELL_KNOWN = frozenset(("USER", "JOB", "ACCT", "PRINTER", "SYSTEMTYPE", "DISPLAY"))


def _escape(text: str) -> bytes:
    return _SPECIAL.sub(lambda found: bytes((ESCAPE,)) + found.group(), text.encode())
