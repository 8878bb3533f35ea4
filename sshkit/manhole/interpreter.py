"""The interpreter of one session: takes an input, runs it, and shows what came of it.

Made by whoever has a person or a program at the other end (the console, `ssh host 'expression'`, JSON lines);
knows nothing of terminals and of SSH.  By default code runs in the loop's thread, where it may touch what the
program has and where a statement that never ends stops the program; with `threaded` it runs in a thread of
the session, and only statements that await run in the loop.

`sys.exit`, `exit()` and `quit()` end the session only.  `os._exit`, a signal sent to the own process and
crashes of C code end the program: nothing guards against them.
"""

from collections.abc import Callable, Coroutine
from contextvars import copy_context
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from weakref import WeakSet

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError, Deferred, ensure_deferred
from sshkit.ssh.errors import LocalProtocolError

from .access import FULL, Access, NotAllowed
from .display import Limits, more_line, render
from .inputs import Compiler, Step, magic_call
from .inputs import state as state_of
from .session_thread import Ended, SessionThread

if TYPE_CHECKING:
    from sshkit.interfaces import DelayedCall, Reactor

    from .audit import Audit
    from .debugger import Frames

_sessions: Final = count(1)

#: The sessions of this process, for `%who people`.
living: "WeakSet[Interpreter]" = WeakSet()

#: Characters that a line of the person's own error may take.
_SAID: Final = 4096


class Outcome(NamedTuple):
    """What became of one input."""

    raised: bool
    cancelled: bool
    exit_status: int | None  #: the code called sys.exit() or exit()


class DisplayTookTooLong(BaseException):
    """Raised in the session's thread when a `__repr__` does not end."""


class Interpreter:
    """Runs the inputs of one session in one namespace."""

    __slots__ = (
        "__weakref__",
        "_awaited",
        "_busy",
        "_closed",
        "_compiler",
        "_context",
        "_drained",
        "_interrupted",
        "_output",
        "_reactor",
        "_thread",
        "_write",
        "access",
        "at_close",
        "audit",
        "colours",
        "frames",
        "history",
        "last_error",
        "last_shown",
        "limits",
        "logging",
        "namespace",
        "number",
        "pending",
        "person",
        "read_line",
        "session",
        "threaded",
        "width",
    )

    def __init__(
        self,
        namespace: dict[str, Any],
        *,
        write: Callable[[str], None],
        access: Access = FULL,
        threaded: bool = False,
        reactor: "Reactor | None" = None,
        read_line: "Callable[[str], Deferred[str]] | None" = None,
        drained: "Callable[[], Deferred[None] | None] | None" = None,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        audit: "Audit | None" = None,
        person: str = "",
    ) -> None:
        from .history import History
        from .output import Output
        from .pending import Pending

        own_reactor = reactor or running_reactor()
        self.namespace = namespace
        self.access = access
        self.threaded = threaded
        self.limits = limits
        self.audit = audit
        self.person = person
        self.read_line = read_line
        self.session: int = next(_sessions)
        self.number = 1  #: of the next input
        self.width = 80  #: columns of whoever looks
        self.colours = False  #: whether the other end shows colours
        self.last_error: BaseException | None = None
        self.last_shown: tuple[Any, Limits] | None = None  #: for %more
        self.frames: Frames | None = None  #: of the last error, for %pdb
        self.logging: list[Callable[[], object]] = []  #: what ends each log that is shown
        self.at_close: list[Callable[[], object]] = []  #: what magic commands began and the end must undo
        self.history: History = History()
        self._reactor = own_reactor
        self._compiler = Compiler(self.session)
        self._awaited: Deferred[Any] | None = None
        self._busy = False
        self._closed = False
        self._interrupted = False
        self._output: Output = Output(write, own_reactor, drained, self)
        self.pending: Pending = Pending(self)
        self._context = copy_context()
        self._context.run(self._output.enter)
        if access.kind == "full":
            from .session_builtins import ainput

            namespace.setdefault("ainput", ainput)
        self._thread: SessionThread | None = None
        if threaded:
            self._thread = SessionThread(f"manhole-{self.session}", own_reactor, self._output.own_thread)
        self._output.install()
        living.add(self)

    # Asked by editors and magic commands

    @property
    def reactor(self) -> "Reactor":
        """The reactor of the session."""
        return self._reactor

    @property
    def busy(self) -> bool:
        """Whether an input runs."""
        return self._busy

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._closed

    def state(self, source: str) -> str:
        """Say whether an editor may run `source`: "complete", "incomplete" or "invalid"."""
        return state_of(source)

    def say(self, text: str) -> None:
        """Show text to the person, after all that was printed before.  Reactor's thread only."""
        self._output.say(text if text.endswith("\n") or not text else text + "\n")

    def print(self, text: str) -> None:
        """Print as code of the session does, from any thread."""
        self._output.write(text)

    def ask(self, prompt: str) -> str:
        """Ask the person for a line and wait for it, from a thread of the session."""
        return self._output.builtins.input(prompt)

    # Running

    async def run(self, source: str) -> Outcome:
        """Run one input and print what there is to print; the user's errors are shown, not raised."""
        if not source.strip():
            return Outcome(False, False, None)
        try:
            ended = await self._one(source, show=True)
            outcome = self._outcome(ended.error)
        except BaseException:
            self._audit_ended(Outcome(True, True, None))
            raise
        self._audit_ended(outcome)
        return outcome

    async def evaluate(self, source: str) -> Any:
        """Run one input; return the value of its last expression, raise what the code raised."""
        ended = await self._one(source, show=False)
        self._audit_ended(Outcome(ended.error is not None, self._interrupted, None))
        if ended.error is not None:
            from .tracebacks import without_ours

            error = without_ours(ended.error)
            del ended
            try:
                raise error
            finally:
                del error
        return ended.value

    async def _one(self, source: str, *, show: bool) -> Ended:
        """Run an input as whoever this key is may."""
        if self._closed:
            raise LocalProtocolError("this session of the manhole is closed")
        if self._busy:
            raise LocalProtocolError("one input of this session runs already")
        self._busy = True
        self._interrupted = False
        number = self.number
        self.number += 1
        self._output.begin()
        if self.audit is not None:
            self.audit.entered(self.person, source)
        try:
            try:
                self.history.add(number, source)
                return await self._dispatch(source, number, show)
            except CancelledError as error:
                if not self._interrupted and not self._closed:
                    raise
                return Ended(None, error)
            except Exception as error:
                return Ended(None, error)
        finally:
            self._busy = False
            self._output.flush()

    async def _dispatch(self, source: str, number: int, show: bool) -> Ended:
        command = magic_call(source)
        if command is not None:
            from .magic import call

            # An exit in a module that is reloaded, or in code that is timed, must not reach the loop.
            try:
                value = call(self, *command)
            except BaseException as error:
                return Ended(None, error)
            if isinstance(value, Coroutine):
                ended: Ended = await self.awaited(guarded(value))
            else:
                ended = Ended(value, None)
            if show and isinstance(ended.value, str):
                self.say(ended.value)
            return ended
        ended = await self.execute(source, number)
        if ended.error is None and not self._closed:
            if show:
                return await self._show(ended.value, number)
            self._keep(ended.value, number)
        return ended

    async def execute(self, source: str, number: int) -> Ended:
        """Run Python as far as this key may; the value is that of a last expression, else None."""
        if self.access.kind == "commands":
            raise NotAllowed(f"Python is not allowed to this key, it may run {self.access.allowed()}")
        if self.access.kind == "expressions":
            from .expressions import evaluate_expression

            return Ended(evaluate_expression(source, self.namespace), None)
        steps = self._compiler.compile(source, number)
        ended = await self._steps(steps)
        return ended if steps and steps[-1].shows else Ended(None, ended.error)

    async def _steps(self, steps: list[Step]) -> Ended:
        ended = Ended(None, None)
        for step in steps:
            if step.awaits:
                ended = await self._await_code(step)
            else:
                ended = await self._plain(step)
            if ended.error is not None or self._interrupted or self._closed:
                break
        return ended

    async def _plain(self, step: Step) -> Ended:
        def execute() -> Any:
            return self._context.run(eval, step.code, self.namespace)

        return await self.in_place(execute)

    async def in_place(self, function: Callable[[], Any]) -> Ended:
        """Run a function of the user's where the session runs code: in the loop's thread or its own."""
        if self._thread is not None:
            in_thread: Ended = await self.awaited(self._thread.call(function))
            return in_thread
        try:
            return Ended(function(), None)
        except BaseException as error:
            return Ended(None, error)

    async def _await_code(self, step: Step) -> Ended:
        try:
            coroutine = self._context.run(eval, step.code, self.namespace)
            running = self._context.copy().run(self._start, guarded(coroutine))
        except BaseException as error:
            return Ended(None, error)
        ended: Ended = await self.awaited(running)
        return ended

    def _start(self, coroutine: Coroutine[Any, Any, Ended]) -> Deferred[Ended]:
        return ensure_deferred(coroutine, call_soon=self._reactor.call_soon)

    async def awaited(self, thing: Any) -> Any:
        """Await what `interrupt` may cancel; a value that is no awaitable is returned as it is."""
        if isinstance(thing, Coroutine):
            thing = self._context.copy().run(ensure_deferred, thing, call_soon=self._reactor.call_soon)
        if not isinstance(thing, Deferred):
            return thing
        before, self._awaited = self._awaited, thing
        try:
            return await thing
        finally:
            self._awaited = before

    # Showing

    def _keep(self, value: Any, number: int) -> None:
        """Keep a result as `_`, `__`, `___` and `_N`."""
        if value is None or self.access.kind != "full":
            return
        names = self.namespace
        if "_" in names:
            if "__" in names:
                names["___"] = names["__"]
            names["__"] = names["_"]
        names["_"] = names[f"_{number}"] = value

    async def _show(self, value: Any, number: int) -> Ended:
        if value is None:
            return Ended(None, None)
        self._keep(value, number)
        described = self.pending.note(value)
        if described is not None:
            self.say(described)
            return Ended(value, None)
        self.last_shown = (value, self.limits)
        error = await self.show_value(value, self.limits)
        return Ended(value, error)

    async def show_value(self, value: Any, limits: Limits) -> BaseException | None:
        """Show a value to the person; return what interrupted that."""
        static = self.access.kind != "full"

        def text() -> Any:
            return self._context.run(
                render, value, limits, width=self.width, colours=self.colours, static=static
            )

        alarm: DelayedCall | None = None
        if self._thread is not None:
            alarm = self._reactor.call_later(limits.seconds, self._thread.interrupt, DisplayTookTooLong)
        try:
            ended = await self.in_place(text)
        finally:
            if alarm is not None and alarm.active:
                alarm.cancel()
        if ended.error is None:
            self.say(ended.value.text)
            if ended.value.cut:
                self.say(more_line())
        elif isinstance(ended.error, DisplayTookTooLong):
            from .display import named

            self.say(f"<{named(type(value))} whose repr did not end within {limits.seconds:g} s>")
            return None
        return ended.error

    def _outcome(self, error: BaseException | None) -> Outcome:
        if error is None:
            return Outcome(False, self._interrupted, None)
        if isinstance(error, SystemExit):
            return Outcome(False, False, self._exit_status(error))
        self.last_error, self.frames = error, None
        cancelled = isinstance(error, (KeyboardInterrupt, CancelledError))
        if self._closed:
            return Outcome(True, cancelled, None)
        from .tracebacks import one_line, traceback_text
        from .tracebacks import user_frames as shown_whole

        if isinstance(error, KeyboardInterrupt) or (cancelled and self._interrupted):
            self.say("KeyboardInterrupt")
        elif isinstance(error, SSHKitError) and not shown_whole(error):
            self.say(one_line(error))  # ours to begin with: a command's, or of what is not allowed
        else:
            self.say(traceback_text(error, self.limits))
        return Outcome(True, cancelled, None)

    def _exit_status(self, error: SystemExit) -> int:
        code = error.code
        if code is None:
            return 0
        if isinstance(code, int):
            return int(code) & 0xFF
        from .display import guarded_str

        self.say(guarded_str(code)[:_SAID])
        return 1

    def _audit_ended(self, outcome: Outcome) -> None:
        if self.audit is not None:
            self.audit.ended(self.person, outcome)

    # Ending

    def interrupt(self) -> bool:
        """Cancel what this interpreter awaits, or stop what runs in its thread; False if nothing runs."""
        if not self._busy:
            return False
        self._interrupted = True
        self._output.wake()
        if self._thread is not None and self._thread.interrupt():
            return True
        awaited = self._awaited
        if awaited is None:
            return False
        awaited.cancel()
        return True

    def close(self) -> None:
        """End the session: cancel what runs, catch no output any more, forget what was pending."""
        if self._closed:
            return
        self._closed = True
        self.interrupt()
        for undo in self.at_close:
            undo()
        self.at_close.clear()
        for undo in self.logging:
            undo()
        self.logging.clear()
        living.discard(self)
        self.pending.close()
        if self._thread is not None:
            self._thread.close()
        self._output.close()
        self._compiler.close()
        self.last_error = self.last_shown = self.frames = None


def running_reactor() -> "Reactor":
    """Return the reactor or the guest on the asyncio loop that runs here."""
    from sshkit.reactor.current import current

    return cast("Reactor", current())


async def guarded(coroutine: Coroutine[Any, Any, Any]) -> Ended:
    """Await the user's coroutine and answer with how it ended: an exit must not reach the loop."""
    try:
        return Ended(await coroutine, None)
    except BaseException as error:
        return Ended(None, error)
