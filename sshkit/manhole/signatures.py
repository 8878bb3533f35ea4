"""Signatures and documentation of what stands at the cursor, found without running code.

Called by completion, by the console's pop-ups and by `%doc`.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sshkit_keys.text import printable

from . import static
from .display import Limits, named, render
from .peeking import NOTHING, Place, expression_before, method_of, peek, place
from .safe_calls import Method

#: How long a default value may be.
_DEFAULT: Final = Limits(characters=40, lines=1, depth=2, items=5)

#: Characters of documentation that are shown.
LONGEST_DOCUMENTATION: Final = 20_000

_NO_CALLS: Final = frozenset(
    {"if", "while", "and", "or", "not", "in", "is", "return", "print", "yield", "lambda", "else", "await"}
) - {"print"}


class Signature(NamedTuple):
    """What a call takes, and which of it the cursor is at."""

    name: str
    parameters: tuple[str, ...]
    index: int | None  # type: ignore[assignment]  #: of the parameter that the cursor is at; None: past the last
    summary: str  #: the first line of the documentation


class Parameter(NamedTuple):
    """One parameter of a function."""

    name: str
    text: str  #: as it is written in a signature
    by_name: bool  #: may be given as `name=`
    many: bool  #: takes all that are left: `*args`


class CallPlace(NamedTuple):
    """The call that the cursor is in."""

    function: str
    argument: str  #: the text of the present argument before the cursor
    commas: int


def call_at(before: str, here: Place) -> CallPlace | None:
    """Return the innermost call whose arguments the cursor is in."""
    if not here.brackets or here.brackets[-1].kind != "(":
        return None
    bracket = here.brackets[-1]
    function = expression_before(before, bracket.position)
    if not function or function in _NO_CALLS or before[: bracket.position - len(function)].endswith("def "):
        return None
    return CallPlace(function, before[bracket.last_comma :].strip(), bracket.commas)


def signature(source: str, cursor: int, namespace: Mapping[str, Any]) -> Signature | None:
    """Return the signature of the call that the cursor is in; None if there is none or it is unknown."""
    try:
        before = source[:cursor]
        call = call_at(before, place(before))
        if call is None:
            return None
        function = peek(call.function, namespace)
        if function is NOTHING:
            return None
        parameters = parameters_of(function, fallback=False)
        texts = tuple(parameter.text for parameter in parameters)
        return Signature(call.function, texts, _index(parameters, call), _summary(function))
    except Exception:
        return None


def _index(parameters: tuple[Parameter, ...], call: CallPlace) -> int | None:
    by_name = re.match(r"(\w+)\s*=(?!=)", call.argument)
    for position, parameter in enumerate(parameters):
        if by_name is not None:
            if parameter.name == by_name[1]:
                return position
        elif position == call.commas or parameter.many:
            return position
    return None


def parameters_of(function: Any, *, fallback: bool = True) -> tuple[Parameter, ...]:
    """Return the parameters of a function, a class or an instance that can be called.

    With `fallback` what has none that can be seen has no parameters; else ValueError or TypeError.
    """
    import inspect

    try:
        target, bound = _target(function)
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            found = inspect.signature(target, annotation_format=Format.STRING)
        else:
            found = inspect.signature(target)
    except (TypeError, ValueError):
        if fallback:
            return ()
        raise
    parameters = [_parameter(parameter) for parameter in found.parameters.values()]
    return tuple(parameters[1:] if bound else parameters)


def _target(function: Any) -> tuple[Any, bool]:
    """Return what `inspect` may look at without running code, and whether its first parameter is given."""
    if type(function) is Method:
        kept = method_of(function)
        return (kept.__func__ if type(kept) is classmethod else kept), True
    if type(function) in static.METHODS:
        return function, False
    if static.is_class(function):
        for name in ("__init__", "__new__"):
            found = static.class_attribute(function, name)
            if found is not None and found.owner is not object:
                value = found.value.__func__ if type(found.value) is staticmethod else found.value
                if type(value) in static.METHODS and type(value).__name__ != "wrapper_descriptor":
                    return value, True
        if static.class_attribute(type(function), "__getattr__") is None:
            return function, False
        raise TypeError("a class with a metaclass of its own")
    found = static.class_attribute(type(function), "__call__")
    if found is None or type(found.value) not in static.METHODS:
        raise TypeError("cannot be called")
    return found.value, True


def _parameter(parameter: Any) -> Parameter:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        if static.is_class(annotation):
            text += f": {named(annotation)}"
        elif type(annotation) is str:
            text += f": {printable(annotation, 60)}"
    if parameter.default is not parameter.empty:
        default = render(parameter.default, _DEFAULT, static=True).text
        text += f" = {default}" if ":" in text else f"={default}"
    by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return Parameter(parameter.name, text, by_name, bool(stars))


def doc_of(value: Any) -> str:
    """Return the docstring of an object, its class' if it has none, without running code."""
    from inspect import cleandoc

    if type(value) is Method:
        value = method_of(value)
    found: Any = None
    if static.is_class(value):
        stored = static.class_attribute(value, "__doc__")
        found = None if stored is None else stored.value
        if type(found) is not str:
            found = type.__dict__["__doc__"].__get__(value)
    elif type(value) in static.METHODS:
        found = value.__doc__
    else:
        found = static.own_dict(value).get("__doc__")
        if type(found) is not str:
            stored = static.class_attribute(type(value), "__doc__")
            found = None if stored is None else stored.value
    return cleandoc(found)[:LONGEST_DOCUMENTATION] if type(found) is str else ""


def _summary(value: Any) -> str:
    return printable(doc_of(value).partition("\n")[0])


def documentation(name_or_expression: str, namespace: Mapping[str, Any]) -> str:
    """Return the signature and the docstring of what an expression stands for; "" if nothing is known."""
    value = peek(name_or_expression, namespace)
    if value is NOTHING:
        return ""
    lines = [_headline(name_or_expression.strip(), value)]
    doc = doc_of(value)
    return "\n".join([*lines, "", doc] if doc else lines)


def _headline(name: str, value: Any) -> str:
    kind = named(type(value))
    if type(value) is Method or type(value) in static.METHODS or static.is_class(value):
        kind = "class" if static.is_class(value) else "function"
        try:
            parameters = parameters_of(value, fallback=False)
        except (TypeError, ValueError):
            return f"{printable(name)}: {kind}"
        return f"{printable(name)}({', '.join(parameter.text for parameter in parameters)}): {kind}"
    return f"{printable(name)}: {kind}"
