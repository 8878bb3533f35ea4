"""What lies in this program's memory: the garbage collector's counts, and objects of a class.

Called by the table of magic commands, and by programs.
"""

import gc
from collections import Counter
from typing import Any, Final

from sshkit_keys.text import printable

from sshkit.manhole.display import named, static_repr

from .program import instances

#: Classes and objects that one answer lists.
MOST_CLASSES: Final = 20
MOST_OBJECTS: Final = 10
MOST_REFERRERS: Final = 5


def collect(*, run: bool = False) -> str:
    """Say what the garbage collector counts, and which classes have most objects; `run`: collect first."""
    lines: list[str] = []
    if run:
        lines.append(f"collected: {gc.collect()} unreachable objects")
    counts = ", ".join(
        f"{count} of {limit}" for count, limit in zip(gc.get_count(), gc.get_threshold(), strict=True)
    )
    lines.append(f"{'enabled' if gc.isenabled() else 'disabled'}; generations: {counts}")
    lines.append(f"uncollectable: {len(gc.garbage)}")
    kinds = Counter(map(type, gc.get_objects()))
    lines += [f"{count:10} {named(kind)}" for kind, count in kinds.most_common(MOST_CLASSES)]
    return "\n".join(lines)


def objects(name: str, *, referrers: bool = False) -> str:
    """Count the objects whose class has this name, with or without its module; show the first few.

    With `referrers` the classes of those that hold each.  Nothing of the program runs.
    """
    kinds = [kind for kind in instances(type) if name in (named(kind), named(kind).rpartition(".")[2])]
    if not kinds:
        return f"no class is called {printable(name)}"
    lines: list[str] = []
    for kind in kinds[:MOST_CLASSES]:
        found = instances(kind, subclasses=False)
        lines.append(f"{named(kind)}: {len(found)}")
        for thing in found[:MOST_OBJECTS]:
            lines.append(f"    {static_repr(thing)[:200]}")
            if referrers:
                lines += [f"        held by {text}" for text in holders(thing, found)]
    return "\n".join(lines)


def holders(thing: Any, ours: list[Any]) -> list[str]:
    """Return texts of what refers to an object, but for our own lists."""
    found = [held for held in gc.get_referrers(thing) if held is not ours and not is_frame(held)]
    return [static_repr(held)[:200] for held in found[:MOST_REFERRERS]]


def is_frame(thing: object) -> bool:
    """True for frames: ours among them, which hold everything just now."""
    return type(thing).__name__ == "frame"
