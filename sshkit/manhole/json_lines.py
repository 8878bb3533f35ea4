"""The subsystem "manhole": JSON lines for tools and editors, one object a line, both ways.

A question has an `id` of the client's own, and one of

    {"id": 1, "run": "code"}                    {"id": 1, "output": "text"} any number of times, then
                                                {"id": 1, "ok": true, "type": "int", "repr": "2", "value": 2}
                                                or "ok": false, "error": {"type", "text", "traceback"}
    {"id": 2, "complete": "os.pa", "cursor": 5} {"id": 2, "ok": true, "candidates": [{...}, ...]}
    {"id": 3, "document": "os.path.join"}       {"id": 3, "ok": true, "text": "..."}
    {"id": 4, "interrupt": true}                {"id": 4, "ok": true, "interrupted": false}

`value` is there where JSON can say it.  What runs is run one after the other; completions, documents and
interrupts are answered at once.  A line that is no such question is answered with an error and its number
of the line; the session goes on.  ``{"exit": status}`` is the last line, if code has called `sys.exit`.
"""

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from sshkit.deferred import CancelledError, Deferred, ensure_deferred

if TYPE_CHECKING:
    from sshkit.manhole.interpreter import Interpreter
    from sshkit.server.handler import Session

MAX_LINE = 16 << 20  #: bytes of one question
MAX_WAITING = 1000  #: questions that wait to be run
MAX_VALUE = 1 << 20  #: characters of a value in JSON
MAX_REPR = 1 << 20
READ = 65536


class JSONSession:
    """One session of a tool."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._interpreter: Interpreter | None = None
        self._current: Any = None  # the id of what runs
        self._queue: deque[tuple[Any, str]] = deque()
        self._running: Deferred[None] | None = None
        self._interrupted = False
        self._line = 0
        self._status: int | None = None
        self._left: Deferred[None] = Deferred()

    def write(self, text: str) -> None:
        """Take what code prints: the interpreter's `write`."""
        self._say({"id": self._current, "output": text})

    def drained(self) -> "Deferred[None]":
        """Return what to wait for before more is printed."""
        return self._session.stdout.drain()

    async def serve(self, interpreter: "Interpreter") -> int:
        """Answer until the client has no more questions and all are answered, or code exits."""
        self._interpreter = interpreter
        reading = ensure_deferred(self._read())
        reading.add_both(self._read_ended)
        try:
            await self._left
        finally:
            reading.cancel()
            if self._running is not None:
                self._running.cancel()
        return self._status or 0

    # Questions.

    async def _read(self) -> None:
        held = bytearray()
        while data := await self._session.stdin.read(READ):
            held += data
            *lines, rest = held.split(b"\n")
            held = bytearray(rest)
            for line in lines:
                self._asked(bytes(line))
            if len(held) > MAX_LINE:
                self._line += 1
                self._refuse(None, f"line {self._line}: a line is {MAX_LINE} bytes at most")
                return
            await self._session.stdout.drain()
        if held.strip():
            self._asked(bytes(held))

    def _read_ended(self, _: object) -> None:
        if self._running is None:
            self._leave()
        else:
            self._running.add_both(lambda _: self._leave())

    def _leave(self) -> None:
        if not self._left.called:
            self._left.callback(None)

    def _asked(self, line: bytes) -> None:
        self._line += 1
        if not line.strip():
            return
        try:
            question = json.loads(line)
        except (ValueError, RecursionError) as error:
            self._refuse(None, f"line {self._line}: not JSON: {error}")
            return
        if not isinstance(question, dict):
            self._refuse(None, f"line {self._line}: a question is an object")
            return
        number = question.get("id")
        if isinstance(question.get("run"), str):
            self._enqueue(number, question["run"])
        elif isinstance(question.get("complete"), str):
            self._complete(number, question["complete"], question.get("cursor"))
        elif isinstance(question.get("document"), str):
            self._document(number, question["document"])
        elif question.get("interrupt") is True:
            assert self._interpreter is not None
            ran = self._interpreter.interrupt()
            self._interrupted = ran or self._interrupted
            self._say({"id": number, "ok": True, "interrupted": ran})
        else:
            self._refuse(number, f"line {self._line}: one of run, complete, document and interrupt is needed")

    def _enqueue(self, number: Any, source: str) -> None:
        if len(self._queue) >= MAX_WAITING:
            self._refuse(number, f"{MAX_WAITING} questions wait already")
            return
        self._queue.append((number, source))
        if self._running is None:
            self._running = running = ensure_deferred(self._run())
            running.add_both(self._ran)

    def _ran(self, result: object) -> None:
        self._running = None

    # Answers.

    async def _run(self) -> None:
        assert self._interpreter is not None
        while self._queue:
            self._current, source = self._queue.popleft()
            self._interrupted = False
            try:
                value = await self._interpreter.evaluate(source)
            except SystemExit as error:
                self._exit(error)
                return
            except BaseException as error:
                if isinstance(error, CancelledError) and not self._interrupted:
                    raise
                self._raised(error)
            else:
                await self._returned(value)

    def _exit(self, error: SystemExit) -> None:
        from sshkit.manhole.scripts import RAISED

        code = error.code
        self._status = 0 if code is None else code & 0xFF if isinstance(code, int) else RAISED
        self._say({"id": self._current, "exit": self._status})
        self._queue.clear()
        self._leave()

    def _raised(self, error: BaseException) -> None:
        from sshkit.manhole.display import guarded_str
        from sshkit.manhole.tracebacks import traceback_text

        assert self._interpreter is not None
        said = {
            "type": type(error).__name__,
            "text": guarded_str(error)[:MAX_REPR],
            "traceback": traceback_text(error, self._interpreter.limits),
        }
        self._say({"id": self._current, "ok": False, "error": said})

    async def _returned(self, value: Any) -> None:
        from sshkit.manhole.display import named, show

        assert self._interpreter is not None
        limits = self._interpreter.limits

        def shown() -> dict[str, Any]:
            answer: dict[str, Any] = {"type": named(type(value)), "repr": show(value, limits)[:MAX_REPR]}
            if is_plain(value):
                try:
                    if len(json.dumps(value)) <= MAX_VALUE:
                        answer["value"] = value
                except (TypeError, ValueError, RecursionError):
                    pass  # its repr has to do
            return answer

        ended = await self._interpreter.in_place(shown)
        if ended.error is not None:
            self._raised(ended.error)
        else:
            self._say({"id": self._current, "ok": True, **ended.value})

    def _complete(self, number: Any, source: str, cursor: Any) -> None:
        from sshkit.manhole.completion import complete

        assert self._interpreter is not None
        place = cursor if isinstance(cursor, int) and 0 <= cursor <= len(source) else len(source)
        if self._interpreter.access.kind != "full":
            self._refuse(number, "completion is for those who may run Python")
            return
        found = complete(source, place, self._interpreter.namespace)
        self._say({"id": number, "ok": True, "candidates": [each._asdict() for each in found]})

    def _document(self, number: Any, name: str) -> None:
        from sshkit.manhole.completion import documentation

        assert self._interpreter is not None
        if self._interpreter.access.kind != "full":
            self._refuse(number, "documentation is for those who may run Python")
            return
        self._say({"id": number, "ok": True, "text": documentation(name, self._interpreter.namespace)})

    def _refuse(self, number: Any, text: str) -> None:
        self._say({"id": number, "ok": False, "error": {"type": "ProtocolError", "text": text}})

    def _say(self, answer: dict[str, Any]) -> None:
        self._session.stdout.write(json.dumps(answer, default=str) + "\n")


#: What JSON has, of exactly these types: nothing of a user's own classes is run.
PLAIN = (str, int, float, bool, type(None))
MAX_DEPTH = 100


def is_plain(value: Any, depth: int = 0) -> bool:
    """Say whether a value is made of JSON's own types only."""
    if type(value) in PLAIN:
        return True
    if depth > MAX_DEPTH:
        return False
    if type(value) in (list, tuple):
        return all(is_plain(each, depth + 1) for each in value)
    if type(value) is dict:
        return all(type(key) is str and is_plain(each, depth + 1) for key, each in value.items())
    return False
