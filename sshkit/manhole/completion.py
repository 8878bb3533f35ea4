"""Completion."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Candidate(NamedTuple):
    """One way to go on."""

    text: str
    start: int
    shown: str
    kind: str
    detail: str


class Signature(NamedTuple):
    """What a call takes."""

    name: str
    parameters: tuple[str, ...]
    index: int | None
    summary: str


def complete(
    source: str, cursor: int, namespace: Mapping[str, Any], *, evaluate: bool = False
) -> list[Candidate]:
    """Return the candidates at the cursor."""
    return []


def signature(source: str, cursor: int, namespace: Mapping[str, Any]) -> Signature | None:
    """Return the signature of the call that the cursor is in."""
    return None


def documentation(name_or_expression: str, namespace: Mapping[str, Any]) -> str:
    """Return the documentation of a name or of a side-effect free expression."""
    return ""
