"""Completion for an editor: what may follow at the cursor.

Called by the console and by tools; knows no editor.  Free of side effects unless asked otherwise: no
property, no `__getattr__` and no `__getitem__` of the program's classes runs.  Whatever goes wrong in here
ends in fewer candidates, never in an error.
"""

import builtins
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from sshkit_keys.text import printable

from . import static
from .completion_places import complete_import, complete_path
from .peeking import FARTHEST, NOTHING, Place, expression_before, method_of, peek, place
from .safe_calls import Method
from .signatures import Signature, call_at, documentation, parameters_of, signature

__all__ = ["Candidate", "Signature", "complete", "documentation", "signature"]

#: Candidates that one completion gives.
MOST: Final = 1000

#: Keys of one dict that are looked at.
MOST_KEYS: Final = 10_000

_WORD: Final = re.compile(r"\w*\Z")
_NUMBER: Final = re.compile(r"(?:^|[^\w])\d[\d_.]*\Z")


class Candidate(NamedTuple):
    """One way to go on: `text` replaces the source from `start` to the cursor."""

    text: str
    start: int
    shown: str  #: what a menu shows: the text without what is before the last dot
    kind: str  #: "name", "attribute", "key", "path", "module", "argument", "keyword", "command" ...
    detail: str  #: a few words: the type, the summary of a command


def complete(
    source: str, cursor: int, namespace: Mapping[str, Any], *, evaluate: bool = False
) -> list[Candidate]:
    """Return the candidates at the cursor, best first; `evaluate` may run code of the program."""
    try:
        found = _complete(source[:cursor], namespace, evaluate)
        best: dict[str, Candidate] = {}
        for candidate in found:
            best.setdefault(candidate.text, candidate)
            if len(best) >= MOST:
                break
        return list(best.values())
    except Exception:
        return []


def _complete(before: str, namespace: Mapping[str, Any], evaluate: bool) -> Iterable[Candidate]:
    if before.lstrip().startswith("%"):
        return _commands(before, namespace, evaluate)
    return _python(before, 0, namespace, evaluate)


def _python(before: str, offset: int, namespace: Mapping[str, Any], evaluate: bool) -> Iterator[Candidate]:
    """Complete Python; `offset` is where `before` begins in the source."""
    skipped = max(len(before) - FARTHEST, 0)
    before = before[skipped:]
    offset += skipped
    here = place(before)
    if here.comment:
        return
    if here.string >= 0:
        yield from _in_string(before, offset, here, namespace, evaluate)
        return
    line = before[before.rfind("\n") + 1 :]
    modules = complete_import(line)
    if modules is not None:
        word, candidates = modules
        start = offset + len(before) - len(word)
        for name, kind in candidates:
            yield Candidate(name, start, name, kind, "")
        return
    found = _WORD.search(before)
    word = "" if found is None else found[0]
    start = len(before) - len(word)
    if before[:start].endswith("."):
        if not _NUMBER.search(before[:start]):
            target = peek(expression_before(before, start - 1), namespace, evaluate=evaluate)
            yield from _attributes(target, word, offset + start, evaluate)
        return
    if word[:1].isdigit():
        return
    if before[:start].endswith("["):
        owner = peek(expression_before(before, start - 1), namespace, evaluate=evaluate)
        yield from _keys(owner, word, offset + start, "", "]")
    yield from _arguments(before, word, offset + start, here, namespace)
    yield from _names(word, offset + start, namespace)


# Names and attributes


def _names(word: str, start: int, namespace: Mapping[str, Any]) -> Iterator[Candidate]:
    for name in _sorted(namespace, word):
        yield Candidate(name, start, name, kind_of(namespace[name]), detail_of(namespace[name]))
    for name in _sorted(vars(builtins), word):
        if not name.startswith("_"):
            yield Candidate(name, start, name, kind_of(getattr(builtins, name)), "builtin")
    for name in sorted(keyword.kwlist):
        if name.startswith(word) and word:
            yield Candidate(name, start, name, "keyword", "")


def _sorted(names: Iterable[str], word: str) -> list[str]:
    """Return the identifiers that begin with `word`: private ones only if it begins as they do."""
    fitting = {
        name
        for name in list(names)
        if type(name) is str and name.startswith(word) and name.isidentifier() and _is_wanted(name, word)
    }
    return sorted(fitting, key=lambda name: (name.startswith("_"), name.startswith("__"), name.lower(), name))


def _is_wanted(name: str, word: str) -> bool:
    if name.startswith("__"):
        return word.startswith("__")
    return not name.startswith("_") or word.startswith("_")


def _attributes(target: Any, word: str, start: int, evaluate: bool) -> Iterator[Candidate]:
    if target is NOTHING:
        return
    if type(target) is Method:
        target = method_of(target)
    names = list(static.names(target))
    if evaluate:
        names += dir(target)
    for name in _sorted(names, word):
        found = static.attribute(target, name)
        if found is None:
            yield Candidate(name, start, name, "attribute", "")
        elif type(found.value) is property:
            yield Candidate(name, start, name, "property", "")
        else:
            yield Candidate(name, start, name, kind_of(found.value), detail_of(found.value))


def kind_of(value: Any) -> str:
    """Return a word for what a value is, by its class alone."""
    if static.is_class(value):
        return "class"
    if static.is_a(value, type(re)):
        return "module"
    return "function" if type(value) in static.METHODS else "name"


def detail_of(value: Any) -> str:
    """Return the name of a value's class; of functions and classes nothing, their kind says it."""
    if static.is_class(value) or type(value) in static.METHODS:
        return ""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return printable(name, 40)


# Keyword arguments


def _arguments(
    before: str, word: str, start: int, here: Place, namespace: Mapping[str, Any]
) -> Iterator[Candidate]:
    call = call_at(before, here)
    if call is None:
        return
    function = peek(call.function, namespace)
    for parameter in () if function is NOTHING else parameters_of(function):
        if parameter.by_name and parameter.name.startswith(word):
            yield Candidate(f"{parameter.name}=", start, f"{parameter.name}=", "argument", parameter.text)


# Strings


def _in_string(
    before: str, offset: int, here: Place, namespace: Mapping[str, Any], evaluate: bool
) -> Iterator[Candidate]:
    content = before[here.string :]
    opening = here.string - len(here.quote)
    prefix = _WORD.search(before[:opening])
    outside = before[: opening - len(prefix[0] if prefix else "")].rstrip()
    if outside.endswith("[") and len(here.quote) == 1:
        owner = peek(expression_before(outside, len(outside) - 1), namespace, evaluate=evaluate)
        yield from _keys(owner, content, offset + here.string, here.quote, here.quote + "]")
        return
    for text, shown, detail in complete_path(content):
        yield Candidate(text, offset + here.string, shown, "path", detail)


def _keys(owner: Any, word: str, start: int, quote: str, closing: str) -> Iterator[Candidate]:
    """Complete the keys of a dict (of exactly that type: others compute theirs)."""
    if type(owner) is not dict:
        return
    for key in list(owner)[:MOST_KEYS]:
        if quote:
            if type(key) is not str:
                continue
            text = _quoted(key, quote)
        elif type(key) in (str, int, bytes):
            text = repr(key)
        else:
            continue
        if text.startswith(word) and len(text) < 200:
            yield Candidate(text + closing, start, printable(text), "key", detail_of(owner[key]))


def _quoted(key: str, quote: str) -> str:
    """Return the content of a string literal between these quotes."""
    # With both kinds in it Python takes single quotes, and escapes those.
    inside = repr(f"{key}'\"")[1:-4]
    return inside if quote == "'" else inside.replace("\\'", "'").replace('"', '\\"')


# Magic commands


def _commands(before: str, namespace: Mapping[str, Any], evaluate: bool) -> Iterator[Candidate]:
    from .magic import MAGICS

    start = before.index("%") + 1
    name, space, arguments = before[start:].partition(" ")
    if not space:
        for magic in MAGICS.values():
            if magic.name.startswith(name):
                yield Candidate(magic.name, start, f"%{magic.name}", "command", magic.summary)
        return
    found = MAGICS.get(name)
    if found is None:
        return
    begin = start + len(name) + 1
    words = found.words()
    if words is not None:
        last = arguments.rpartition(" ")[2]
        for word in words:
            if word.startswith(last):
                yield Candidate(word, len(before) - len(last), word, "argument", "")
    else:
        yield from _python(arguments, begin, namespace, evaluate)
