"""A stand-in for the owner of a server's connection, for parts that are tested alone."""

from typing import Any


class Owner:
    """Passes everything on to the real owner but what `changes` say."""

    def __init__(self, owner: Any, **changes: Any) -> None:
        self._owner = owner
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        changes = self.__dict__["_changes"]
        return changes[name] if name in changes else getattr(self.__dict__["_owner"], name)
