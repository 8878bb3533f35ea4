"""What runs in this program: threads, asyncio tasks, Deferreds.  Plain functions that answer with text.

Called by the table of magic commands, and by programs.
"""

import gc
import sys
from types import FrameType
from typing import Any, Final

from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.manhole import static
from sshkit.manhole.display import guarded_repr

#: Entries that one answer lists.
MOST_LISTED: Final = 200

#: Frames of one thread or task, the innermost.
MOST_FRAMES: Final = 5

#: Characters of one object's text.
LONGEST_TEXT: Final = 200


def place_of(frame: FrameType) -> str:
    """Return file, line and function of a frame."""
    code = frame.f_code
    return f"{printable(code.co_filename)}:{frame.f_lineno} {printable(code.co_qualname)}"


def innermost(frame: FrameType | None) -> list[str]:
    """Return the places of the innermost frames, where it stands first."""
    places: list[str] = []
    while frame is not None and len(places) < MOST_FRAMES:
        places.append(f"    {place_of(frame)}")
        frame = frame.f_back
    return places


def bounded(lines: list[str], total: int, what: str) -> str:
    """Return lines as text, with how many were left out."""
    if total > MOST_LISTED:
        lines = [*lines, f"... {total - MOST_LISTED} {what} more"]
    return "\n".join(lines) if lines else f"no {what}"


def threads() -> str:
    """List the threads of the program and where each stands, innermost frame first."""
    import threading

    frames = sys._current_frames()
    known = {thread.ident: thread for thread in threading.enumerate()}
    lines: list[str] = []
    for ident, frame in list(frames.items())[:MOST_LISTED]:
        thread = known.get(ident)
        if thread is None:
            lines.append(f"{ident}: not of Python's threading module")
        else:
            here = " (this one)" if ident == threading.get_ident() else ""
            lines.append(f"{ident}: {printable(thread.name)}{' daemon' * thread.daemon}{here}")
        lines += innermost(frame)
    return bounded(lines, len(frames), "threads")


def tasks() -> str:
    """List the asyncio tasks of the loop that runs here, and where each waits."""
    asyncio = sys.modules.get("asyncio")
    loop = None if asyncio is None else asyncio._get_running_loop()
    if asyncio is None or loop is None:
        return "no asyncio loop runs in this thread"
    found = [task for task in asyncio.all_tasks(loop) if not task.done()]
    lines: list[str] = []
    for task in found[:MOST_LISTED]:
        lines.append(f"{printable(task.get_name())}: {printable(guarded_repr(task.get_coro()))}")
        lines += [f"    {place_of(frame)}" for frame in task_stack(task.get_coro())]
    return bounded(lines, len(found), "tasks")


def task_stack(coroutine: Any) -> list[FrameType]:
    """Return the frames of a coroutine that waits and of those it awaits, innermost first."""
    frames: list[FrameType] = []
    while coroutine is not None and len(frames) < 100:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            break
        frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return frames[::-1][:MOST_FRAMES]


def instances(kind: type, *, subclasses: bool = True) -> list[Any]:
    """Return the objects of a class that the garbage collector knows, without asking any of them."""
    if subclasses:
        return [thing for thing in gc.get_objects() if static.is_a(thing, kind)]
    return [thing for thing in gc.get_objects() if type(thing) is kind]


def deferreds() -> str:
    """List the Deferreds that have not fired and that somebody waits for."""
    found = [
        deferred
        for deferred in instances(Deferred)
        if not deferred.called and deferred._callbacks is not None
    ]
    lines: list[str] = []
    for deferred in found[:MOST_LISTED]:
        lines.append(printable(guarded_repr(deferred), LONGEST_TEXT))
        coroutine = getattr(deferred, "_coroutine", None)
        lines += [f"    {place_of(frame)}" for frame in task_stack(coroutine)]
        for on_value, on_failure, _ in (deferred._callbacks or [])[:MOST_FRAMES]:
            waiting = on_value if on_value is not None else on_failure
            owner = getattr(waiting, "__self__", waiting)
            lines.append(f"    waited for by {waiter(waiting, owner)}")
    return bounded(lines, len(found), "Deferreds")


def waiter(waiting: Any, owner: Any) -> str:
    """Say who waits: a coroutine by its name, a function by its own."""
    coroutine = getattr(owner, "_coroutine", None)
    name = getattr(coroutine, "__qualname__", None) or getattr(waiting, "__qualname__", None)
    return printable(name if type(name) is str else guarded_repr(waiting), LONGEST_TEXT)
