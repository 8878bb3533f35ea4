"""A zope.interface is what its Protocol says."""

from typing import Protocol

import pytest
from zope.interface import Interface
from zope.interface.exceptions import BrokenMethodImplementation
from zope.interface.verify import verifyObject

import sshkit.interfaces
from sshkit.interfaces import (
    ExitStatus,
    IClock,
    IReactor,
    ITransport,
    TerminalSize,
    implementer,
    interface,
)


class Boat(Protocol):
    """Floats."""

    name: str
    _hidden: int

    class Deck:
        """Neither a method nor an attribute that an implementation must have."""

    @property
    def length(self) -> float:
        """Metres."""
        ...

    def sail(self, course: int, speed: int = 5) -> None:
        """Go."""
        ...

    def _private(self) -> None: ...


class Ship(Boat, Protocol):
    """Floats, and is large."""

    def sink(self) -> None:
        """Stop floating."""
        ...


IBoat = interface(Boat)
IShip = interface(Ship)


def test_the_interface_has_what_the_protocol_declares_in_public_only() -> None:
    assert sorted(IBoat) == ["length", "name", "sail"]


def test_a_method_of_the_interface_has_no_self() -> None:
    assert IBoat["sail"].getSignatureString() == "(course, speed=5)"
    assert IBoat["sail"].__doc__ == "Go."


def test_the_interface_is_named_documented_and_placed_like_the_protocol() -> None:
    assert IBoat.__name__ == "IBoat"
    assert IBoat.__doc__.startswith("Floats.")
    assert IBoat.__module__ == Boat.__module__
    assert IBoat["length"].__doc__ == "Metres."


def test_a_base_protocol_becomes_a_base_interface() -> None:
    assert IShip.__bases__ == (IBoat,)
    assert IBoat.__bases__ == (Interface,)
    assert "sail" in IShip.names(all=True)


def test_a_protocol_has_one_interface() -> None:
    assert interface(Boat) is IBoat


def test_verification_finds_a_method_with_too_few_parameters() -> None:
    @implementer(IShip)
    class Raft:
        name = "raft"
        length = 2.0

        def sail(self) -> None: ...

        def sink(self) -> None: ...

    with pytest.raises(BrokenMethodImplementation):
        verifyObject(IShip, Raft())


def test_the_decorated_class_is_the_class_and_provides_the_interface() -> None:
    @implementer(IBoat)
    class Canoe:
        name = "canoe"
        length = 4.0

        def sail(self, course: int, speed: int = 5) -> None: ...

    assert isinstance(Canoe, type)
    assert verifyObject(IBoat, Canoe())


def test_every_exported_protocol_has_its_interface_beside_it() -> None:
    protocols = [
        name
        for name in sshkit.interfaces.__all__
        if getattr(getattr(sshkit.interfaces, name), "_is_protocol", False)
    ]
    assert "Transport" in protocols
    assert [name for name in protocols if "I" + name not in sshkit.interfaces.__all__] == []


def test_the_reactor_is_a_clock() -> None:
    assert IReactor.extends(IClock)
    assert "write" in ITransport


def test_sizes_and_statuses_have_defaults() -> None:
    assert TerminalSize() == (80, 24, 0, 0)
    assert ExitStatus(code=3) == (3, None, False)
