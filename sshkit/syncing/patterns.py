"""Which names take part: patterns to include and exclude, a subset of rsync's (rsync(1), FILTER RULES).

The first rule that fits decides; where none does, the name takes part.  ``*`` and ``?`` stop at a slash,
``**`` does not, ``[...]`` is a class, ``\\`` takes the next character as it is.  A pattern that begins with a
slash fits from the top of the tree, another one the end of a path, at a slash; one that ends with a slash
fits directories only, and ``name/***`` a directory and all in it.  What lies in an excluded directory is not
looked at.
"""

import re
from collections.abc import Iterable

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import quoted

from sshkit.sftp.messages import to_wire


class PatternError(SSHKitError):
    """A pattern that means nothing."""


class Rule:
    """One pattern."""

    __slots__ = ("expression", "folders_only", "include")

    def __init__(self, pattern: str | bytes, include: bool) -> None:
        raw = to_wire(pattern)
        body = raw.strip(b"/") if raw.endswith(b"/") else raw.lstrip(b"/")
        if not body:
            raise PatternError(f"pattern {quoted(raw)} fits nothing")
        self.include = include
        self.folders_only = raw.endswith(b"/")
        start = rb"\A" if raw.startswith(b"/") else rb"(?:\A|.*/)"
        self.expression = re.compile(b"(?s:" + start + _translate(body) + rb")\Z")

    def fits(self, path: bytes, is_dir: bool) -> bool:
        """Tell whether a path, relative to the top, is meant."""
        return (is_dir or not self.folders_only) and self.expression.match(path) is not None


def _translate(body: bytes) -> bytes:
    tail = b""
    if body.endswith(b"/***"):
        body, tail = body[:-4], rb"(?:/.*)?"
    out: list[bytes] = []
    position = 0
    while position < len(body):
        char = body[position : position + 1]
        position += 1
        if char == b"*":
            stars = 1
            while body[position : position + 1] == b"*":
                position += 1
                stars += 1
            out.append(b"[^/]*" if stars == 1 else b".*")
        elif char == b"?":
            out.append(b"[^/]")
        elif char == b"[":
            close = body.find(b"]", position + (2 if body[position : position + 1] in (b"!", b"^") else 1))
            if close < 0:
                raise PatternError(f"pattern {quoted(body)}: a '[' without its ']'")
            inside = body[position:close]
            position = close + 1
            negated = inside[:1] in (b"!", b"^")
            inside = re.sub(rb"([\\\[\]&~|^])", rb"\\\1", inside[1:] if negated else inside)
            out.append(b"(?!/)[" + (b"^" if negated else b"") + inside + b"]")
        elif char == b"\\" and position < len(body):
            out.append(re.escape(body[position : position + 1]))
            position += 1
        else:
            out.append(re.escape(char))
    try:
        re.compile(b"".join(out))
    except re.error as error:
        raise PatternError(f"pattern {quoted(body)}: {error}") from None
    return b"".join(out) + tail


class Filter:
    """Rules in order."""

    __slots__ = ("rules",)

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)

    def excludes(self, path: bytes, is_dir: bool) -> bool:
        """Tell whether a path takes no part."""
        for rule in self.rules:
            if rule.fits(path, is_dir):
                return not rule.include
        return False


def parse_rule(text: str, include: bool = False) -> Rule:
    """Return the rule of a line: ``+ pattern``, ``- pattern``, or a pattern alone."""
    if text[:2] in ("+ ", "- "):
        return Rule(text[2:], text[0] == "+")
    return Rule(text, include)


def parse_lines(text: str, include: bool = False) -> list[Rule]:
    """Return the rules of a file; lines that are empty or begin with # or ; are none."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [parse_rule(line, include) for line in lines if line.strip() and line[0] not in "#;"]
