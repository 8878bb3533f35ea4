"""Finds the object that an unfinished piece of source is about, without running code.

Used by completion, signatures and documentation.  The text before the cursor is walked by a small scanner,
which knows strings, comments and brackets; the expression is evaluated as that of a read-only key would be,
with a few attributes more (`__class__`), since nothing but its names is shown.
"""

import ast
import builtins
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from . import static
from .access import NotAllowed
from .expressions import Expression
from .safe_calls import Method

#: Characters before the cursor that are looked at.
FARTHEST: Final = 50_000

_PIECES: Final = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>(?P<prefix>[rRbBuUfFtT]{0,2})(?P<quote>\"\"\"|'''|\"|'))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)|(?P<end>\n)|(?P<other>\w+|.)"
)


class Bracket(NamedTuple):
    """A bracket that is open at the cursor."""

    kind: str
    position: int
    commas: int
    last_comma: int  #: where the present argument begins


class Place(NamedTuple):
    """What surrounds the cursor."""

    brackets: tuple[Bracket, ...]
    string: int  #: where the content of the string begins that the cursor is in; -1: in none
    quote: str
    comment: bool


def place(source: str) -> Place:
    """Scan the text before the cursor."""
    brackets: list[Bracket] = []
    position = 0
    while position < len(source):
        found = _PIECES.match(source, position)
        if found is None:  # cannot be: the last alternative takes any character but a newline
            break
        position = found.end()
        kind = found.lastgroup
        if kind == "comment" and position == len(source):
            return Place(tuple(brackets), -1, "", True)
        if found["string"] is not None:
            end = _end_of_string(source, position, found["quote"])
            if end < 0:
                return Place(tuple(brackets), position, found["quote"], False)
            position = end
        elif kind == "open":
            brackets.append(Bracket(found[0], found.start(), 0, position))
        elif kind == "close" and brackets:
            brackets.pop()
        elif kind == "comma" and brackets:
            last = brackets[-1]
            brackets[-1] = last._replace(commas=last.commas + 1, last_comma=position)
    return Place(tuple(brackets), -1, "", False)


def _end_of_string(source: str, position: int, quote: str) -> int:
    """Return where the string ends; -1 if it does not before the cursor."""
    while position < len(source):
        if source[position] == "\\":
            position += 2
        elif source.startswith(quote, position):
            return position + len(quote)
        elif source[position] == "\n" and len(quote) == 1:
            return position  # an error in the source: the next line begins afresh
        else:
            position += 1
    return -1


_CLOSING: Final = {")": "(", "]": "[", "}": "{"}


def expression_before(source: str, end: int) -> str:
    """Return the expression that ends at `end`: names, attributes, literals, subscripts and calls."""
    start = end
    while start > 0:
        character = source[start - 1]
        if character.isalnum() or character in "_.":
            start -= 1
        elif character in _CLOSING:
            opening = _opening(source, start - 1)
            if opening < 0:
                break
            start = opening
            if start == 0 or not (source[start - 1].isalnum() or source[start - 1] in "_)]\"'"):
                break
        elif character in "\"'":
            opening = source.rfind(character, 0, start - 1)
            if opening < 0:
                break
            start = opening
            break
        else:
            break
    return source[start:end]


def _opening(source: str, closing: int) -> int:
    """Return where the bracket was opened that closes here; -1 if nowhere."""
    depth = 0
    position = closing
    while position >= 0:
        character = source[position]
        if character in _CLOSING:
            depth += 1
        elif character in "([{":
            depth -= 1
            if not depth:
                return position
        elif character in "\"'":
            position = source.rfind(character, 0, position)
            if position < 0:
                return -1
        position -= 1
    return -1


class Peek(Expression):
    """An evaluation whose result is only looked at: it may pass by what leads into running code."""

    __slots__ = ()

    def name(self, node: ast.Name) -> Any:
        """Find a name, any builtin one as well."""
        try:
            return super().name(node)
        except (NameError, NotAllowed):
            if hasattr(builtins, node.id):
                return getattr(builtins, node.id)
            raise

    def read(self, value: Any, name: str) -> Any:
        """Read an attribute as it is stored; functions come as they are in the class."""
        if name == "__class__":
            return type(value)
        if type(value) is Method:
            value = method_of(value)
        found = static.attribute(value, name)
        if found is not None and type(found.value) in static.METHODS:
            if type(found.value) is staticmethod:
                return found.value.__func__
            of_class = static.is_class(value) and type(found.value) is not classmethod
            return found.value if found.owner is None or of_class else Method(value, name)
        return super().read(value, name)


def method_of(method: Method) -> Any:
    """Return the function behind a method that was read."""
    found = static.attribute(method.value, method.name)
    return None if found is None else found.value


class Nothing:
    """Says that nothing was found: None is a value."""

    __slots__ = ()


NOTHING: Final = Nothing()


def peek(expression: str, namespace: Mapping[str, Any], *, evaluate: bool = False) -> Any:
    """Return what an expression stands for, NOTHING if that cannot be said; never raises."""
    if not expression or len(expression) > FARTHEST:
        return NOTHING
    try:
        return Peek(namespace).run(ast.parse(expression.strip(), "<peek>", "eval").body)
    except Exception:
        if not evaluate:
            return NOTHING
    try:
        return eval(expression, dict(namespace))
    except Exception:
        return NOTHING
