"""Evaluates the expressions of keys that may look and not touch.

Called by the interpreter for `EXPRESSIONS`.  The syntax tree is walked here, node by node; nothing is
compiled or passed to `eval`.  What is not in the tables below is refused by name before anything is done
with it: no assignment, no lambda, no call but of the listed functions and methods of builtin types, no
attribute that runs code when it is read.  No code of the program runs: operators, comparisons, truth and
iteration are for values made of builtin types only.  Steps, sizes and numbers have bounds.
"""

import ast
import builtins
import operator
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from types import GetSetDescriptorType, ModuleType
from typing import Any, Final

from sshkit_keys.text import printable

from . import safe_calls, static
from .access import NotAllowed
from .safe_values import (
    ITERABLE,
    LONGEST,
    check_number,
    check_size,
    plain,
    plain_key,
    require_plain,
)

#: Nodes that one expression may evaluate, those of its loops counted each time.
MOST_STEPS: Final = 200_000

#: Seconds of one expression: each step is bounded, and many of them add up.
MOST_SECONDS: Final = 2.0

#: Characters of an expression.
LONGEST_SOURCE: Final = 10_000

#: Depth of an expression: the walk is recursive.
DEEPEST: Final = 60

#: Attributes with two underscores that tell about a thing and lead nowhere.
SAFE_DUNDERS: Final = frozenset(
    {"__name__", "__qualname__", "__module__", "__doc__", "__file__", "__version__"}
)

#: Attributes of frames, generators, code and tracebacks: they lead into running code.
UNSAFE_PREFIXES: Final = ("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_", "__")

#: Builtin types whose computed attributes (`datetime.year`) are plain values.
_GETSET_TYPES: Final = frozenset(
    {"int", "float", "complex", "datetime", "date", "time", "timedelta", "range"}
)

_BINARY: Final[dict[type, tuple[str, Callable[[Any, Any], Any]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.BitXor: ("^", operator.xor),
}
_UNARY: Final[dict[type, Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARE: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NUMBERS: Final = frozenset({int, float, complex, bool})

#: What a refused node is called in the message.
_CALLED: Final = {
    "Lambda": "lambda",
    "NamedExpr": "assignment (:=)",
    "Await": "await",
    "Yield": "yield",
    "YieldFrom": "yield",
    "GeneratorExp": "a generator expression (a list comprehension is allowed)",
    "Starred": "unpacking with *",
    "FormattedValue": "a format",
    "TemplateStr": "a template string",
}


def evaluate_expression(source: str, namespace: Mapping[str, Any]) -> Any:
    """Return the value of an expression; NotAllowed names what is refused in it."""
    if len(source) > LONGEST_SOURCE:
        raise NotAllowed(f"an expression of more than {LONGEST_SOURCE} characters is not allowed")
    try:
        tree = ast.parse(source.strip(), "<input>", "eval")
    except SyntaxError:
        statement = _first_statement(source)
        if statement is None:
            raise
        raise NotAllowed(f"a statement ({statement}) is not allowed to this key, only expressions") from None
    except (RecursionError, MemoryError):
        raise NotAllowed("an expression so deep is not allowed") from None
    return Expression(namespace).run(tree.body)


def _first_statement(source: str) -> str | None:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return type(body[0]).__name__.lower() if body else None


class Expression:
    """One evaluation."""

    __slots__ = ("_clock", "_deadline", "_depth", "_namespace", "_scopes", "_steps")

    def __init__(self, namespace: Mapping[str, Any], clock: Callable[[], float] = monotonic) -> None:
        self._namespace = namespace
        self._clock = clock
        self._deadline = clock() + MOST_SECONDS
        self._scopes: list[dict[str, Any]] = []
        self._steps = 0
        self._depth = 0

    def run(self, node: ast.expr) -> Any:
        """Evaluate one node."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise NotAllowed(f"an expression of more than {MOST_STEPS} steps is not allowed")
        if self._clock() > self._deadline:
            raise NotAllowed(f"an expression that takes more than {MOST_SECONDS:g} s is not allowed")
        handler = _HANDLERS.get(type(node))
        if handler is None:
            kind = type(node).__name__
            raise NotAllowed(f"{_CALLED.get(kind, kind)} is not allowed to this key")
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                raise NotAllowed(f"an expression more than {DEEPEST} deep is not allowed")
            return handler(self, node)
        finally:
            self._depth -= 1

    # Names and attributes

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def name(self, node: ast.Name) -> Any:
        """Find a name."""
        for scope in reversed(self._scopes):
            if node.id in scope:
                return scope[node.id]
        if node.id in self._namespace:
            if node.id == "__builtins__":
                raise NotAllowed("__builtins__ is not allowed to this key")
            return self._namespace[node.id]
        known = getattr(builtins, node.id, None)
        if node.id in safe_calls.FUNCTIONS or (known is not None and static.is_class(known)):
            return known
        if known is not None:
            raise NotAllowed(f"the builtin {node.id} is not allowed to this key")
        raise NameError(f"name {printable(node.id)!r} is not defined")

    def _attribute(self, node: ast.Attribute) -> Any:
        return self.read(self.run(node.value), node.attr)

    def read(self, value: Any, name: str) -> Any:
        """Read an attribute, if that runs no code."""
        if name.startswith(UNSAFE_PREFIXES) and name not in SAFE_DUNDERS:
            raise NotAllowed(f"the attribute {printable(name)} is not allowed to this key")
        if name in SAFE_DUNDERS:
            return self._dunder(value, name)
        found = static.attribute(value, name)
        if found is None:
            raise AttributeError(f"no attribute {printable(name)} can be seen without running code")
        kept = found.value
        if found.owner is None or static.is_slot(found):
            return kept if found.owner is None else kept.__get__(value)
        if type(kept) is GetSetDescriptorType and type(value).__name__ in _GETSET_TYPES:
            if type(value).__module__ in ("builtins", "datetime") and plain(value):
                return kept.__get__(value)
        elif type(kept) in static.METHODS:
            return safe_calls.Method(value, name)
        elif not static.is_descriptor(kept):
            return kept
        raise NotAllowed(f"the attribute {name} is computed: reading it runs code, which is not allowed")

    @staticmethod
    def _dunder(value: Any, name: str) -> Any:
        if static.is_class(value):
            if name in ("__name__", "__qualname__"):
                return type.__dict__[name].__get__(value)
            found = static.class_attribute(value, name)
        elif static.is_a(value, ModuleType) or name in static.own_dict(value):
            return static.own_dict(value).get(name)
        elif type(value) in static.METHODS:
            return getattr(value, name, None)
        else:
            found = static.class_attribute(type(value), name)
        kept = None if found is None else found.value
        if type(kept) not in (str, type(None)):
            raise NotAllowed(f"the attribute {name} is computed: reading it runs code, which is not allowed")
        return kept

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self.run(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            ends = [None if part is None else self.run(part) for part in parts]
            if any(type(end) not in (int, bool, type(None)) for end in ends):
                raise NotAllowed("a slice by anything but integers is not allowed")
            key: Any = slice(*ends)
            allowed: tuple[type, ...] = (list, tuple, str, bytes, range)
        else:
            key = self.run(node.slice)
            allowed = (list, tuple, str, bytes, range)
            if type(value) is dict:
                plain_key(value, key)
                return value[key]
            if type(key) not in (int, bool):
                raise NotAllowed("a subscript by anything but an integer is allowed for dict only")
        if type(value) not in allowed:
            raise NotAllowed(f"subscripts of {static_name(value)} are not allowed: they run code")
        return value[key]

    # Operators

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.run(node.left), self.run(node.right)
        sign, function = _BINARY.get(type(node.op), ("@", None))
        if function is None:
            raise NotAllowed(f"the operator {sign} is not allowed to this key")
        kinds = {type(left), type(right)}
        if kinds <= _NUMBERS:
            check_number(sign, left, right)
            return function(left, right)
        if len(kinds) == 1 and sign == "+" and kinds <= {str, bytes, list, tuple}:
            check_size(len(left) + len(right))
            return function(left, right)
        if sign == "*" and int in kinds and kinds & {str, bytes, list, tuple}:
            text, times = (right, left) if type(left) is int else (left, right)
            check_size(len(text) * max(times, 0))
            return function(left, right)
        if len(kinds) == 1 and sign in "-&|^" and kinds <= {set, frozenset}:
            require_plain(left, f"the operator {sign}")
            require_plain(right, f"the operator {sign}")
            return function(left, right)
        raise NotAllowed(
            f"the operator {sign} is not allowed for {static_name(left)} and {static_name(right)}"
        )

    def _unary(self, node: ast.UnaryOp) -> Any:
        value = self.run(node.operand)
        if isinstance(node.op, ast.Not):
            return not truth(value)
        if type(value) not in _NUMBERS:
            raise NotAllowed(f"a sign before {static_name(value)} is not allowed")
        return _UNARY[type(node.op)](value)

    def _boolean(self, node: ast.BoolOp) -> Any:
        stops = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.run(part)
            if truth(value) is stops:
                break
        return value

    def _if(self, node: ast.IfExp) -> Any:
        return self.run(node.body if truth(self.run(node.test)) else node.orelse)

    def _compare(self, node: ast.Compare) -> Any:
        left = self.run(node.left)
        for sign, part in zip(node.ops, node.comparators, strict=True):
            right = self.run(part)
            if not _compared(sign, left, right):
                return False
            left = right
        return True

    # Containers

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        items = [self.run(item) for item in node.elts]
        if isinstance(node, ast.List):
            return items
        if isinstance(node, ast.Tuple):
            return tuple(items)
        for item in items:
            require_plain(item, "a set")
        return set(items)

    def _dict(self, node: ast.Dict) -> Any:
        made: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise NotAllowed("unpacking with ** is not allowed to this key")
            name = self.run(key)
            require_plain(name, "the key of a dict")
            made[name] = self.run(value)
        return made

    def _list_comprehension(self, node: ast.ListComp) -> Any:
        return self._collect(node.generators, lambda: self.run(node.elt))

    def _set_comprehension(self, node: ast.SetComp) -> Any:
        items = self._collect(node.generators, lambda: self.run(node.elt))
        for item in items:
            require_plain(item, "a set")
        return set(items)

    def _dict_comprehension(self, node: ast.DictComp) -> Any:
        pairs = self._collect(node.generators, lambda: (self.run(node.key), self.run(node.value)))
        for key, _ in pairs:
            require_plain(key, "the key of a dict")
        return dict(pairs)

    def _collect(self, generators: list[ast.comprehension], make: Callable[[], Any]) -> list[Any]:
        found: list[Any] = []
        scope: dict[str, Any] = {}
        self._scopes.append(scope)
        try:
            for _ in self._loop(generators, scope):
                found.append(make())
                check_size(len(found))
        finally:
            self._scopes.pop()
        return found

    def _loop(self, generators: list[ast.comprehension], scope: dict[str, Any]) -> Iterator[None]:
        first, *rest = generators
        if first.is_async:
            raise NotAllowed("async for is not allowed to this key")
        for item in iterate(self.run(first.iter)):
            self._bind(first.target, item, scope)
            if all(truth(self.run(test)) for test in first.ifs):
                if rest:
                    yield from self._loop(rest, scope)
                else:
                    yield

    def _bind(self, target: ast.expr, item: Any, scope: dict[str, Any]) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = item
        elif isinstance(target, (ast.Tuple, ast.List)) and type(item) in (tuple, list):
            for part, value in zip(target.elts, item, strict=True):
                self._bind(part, value, scope)
        else:
            raise NotAllowed("a comprehension may only bind names, to tuples and lists")

    def _joined(self, node: ast.JoinedStr) -> str:
        pieces: list[str] = []
        for part in node.values:
            if not isinstance(part, ast.FormattedValue):
                pieces.append(str(self.run(part)))
            elif part.format_spec is not None:
                raise NotAllowed("a format specification is not allowed to this key")
            else:
                shown = safe_calls.safe_str if part.conversion == -1 else safe_calls.safe_repr
                pieces.append(shown(self.run(part.value)))
            check_size(sum(map(len, pieces)))
        return "".join(pieces)

    # Calls

    def _call(self, node: ast.Call) -> Any:
        function = self.run(node.func)
        if type(function) is not safe_calls.Method:
            function = safe_calls.of_builtin(function)
        if function is None:
            raise NotAllowed(
                f"calling {printable(ast.unparse(node.func), 60)} is not allowed to this key: "
                f"{', '.join(safe_calls.FUNCTIONS)} and methods of builtin types that only read are"
            )
        arguments = [self.run(argument) for argument in node.args]
        keywords: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise NotAllowed("unpacking with ** is not allowed to this key")
            keywords[keyword.arg] = self.run(keyword.value)
        return function.call(self, arguments, keywords)


def static_name(value: object) -> str:
    """Return the name of a value's class without running code."""
    from .display import named

    return named(type(value))


def truth(value: Any) -> bool:
    """Return whether a builtin value is true; others would be asked by their own code."""
    if type(value) in ITERABLE or type(value) in _NUMBERS or value is None:
        return bool(value)
    raise NotAllowed(f"the truth of {static_name(value)} is not allowed to be asked: compare with `is None`")


def iterate(value: Any) -> Iterator[Any]:
    """Walk a builtin container, a bounded number of steps."""
    if type(value) not in ITERABLE:
        raise NotAllowed(f"a loop over {static_name(value)} is not allowed: it runs code")
    if len(value) > LONGEST:
        raise NotAllowed(f"a loop over more than {LONGEST} items is not allowed")
    return iter(value if type(value) is range else tuple(value))


def _compared(sign: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(sign, ast.Is):
        return left is right
    if isinstance(sign, ast.IsNot):
        return left is not right
    require_plain(left, "a comparison")
    require_plain(right, "a comparison")
    if isinstance(sign, (ast.In, ast.NotIn)):
        return (left in right) is isinstance(sign, ast.In)
    return bool(_COMPARE[type(sign)](left, right))


_HANDLERS: Final[dict[type, Callable[[Expression, Any], Any]]] = {
    ast.Constant: Expression._constant,
    ast.Name: lambda expression, node: expression.name(node),
    ast.Attribute: Expression._attribute,
    ast.Subscript: Expression._subscript,
    ast.BinOp: Expression._binary,
    ast.UnaryOp: Expression._unary,
    ast.BoolOp: Expression._boolean,
    ast.IfExp: Expression._if,
    ast.Compare: Expression._compare,
    ast.List: Expression._list,
    ast.Tuple: Expression._list,
    ast.Set: Expression._list,
    ast.Dict: Expression._dict,
    ast.ListComp: Expression._list_comprehension,
    ast.SetComp: Expression._set_comprehension,
    ast.DictComp: Expression._dict_comprehension,
    ast.JoinedStr: Expression._joined,
    ast.Call: Expression._call,
}
