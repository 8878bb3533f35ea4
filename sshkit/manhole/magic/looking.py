"""Sources, modules, names: small looks around for a person.

Called by the table of magic commands, and by programs.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

from sshkit_keys.text import printable

from sshkit.manhole.completion import documentation
from sshkit.manhole.display import Limits, render
from sshkit.manhole.peeking import NOTHING, method_of, peek
from sshkit.manhole.safe_calls import Method

#: Names that `who` lists, characters of a source.
MOST_NAMES: Final = 200
LONGEST_SOURCE: Final = 100_000

_SHORT: Final = Limits(characters=60, lines=1, depth=2, items=5)


def who(namespace: Mapping[str, Any]) -> str:
    """List the names of a namespace with what they hold; those with an underscore first are left out."""
    names = sorted(name for name in list(namespace) if type(name) is str and not name.startswith("_"))
    width = max((len(name) for name in names), default=0)
    lines = [
        f"{printable(name):{min(width, 30)}} {render(namespace[name], _SHORT, width=200, static=True).text}"
        for name in names[:MOST_NAMES]
    ]
    if len(names) > MOST_NAMES:
        lines.append(f"... {len(names) - MOST_NAMES} names more")
    return "\n".join(lines) if lines else "no names"


def source(expression: str, namespace: Mapping[str, Any]) -> str:
    """Return the source of a function, class or module, with its place."""
    import inspect

    value = peek(expression, namespace)
    if value is NOTHING:
        return f"nothing is known about {printable(expression)}"
    if type(value) is Method:
        value = method_of(value)
    value = getattr(value, "__func__", value) if type(value) in (classmethod, staticmethod) else value
    try:
        lines, first = inspect.getsourcelines(value)
        place = inspect.getsourcefile(value)
    except (OSError, TypeError) as error:
        return f"no source of {printable(expression)}: {error}"
    return f"{place}:{max(first, 1)}\n{''.join(lines)[:LONGEST_SOURCE]}"


def doc(expression: str, namespace: Mapping[str, Any]) -> str:
    """Return the signature and documentation of what an expression stands for."""
    return documentation(expression, namespace) or f"nothing is known about {printable(expression)}"


def reload(name: str) -> str:
    """Load a module afresh from its file; objects of its old classes stay what they are."""
    from importlib import reload as load_again

    module = sys.modules.get(name)
    if module is None:
        return f"no module {printable(name)} is loaded"
    load_again(module)
    return f"reloaded {name}"
