"""The debugger of a session: `breakpoint()` and `%pdb`, on the session's own lines.

Called by the session's builtins and by `%pdb`.  Only for threaded sessions: it waits for lines, which the
loop's thread must not.  In loop mode `%pdb` prints parts of what was raised last (`Frames`).
"""

from pdb import Pdb
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from .display import Limits, render
from .tracebacks import is_ours

if TYPE_CHECKING:
    from .interpreter import Interpreter


class SessionLines:
    """Standard input and output of the debugger: the session's."""

    __slots__ = ("_session",)

    def __init__(self, session: "Interpreter") -> None:
        self._session = session

    def readline(self) -> str:
        """Ask the person; the end of a session ends the debugger."""
        try:
            return self._session.ask("") + "\n"
        except EOFError:
            return ""

    def write(self, text: str) -> int:
        """Print to the session."""
        self._session.print(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class SessionPdb(Pdb):
    """Pdb over one session; the name of an alias file is never read."""

    def __init__(self, session: "Interpreter") -> None:
        lines: Any = SessionLines(session)
        super().__init__(stdin=lines, stdout=lines, nosigint=True, readrc=False)
        self.use_rawinput = False


class Frames:
    """The frames of one exception, and which of them a person looks at."""

    __slots__ = ("_frames", "_position")

    def __init__(self, error: BaseException) -> None:
        self._frames: list[tuple[FrameType, int]] = []
        traceback: TracebackType | None = error.__traceback__
        while traceback is not None:
            if not is_ours(traceback.tb_frame.f_code.co_filename):
                self._frames.append((traceback.tb_frame, traceback.tb_lineno))
            traceback = traceback.tb_next
        self._position = len(self._frames) - 1

    def command(self, name: str, limits: Limits) -> str:
        """Do what a debugger does that only prints: where, up, down, list, locals."""
        if not self._frames:
            return "no frame of the program's code is in it"
        if name in ("u", "up"):
            self._position = max(self._position - 1, 0)
            return self._place(self._position)
        if name in ("d", "down"):
            self._position = min(self._position + 1, len(self._frames) - 1)
            return self._place(self._position)
        if name in ("", "w", "where"):
            return "\n".join(self._place(position) for position in range(len(self._frames)))
        if name in ("l", "list"):
            return self._source()
        if name == "locals":
            return self._locals(limits)
        return f"%pdb {printable(name)}: it is one of where, up, down, list, locals in this session"

    def _place(self, position: int) -> str:
        frame, line = self._frames[position]
        code = frame.f_code
        mark = ">" if position == self._position else " "
        return f"{mark} {printable(code.co_filename)}:{line} {printable(code.co_qualname)}"

    def _source(self) -> str:
        from linecache import getline

        frame, line = self._frames[self._position]
        lines: list[str] = []
        for number in range(max(line - 5, 1), line + 6):
            text = getline(frame.f_code.co_filename, number, frame.f_globals)
            if text:
                lines.append(f"{'->' if number == line else '  '} {number:5} {text.rstrip()}")
        return "\n".join(lines) or "the source is not to be had"

    def _locals(self, limits: Limits) -> str:
        frame, _ = self._frames[self._position]
        small = Limits(500, 5, min(limits.depth, 3), 10, limits.seconds)
        found = [(name, value) for name, value in list(frame.f_locals.items()) if not name.startswith("__")]
        lines = [f"{printable(name)} = {render(value, small).text}" for name, value in found[: limits.items]]
        return "\n".join(lines) or "no locals"
