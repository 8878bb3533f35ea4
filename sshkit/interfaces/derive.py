"""One declaration, two uses: a zope.interface made from a typing.Protocol.

Type checkers read the Protocol; `verifyObject` and adapters read the interface.  Every interface of
sshkit is declared once, as a Protocol in this room, and derived here, so the two cannot drift apart.
Called by the modules of this room; other rooms may derive interfaces of their own.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import zope.interface
from zope.interface.interface import Attribute, InterfaceClass, fromFunction

_Class = TypeVar("_Class", bound=type)

_derived: dict[type, InterfaceClass] = {}


def interface(protocol: type) -> InterfaceClass:
    """Return the zope.interface of `protocol`: its name with an `I` before it.

    Methods lose `self`, annotated names and properties become attributes, base Protocols that were
    derived before become base interfaces.  The same Protocol always gives the same interface.
    """
    known = _derived.get(protocol)
    if known is not None:
        return known
    members: dict[str, Any] = {
        name: Attribute(name) for name in vars(protocol).get("__annotations__", ()) if name[0] != "_"
    }
    for name, member in vars(protocol).items():
        if name[0] == "_":
            continue
        if isinstance(member, FunctionType):
            members[name] = fromFunction(member, imlevel=1)
        elif isinstance(member, property):
            members[name] = Attribute(name, member.__doc__ or "")
    bases = tuple(_derived[base] for base in protocol.__bases__ if base in _derived)
    derived = InterfaceClass(
        "I" + protocol.__name__,
        bases or (zope.interface.Interface,),
        members,
        __doc__=protocol.__doc__,
        __module__=protocol.__module__,
    )
    _derived[protocol] = derived
    return derived


def implementer(*interfaces: InterfaceClass) -> Callable[[_Class], _Class]:
    """Say that a class implements `interfaces`: zope's decorator, with a type that keeps the class's own."""
    decorate: Any = zope.interface.implementer(*interfaces)
    return decorate  # type: ignore[no-any-return]


__all__ = ["InterfaceClass", "implementer", "interface"]
