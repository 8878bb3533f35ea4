"""Shows a value to a person: laid out, bounded, and whatever its `__repr__` does.

Called by the interpreter for the value of an input, by tracebacks for locals and by the magic commands.
Containers of exactly a builtin type are laid out here, with bounds on depth, items and length; everything
else is asked for its `repr`, which is caught when it raises and cut when it is long.  A `__repr__` that never
ends can only be stopped from outside: the interpreter does so in threaded mode after `Limits.seconds`; in the
loop's thread nothing can.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from itertools import islice
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from sshkit_keys.text import printable


class Limits(NamedTuple):
    """How much of a value is shown."""

    characters: int = 20_000
    lines: int = 200
    depth: int = 6
    items: int = 100  #: of one container
    seconds: float = 2.0  #: that a `__repr__` may take where it can be stopped: in threaded mode

    def larger(self, factor: int = 8) -> "Limits":
        """Return limits for somebody who asked for more."""
        return Limits(
            self.characters * factor,
            self.lines * factor,
            self.depth * 2,
            self.items * factor,
            self.seconds * factor,
        )


#: What says that there is more than is shown.
DOTS: Final = "..."

_OPEN_CLOSE: Final[dict[Any, tuple[str, str]]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_EMPTY: Final[dict[Any, str]] = {set: "set()", frozenset: "frozenset()"}
_SCALARS: Final = frozenset({int, float, complex, bool, type(None), type(Ellipsis), type(NotImplemented)})
#: What tells of itself without running code of the program, whatever it holds.
_PLAIN_REPR: Final[frozenset[type]] = frozenset({range, date, timedelta})
#: Digits above which an int is not converted: Python refuses it by itself at 4300 and more.
_MANY_BITS: Final = 12_000


#: Containers of more than so many items, all shorter than this, are filled into lines.
_FILLED: Final = 10
_SHORT: Final = 20


class Shown(NamedTuple):
    """Text of a value, and whether some of it was left out."""

    text: str
    cut: bool


class Layout:
    """One value on its way to text: counts what it has used."""

    __slots__ = ("_ask", "_cut", "_left", "_limits", "_open")

    def __init__(self, limits: Limits, ask: Callable[[Any], str]) -> None:
        self._limits = limits
        self._ask = ask
        self._left = limits.characters
        self._cut = False
        self._open: set[int] = set()  # containers that are being laid out: one inside itself is seen

    def run(self, value: Any, width: int) -> Shown:
        """Return the text of `value`."""
        text = self._one(value, 0, width)
        lines = text.split("\n")
        if len(lines) > self._limits.lines:
            lines = lines[: self._limits.lines]
            self._cut = True
        text = "\n".join(lines)
        if len(text) > self._limits.characters:
            text = text[: self._limits.characters]
            self._cut = True
        return Shown(text, self._cut)

    def _one(self, value: Any, indent: int, width: int) -> str:
        kind = type(value)
        if kind in _OPEN_CLOSE:
            return self._container(value, kind, indent, width)
        if kind is str or kind is bytes or kind is bytearray:
            if len(value) > self._left:
                self._cut = True
                value = value[: max(self._left, 0)]
                return self._take(repr(value) + DOTS)
            return self._take(repr(value))
        if kind is int and value.bit_length() > _MANY_BITS:
            self._cut = True
            return self._take(f"<int of {value.bit_length()} bits>")
        return self._take(repr(value) if kind in _SCALARS else self._ask(value))

    def _take(self, text: str) -> str:
        if len(text) > self._left:
            text = text[: max(self._left, 0)] + DOTS
            self._cut = True
        self._left -= len(text)
        return text

    def _container(self, value: Any, kind: type, indent: int, width: int) -> str:
        opening, closing = _OPEN_CLOSE[kind]
        if not value:
            return self._take(_EMPTY.get(kind, opening + closing))
        if id(value) in self._open:
            return self._take(f"<{kind.__name__} inside itself>")
        if len(self._open) >= self._limits.depth:
            self._cut = True
            return self._take(f"{opening}{DOTS}{closing}")
        self._open.add(id(value))
        try:
            parts = list(self._parts(value, kind, indent + 1, width))
        finally:
            self._open.discard(id(value))
        single = kind is tuple and len(value) == 1
        flat = f"{opening}{', '.join(parts)}{',' if single else ''}{closing}"
        if len(flat) + indent <= width and "\n" not in flat:
            return flat
        if kind is not dict and len(parts) > _FILLED and all(len(part) < _SHORT for part in parts):
            parts = _filled(parts, width - indent - len(opening) - 1)
        separator = ",\n" + " " * (indent + len(opening))
        return f"{opening}{separator.join(parts)}{',' if single else ''}{closing}"

    def _parts(self, value: Any, kind: type, indent: int, width: int) -> Iterator[str]:
        shown = 0
        total = len(value)
        # A copy of the first few: the program may change it while a `__repr__` runs.
        if kind is dict:
            for key, item in list(islice(value.items(), self._limits.items)):
                if self._left <= 0:
                    break
                name = self._one(key, indent, width)
                yield f"{name}: {self._one(item, indent + min(len(name) + 2, 24), width)}"
                shown += 1
        else:
            for item in self._in_order(islice(value, self._limits.items), kind):
                if self._left <= 0:
                    break
                yield self._one(item, indent, width)
                shown += 1
        if shown < total:
            self._cut = True
            yield f"{DOTS} {total - shown} more"

    @staticmethod
    def _in_order(items: Iterable[Any], kind: type) -> list[Any]:
        found = list(items)
        if kind in (set, frozenset) and {type(item) for item in found} in ({int}, {str}):
            found.sort()
        return found


def _filled(parts: list[str], width: int) -> list[str]:
    """Put as many short parts on a line as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def guarded_repr(value: Any) -> str:
    """Return `repr(value)`, or say how it failed; an interruption and an exit pass."""
    try:
        text = repr(value)
    except Exception as error:
        try:
            said = str(error)
        except Exception:
            said = "whose text cannot be had either"
        return f"<{named(type(value))} whose repr raised {type(error).__name__}: {printable(said)}>"
    return text if type(text) is str else str.__str__(text)


def static_repr(value: Any) -> str:
    """Return a text for any value without running code of its class."""
    kind = type(value)
    if type in type.__dict__["__mro__"].__get__(kind):
        return f"<class {named(value)}>"
    if kind is FunctionType or kind is BuiltinFunctionType:
        return f"<function {printable(value.__qualname__)}>"
    if kind is ModuleType:
        name = value.__dict__.get("__name__")
        return f"<module {printable(name) if type(name) is str else '?'}>"
    if kind in (datetime, time) and (value.tzinfo is None or type(value.tzinfo) is timezone):
        return repr(value)  # another time zone would be asked for its own text
    if kind in _PLAIN_REPR:
        return repr(value)
    return f"<{named(kind)} at {id(value):#x}>"


def named(kind: type) -> str:
    """Return the name of a class with its module, without asking its metaclass."""
    namespace: Any = type.__dict__["__dict__"].__get__(kind)
    module = namespace.get("__module__", "builtins")
    name = type.__dict__["__qualname__"].__get__(kind)
    text = name if module == "builtins" or type(module) is not str else f"{module}.{name}"
    return printable(text)


def render(
    value: Any, limits: Limits, *, width: int = 80, colours: bool = False, static: bool = False
) -> Shown:
    """Return the text of a value and whether it was cut; `static`: without running any class' code."""
    shown = Layout(limits, static_repr if static else guarded_repr).run(value, max(width, 20))
    if colours:
        return Shown(coloured(shown.text), shown.cut)
    return shown


def show(value: Any, limits: Limits, *, width: int = 80, colours: bool = False) -> str:
    """Return the text of a value, with a line that says how to see more where it was cut."""
    shown = render(value, limits, width=width, colours=colours)
    return f"{shown.text}\n{more_line()}" if shown.cut else shown.text


def more_line() -> str:
    """Return the line under a value that was cut."""
    return "[cut: %more shows more, print(_) all of it]"


def coloured(text: str) -> str:
    """Return `text` with the colours of `rich`, where that is installed; else as it is."""
    try:
        from io import StringIO

        from rich.console import Console
        from rich.highlighter import ReprHighlighter
    except ImportError:
        return text
    console = Console(file=StringIO(), force_terminal=True, color_system="standard", width=100_000)
    with console.capture() as capture:
        console.print(ReprHighlighter()(text), end="", soft_wrap=True)
    return capture.get()


def guarded_str(value: Any) -> str:
    """Return `str(value)`, or what can be said where that raises."""
    try:
        text = str(value)
    except Exception:
        return guarded_repr(value)
    return text if type(text) is str else str.__str__(text)
