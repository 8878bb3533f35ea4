"""One input of a session: whether it is complete, and the steps in which it runs.

Called by the interpreter.  An input is compiled whole before any of it runs, one code object a top-level
statement, so that each is known to await or not: what awaits is run by the loop, what does not where the
session runs its code.  Sources are kept in `linecache`, so that tracebacks show them.
"""

import ast
import linecache
import re
from types import CodeType
from typing import Final, Literal, NamedTuple

#: Inputs of one session whose source tracebacks can still show.
KEPT_SOURCES: Final = 200

#: Characters of one input: somebody who pastes more has the wrong tool.
LONGEST_INPUT: Final = 4 * 1024 * 1024

_AWAITS: Final = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_IS_COROUTINE: Final = 0x80 | 0x100 | 0x200  # CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR
#: What `from __future__ import` leaves in a code object's flags, for the inputs that follow.
_FUTURES: Final = 0x1FE0000

_MAGIC: Final = re.compile(r"\s*%(\w*)\s*(.*)", re.DOTALL)
_QUESTION: Final = re.compile(r"\s*([\w.]+)\s*\?\s*")

State = Literal["complete", "incomplete", "invalid"]


class Step(NamedTuple):
    """One top-level statement."""

    code: CodeType
    awaits: bool
    shows: bool  #: the last one, and an expression: its value is the input's


def magic_call(source: str) -> tuple[str, str] | None:
    """Split `%name arguments`; None for Python.  `thing?` is `%doc thing`."""
    found = _MAGIC.fullmatch(source)
    if found is not None:
        return found[1], found[2].strip()
    found = _QUESTION.fullmatch(source)
    return None if found is None else ("doc", found[1])


def state(source: str) -> State:
    """Say whether an editor may run `source`, should go on with a new line, or has an error in it.

    A block ends with an empty line, as at Python's own prompt.
    """
    if magic_call(source) is not None or not source.strip():
        return "complete"
    import warnings
    from codeop import CommandCompiler

    compiler = CommandCompiler()
    compiler.compiler.flags |= _AWAITS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compiler(source, "<input>", "exec")
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
        return "invalid"
    if code is None:
        return "incomplete"
    last = source.rpartition("\n")[2]
    return "incomplete" if "\n" in source and last[:1].isspace() and last.strip() else "complete"


class Compiler:
    """Compiles the inputs of one session, and keeps their sources for tracebacks."""

    __slots__ = ("_flags", "_kept", "_session")

    def __init__(self, session: int) -> None:
        self._session = session
        self._flags = 0
        self._kept: list[str] = []

    def compile(self, source: str, number: int) -> list[Step]:
        """Return the steps of an input; raises SyntaxError and what else `compile` raises."""
        if len(source) > LONGEST_INPUT:
            raise SyntaxError(f"an input may have {LONGEST_INPUT} characters, this one has {len(source)}")
        filename = f"<input {number} of session {self._session}>"
        self._keep(source, filename)
        flags = self._flags | _AWAITS
        tree = compile(source, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        steps: list[Step] = []
        body = tree.body
        for statement in body:
            shows = statement is body[-1] and isinstance(statement, ast.Expr)
            whole: ast.Module | ast.Expression
            if isinstance(statement, ast.Expr):
                if not shows and isinstance(statement.value, ast.Constant):
                    continue
                whole = ast.Expression(statement.value)
            else:
                whole = ast.Module([statement], [])
            mode = "eval" if isinstance(whole, ast.Expression) else "exec"
            code: CodeType = compile(whole, filename, mode, flags, dont_inherit=True)
            flags |= code.co_flags & _FUTURES
            steps.append(Step(code, bool(code.co_flags & _IS_COROUTINE), shows))
        self._flags = flags & _FUTURES
        return steps

    def _keep(self, source: str, filename: str) -> None:
        lines = source.splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        linecache.cache[filename] = (len(source), None, lines, filename)
        self._kept.append(filename)
        if len(self._kept) > KEPT_SOURCES:
            linecache.cache.pop(self._kept.pop(0), None)

    def close(self) -> None:
        """Forget the sources."""
        for filename in self._kept:
            linecache.cache.pop(filename, None)
        self._kept.clear()
