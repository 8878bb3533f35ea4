"""Looks at objects without running any of their code: no property, no `__getattr__`, no metaclass.

Used by completion, by signatures and by the expressions of read-only keys.  What a class defines is read from
the dictionaries of its bases, what an instance holds from its own; a descriptor is returned as it is found.
"""

from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final, NamedTuple

_mro_of: Final = type.__dict__["__mro__"].__get__
_dict_of: Final = type.__dict__["__dict__"].__get__
_module_dict: Final[Any] = type.__dict__["__dict__"].__get__(ModuleType)["__dict__"].__get__

#: Functions in a class: an attribute read binds them, which runs nothing.
METHODS: Final = (
    FunctionType,
    BuiltinFunctionType,
    MethodDescriptorType,
    WrapperDescriptorType,
    ClassMethodDescriptorType,
    MethodType,
    MethodWrapperType,
    classmethod,
    staticmethod,
)

#: A class made by a `class` statement, or by C code at run time (Py_TPFLAGS_HEAPTYPE).
_HEAP_TYPE: Final = 1 << 9


class Attribute(NamedTuple):
    """What was found under a name."""

    value: Any
    owner: type | None  #: the class whose dictionary has it; None: the object's own


def bases(kind: type) -> tuple[type, ...]:
    """Return the method resolution order without asking the metaclass."""
    found: tuple[type, ...] = _mro_of(kind)
    return found


def is_class(value: object) -> bool:
    """True for a class, whatever it says about itself."""
    return type in bases(type(value))


def is_a(value: object, kind: type) -> bool:
    """`isinstance` by the true class alone."""
    return any(base is kind for base in bases(type(value)))


def class_attribute(kind: type, name: str) -> Attribute | None:
    """Find `name` in a class or its bases."""
    for base in bases(kind):
        namespace = _dict_of(base)
        if name in namespace:
            return Attribute(namespace[name], base)
    return None


def own_dict(value: object) -> dict[str, Any]:
    """Return the dictionary of an object itself: a module's, an instance's; else an empty one."""
    if is_a(value, ModuleType):
        module: dict[str, Any] = _module_dict(value)
        return module
    if is_class(value):
        return {}
    found = class_attribute(type(value), "__dict__")
    if found is None or type(found.value) is not GetSetDescriptorType:
        return {}
    namespace = found.value.__get__(value)
    return namespace if type(namespace) is dict else {}


def attribute(value: object, name: str) -> Attribute | None:
    """Find an attribute in the order in which Python would, as it is stored."""
    of_class = class_attribute(type(value), name)
    if of_class is not None and _is_data_descriptor(of_class.value):
        return of_class
    if is_class(value):
        found = class_attribute(value, name)  # type: ignore[arg-type]
        if found is not None:
            return found
    namespace = own_dict(value)
    if name in namespace:
        return Attribute(namespace[name], None)
    return of_class


def _is_data_descriptor(value: object) -> bool:
    return class_attribute(type(value), "__set__") is not None


def is_descriptor(value: object) -> bool:
    """True for what runs code when it is read through an instance."""
    return class_attribute(type(value), "__get__") is not None


def is_slot(found: Attribute) -> bool:
    """True for a place of `__slots__` in a class of Python's: reading it runs nothing."""
    if type(found.value) is not MemberDescriptorType or found.owner is None:
        return False
    flags: int = type.__dict__["__flags__"].__get__(found.owner)
    return bool(flags & _HEAP_TYPE)


def names(value: object) -> Iterator[str]:
    """Give the names that an object has, nearest first; some may come twice."""
    for name in list(own_dict(value)):
        if type(name) is str:
            yield name
    classes = bases(value) if is_class(value) else bases(type(value))  # type: ignore[arg-type]
    if is_a(value, ModuleType):
        return
    for base in classes:
        for name in list(_dict_of(base)):
            if type(name) is str:
                yield name
