"""The functions and methods that expressions of read-only keys may call: two tables.

Used by `expressions`.  Each takes values of builtin types, or looks at others without running their code; a
function that is not in the table cannot be called, by whatever name it is reached.
"""

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from . import static
from .access import NotAllowed
from .display import Limits, named, render
from .safe_values import ITERABLE, LONGEST, SCALARS, TIMES, VIEWS, check_size, plain, plain_key, require_plain

if TYPE_CHECKING:
    from .expressions import Expression

Call = Callable[["Expression", list[Any], dict[str, Any]], Any]

#: Digits that round() may be asked for: more would make it compute a power of ten.
MOST_DIGITS: Final = 100

_LIMITS: Final = Limits(characters=LONGEST, lines=LONGEST, items=LONGEST)
_NUMBERS: Final = frozenset({int, float, complex, bool})
_CODECS: Final = frozenset({"utf-8", "utf8", "ascii", "latin-1", "latin1", "hex"})


def safe_repr(value: Any) -> str:
    """Return a bounded text of any value; no class of the program is asked for it."""
    return render(
        value, Limits(characters=LONGEST, lines=LONGEST, items=LONGEST), width=LONGEST, static=True
    ).text


def safe_str(value: Any) -> str:
    """Return `str(value)` of text, numbers and times; of all else what `safe_repr` says."""
    if type(value) in SCALARS and plain(value) and type(value) is not int:
        return str(value)
    return safe_repr(value)


class Function:
    """A builtin that may be called."""

    __slots__ = ("_function", "_least", "_most", "_name")

    def __init__(self, name: str, function: Call, least: int = 1, most: int = 1) -> None:
        self._name = name
        self._function = function
        self._least = least
        self._most = most

    def call(self, expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Call it, with the number of arguments that is allowed."""
        if not self._least <= len(arguments) <= self._most:
            raise NotAllowed(
                f"{self._name}() is allowed with {self._least} to {self._most} arguments, "
                f"not with {len(arguments)}"
            )
        if keywords and (self._name not in ("sorted", "min", "max") or "key" in keywords):
            raise NotAllowed(f"{self._name}() is not allowed with {', '.join(keywords)}=")
        return self._function(expression, arguments, keywords)


class Method:
    """A method that was read and not called yet."""

    __slots__ = ("name", "value")

    def __init__(self, value: Any, name: str) -> None:
        self.value = value
        self.name = name

    def call(self, expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Call it, if it is one of a builtin type that only reads."""
        kind = type(self.value)
        if self.name not in METHODS.get(kind, ()):
            raise NotAllowed(f"the method {self.name} of {named(kind)} is not allowed to this key")
        if keywords:
            raise NotAllowed(f"{self.name}() is not allowed with {', '.join(keywords)}=")
        for argument in arguments:
            if kind is not dict:
                require_plain(argument, f"an argument of {self.name}()")
        self._check(kind, arguments)
        found = getattr(self.value, self.name)(*arguments)
        return list(found) if type(found) in VIEWS else found

    def _check(self, kind: type, arguments: list[Any]) -> None:
        value, name = self.value, self.name
        if kind is dict:
            if name == "get" and arguments:
                plain_key(value, arguments[0])
        elif name != "copy":
            require_plain(value, f"the method {name}")
        if name == "replace" and len(arguments) > 1:
            check_size((len(value) + 1) * (len(arguments[1]) + 1))
        elif name == "join" and arguments:
            parts = arguments[0]
            check_size(sum(len(part) + len(value) for part in parts if type(part) in (str, bytes)))
        elif name in ("encode", "decode") and not all(
            type(argument) is str and argument.lower() in _CODECS for argument in arguments
        ):
            raise NotAllowed(f"{name}() is allowed with one of the codecs {', '.join(sorted(_CODECS))}")

    def __repr__(self) -> str:
        return f"<method {self.name}>"


def of_builtin(value: Any) -> Function | None:
    """Return what may be called for a builtin function or class; None for everything else."""
    for name, function in FUNCTIONS.items():
        if getattr(builtins, name) is value:
            return function
    return None


def _items(value: Any) -> list[Any]:
    from .expressions import iterate

    return list(iterate(value))


def _plain_items(value: Any) -> list[Any]:
    require_plain(value, "this call")
    return _items(value)


def _len(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> int:
    if type(arguments[0]) not in ITERABLE:
        raise NotAllowed("len() is allowed for builtin containers: others are asked by code of their own")
    return len(arguments[0])


def _isinstance(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> bool:
    value, kinds = arguments
    for kind in kinds if type(kinds) is tuple else (kinds,):
        if not static.is_class(kind):
            raise NotAllowed("isinstance() is allowed with classes and tuples of classes")
        if static.is_a(value, kind):
            return True
    return False


def _getattr(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if type(arguments[1]) is not str:
        raise TypeError("the name of an attribute is a string")
    try:
        return expression.read(arguments[0], arguments[1])
    except AttributeError:
        if len(arguments) == 3:
            return arguments[2]
        raise


def _hasattr(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> bool:
    return type(arguments[1]) is str and static.attribute(arguments[0], arguments[1]) is not None


def _callable(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> bool:
    return static.class_attribute(type(arguments[0]), "__call__") is not None


def _vars(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    value = arguments[0]
    if static.is_class(value):
        return {
            name: item for name, item in type.__dict__["__dict__"].__get__(value).items() if name[:2] != "__"
        }
    return {name: item for name, item in static.own_dict(value).items() if name != "__builtins__"}


def _sum(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = _items(arguments[0]) + arguments[1:]
    if not {type(item) for item in items} <= _NUMBERS:
        raise NotAllowed("sum() is allowed for numbers")
    return sum(items)


def _round(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
    digits = arguments[1] if len(arguments) > 1 else None
    if type(arguments[0]) not in _NUMBERS or type(digits) not in (int, type(None)):
        raise NotAllowed("round() is allowed for numbers")
    if digits is not None and abs(digits) > MOST_DIGITS:
        raise NotAllowed(f"round() to more than {MOST_DIGITS} digits is not allowed")
    return round(arguments[0], digits)


def _range(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> range:
    require_plain(arguments, "range()")
    return range(*arguments)


def _dict(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> dict[Any, Any]:
    if not arguments:
        return {}
    if type(arguments[0]) is dict:
        return dict(arguments[0])
    pairs = _items(arguments[0])
    if not all(type(pair) in (tuple, list) and len(pair) == 2 and plain(pair[0]) for pair in pairs):
        raise NotAllowed("dict() is allowed of a dict or of pairs whose first is of a builtin type")
    return dict(pairs)


def _of_numbers(function: Callable[[Any], Any]) -> Call:
    def call(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if type(arguments[0]) not in _NUMBERS | {str, bytes}:
            raise NotAllowed(f"{function.__name__}() is allowed for numbers and text")
        return function(arguments[0])

    return call


def _of_plain(function: Callable[..., Any]) -> Call:
    """A function that compares items: of one container, or of its arguments."""

    def call(expression: "Expression", arguments: list[Any], keywords: dict[str, Any]) -> Any:
        require_plain([arguments, keywords], f"{function.__name__}()")
        if len(arguments) == 1:
            return function(_items(arguments[0]), **keywords)
        return function(*arguments, **keywords)

    return call


def _truths(expression: "Expression", arguments: list[Any]) -> list[bool]:
    from .expressions import truth

    return [truth(item) for item in _items(arguments[0])]


#: Name -> what may be called under it; the functions of Python that are here only read.
FUNCTIONS: Final[dict[str, Function]] = {
    function._name: function
    for function in (
        Function("abs", _of_numbers(abs)),
        Function("all", lambda expression, given, _: all(_truths(expression, given))),
        Function("any", lambda expression, given, _: any(_truths(expression, given))),
        Function("bool", lambda expression, given, _: _truths(expression, [given])[0]),
        Function("callable", _callable),
        Function("chr", _of_numbers(chr)),
        Function("dict", _dict, 0),
        Function("dir", lambda _, given, __: sorted(set(static.names(given[0])))),
        Function("enumerate", lambda _, given, __: list(enumerate(_items(given[0])))),
        Function("float", _of_numbers(float)),
        Function("getattr", _getattr, 2, 3),
        Function("hasattr", _hasattr, 2, 2),
        Function("hex", _of_numbers(hex)),
        Function("id", lambda _, given, __: id(given[0])),
        Function("int", _of_numbers(int)),
        Function("isinstance", _isinstance, 2, 2),
        Function("len", _len),
        Function("list", lambda _, given, __: _items(given[0]) if given else [], 0),
        Function("max", _of_plain(max), 1, 100),
        Function("min", _of_plain(min), 1, 100),
        Function("ord", _of_numbers(ord)),
        Function("range", _range, 1, 3),
        Function("repr", lambda _, given, __: safe_repr(given[0])),
        Function("reversed", lambda _, given, __: _items(given[0])[::-1]),
        Function("round", _round, 1, 2),
        Function("set", lambda _, given, __: set(_plain_items(given[0])) if given else set(), 0),
        Function("sorted", _of_plain(sorted)),
        Function("str", lambda _, given, __: safe_str(given[0]) if given else "", 0),
        Function("sum", _sum, 1, 2),
        Function("tuple", lambda _, given, __: tuple(_items(given[0])) if given else (), 0),
        Function("type", lambda _, given, __: type(given[0])),
        Function("vars", _vars),
        Function("zip", lambda _, given, __: list(zip(*map(_items, given), strict=False)), 0, 20),
    )
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT: Final = (
    "upper lower title capitalize swapcase strip lstrip rstrip split rsplit splitlines partition rpartition "
    "startswith endswith find rfind index rindex count removeprefix removesuffix isdigit isalpha isalnum "
    "isspace isupper islower istitle isascii join replace"
)
_SETS: Final = "union intersection difference symmetric_difference issubset issuperset isdisjoint copy"
_TIMES: Final = "isoformat weekday isoweekday toordinal timestamp date time total_seconds"

#: Methods of builtin types that only read, and whose results are no larger than what went in.
METHODS: Final[dict[type, frozenset[str]]] = {
    str: _words(f"{_TEXT} encode casefold isdecimal isnumeric isidentifier isprintable"),
    bytes: _words(f"{_TEXT} decode hex"),
    dict: _words("get keys values items copy"),
    list: _words("index count copy"),
    tuple: _words("index count"),
    set: _words(_SETS),
    frozenset: _words(_SETS),
    int: _words("bit_length bit_count"),
    float: _words("is_integer hex"),
    range: _words("index count"),
    **{kind: _words(_TIMES) for kind in TIMES},
}
